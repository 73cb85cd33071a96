//! What a sample of a run's units says of the whole: the time of its slowest group, with an interval.
//!
//! A run has N units that are drawn alike, beside the few that stand for themselves; n of them were drawn at random
//! without replacement. With x̄_g and s² the mean of a group's and the variance of all groups' about these means, a
//! group's time and its variance are those of a finite population [cochran77, eq. 2.15 and 2.21],
//!
//! ```text
//!   T_g = Σ x_g + (N − n)·m_g,   v = (N − n)²·w·s²/n + (N − n)·s²,   u = (N − n)²·(1 − w)·s²/(n·G)   (1)
//!   m_g = x̄ + w·(x̄_g − x̄),      w = τ²/(τ² + s²/n),   τ² = max(0, Var_g x̄_g − s²/n)               (2)
//! ```
//!
//! with w = 1 and u = 0 for one group: `N²·s²/n·(1 − n/N)`. Among several groups, (2) tells what groups have of their
//! own, such as a slow GPU, from what they drew [efron75]: the largest of G means of few units is too
//! large. The run ends with its slowest group, whose mean and variance are those of the largest of
//! independent normal T_g; u is what all groups share of the error. The interval is Student's, with G·(n − 1) degrees of freedom.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// The time of a whole run, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Expansion {
    /// What is expected.
    pub seconds: f64,
    /// Half the width of its interval.
    pub half_width: f64,
}

/// Steps of the integral over the time of the slowest group.
const STEPS: usize = 256;
/// How many standard deviations of it are integrated over on either side; beyond lies less than 10⁻⁸.
const WIDE: f64 = 6.0;

/// The time of a run of so many units, of each group the seconds of those that were simulated: the first, `at_end`
/// last ones, and some of the others. The interval leaves out `outside` on both sides together.
///
/// # Panics
/// If a group has fewer than two units that were drawn.
pub(super) fn expand(
    groups: &[Vec<f64>],
    (units, at_end): (usize, usize),
    outside: f64,
) -> Expansion {
    let certain = 1 + at_end;
    let drawn = groups[0].len() - certain;
    assert!(drawn > 1, "{drawn} units drawn have no variance");
    let (n, left) = (drawn as f64, (units - certain - drawn) as f64);
    let moments: Vec<[f64; 2]> = groups.iter().map(|of| moments(&of[1..=drawn])).collect();
    let count = groups.len() as f64;
    let variance = moments.iter().map(|[_, variance]| variance).sum::<f64>() / count;
    let means: Vec<f64> = moments.iter().map(|[mean, _]| *mean).collect();
    let [all, spread] = moments_of_means(&means);
    let own = (spread - variance / n).max(0.0);
    let weight =
        if groups.len() == 1 || own + variance == 0.0 { 1.0 } else { own / (own + variance / n) };
    let sums = groups.iter().map(|of| of.iter().sum::<f64>());
    let times: Vec<f64> =
        sums.zip(&means).map(|(sum, mean)| sum + left * (all + weight * (mean - all))).collect();
    let own = left * left * weight * variance / n + left * variance;
    let shared = left * left * (1.0 - weight) * variance / (n * count);
    let (seconds, of_slowest) = slowest(&times, own);
    let freedom = count * (n - 1.0);
    let half_width = students(freedom, outside) * (of_slowest + shared).sqrt();
    Expansion { seconds, half_width }
}

/// Half the width, in standard deviations, of Student's interval that leaves so much out.
pub(super) fn students(freedom: f64, outside: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::NAN, |t| t.inverse_cdf(1.0 - 0.5 * outside))
}

fn moments(values: &[f64]) -> [f64; 2] {
    [crate::base::statistics::mean(values), crate::base::statistics::variance(values)]
}

fn moments_of_means(means: &[f64]) -> [f64; 2] {
    if means.len() == 1 { [means[0], 0.0] } else { moments(means) }
}

/// Mean and variance of the largest of independent normal times of one variance.
fn slowest(times: &[f64], variance: f64) -> (f64, f64) {
    let most = times.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let deviation = variance.sqrt();
    let width = WIDE * deviation;
    // Those that are slower with no chance at all need not be asked.
    let near: Vec<f64> = times.iter().copied().filter(|time| *time > most - 2.0 * width).collect();
    if near.len() == 1 || deviation == 0.0 {
        return (most, variance);
    }
    let unit = Normal::standard();
    let below = |x: f64| near.iter().map(|time| unit.cdf((x - time) / deviation)).product::<f64>();
    let (from, step) = (most - width, 2.0 * width / STEPS as f64);
    // E(X − from) = ∫ (1 − F), E(X − from)² = 2∫ (x − from)(1 − F), by the rule of the middle.
    let [mut first, mut second] = [0.0; 2];
    for at in 0..STEPS {
        let beyond = step * (at as f64 + 0.5);
        let above = 1.0 - below(from + beyond);
        first += above * step;
        second += 2.0 * beyond * above * step;
    }
    (from + first, (second - first * first).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_group_has_the_interval_of_a_finite_population() {
        // Of 10 units one stands for itself and 3 of 9 were drawn: mean 2, s² = 1.
        let found = expand(&[vec![7.0, 1.0, 2.0, 3.0]], (10, 0), 0.05);
        assert!((found.seconds - (7.0 + 9.0 * 2.0)).abs() < 1e-12, "{found:?}");
        // t at 0.975 with 2 degrees of freedom is 4.303; √(9²/3 · (1 − 3/9)) = √18.
        assert!((found.half_width - 4.302_653 * 18.0_f64.sqrt()).abs() < 1e-4, "{found:?}");
    }

    #[test]
    fn the_last_unit_stands_for_itself() {
        let found = expand(&[vec![7.0, 1.0, 3.0, 50.0]], (10, 1), 0.05);
        assert!((found.seconds - (7.0 + 8.0 * 2.0 + 50.0)).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn a_sample_of_all_units_leaves_nothing_open() {
        let found = expand(&[vec![7.0, 1.0, 3.0], vec![7.5, 1.0, 2.0]], (3, 0), 0.05);
        assert_eq!(found, Expansion { seconds: 11.0, half_width: 0.0 });
    }

    #[test]
    fn the_largest_of_two_equal_normals_is_known() {
        // E max(X, Y) = 1/√π and Var = 1 − 1/π for standard normals; the rule's error is that of its step squared.
        let (mean, variance) = slowest(&[5.0, 5.0], 1.0);
        assert!((mean - 5.0 - std::f64::consts::PI.sqrt().recip()).abs() < 1e-4, "{mean}");
        assert!((variance - 1.0 + std::f64::consts::PI.recip()).abs() < 1e-3, "{variance}");
        assert_eq!(slowest(&[5.0, 500.0], 1.0), (500.0, 1.0));
    }

    #[test]
    fn what_groups_drew_is_told_from_what_they_have_of_their_own() {
        // Two groups alike but for their draws: the whole is not the larger mean times the units.
        let alike = [vec![2.0, 1.0, 3.0, 2.2], vec![2.0, 3.0, 1.0, 2.4]];
        let found = expand(&alike, (1_001, 0), 0.05).seconds;
        assert!(found < 2.0 + 1_000.0 * 2.13, "{found}");
        // A group that is slow in every unit stays so.
        let slow = [vec![2.0, 1.0, 1.01, 0.99], vec![2.0, 5.0, 5.01, 4.99]];
        assert!((expand(&slow, (1_001, 0), 0.05).seconds - 5_002.0).abs() < 1.0);
    }
}
