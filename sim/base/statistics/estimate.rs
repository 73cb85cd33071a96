//! A mean over seeds, and the interval in which it lies.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{Rule, mean, quantile_of_sorted, variance};

/// Share of such intervals that cover the mean over all seeds, if values are near normal.
pub const COVERAGE: f64 = 0.95;

/// A mean with its interval over seeds; a single value has none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean of the values.
    pub mean: f64,
    /// Half the width of the interval: `t_{n−1} · s / √n` [student08]; none for one value.
    pub half_width: Option<f64>,
}

impl Estimate {
    /// The estimate from one value a seed.
    ///
    /// # Panics
    /// If there is no value.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        assert!(!values.is_empty(), "an estimate of nothing");
        let (n, mean) = (values.len() as f64, mean(values));
        if values.len() == 1 {
            return Self { mean, half_width: None };
        }
        Self { mean, half_width: Some(students(n, COVERAGE) * (variance(values) / n).sqrt()) }
    }

    /// The interval's lower end, or the mean.
    #[must_use]
    pub fn low(&self) -> f64 {
        self.mean - self.half_width.unwrap_or(0.0)
    }

    /// The interval's upper end, or the mean.
    #[must_use]
    pub fn high(&self) -> f64 {
        self.mean + self.half_width.unwrap_or(0.0)
    }
}

/// Where the next value lies, rather than the mean of all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Range {
    /// Share of such ranges in which one more value lies.
    pub const COVERAGE: f64 = 0.9;
    /// Values from which order statistics alone give a range of that coverage.
    const ENOUGH: usize = 19;

    /// The range from one value a seed; none from fewer than two.
    ///
    /// From 19 values on, between the ⌊(n + 1)/20⌋-th from below and from above [vovk05, §4.2]:
    /// one more value lies there with probability 0.9 or more whatever its law. Of fewer values
    /// `mean ± t_{n−1} · s · √(1 + 1/n)`, which supposes that they are near normal.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        if n < 2 {
            return None;
        }
        if n < Self::ENOUGH {
            let (n, mean) = (n as f64, mean(values));
            let half = students(n, Self::COVERAGE) * (variance(values) * (1.0 + 1.0 / n)).sqrt();
            return Some(Self { low: mean - half, high: mean + half });
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let outside = 0.5 * (1.0 - Self::COVERAGE);
        let at = |p| quantile_of_sorted(&sorted, p, Rule::Conformal);
        Some(Self { low: at(outside)?, high: at(1.0 - outside)? })
    }
}

/// Half the width of the interval of this coverage under Student's law with n − 1 degrees of freedom.
fn students(n: f64, coverage: f64) -> f64 {
    StudentsT::new(0.0, 1.0, n - 1.0)
        .map_or(f64::NAN, |t| t.inverse_cdf(f64::midpoint(1.0, coverage)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_students() {
        // t at 0.975 with 4 degrees of freedom is 2.776; s = √2.5, n = 5.
        let estimate = Estimate::of(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        assert!((estimate.mean - 3.0).abs() < 1e-12);
        let half = estimate.half_width.unwrap();
        assert!((half - 2.776_445 * (2.5_f64 / 5.0).sqrt()).abs() < 1e-4, "{half}");
        assert_eq!(Estimate::of(&[7.0]).half_width, None);
    }

    #[test]
    fn a_range_leaves_one_in_twenty_on_either_side() {
        let values: Vec<f64> = (1..=39).map(f64::from).collect();
        assert_eq!(Range::of(&values), Some(Range { low: 2.0, high: 38.0 }));
        assert_eq!(Range::of(&values[..19]), Some(Range { low: 1.0, high: 19.0 }));
        // t at 0.95 with 4 degrees of freedom is 2.132; s = √2.5, n = 5.
        let few = Range::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert!((few.high - 3.0 - 2.131_847 * (2.5_f64 * 1.2).sqrt()).abs() < 1e-4, "{few:?}");
        assert_eq!(Range::of(&[1.0]), None);
    }
}
