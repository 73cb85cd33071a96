//! What a sample of a run's units says of the whole: the time of its slowest group, with an interval.
//!
//! A run has N units that are drawn alike, beside the few that stand for themselves; n of them were drawn at random
//! without replacement. With x̄_g and s² the mean of a group's and the variance of all groups' about these means, a
//! group's time and its variance are those of a finite population [cochran77, eq. 2.15 and 2.21],
//!
//! ```text
//!   T_g = Σ x_g + (N − n)·m_g,   v = (N − n)²·w·s²/n + (N − n)·s²,   u = (N − n)²·(1 − w)·s²/(n·G)   (1)
//!   m_g = x̄ + w·(x̄_g − x̄),      w = τ²/(τ² + s²/n)                                               (2)
//! ```
//!
//! with w = 1 and u = 0 for one group: `N²·s²/n·(1 − n/N)`. Among several groups, (2) tells what groups have of their
//! own, such as a slow GPU, from what they drew [efron75]: the largest of G means of few units is too
//! large. The run ends with its slowest group, whose mean and variance are those of the largest of
//! independent normal T_g; u is what all groups share of the error. The interval is Student's, with G·(n − 1) degrees of freedom.
//!
//! How far groups differ of their own is seldom known: w = 0 where they are alike ([`Groups::Alike`]); otherwise (1) is
//! averaged over what τ may be, [`OWN`] values from 0 on at equal distances, each as likely as the means that were found are
//! under it,
//!
//! ```text
//!   p(τ) ∝ (τ² + s²/n)^(−(G−1)/2) · exp(−½·(G − 1)·Var_g x̄_g / (τ² + s²/n))                    (3)
//! ```
//!
//! A single τ² in its place, cut off at zero, is too large for groups that are alike, and with it the largest T_g, and its
//! interval too narrow: 9 to 15 % of those of 16 groups missed in place of 5 %.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// The time of a whole run, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Expansion {
    /// What is expected.
    pub seconds: f64,
    /// Half the width of its interval.
    pub half_width: f64,
}

/// What is known of a run's groups beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Groups {
    /// They run the same law on the same hardware: what one takes differs from another by what they draw alone.
    Alike,
    /// One may be slower than another.
    Unknown,
}

/// Steps of the integral over the time of the slowest group.
const STEPS: usize = 64;
/// Values of τ that are looked at, up to three times what groups' means differ by.
const OWN: usize = 12;
/// Those this many times less likely than the likeliest, in logarithms, are left out.
const UNLIKELY: f64 = 9.0;
/// How many standard deviations of it are integrated over on either side; beyond lies less than 10⁻⁸.
const WIDE: f64 = 6.0;

/// The time of a run of so many units, of each group the seconds of those that were simulated: the first, `at_end`
/// last ones, and some of the others. The interval leaves out `outside` on both sides together.
///
/// # Panics
/// If a group has fewer than two units that were drawn.
pub(super) fn expand(
    (groups, known): (&[Vec<f64>], Groups),
    shape: (usize, usize),
    outside: f64,
) -> Expansion {
    let sampled = Sampled::of(groups, shape);
    let laws = match (groups.len(), known) {
        (1, _) => vec![(1.0, 1.0)],
        (_, Groups::Alike) => vec![(0.0, 1.0)],
        _ => sampled.weights(),
    };
    // Moments about the first mean, so that nothing large cancels.
    let [about, _] = sampled.moments(laws[0].0);
    let (mut all, mut first, mut second) = (0.0, 0.0, 0.0);
    for (weight, chance) in laws {
        let [mean, variance] = sampled.moments(weight);
        let beyond = mean - about;
        all += chance;
        first += chance * beyond;
        second += chance * (variance + beyond * beyond);
    }
    let (beyond, square) = (first / all, second / all);
    let freedom = groups.len() as f64 * (sampled.n - 1.0);
    let variance = (square - beyond * beyond).max(0.0);
    Expansion { seconds: about + beyond, half_width: students(freedom, outside) * variance.sqrt() }
}

/// What was simulated, and its moments.
struct Sampled<'a> {
    groups: &'a [Vec<f64>],
    /// Mean of the units drawn, by group.
    means: Vec<f64>,
    /// s² of (1).
    variance: f64,
    /// Units drawn, and units left.
    n: f64,
    left: f64,
}

impl<'a> Sampled<'a> {
    fn of(groups: &'a [Vec<f64>], (units, at_end): (usize, usize)) -> Self {
        let certain = 1 + at_end;
        let drawn = groups[0].len() - certain;
        assert!(drawn > 1, "{drawn} units drawn have no variance");
        let moments: Vec<[f64; 2]> = groups.iter().map(|of| moments(&of[1..=drawn])).collect();
        let variance = moments.iter().map(|[_, variance]| variance).sum::<f64>();
        Self {
            groups,
            means: moments.iter().map(|[mean, _]| *mean).collect(),
            variance: variance / groups.len() as f64,
            n: drawn as f64,
            left: (units - certain - drawn) as f64,
        }
    }

    /// What w may be, each with its chance, equation (3).
    fn weights(&self) -> Vec<(f64, f64)> {
        let &Self { ref means, variance, n, .. } = self;
        let ([_, spread], drawn) = (moments_of_means(means), variance / n);
        if spread.max(drawn) <= 0.0 {
            return vec![(0.0, 1.0)];
        }
        let freedom = means.len() as f64 - 1.0;
        // Units that all take the same leave nothing to have drawn; a little keeps (3) finite.
        let drawn = drawn.max(1e-12 * spread);
        let step = 3.0 * spread.max(drawn).sqrt() / (OWN - 1) as f64;
        let law = |at: usize| {
            let own = (step * at as f64).powi(2);
            let together = own + drawn;
            let chance = -0.5 * freedom * (together.ln() + spread / together);
            (own / together, chance)
        };
        let laws: Vec<(f64, f64)> = (0..OWN).map(law).collect();
        let most = laws.iter().map(|(_, chance)| *chance).fold(f64::NEG_INFINITY, f64::max);
        let likely = laws.into_iter().map(|(weight, chance)| (weight, chance - most));
        likely
            .filter(|(_, chance)| *chance > -UNLIKELY)
            .map(|(weight, chance)| (weight, chance.exp()))
            .collect()
    }

    /// Mean and variance of the time with this w, equation (1).
    fn moments(&self, weight: f64) -> [f64; 2] {
        let &Self { groups, ref means, variance, n, left } = self;
        let count = groups.len() as f64;
        let [all, _] = moments_of_means(means);
        let sums = groups.iter().map(|of| of.iter().sum::<f64>());
        let times: Vec<f64> =
            sums.zip(means).map(|(sum, mean)| sum + left * (all + weight * (mean - all))).collect();
        let own = left * left * weight * variance / n + left * variance;
        let shared = left * left * (1.0 - weight) * variance / (n * count);
        let (mean, of_slowest) = slowest(&times, own);
        [mean, of_slowest + shared]
    }
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
    // E(X − from) = ∫ (1 − F), E(X − from)² = 2∫ (x − from)(1 − F), by the rule of the middle, which makes the second
    // too large by h²/12: its integrand rises by 2 where it begins and no more where it ends.
    let [mut first, mut second] = [0.0; 2];
    for at in 0..STEPS {
        let beyond = step * (at as f64 + 0.5);
        let above = 1.0 - below(from + beyond);
        first += above * step;
        second += 2.0 * beyond * above * step;
    }
    (from + first, (second - step * step / 12.0 - first * first).max(0.0))
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution, StandardNormal};

    use super::*;
    use crate::base::streams::Streams;

    #[test]
    fn one_group_has_the_interval_of_a_finite_population() {
        // Of 10 units one stands for itself and 3 of 9 were drawn: mean 2, s² = 1.
        let found = expand((&[vec![7.0, 1.0, 2.0, 3.0]], Groups::Unknown), (10, 0), 0.05);
        assert!((found.seconds - (7.0 + 9.0 * 2.0)).abs() < 1e-12, "{found:?}");
        // t at 0.975 with 2 degrees of freedom is 4.303; √(9²/3 · (1 − 3/9)) = √18.
        assert!((found.half_width - 4.302_653 * 18.0_f64.sqrt()).abs() < 1e-4, "{found:?}");
    }

    #[test]
    fn the_last_unit_stands_for_itself() {
        let found = expand((&[vec![7.0, 1.0, 3.0, 50.0]], Groups::Unknown), (10, 1), 0.05);
        assert!((found.seconds - (7.0 + 8.0 * 2.0 + 50.0)).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn a_sample_of_all_units_leaves_nothing_open() {
        let found =
            expand((&[vec![7.0, 1.0, 3.0], vec![7.5, 1.0, 2.0]], Groups::Unknown), (3, 0), 0.05);
        assert_eq!(found, Expansion { seconds: 11.0, half_width: 0.0 });
    }

    #[test]
    fn the_largest_of_two_equal_normals_is_known() {
        // E max(X, Y) = 1/√π and Var = 1 − 1/π for standard normals.
        let (mean, variance) = slowest(&[5.0, 5.0], 1.0);
        assert!((mean - 5.0 - std::f64::consts::PI.sqrt().recip()).abs() < 1e-4, "{mean}");
        assert!((variance - 1.0 + std::f64::consts::PI.recip()).abs() < 1e-3, "{variance}");
        assert_eq!(slowest(&[5.0, 500.0], 1.0), (500.0, 1.0));
    }

    #[test]
    fn what_groups_drew_is_told_from_what_they_have_of_their_own() {
        // Two groups alike but for their draws: the whole is not the larger mean times the units.
        let alike = [vec![2.0, 1.0, 3.0, 2.2], vec![2.0, 3.0, 1.0, 2.4]];
        let found = |known| expand((&alike, known), (1_001, 0), 0.05).seconds;
        assert!(found(Groups::Alike) < 2.0 + 1_000.0 * 2.13, "{}", found(Groups::Alike));
        // Three units do not say how far groups differ: that they may makes the slowest slower.
        assert!(found(Groups::Unknown) > found(Groups::Alike));
        // A group that is slow in every unit stays so.
        let slow = [vec![2.0, 1.0, 1.01, 0.99], vec![2.0, 5.0, 5.01, 4.99]];
        assert!((expand((&slow, Groups::Unknown), (1_001, 0), 0.05).seconds - 5_002.0).abs() < 1.0);
    }

    /// Of 16 groups of one law, 64 units each of which 5 are known: what is expected is right on average, and 95 % of
    /// intervals hold it, give or take three standard deviations of 400 cases.
    #[test]
    fn groups_that_are_alike_are_expected_to_take_what_they_take() {
        let mut rng = Streams::new(0).named("groups");
        let (mut missed, mut error, mut square) = ([0; 2], 0.0, 0.0);
        for _ in 0..400 {
            let mut unit = || 1.0 + 0.005 * Distribution::<f64>::sample(&StandardNormal, &mut rng);
            let whole: Vec<Vec<f64>> = (0..16).map(|_| (0..64).map(|_| unit()).collect()).collect();
            let took = whole.iter().map(|of| of.iter().sum::<f64>()).fold(0.0, f64::max);
            let known: Vec<Vec<f64>> = whole.iter().map(|of| of[..5].to_vec()).collect();
            for (missed, known_of) in missed.iter_mut().zip([Groups::Alike, Groups::Unknown]) {
                let found = expand((&known, known_of), (64, 0), 0.05);
                *missed += u32::from((found.seconds - took).abs() > found.half_width);
                if known_of == Groups::Alike {
                    error += found.seconds - took;
                    square += (found.seconds - took).powi(2);
                }
            }
        }
        assert!(missed.iter().all(|&missed| missed <= 33), "{missed:?} of 400 miss");
        let (bias, deviation) = (error / 400.0, (square / 400.0).sqrt());
        assert!(bias.abs() < 3.0 * deviation / 20.0, "{bias} of {deviation}");
    }
}
