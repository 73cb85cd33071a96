//! Means and variances.

/// The arithmetic mean; 0 of no values.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// `Σ (x − x̄)²`.
#[must_use]
pub fn squared_deviations(values: &[f64]) -> f64 {
    let centre = mean(values);
    values.iter().map(|x| (x - centre).powi(2)).sum()
}

/// The variance of the population that the values are a sample of, `Σ (x − x̄)² / (n − 1)`; 0 of a
/// single value.
#[must_use]
pub fn variance(values: &[f64]) -> f64 {
    squared_deviations(values) / (values.len() as f64 - 1.0).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_on_paper() {
        let values = [2.0, 4.0, 4.0, 6.0];
        assert_eq!((mean(&values), squared_deviations(&values)), (4.0, 8.0));
        assert_eq!(variance(&values), 8.0 / 3.0);
        assert_eq!((mean(&[]), variance(&[]), variance(&[5.0])), (0.0, 0.0, 0.0));
    }
}
