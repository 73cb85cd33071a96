//! How evenly a gate spreads slots over FFN experts.
//!
//! ```text
//!   H = − Σ p_e · ln p_e / ln N        p_e: share of FFN expert e in the FFN slots of a batch        (1)
//! ```
//!
//! is 1 where all experts get equally much and 0 where one gets all. A *batch* is what one expert-parallel group
//! has in one round of a layer.

use std::ops::Range;

use crate::base::statistics::mean;
use crate::base::streams::Streams;
use crate::gate::Gate;
use crate::workload::Workload;

/// Rounds of layers that are looked at under each seed.
const ROUNDS: u32 = 8;
/// Seeds that are looked at.
const SEEDS: usize = 4;

/// How evenly slots are spread over the FFN experts, mean over batches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loads {
    /// Equation (1).
    pub entropy: f64,
    /// The largest load over the mean.
    pub max_over_mean: f64,
}

impl Loads {
    /// Of the first rounds of a workload's gates under the first seeds.
    #[must_use]
    pub fn of(workload: &Workload, seeds: Range<u64>) -> Self {
        let ffn = workload.model.experts.ffn as usize;
        let group = workload.layout.expert_group() as usize;
        let (mut entropies, mut peaks) = (Vec::new(), Vec::new());
        for seed in seeds.take(SEEDS) {
            let gate = Gate::new(workload, Streams::new(seed));
            for round in 0..workload.gates().min(ROUNDS) {
                let counts = gate.counts(round, workload.layout.places.lead_in(), 0..group);
                let load: Vec<f64> = (0..ffn).map(|expert| counts.load(expert) as f64).collect();
                let all: f64 = load.iter().sum();
                // A batch without any FFN slot has no spread.
                if all > 0.0 {
                    entropies.push(entropy(&load, all));
                    peaks.push(load.iter().copied().fold(0.0, f64::max) * ffn as f64 / all);
                }
            }
        }
        Self { entropy: mean(&entropies), max_over_mean: mean(&peaks) }
    }
}

/// Equation (1) of loads that sum to `all`.
fn entropy(load: &[f64], all: f64) -> f64 {
    if load.len() < 2 {
        return 1.0;
    }
    let shares = load.iter().map(|load| load / all).filter(|share| *share > 0.0);
    shares.map(|share| -share * share.ln()).sum::<f64>() / (load.len() as f64).ln()
}

#[cfg(test)]
mod tests {
    use super::entropy;

    #[test]
    fn even_loads_have_entropy_one_and_a_single_expert_zero() {
        assert!((entropy(&[5.0; 7], 35.0) - 1.0).abs() < 1e-12);
        assert!(entropy(&[3.0, 0.0, 0.0], 3.0).abs() < 1e-12);
        // ½ ln 2 + ½ ln 2 over ln 4.
        assert!((entropy(&[2.0, 2.0, 0.0, 0.0], 4.0) - 0.5).abs() < 1e-12);
    }
}
