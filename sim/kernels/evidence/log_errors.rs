//! How far off predictions were on what they had not seen, as a law to draw from.

use rand::RngExt;

use crate::base::statistics::{Rule, quantile_of_sorted};

/// Split-conformal quantiles of `ln(measured / predicted)` over left-out rows.
///
/// With n such errors sorted, the quantile at level p < ½ is the ⌊(n + 1)·p⌋-th smallest and at
/// p > ½ the ⌈(n + 1)·p⌉-th [vovk05, §4.2], so that a new row, exchangeable with these, lies between
/// the quantiles at p and 1 − p with probability 1 − 2p or more. Between levels quantiles are taken
/// on the line, beyond the outer levels none are known and the outer ones are meant.
#[derive(Clone, Debug, PartialEq)]
pub struct LogErrors([f64; LogErrors::LEVELS.len()]);

impl LogErrors {
    /// The levels at which quantiles are kept.
    pub const LEVELS: [f64; 9] = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];

    /// From quantiles at [`Self::LEVELS`]; none unless they are finite and do not fall.
    #[must_use]
    pub fn new(quantiles: [f64; Self::LEVELS.len()]) -> Option<Self> {
        let finite = quantiles.iter().all(|q| q.is_finite());
        (finite && quantiles.is_sorted()).then_some(Self(quantiles))
    }

    /// From a sample of `ln(measured / predicted)`; none of an empty one.
    #[must_use]
    pub fn of(sample: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = sample.iter().copied().filter(|e| e.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let quantile = |level: f64| {
            let end = sorted[if level < 0.5 { 0 } else { last }];
            quantile_of_sorted(&sorted, level, Rule::Conformal).unwrap_or(end)
        };
        Self::new(Self::LEVELS.map(quantile))
    }

    /// The same law, errors `factor` times as large.
    ///
    /// # Panics
    /// If the factor is negative.
    #[must_use]
    pub fn widened(&self, factor: f64) -> Self {
        assert!(factor >= 0.0, "widened by {factor}");
        Self(self.0.map(|q| q * factor))
    }

    /// Whichever of two laws leaves the wider interval of nine in ten.
    #[must_use]
    pub fn or_wider(self, other: &Self) -> Self {
        let width = |law: &Self| law.at(0.95) - law.at(0.05);
        if width(other) > width(&self) { other.clone() } else { self }
    }

    /// The quantiles at [`Self::LEVELS`].
    #[must_use]
    pub const fn quantiles(&self) -> &[f64; Self::LEVELS.len()] {
        &self.0
    }

    /// The quantile at a level.
    #[must_use]
    pub fn at(&self, level: f64) -> f64 {
        let above = Self::LEVELS.partition_point(|&known| known < level);
        if above == 0 || above == Self::LEVELS.len() {
            return self.0[above.min(Self::LEVELS.len() - 1)];
        }
        let (p0, p1) = (Self::LEVELS[above - 1], Self::LEVELS[above]);
        self.0[above - 1] + (self.0[above] - self.0[above - 1]) * (level - p0) / (p1 - p0)
    }

    /// What to multiply predictions by: one sample of the errors.
    #[must_use]
    pub fn draw(&self, rng: &mut impl RngExt) -> f64 {
        self.at(rng.random::<f64>()).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::streams::Streams;

    #[test]
    fn quantiles_are_conformal_ranks() {
        // Of 99 errors the level p is the (100·p)-th.
        let errors: Vec<f64> = (1..=99).map(|i| f64::from(i) / 100.0).collect();
        let law = LogErrors::of(&errors).unwrap();
        for (level, quantile) in LogErrors::LEVELS.into_iter().zip(law.quantiles()) {
            assert!((quantile - level).abs() < 1e-12, "{level}: {quantile}");
        }
        // Of 10 errors, 0.9 · 11 = 9.9 and the tenth is needed; 0.1 · 11 = 1.1 and the first is.
        let few: Vec<f64> = (1..=10).map(f64::from).collect();
        let law = LogErrors::of(&few).unwrap();
        assert_eq!((law.at(0.1), law.at(0.9)), (1.0, 10.0));
        assert_eq!(LogErrors::of(&[]), None);
        assert_eq!(LogErrors::of(&[f64::NAN]), None);
    }

    #[test]
    fn a_law_that_falls_or_is_not_finite_is_none() {
        let mut quantiles = [0.0; 9];
        assert!(LogErrors::new(quantiles).is_some());
        quantiles[3] = 1.0;
        assert_eq!(LogErrors::new(quantiles), None);
        assert_eq!(LogErrors::new([f64::NAN; 9]), None);
    }

    #[test]
    fn draws_follow_the_law() {
        let errors: Vec<f64> = (1..=999).map(|i| f64::from(i) / 1000.0 - 0.5).collect();
        let law = LogErrors::of(&errors).unwrap();
        let mut rng = Streams::new(5).named("test");
        let draws: Vec<f64> = (0..4000).map(|_| law.draw(&mut rng).ln()).collect();
        for level in [0.1, 0.3, 0.5, 0.8] {
            let below = draws.iter().filter(|d| **d < law.at(level)).count() as f64 / 4000.0;
            // Five standard deviations of a share among 4000 draws.
            assert!((below - level).abs() < 0.04, "{level}: {below}");
        }
    }
}
