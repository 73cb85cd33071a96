//! Which expert lives on which GPU of an expert-parallel group.
//!
//! A group of E GPUs holds one copy of a layer's N_FFN FFN experts, N_FFN/E a GPU. Zero-computation
//! experts hold almost no parameters, so every GPU has them all; a workload can instead *place*
//! them like FFN experts, which shows what their locality is worth.

mod replicas;
pub use replicas::Replicas;

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

    /// Experts dealt out one rank after another: neighbours in id live apart.
    #[must_use]
    pub fn round_robin(workload: &Workload) -> Self {
        let mut placement = Self::contiguous(workload);
        let (ranks, ffn) = (placement.ranks, workload.model.experts.ffn as usize);
        for (rank, id) in placement.rank_of[..ffn].iter_mut().zip(0..) {
            *rank = Some(id % ranks);
        }
        placement
    }

    /// Experts of these loads, the heaviest first, each to the rank with the least load that has
    /// room; every rank still holds N_FFN/E.
    ///
    /// # Panics
    /// If there is not one load for each FFN expert.
    #[must_use]
    pub fn by_load(workload: &Workload, loads: &[f64]) -> Self {
        let mut placement = Self::contiguous(workload);
        let (have, want) = (loads.len(), workload.model.experts.ffn as usize);
        assert!(have == want, "{have} loads of {want} experts");
        let mut order: Vec<usize> = (0..want).collect();
        order.sort_by(|&a, &b| loads[b].total_cmp(&loads[a]).then(a.cmp(&b)));
        let mut ranks = vec![(0.0, 0); placement.ranks as usize];
        for expert in order {
            let open = (0..ranks.len()).filter(|&r| ranks[r].1 < workload.experts_per_gpu());
            let least = open.min_by(|&a, &b| f64::total_cmp(&ranks[a].0, &ranks[b].0));
            let rank = least.expect("as many places as experts");
            ranks[rank].0 += loads[expert];
            ranks[rank].1 += 1;
            placement.rank_of[expert] = Some(rank as u32);
        }
        placement
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
