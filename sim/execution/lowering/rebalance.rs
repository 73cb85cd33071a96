//! What it takes to move experts' parameters from one plan of places to the next.
//!
//! With `D` the hidden and `H` the intermediate size, `b` bytes a number, `n_r` experts that rank `r`
//! has to receive, `x_r` the time until the exchange of [`moves`] alone on the links has brought rank `r`
//! all it gets and taken all it sends, and `W` the rate of kernels that only move memory:
//!
//! ```text
//!   S   = 3·D·H·b                    the three matrices of a SwiGLU expert, or the part   (1)
//!                                    of it that one GPU has where experts are cut
//!   T_r = x_r + 2·S·n_r / W          received beside what is in use, then copied over it  (2)
//!   t_r = T_r / period               in each micro-batch of a plan                        (3)
//! ```
//!
//! (2) is SGLang's way of rebalancing [sglang, expert_location_updater.py]: layer by layer, sends and
//! receives from point to point into a buffer, and a copy from there; between two forward passes, of
//! which `eplb_rebalance_num_iterations` (1,000) go by from plan to plan, or some layers at a time.
//! DeepSeek's balancer says where experts go and leaves moving them open [eplb].
//!
//! By (3) the micro-batches under a plan share what it takes to put the next one in its place. A run
//! of whole periods pays every move once, and one step pays its part of a serving system's: a move is a
//! matter of the long run, and a run that happens to see none would flatter the plan. The first
//! plan of a run was there before it.
//!
//! Assumed: nothing runs under a move, neither this group's work nor other traffic, and its time is the
//! closed form's with the all-to-all's rates. Left out: making the plan, moves of other groups over
//! the same links, and what a GPU spends on reordering experts that it keeps. Rounds of a layer are
//! planned apart, so each moves its own.

use std::collections::BTreeMap;

use crate::base::units::{Bytes, GpuId, SimDuration, SimTime};
use crate::execution::cost::KernelTimes;
use crate::gate::Gate;
use crate::network::{ClosedForm, Exchange, ExchangeId, Network, NetworkRates};
use crate::placement::{Move, Placement, Plans, moves};
use crate::topology::Topology;
use crate::workload::Workload;

/// Prices moves of experts' parameters, by layer, plan and group.
pub struct Rebalancing<'a> {
    workload: &'a Workload,
    topology: &'a Topology,
    kernels: &'a dyn KernelTimes,
    /// Nothing else ever crosses it.
    network: ClosedForm<'a>,
    clock: SimTime,
    exchanges: u32,
    shares: BTreeMap<[u32; 3], Vec<SimDuration>>,
}

impl<'a> Rebalancing<'a> {
    /// Moves on a cluster whose links deliver these rates.
    #[must_use]
    pub fn new(
        workload: &'a Workload,
        topology: &'a Topology,
        rates: NetworkRates,
        kernels: &'a dyn KernelTimes,
    ) -> Self {
        Self {
            workload,
            topology,
            kernels,
            network: ClosedForm::new(topology, rates).unmeasured(),
            clock: SimTime::ZERO,
            exchanges: 0,
            shares: BTreeMap::new(),
        }
    }

    /// Equation (3) for every rank of a group in one round of one micro-batch, counted from the gate's
    /// first; nothing where no plan follows. The group's rank 0 is `first_gpu`.
    pub(super) fn shares(
        &mut self,
        plans: &mut Plans<'_>,
        gate: &Gate,
        [round, micro_batch, group]: [u32; 3],
        first_gpu: GpuId,
    ) -> &[SimDuration] {
        let Some(epoch) = plans.epoch(micro_batch) else { return &[] };
        let key = [round, epoch, group];
        if !self.shares.contains_key(&key) {
            let first = group as usize * self.workload.layout.expert_group() as usize;
            let change = plans.change(gate, [round, micro_batch, group], first);
            let times = change.map(|[old, new]| self.times(old, new, first_gpu));
            let period =
                self.workload.layout.places.seen().map_or(1, |seen| u64::from(seen.period));
            let share = |time: SimDuration| SimDuration::from_ps(time.ps().div_ceil(period));
            let shares = times.into_iter().flatten().map(share).collect();
            self.shares.insert(key, shares);
        }
        &self.shares[&key]
    }

    /// Equation (2) for every rank.
    fn times(&mut self, old: &Placement, new: &Placement, first_gpu: GpuId) -> Vec<SimDuration> {
        let split = self.workload.layout.expert_tensor_parallel;
        let members = old.ranks() * split;
        let (ranks, expert) = (members as usize, self.workload.expert_bytes_per_gpu());
        let node_of = |rank: u32| self.topology.node_of(GpuId(first_gpu.0 + rank * split));
        let mut cells = vec![Bytes(0); ranks * ranks];
        let mut received = vec![0; ranks];
        for Move { from, to } in moves(old, new, node_of) {
            for at in 0..split {
                let [from, to] = [from, to].map(|rank| (rank * split + at) as usize);
                cells[from * ranks + to] += expert;
                received[to] += 2 * expert.0;
            }
        }
        let members = (0..members).map(|rank| GpuId(first_gpu.0 + rank)).collect();
        let mut times = self.exchanged(Exchange::new(members, cells));
        for (time, &copied) in times.iter_mut().zip(&received).filter(|&(_, &copied)| copied > 0) {
            *time += self.kernels.memory_bound(Bytes(copied), 1);
        }
        times
    }

    /// What an exchange that all members join at once takes each of them.
    fn exchanged(&mut self, exchange: Exchange) -> Vec<SimDuration> {
        let (id, start) = (ExchangeId(self.exchanges), self.clock);
        self.exchanges += 1;
        let ranks = exchange.members().len();
        self.network.open(id, exchange);
        (0..ranks).for_each(|rank| self.network.join(start, id, rank));
        let (mut times, mut delivered) = (vec![SimDuration::ZERO; ranks], Vec::new());
        while let Some(due) = self.network.next_delivery() {
            self.network.deliver(due, &mut delivered);
            self.clock = due;
        }
        delivered.iter().for_each(|delivery| times[delivery.rank] = delivery.at - start);
        times
    }
}
