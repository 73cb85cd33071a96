//! Micro-batches whose tokens are exchanged in parts: which tokens are in which, and what is done once for all.
//!
//! The gate takes each part of a GPU's tokens for a GPU: part p of P of GPU g is its GPU g·P + p. So sequences go on
//! from step to step of decoding, limits of experts hold for a part, and parts sum to what all tokens chose.

use std::ops::Range;

use crate::gate::{Counts, Gate};

/// The parts of a planner's micro-batches.
pub(super) struct Parts {
    gate: Gate,
    count: usize,
    /// Whether gate, permute and mix take all parts at once.
    chunks: bool,
    /// What the gate decided last, by round, micro-batch and first GPU.
    last: Option<([u32; 2], usize, Counts)>,
}

/// The counts that a part of a step is planned from.
pub(super) struct Shared {
    /// Of the tokens that are exchanged.
    pub counts: Counts,
    /// Of all tokens, where gate, permute and mix take all parts at once and this part does either.
    pub whole: Option<Counts>,
}

impl Parts {
    /// Parts of what this gate decides.
    pub fn new(gate: Gate, count: u32, chunks: bool) -> Self {
        Self { gate, count: count as usize, chunks, last: None }
    }

    /// What a part does: the first what comes before the exchanges, the last what comes after, both for all, where
    /// these take all parts at once.
    pub const fn does(&self, part: usize) -> [bool; 2] {
        [!self.chunks || part == 0, !self.chunks || part + 1 == self.count]
    }

    /// What the gate decides for a part of these GPUs' tokens in a round of a micro-batch.
    pub fn counts(&mut self, at: [u32; 2], gpus: Range<usize>, part: usize) -> Shared {
        let first = gpus.start;
        let kept = self.last.take().filter(|last| last.0 == at && last.1 == first);
        let all = kept.map_or_else(
            || self.gate.counts(at[0], at[1], first * self.count..gpus.end * self.count),
            |(_, _, counts)| counts,
        );
        let counts = all.part(part, self.count);
        let does = self.chunks && self.does(part).contains(&true);
        let whole = does.then(|| all.merged(self.count));
        self.last = Some((at, first, all));
        Shared { counts, whole }
    }
}
