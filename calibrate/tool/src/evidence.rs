//! How far off predictions are, as profiles state it.

use moesim::kernels::profile::{LogErrors, Residual};

use crate::residuals::rounded;

/// The statistics of log errors `ln(predicted / measured)`; none for no errors.
#[must_use]
pub fn residual_of(log_errors: &[f64]) -> Option<Residual> {
    if log_errors.is_empty() {
        return None;
    }
    let relative: Vec<f64> = log_errors.iter().map(|e| e.exp_m1()).collect();
    let sizes: Vec<f64> = relative.iter().map(|e| e.abs()).collect();
    Some(Residual {
        median: quantile(&sizes, 0.5),
        p90: quantile(&sizes, 0.9),
        bias: quantile(&relative, 0.5),
    })
}

/// The half-width of the split-conformal interval that covers 90 % of new rows: the
/// ⌈0.9·(n + 1)⌉-th smallest |log error| [vovk05, §4.2].
#[must_use]
pub fn conformal_p90(log_errors: &[f64]) -> Option<f64> {
    let mut sizes: Vec<f64> = log_errors.iter().map(|e| e.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let rank = (0.9 * (sizes.len() as f64 + 1.0)).ceil() as usize;
    sizes.get(rank.checked_sub(1)?).copied()
}

/// The law of `ln(measured / predicted)` from log errors `ln(predicted / measured)`, its quantiles
/// rounded as they are written; none of no errors.
#[must_use]
pub fn law_of(log_errors: &[f64]) -> Option<LogErrors> {
    let turned: Vec<f64> = log_errors.iter().map(|e| -e).collect();
    LogErrors::new(LogErrors::of(&turned)?.quantiles().map(rounded))
}

/// The quantile of a sample, interpolated linearly; zero for an empty one.
#[must_use]
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = share * last as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(quantile(&[4.0, 1.0, 2.0, 3.0], 0.5), 2.5);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }

    #[test]
    fn nineteen_errors_cover_nine_tenths_with_the_eighteenth() {
        let errors: Vec<f64> = (1..=19).map(f64::from).collect();
        assert_eq!(conformal_p90(&errors), Some(18.0));
        assert_eq!(conformal_p90(&[]), None);
    }
}
