//! How far off predictions are, as profiles state it.

use moesim::base::statistics::{Rule, quantile};
use moesim::kernels::profile::{LogErrors, Residual};

use crate::residuals::rounded;

/// The statistics of log errors `ln(predicted / measured)`; none for no errors.
#[must_use]
pub fn residual_of(log_errors: &[f64]) -> Option<Residual> {
    let relative: Vec<f64> = log_errors.iter().map(|e| e.exp_m1()).collect();
    let sizes: Vec<f64> = relative.iter().map(|e| e.abs()).collect();
    Some(Residual {
        median: quantile(&sizes, 0.5, Rule::Linear)?,
        p90: quantile(&sizes, 0.9, Rule::Linear)?,
        bias: quantile(&relative, 0.5, Rule::Linear)?,
    })
}

/// The half-width of the split-conformal interval that covers 90 % of new rows: the
/// ⌈0.9·(n + 1)⌉-th smallest |log error| [vovk05, §4.2].
#[must_use]
pub fn conformal_p90(log_errors: &[f64]) -> Option<f64> {
    let sizes: Vec<f64> = log_errors.iter().map(|e| e.abs()).collect();
    quantile(&sizes, 0.9, Rule::Conformal)
}

/// The law of `ln(measured / predicted)` from log errors `ln(predicted / measured)`, its quantiles
/// rounded as they are written; none of no errors.
#[must_use]
pub fn law_of(log_errors: &[f64]) -> Option<LogErrors> {
    let turned: Vec<f64> = log_errors.iter().map(|e| -e).collect();
    LogErrors::new(LogErrors::of(&turned)?.quantiles().map(rounded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nineteen_errors_cover_nine_tenths_with_the_eighteenth() {
        let errors: Vec<f64> = (1..=19).map(f64::from).collect();
        assert_eq!(conformal_p90(&errors), Some(18.0));
        assert_eq!(conformal_p90(&[]), None);
    }
}
