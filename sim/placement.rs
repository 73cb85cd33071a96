//! Which expert lives on which GPU of an expert-parallel group.
//!
//! A group of E GPUs holds one copy of a layer's N_FFN FFN experts, N_FFN/E a GPU, or more than one copy
//! of those with the most load (see `replicas`). Zero-computation experts hold almost no parameters,
//! so every GPU has them all; a workload can instead *place* them like FFN experts, which shows what
//! their locality is worth.

mod moves;
mod plans;
mod replicas;
pub use moves::{Move, moves};
pub use plans::Plans;
pub use replicas::Replicas;

use crate::base::units::ExpertId;
use crate::workload::Workload;

/// Where the experts of a layer live within an expert-parallel group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    ranks: u32,
    /// The ranks that hold each expert, FFN then zero, copy, constant; none is every rank.
    hosts: Vec<Vec<u32>>,
}

impl Placement {
    /// Experts in blocks: rank 0 holds the first N_FFN/E, rank 1 the next, and so on.
    ///
    /// Zero-computation experts, where they are placed at all, are dealt out one rank after another.
    #[must_use]
    pub fn contiguous(workload: &Workload) -> Self {
        let per_rank = workload.model.experts.ffn.div_ceil(workload.layout.expert_parallel);
        Self::of(workload, |i| vec![i / per_rank])
    }

    /// Experts dealt out one rank after another: neighbours in id live apart.
    #[must_use]
    pub fn round_robin(workload: &Workload) -> Self {
        let ranks = workload.layout.expert_parallel;
        Self::of(workload, |i| vec![i % ranks])
    }

    /// Experts of these loads, the heaviest first, each to the rank with the least load that has
    /// room; every rank still holds N_FFN/E.
    ///
    /// # Panics
    /// If there is not one load for each FFN expert.
    #[must_use]
    pub fn by_load(workload: &Workload, loads: &[f64]) -> Self {
        let (have, want) = (loads.len(), workload.model.experts.ffn as usize);
        assert!(have == want, "{have} loads of {want} experts");
        let mut order: Vec<usize> = (0..want).collect();
        order.sort_by(|&a, &b| loads[b].total_cmp(&loads[a]).then(a.cmp(&b)));
        let mut ranks = vec![(0.0, 0); workload.layout.expert_parallel as usize];
        let mut rank_of = vec![0; want];
        for expert in order {
            let open = (0..ranks.len()).filter(|&r| ranks[r].1 < workload.experts_per_gpu());
            let least = open.min_by(|&a, &b| f64::total_cmp(&ranks[a].0, &ranks[b].0));
            let rank = least.expect("as many places as experts");
            ranks[rank].0 += loads[expert];
            ranks[rank].1 += 1;
            rank_of[expert] = rank as u32;
        }
        Self::of(workload, |i| vec![rank_of[i as usize]])
    }

    /// Experts of these loads with as many copies as there are places for, by [`Replicas::plan`].
    ///
    /// # Panics
    /// If there is not one load for each FFN expert, or not a place for each.
    #[must_use]
    pub fn replicated(workload: &Workload, loads: &[f64]) -> Self {
        let (have, want) = (loads.len(), workload.model.experts.ffn as usize);
        assert!(have == want, "{have} loads of {want} experts");
        let (gpus, places) = (workload.layout.expert_parallel, workload.experts_per_gpu());
        let plan = Replicas::plan(loads, gpus as usize, places as usize);
        let plan = plan.expect("a place for each expert");
        let hosts = |i: u32| plan.hosts(i as usize).iter().map(|&gpu| gpu as u32).collect();
        Self::of(workload, hosts)
    }

    /// FFN experts on these ranks, and zero-computation experts as the workload has them.
    fn of(workload: &Workload, hosts: impl Fn(u32) -> Vec<u32>) -> Self {
        let (ranks, experts) = (workload.layout.expert_parallel, &workload.model.experts);
        let local = workload.zero_computation_local;
        let others = (0..experts.zero_computation.total())
            .map(|i| if local { vec![] } else { vec![i % ranks] });
        Self { ranks, hosts: (0..experts.ffn).map(hosts).chain(others).collect() }
    }

    /// GPUs of a group.
    #[must_use]
    pub const fn ranks(&self) -> u32 {
        self.ranks
    }

    /// The ranks that hold `expert`; none if every rank does.
    #[must_use]
    pub fn hosts(&self, expert: ExpertId) -> &[u32] {
        &self.hosts[expert.index()]
    }

    /// Which of the slots that rank `from` has for `expert` go to each host: (host, slots), every
    /// host in order. Slots are shared evenly, and who gets one more differs from rank to rank.
    pub fn shares(
        &self,
        expert: ExpertId,
        from: usize,
        slots: u32,
    ) -> impl Iterator<Item = (usize, u32)> + '_ {
        let hosts = self.hosts(expert);
        let number = hosts.len() as u32;
        hosts.iter().zip(0..).map(move |(&host, at)| {
            let more = (at + from as u32) % number < slots % number;
            (host as usize, slots / number + u32::from(more))
        })
    }

    /// The experts that `rank` holds while others do not, in order.
    pub fn experts_of(&self, rank: u32) -> impl Iterator<Item = ExpertId> {
        let hosts = self.hosts.iter().zip(0..);
        hosts.filter_map(move |(held, id)| held.contains(&rank).then_some(ExpertId(id)))
    }

    /// The experts that every rank holds.
    pub fn everywhere(&self) -> impl Iterator<Item = ExpertId> {
        let hosts = self.hosts.iter().zip(0..);
        hosts.filter_map(|(held, id)| held.is_empty().then_some(ExpertId(id)))
    }
}
