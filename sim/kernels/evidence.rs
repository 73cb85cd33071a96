//! What constants were fitted on, and how far off they were on what they had not seen.

mod log_errors;
pub use log_errors::LogErrors;

/// Robust statistics of relative errors `predicted / measured − 1`, as fractions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Residual {
    /// Median of |error|.
    pub median: f64,
    /// 90th percentile of |error|.
    pub p90: f64,
    /// Median of the signed error: positive when predictions are too slow.
    pub bias: f64,
}

/// What a family was fitted on, and how far off it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// The tables, or the publication when nothing was measured.
    pub fitted_on: String,
    /// Rows used; none when the figures are published and not fitted here.
    pub rows: usize,
    /// Error of the constants alone, with no residual table, on the rows of the fit.
    pub prior: Option<Residual>,
    /// Error with the residual table when whole shapes are left out of table and fit.
    pub held_out: Option<Residual>,
    /// What was left out, in words.
    pub left_out: String,
    /// Half-width of the split-conformal 90 % interval of |log error| over the left-out rows.
    pub log_error_p90: Option<f64>,
    /// The law of the log error over the left-out rows; none where nothing was left out.
    pub log_errors: Option<LogErrors>,
}

/// What `fitted_on` ends in where all is another device's.
pub const TRANSFERRED: &str = ": transferred, not measured";

impl Evidence {
    /// What other device's measurements this was carried over from, if it was.
    #[must_use]
    pub fn transferred_from(&self) -> Option<&str> {
        self.fitted_on.strip_suffix(TRANSFERRED)
    }

    /// Of something that nothing is known of.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            fitted_on: String::new(),
            rows: 0,
            prior: None,
            held_out: None,
            left_out: String::new(),
            log_error_p90: None,
            log_errors: None,
        }
    }
}
