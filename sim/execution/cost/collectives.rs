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
//! B is the slowest link of NVLink, Infinity Fabric or PCI Express, or B_nic the slowest NIC; where a cluster has
//! no such class, the slowest of the first class that it has; where NICs are down, times the least share of a node's that are
//! up, since rings are made anew without those: a NIC at half its rate slows a ring more than one that is down. η are what an all-to-all gets of the links, a its start-up [nccl]. (3) takes the ring's inner hops as
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
    topology: &'a Topology,
    rates: NetworkRates,
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
    pub const fn new(
        kernels: &'a dyn KernelTimes,
        topology: &'a Topology,
        rates: NetworkRates,
    ) -> Self {
        Self { kernels, topology, rates }
    }

    /// A collective that leaves `bytes` on every member (or takes them from it). An all-reduce moves twice
    /// as much.
    #[must_use]
    pub fn time(&self, op: CollectiveOp, group: Group, bytes: Bytes) -> SimDuration {
        if group.gpus < 2 || bytes.0 == 0 {
            return SimDuration::ZERO;
        }
        let per_node = self.topology.gpus_per_node();
        let in_node = (per_node / group.stride.max(1)).clamp(1, group.gpus);
        if in_node == group.gpus
            && let Some([start, moving]) = self.kernels.collective(op, group.gpus, bytes)
        {
            let TableScale { links, startup } = self.rates.table;
            return start.scaled(startup) + moving.scaled(1.0 / (links * self.health_within()));
        }
        let (n, twice) =
            (f64::from(group.gpus), f64::from(u8::from(op == CollectiveOp::AllReduce)));
        let moved = (1.0 + twice) * bytes.0 as f64 * (n - 1.0) / n;
        let (first, start, rings): (&[LinkClass], _, f64) = if in_node == group.gpus {
            let inside = &[LinkClass::Nvlink, LinkClass::Xgmi, LinkClass::Pcie];
            (inside, self.rates.within_node.alpha, 1.0)
        } else {
            (&[LinkClass::Nic], self.rates.across_nodes.alpha, f64::from(in_node))
        };
        // GPUs of meshes and graphs may reach each other over other links alone. Only a cluster without any
        // link has no rate, and no two GPUs then.
        let rate = self.rate_of(first).or_else(|| self.rate_of(&LinkClass::ALL));
        let rate = rate.unwrap_or(f64::INFINITY);
        start.unwrap_or_default() + SimDuration::from_secs(moved / (rings * rate))
    }

    /// The health of the sickest link within a node: a ring waits for its slowest link, and groups for one another.
    fn health_within(&self) -> f64 {
        let links = self.topology.links().iter().filter(|link| link.class.within_node());
        links.map(|link| link.health).fold(1.0, f64::min)
    }

    /// What the slowest link of the first of these classes that the cluster has delivers, in bytes per second.
    fn rate_of(&self, classes: &[LinkClass]) -> Option<f64> {
        classes.iter().find_map(|&class| {
            let up = |link: &&Link| link.class == class && link.health > 0.0;
            let links = self.topology.links().iter().filter(up);
            let slowest =
                links.map(|link| link.bandwidth_left().bytes_per_sec()).reduce(f64::min)?;
            // Where NICs are down, those of their nodes that are up carry all.
            let up = if class == LinkClass::Nic { self.topology.nics_up() } else { 1.0 };
            Some(slowest * self.rates.efficiency.of(class) * up)
        })
    }
}
