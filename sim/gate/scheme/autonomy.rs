//! Autonomy of Experts: experts choose by how strongly they react [aoe].
//!
//! There is no gate. Every token passes the first, low-rank factor (D × r) of every expert, and the K
//! experts whose activations have the largest norm go on.
//!
//! Law: every token has exactly K slots; before it is sent it costs 2·D·r operations for each of N
//! experts, and every GPU must hold every expert's first factor. The scores are the norms.

use super::{Choices, Scheme, Scores, best};

/// The K experts that react most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutonomyOfExperts {
    /// K.
    pub k: usize,
    /// r: rank of the first factor.
    pub rank: u32,
}

impl Scheme for AutonomyOfExperts {
    fn name(&self) -> &'static str {
        "autonomy of experts"
    }

    fn choose(&self, scores: &Scores) -> Choices {
        Choices::of((0..scores.tokens()).map(|token| best(scores.of(token), self.k, |_| true)))
    }

    fn flops_before_dispatch(&self, hidden: u32, experts: u32) -> u64 {
        2 * u64::from(hidden) * u64::from(self.rank) * u64::from(experts)
    }
}
