//! What collectives between GPUs of a layout take: of tensor parallelism, and between replicas.
//!
//! A group of `n` GPUs, `stride` apart, of which `g` share a node and `N = n/g` nodes take part, gathers or
//! reduces `S` bytes:
//!
//! ```text
//!   one node       the profile's NCCL table of this collective and n, where it has one, its part     (1)
//!                  in proportion to S by B over that of the table's device, and by the health of the
//!                  sickest link within a node
//!                  else  a + S·(n − 1)/n / (B·η)            B the GPU's scale-up link              (2)
//!   several nodes  a_N + S·(n − 1)/n / (g·B_nic·η_nic)      a ring through all NICs of the group   (3)
//! ```
//!
//! B is the slowest link of NVLink, Infinity Fabric or PCI Express; where a cluster has no such class, the slowest of the
//! first class that it has. B_nic is that of the worst node: rings go through all its NICs at the rate of the slowest, or are made without the
//! slowest, whichever is faster, so that a sick NIC never slows them more than one that is down
//! (`Topology::ring_rate`). Tokens of all-to-alls keep to the NIC of their GPU however slow it is, unless it is down:
//! libraries know that a port is down and not that it is slow. η are what an all-to-all gets of the links, a its start-up [nccl]. (3) takes the ring's inner hops as
//! faster than its NICs. Left out: what other groups do on the same links; trees.

use super::KernelTimes;
use crate::base::units::{Bytes, GpuId, SimDuration};
use crate::kernels::profile::CollectiveOp;
use crate::network::{NetworkRates, TableScale};
use crate::topology::{Link, LinkClass, Topology};

/// Prices collectives on a cluster.
#[derive(Clone, Copy)]
pub struct CollectiveTimes<'a> {
    kernels: &'a dyn KernelTimes,
    per_node: u32,
    rates: NetworkRates,
    /// The health of the sickest link within a node: a ring waits for its slowest link, and groups for one another.
    health_within: f64,
    /// What the slowest link within a node delivers, and the slowest NIC, in bytes per second.
    slowest: [f64; 2],
}

/// GPUs at equal distances in the numbering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// How many.
    pub gpus: u32,
    /// From one to the next.
    pub stride: u32,
}

impl Group {
    /// The members of the group that starts with this GPU.
    pub fn members(self, first: GpuId) -> impl Iterator<Item = GpuId> {
        (0..self.gpus).map(move |at| GpuId(first.0 + at * self.stride))
    }
}

impl<'a> CollectiveTimes<'a> {
    /// Collectives on links that deliver these rates.
    #[must_use]
    pub fn new(kernels: &'a dyn KernelTimes, topology: &Topology, rates: NetworkRates) -> Self {
        let links = topology.links().iter().filter(|link| link.class.within_node());
        let health_within = links.map(|link| link.health).fold(1.0, f64::min);
        let inside: &[LinkClass] = &[LinkClass::Nvlink, LinkClass::Xgmi, LinkClass::Pcie];
        // GPUs of meshes and graphs may reach each other over other links alone. Only a cluster without any
        // link has no rate, and no two GPUs then.
        let any = || slowest(topology, &rates, &LinkClass::ALL).unwrap_or(f64::INFINITY);
        let slowest = [inside, &[LinkClass::Nic]]
            .map(|first| slowest(topology, &rates, first).unwrap_or_else(any));
        Self { kernels, per_node: topology.gpus_per_node(), rates, health_within, slowest }
    }

    /// A collective that leaves `bytes` on every member (or takes them from it). An all-reduce moves twice
    /// as much.
    #[must_use]
    pub fn time(&self, op: CollectiveOp, group: Group, bytes: Bytes) -> SimDuration {
        if group.gpus < 2 || bytes.0 == 0 {
            return SimDuration::ZERO;
        }
        let in_node = (self.per_node / group.stride.max(1)).clamp(1, group.gpus);
        if in_node == group.gpus
            && let Some([start, moving]) = self.kernels.collective(op, group.gpus, bytes)
        {
            let TableScale { links, startup } = self.rates.table;
            return start.scaled(startup) + moving.scaled(1.0 / (links * self.health_within));
        }
        let (n, twice) =
            (f64::from(group.gpus), f64::from(u8::from(op == CollectiveOp::AllReduce)));
        let moved = (1.0 + twice) * bytes.0 as f64 * (n - 1.0) / n;
        let [inside, nics] = self.slowest;
        let (rate, start, rings) = if in_node == group.gpus {
            (inside, self.rates.within_node.alpha, 1.0)
        } else {
            (nics, self.rates.across_nodes.alpha, f64::from(in_node))
        };
        start.unwrap_or_default() + SimDuration::from_secs(moved / (rings * rate))
    }
}

/// What the slowest link of the first of these classes that a cluster has delivers, in bytes per second.
fn slowest(topology: &Topology, rates: &NetworkRates, classes: &[LinkClass]) -> Option<f64> {
    classes.iter().find_map(|&class| {
        let up = |link: &&Link| link.class == class && link.health > 0.0;
        let links = topology.links().iter().filter(up);
        let slowest = || links.map(|link| link.bandwidth_left().bytes_per_sec()).reduce(f64::min);
        let rate = if class == LinkClass::Nic { topology.ring_rate() } else { slowest() };
        Some(rate? * rates.efficiency.of(class))
    })
}
