//! Chain of Experts: several rounds within one layer [coe].
//!
//! A token is gated, sent, computed and combined R times; the output of one round is the input
//! of the next, which has a gate of its own. With K/R experts a round the slots of a layer are K as
//! before, but there are R dispatches and R combines, one after another.
//!
//! Law: a round gives every token exactly K/R slots without repetition; a token may meet an expert
//! again in another round. `choose` decides one round, from that round's scores.

use super::{Choices, Scheme, Scores, best};

/// The K/R best experts, in each of R rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainOfExperts {
    /// K: slots of a token over all rounds.
    pub k: usize,
    /// R.
    pub rounds: u32,
}

impl Scheme for ChainOfExperts {
    fn name(&self) -> &'static str {
        "chain of experts"
    }

    fn choose(&self, scores: &Scores) -> Choices {
        let each = self.k / self.rounds.max(1) as usize;
        Choices::of((0..scores.tokens()).map(|token| best(scores.of(token), each, |_| true)))
    }

    fn rounds(&self) -> u32 {
        self.rounds
    }
}
