//! The routes between the members of a group.

use crate::base::units::{GpuId, LinkId, SimDuration};
use crate::network::Relayed;
use crate::topology::Topology;

/// Routes between all pairs of a group's members, as one list cut at `ends`.
#[derive(Clone, Debug, Default)]
pub(super) struct Routes {
    links: Vec<LinkId>,
    ends: Vec<u32>,
    ranks: usize,
    /// The longest latency of any.
    pub(super) longest: SimDuration,
}

impl Routes {
    pub(super) fn between(topology: &Topology, members: &[GpuId]) -> Self {
        let mut routes = Self { ranks: members.len(), ..Self::default() };
        let mut route = Vec::new();
        for &from in members {
            for &to in members {
                topology.route(from, to, &mut route);
                routes.longest = routes.longest.max(topology.latency(&route));
                routes.links.extend(&route);
                routes.ends.push(routes.links.len() as u32);
            }
        }
        routes
    }

    fn between_ranks(&self, from: usize, to: usize) -> &[LinkId] {
        let cell = from * self.ranks + to;
        let start = if cell == 0 { 0 } else { self.ends[cell - 1] };
        &self.links[start as usize..self.ends[cell] as usize]
    }

    /// The links that a transfer crosses, its relay's included.
    pub(super) fn of(&self, transfer: &Relayed) -> impl Iterator<Item = LinkId> + use<'_> {
        let first = self.between_ranks(transfer.from, transfer.via);
        let direct = transfer.via == transfer.to;
        let then = if direct { &[] } else { self.between_ranks(transfer.via, transfer.to) };
        first.iter().chain(then).copied()
    }
}
