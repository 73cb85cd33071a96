//! Intervals of paired ratios by the bootstrap.

use rand::RngExt;

use crate::base::statistics::{Rule, mean, quantile_of_sorted};
use crate::base::streams::Streams;

/// A ratio of means with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// `exp` of the mean of the logarithms of the paired ratios.
    pub mean: f64,
    /// The 95 % interval over resampled seeds; none for a single one.
    pub interval: Option<(f64, f64)>,
}

impl Ratio {
    /// Whether the interval leaves no doubt that the ratio is not one.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.interval.is_some_and(|(low, high)| low > 1.0 || high < 1.0)
    }
}

/// Resamples drawn.
const RESAMPLES: usize = 2_000;

/// The ratio of `own` over `other`, value by value, with a percentile bootstrap interval [efron79].
///
/// # Panics
/// If there are no values, or not equally many.
#[must_use]
pub fn ratio_of(own: &[f64], other: &[f64], streams: Streams) -> Ratio {
    assert!(!own.is_empty() && own.len() == other.len(), "ratios need pairs");
    let logs: Vec<f64> = own.iter().zip(other).map(|(own, other)| (own / other).ln()).collect();
    let n = logs.len();
    let mean = mean(&logs);
    if n < 2 {
        return Ratio { mean: mean.exp(), interval: None };
    }
    let mut rng = streams.named("compare/bootstrap");
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| (0..n).map(|_| logs[rng.random_range(0..n)]).sum::<f64>() / n as f64)
        .collect();
    means.sort_by(f64::total_cmp);
    // Percentiles of few seeds are too narrow; √(n/(n−1)) widens them to the spread's usual estimate.
    let widen = (n as f64 / (n as f64 - 1.0)).sqrt();
    let end = |share: f64| {
        let at = quantile_of_sorted(&means, share, Rule::Upper).unwrap_or(mean);
        (mean + widen * (at - mean)).exp()
    };
    Ratio { mean: mean.exp(), interval: Some((end(0.025), end(0.975))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_pairs_show_no_difference_and_unequal_ones_do() {
        let base = [10.0, 11.0, 9.5, 10.4, 10.1, 9.8];
        let same = ratio_of(&base, &base, Streams::new(0));
        assert!((same.mean - 1.0).abs() < 1e-12 && !same.differs());
        let noisy = [10.3, 10.7, 9.7, 10.1, 10.4, 9.5];
        assert!(!ratio_of(&noisy, &base, Streams::new(0)).differs());
        let faster = base.map(|x| x * 1.05);
        let ratio = ratio_of(&faster, &base, Streams::new(0));
        assert!(ratio.differs() && (ratio.mean - 1.05).abs() < 1e-12);
    }
}
