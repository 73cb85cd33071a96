//! Residual tables: every shape at every knot, and figures rounded as they are written.

pub mod evidence;
pub mod least_squares;

use std::collections::BTreeMap;

use moesim::base::statistics::mean;
use moesim::kernels::curves::Site;

/// Log residuals of one shape by running size.
pub type Sizes = BTreeMap<u32, Vec<f64>>;

/// Log residuals by shape, then by running size.
pub type Shapes = BTreeMap<Vec<u32>, Sizes>;

/// To four significant digits, as profiles are written.
#[must_use]
pub fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let digits = 3 - value.abs().log10().floor() as i32;
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

/// A time in seconds, to four significant digits and to a whole picosecond.
#[must_use]
pub fn rounded_time(seconds: f64) -> f64 {
    (rounded(seconds) * 1e12).round() / 1e12
}

/// Log residuals of every shape at every running size that any shape has.
///
/// Rows measured more than once are averaged; a shape that was not measured at a size is read
/// off the line between its neighbours in log size, or takes its nearest value beyond its ends.
#[must_use]
pub fn fill(shapes: &Shapes) -> (Vec<f64>, Vec<Site>) {
    let mut knots: Vec<u32> = shapes.values().flat_map(|sizes| sizes.keys().copied()).collect();
    knots.sort_unstable();
    knots.dedup();
    let filled = fill_at(shapes, &knots);
    (knots.iter().map(|&k| f64::from(k)).collect(), filled)
}

/// The same at these running sizes, in increasing order.
#[must_use]
pub fn fill_at(shapes: &Shapes, knots: &[u32]) -> Vec<Site> {
    let curve =
        |sizes: &Sizes| -> Vec<f64> { knots.iter().map(|&knot| read(sizes, knot)).collect() };
    let site = |(at, sizes): (&Vec<u32>, &Sizes)| Site { at: at.clone(), residual: curve(sizes) };
    shapes.iter().map(site).collect()
}

fn read(sizes: &Sizes, knot: u32) -> f64 {
    let below = sizes.range(..=knot).next_back();
    let above = sizes.range(knot..).next();
    match (below, above) {
        (Some((&a, left)), Some((&b, right))) if a < b => {
            let (a, b, x) = (f64::from(a).ln(), f64::from(b).ln(), f64::from(knot).ln());
            let share = (x - a) / (b - a);
            mean(left) * (1.0 - share) + mean(right) * share
        }
        (Some((_, values)), _) | (None, Some((_, values))) => mean(values),
        (None, None) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_four_digits() {
        assert_eq!(rounded(0.123_456), 0.1235);
        assert_eq!(rounded(98_765.0), 98_770.0);
        assert_eq!(rounded(0.0), 0.0);
        assert_eq!(rounded_time(2.475_304e-6), 2.475e-6);
    }

    #[test]
    fn a_missing_size_is_read_between_its_neighbours() {
        let sizes = |pairs: &[(u32, f64)]| pairs.iter().map(|&(m, r)| (m, vec![r])).collect();
        let shapes = BTreeMap::from([
            (vec![1], sizes(&[(1, 0.0), (2, 0.1), (4, 0.2)])),
            (vec![2], sizes(&[(1, 0.0), (4, 1.0)])),
        ]);
        let (knots, filled) = fill(&shapes);
        assert_eq!(knots, [1.0, 2.0, 4.0]);
        assert!((filled[1].residual[1] - 0.5).abs() < 1e-12);
    }
}
