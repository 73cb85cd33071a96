//! AdaMoE: null experts beside the real ones, and a larger K [adamoe].
//!
//! Law: every token has exactly K slots of N + m; those of the m null experts cost nothing and are
//! not sent, so a token has between K − m and K slots that compute. All null experts share one
//! balance term, so only their sum is controlled, by how many they are.

use super::{Choices, Scheme, Scores, best};

/// N real experts, then m null experts; the K best of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NullExperts {
    /// N.
    pub real: usize,
    /// K.
    pub k: usize,
}

impl Scheme for NullExperts {
    fn name(&self) -> &'static str {
        "null experts"
    }

    fn choose(&self, scores: &Scores) -> Choices {
        Choices::of((0..scores.tokens()).map(|token| best(scores.of(token), self.k, |_| true)))
    }

    fn computes(&self, expert: usize) -> bool {
        expert < self.real
    }
}
