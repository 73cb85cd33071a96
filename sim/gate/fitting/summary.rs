//! A fitted law in a few numbers, as a workload's `[gate]` takes them.

use crate::base::statistics::{Rule, mean, quantile};
use crate::base::streams::Streams;
use crate::workload::SequenceCounts;

use super::super::law::DRAWN_RANK;
use super::fit::fit;

/// A law in a few numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// α of the symmetric Dirichlet distribution with the spread of loads over experts, by moments:
    /// CV² = (N − 1)/(Nα + 1), the median over layers.
    pub popularity_concentration: f64,
    /// Standard deviation over sequences of an expert's logit.
    pub sequence_sd: f64,
    /// Share of that variance which layers have in common.
    pub sequence_common: f64,
}

impl Summary {
    /// The numbers of the law of these counts with as many latents as laws have that are drawn.
    ///
    /// # Panics
    /// If there are fewer than two sequences.
    #[must_use]
    pub fn of(counts: &SequenceCounts, streams: Streams) -> Self {
        let law = fit(counts, DRAWN_RANK, streams);
        let popularity = (0..counts.layers).map(|layer| counts.inclusion(layer));
        let popularity: Vec<Vec<f64>> = popularity.collect();
        let alphas: Vec<f64> = popularity.iter().map(|shares| concentration(shares)).collect();
        let (mut shared, mut own) = (0.0, 0.0);
        for layer in &law.layers {
            shared += layer.loadings.iter().map(|w| w * w).sum::<f64>();
            own += layer.own.iter().map(|r| r * r).sum::<f64>();
        }
        let cells = (law.layers.len() * law.experts()) as f64;
        Self {
            popularity_concentration: quantile(&alphas, 0.5, Rule::Upper).unwrap_or(f64::INFINITY),
            sequence_sd: ((shared + own) / cells).sqrt(),
            sequence_common: if shared + own > 0.0 { shared / (shared + own) } else { 0.0 },
        }
    }
}

fn concentration(shares: &[f64]) -> f64 {
    let (number, centre) = (shares.len() as f64, mean(shares));
    let squares = shares.iter().map(|x| (x / centre - 1.0).powi(2)).sum::<f64>();
    let cv2 = squares / number;
    ((number - 1.0) / cv2 - 1.0) / number
}
