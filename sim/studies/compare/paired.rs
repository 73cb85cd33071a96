//! Ratios paired by seed, with their intervals.

use crate::base::statistics::Estimate;

/// A ratio of means with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// `exp` of the mean of the logarithms of the paired ratios.
    pub mean: f64,
    /// The 95 % interval of that mean over seeds; none for a single one.
    pub interval: Option<(f64, f64)>,
}

impl Ratio {
    /// Whether the interval leaves no doubt that the ratio is not one.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.interval.is_some_and(|(low, high)| low > 1.0 || high < 1.0)
    }
}

/// The ratio of `own` over `other`, value by value, with the interval of [`Estimate`] on its logarithm.
///
/// Student's, not resampled: percentiles of two or three seeds lie between those seeds, so that every pair of equal
/// clusters of which one drew well twice would be told apart.
///
/// # Panics
/// If there are no values, or not equally many.
#[must_use]
pub fn ratio_of(own: &[f64], other: &[f64]) -> Ratio {
    assert!(!own.is_empty() && own.len() == other.len(), "ratios need pairs");
    let logs: Vec<f64> = own.iter().zip(other).map(|(own, other)| (own / other).ln()).collect();
    let found = Estimate::of(&logs);
    let interval = found.half_width.map(|_| (found.low().exp(), found.high().exp()));
    Ratio { mean: found.mean.exp(), interval }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_pairs_show_no_difference_and_unequal_ones_do() {
        let base = [10.0, 11.0, 9.5, 10.4, 10.1, 9.8];
        let same = ratio_of(&base, &base);
        assert!((same.mean - 1.0).abs() < 1e-12 && !same.differs());
        let noisy = [10.3, 10.7, 9.7, 10.1, 10.4, 9.5];
        assert!(!ratio_of(&noisy, &base).differs());
        let faster = base.map(|x| x * 1.05);
        let ratio = ratio_of(&faster, &base);
        assert!(ratio.differs() && (ratio.mean - 1.05).abs() < 1e-12);
        assert!(ratio_of(&base, &faster).differs(), "slower differs too");
    }

    /// Left to break: percentiles of resampled seeds, which never leave what those seeds drew.
    #[test]
    fn two_seeds_that_agree_by_luck_do_not_tell_equal_clusters_apart() {
        assert!(!ratio_of(&[10.2, 10.9], &[10.0, 10.2]).differs());
        assert!(ratio_of(&[10.2], &[10.0]).interval.is_none());
    }
}
