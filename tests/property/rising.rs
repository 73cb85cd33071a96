//! Is the rising curve through points that which theory says, whatever the points?
//!
//! A pass says that pooling gives the least-squares rising sequence, by a formula that pools nothing, and that it does
//! not depend on the unit of values and weights. It does not say that quality rises with τ.

use moesim::base::statistics::rising;
use proptest::prelude::*;

/// The weighted mean of points.
fn mean(points: &[(f64, f64)]) -> f64 {
    let weights: f64 = points.iter().map(|(_, weight)| weight).sum();
    points.iter().map(|(value, weight)| value * weight).sum::<f64>() / weights
}

/// The slow twin: `fᵢ = max over j ≤ i of min over k ≥ i of the mean from j to k` [barlow72, §1.2].
fn slowly(points: &[(f64, f64)]) -> Vec<f64> {
    let last = points.len();
    let least = |from: usize, at: usize| {
        (at..last).map(|to| mean(&points[from..=to])).fold(f64::INFINITY, f64::min)
    };
    let most = |at: usize| (0..=at).map(|from| least(from, at)).fold(f64::NEG_INFINITY, f64::max);
    (0..last).map(most).collect()
}

fn points() -> impl Strategy<Value = Vec<(f64, f64)>> {
    prop::collection::vec((-100.0..100.0, 0.01..100.0), 1..12)
}

proptest! {
    #[test]
    fn pooling_gives_the_closest_rising_sequence(points in points()) {
        let found = rising(&points);
        prop_assert!(found.windows(2).all(|pair| pair[0] <= pair[1]), "{found:?}");
        for (found, right) in found.iter().zip(slowly(&points)) {
            prop_assert!((found - right).abs() < 1e-9, "{found} for {right}");
        }
    }

    #[test]
    fn what_rises_is_kept_and_units_do_not_count(points in points(), factor in 0.1..10.0_f64) {
        let found = rising(&points);
        let again: Vec<(f64, f64)> = found.iter().zip(&points).map(|(y, (_, w))| (*y, *w)).collect();
        prop_assert_eq!(&rising(&again), &found);
        let scaled: Vec<(f64, f64)> =
            points.iter().map(|(value, weight)| (factor * value, 3.0 * weight)).collect();
        for (scaled, found) in rising(&scaled).iter().zip(&found) {
            prop_assert!((scaled - factor * found).abs() < 1e-9, "{scaled} for {factor} × {found}");
        }
    }
}
