//! Which expert lives on which GPU of an expert-parallel group.
//!
//! A group of E GPUs holds one copy of a layer's N_FFN FFN experts, N_FFN/E a GPU. Zero-computation
//! experts hold almost no parameters, so every GPU has them all; a workload can instead *place*
//! them like FFN experts, which shows what their locality is worth.

use crate::units::ExpertId;
use crate::workload::Workload;

/// Where the experts of a layer live within an expert-parallel group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    ranks: u32,
    /// The rank that holds each expert, FFN then zero, copy, constant; `None` is every rank.
    rank_of: Vec<Option<u32>>,
}

impl Placement {
    /// Experts in blocks: rank 0 holds the first N_FFN/E, rank 1 the next, and so on.
    ///
    /// Zero-computation experts, where they are placed at all, are dealt out one rank after another.
    #[must_use]
    pub fn contiguous(workload: &Workload) -> Self {
        let (ranks, per_rank) = (workload.layout.expert_parallel, workload.experts_per_gpu());
        let experts = &workload.model.experts;
        let ffn = (0..experts.ffn).map(|i| Some(i / per_rank));
        let local = workload.zero_computation_local;
        let others = (0..experts.zero_computation.total()).map(|i| (!local).then_some(i % ranks));
        Self { ranks, rank_of: ffn.chain(others).collect() }
    }

    /// GPUs of a group.
    #[must_use]
    pub const fn ranks(&self) -> u32 {
        self.ranks
    }

    /// The rank that holds `expert`, or nothing if every rank does.
    #[must_use]
    pub fn rank_of(&self, expert: ExpertId) -> Option<u32> {
        self.rank_of[expert.index()]
    }

    /// The experts that `rank` alone holds, in order.
    pub fn experts_of(&self, rank: u32) -> impl Iterator<Item = ExpertId> {
        let holders = self.rank_of.iter().zip(0..);
        holders.filter_map(move |(&held, id)| (held == Some(rank)).then_some(ExpertId(id)))
    }

    /// The experts that every rank holds.
    pub fn everywhere(&self) -> impl Iterator<Item = ExpertId> {
        let holders = self.rank_of.iter().zip(0..);
        holders.filter_map(|(held, id)| held.is_none().then_some(ExpertId(id)))
    }
}
