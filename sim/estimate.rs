//! A mean over seeds, and the interval in which it lies.

use statrs::distribution::{ContinuousCDF, StudentsT};

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
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        if values.len() == 1 {
            return Self { mean, half_width: None };
        }
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let t = StudentsT::new(0.0, 1.0, n - 1.0)
            .map_or(f64::NAN, |t| t.inverse_cdf(f64::midpoint(1.0, COVERAGE)));
        Self { mean, half_width: Some(t * (variance / n).sqrt()) }
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
}
