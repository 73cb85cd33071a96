//! Dragonfly and dragonfly+: groups that are each joined to every other.
//!
//! Dragonfly [kim08]: `a` routers a group in a full mesh, `p` ports and `h` global links per router,
//! `g ≤ a·h + 1` groups. Global link `c` of group `G` goes to group `G + 1 + (c mod (g−1))`, and
//! is the router `c / h`'s; a pair of groups has `m = ⌊a·h/(g−1)⌋` links, among which a flow is
//! hashed. The minimal route is local, global, local. For uniform all-to-all the global links of
//! a group, `m·(g−1)` of `B_g` bytes/s, carry what `a·p` ports send out of it:
//!
//! ```text
//!   per port ≤ min(B_port, m·(g−1)·B_g / (a·p) · (n−1)/(n−a·p))                   (1)
//! ```
//!
//! Dragonfly+ [shpiner17]: a group is leaves under a layer of spines; spines of two groups are
//! joined by a trunk. Valiant's detour [valiant82] sends every flow that leaves its group through
//! a third group chosen by hash: twice the global load, but no pattern is much worse than another.

use super::link::{LinkClass, VertexId, VertexKind};
use super::wiring::{Cable, Ports, Unbuildable, Wiring};
use crate::base::units::LinkId;

/// How a flow gets from its group to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detour {
    /// By the direct global link.
    Minimal,
    /// Through a third group chosen by hash.
    Valiant,
}

/// Groups of routers in a full mesh.
#[derive(Clone, Debug, PartialEq)]
pub struct Dragonfly {
    /// Ports of a router, `p`.
    pub ports_per_router: u32,
    /// Routers of a group, `a`.
    pub routers_per_group: u32,
    /// Global links of a router, `h`.
    pub globals_per_router: u32,
    /// Links between routers of a group, one direction.
    pub local: Cable,
    /// Links between groups, one direction.
    pub global: Cable,
    /// How flows leave their group.
    pub detour: Detour,
}

/// Groups of leaves under spines.
#[derive(Clone, Debug, PartialEq)]
pub struct DragonflyPlus {
    /// Groups, `g`.
    pub groups: u32,
    /// Ports of a leaf.
    pub ports_per_leaf: u32,
    /// The uplinks of a leaf into its group's spines, as one trunk.
    pub uplink: Cable,
    /// The links from one group to another, as one trunk.
    pub global: Cable,
    /// How flows leave their group.
    pub detour: Detour,
}

#[derive(Clone, Debug)]
pub(super) struct WiredDragonfly {
    shape: Dragonfly,
    groups: u32,
    links_per_pair: u32,
    first_port: u32,
    first_local: u32,
    first_global: u32,
}

#[derive(Clone, Debug)]
pub(super) struct WiredDragonflyPlus {
    groups: u32,
    leaves_per_group: u32,
    ports_per_leaf: u32,
    detour: Detour,
    first_port: u32,
    first_uplink: u32,
    first_global: u32,
}

/// A third group for Valiant's detour, neither of the two.
fn third_group(groups: u32, from: u32, to: u32, choice: u64) -> u32 {
    let mut third = (choice >> 20) as u32 % (groups - 2);
    for taken in [from.min(to), from.max(to)] {
        third += u32::from(third >= taken);
    }
    third
}

impl Dragonfly {
    pub(super) fn links_for(&self, ports: u64) -> u64 {
        let routers = ports.div_ceil(u64::from(self.ports_per_router));
        let each = u64::from(self.routers_per_group) + u64::from(self.globals_per_router);
        2 * ports + routers * each
    }

    pub(super) fn wire(
        &self,
        ports: &Ports,
        wiring: &mut Wiring,
    ) -> Result<WiredDragonfly, Unbuildable> {
        let cable = ports.cable()?;
        let count = ports.vertices.len() as u32;
        let (p, a, h) = (self.ports_per_router, self.routers_per_group, self.globals_per_router);
        let groups = count / (a * p).max(1);
        if groups < 2 || !count.is_multiple_of(a * p) || a * h < groups - 1 {
            return Err(Unbuildable::at(
                "fabric.dragonfly",
                format!(
                    "{count} ports make {groups} groups of {a} routers of {p} ports and {h} global links"
                ),
                "give a multiple of routers_per_group · ports_per_router ports, at least two \
                 groups, and routers_per_group · globals_per_router ≥ groups − 1",
            ));
        }
        let links_per_pair = a * h / (groups - 1);
        let first_port = wiring.next_link();
        let routers = wiring.vertices_of(VertexKind::Router, groups * a);
        for (n, &port) in ports.vertices.iter().enumerate() {
            wiring.both_ways(port, routers[n / p as usize], cable, LinkClass::Nic);
        }
        let first_local = wiring.next_link();
        for group in routers.chunks(a as usize) {
            for &from in group {
                for &to in group.iter().filter(|&&to| to != from) {
                    wiring.one_way(from, to, self.local, LinkClass::LeafSpine);
                }
            }
        }
        let first_global = wiring.next_link();
        let mut wired = WiredDragonfly {
            shape: self.clone(),
            groups,
            links_per_pair,
            first_port,
            first_local,
            first_global,
        };
        wired.wire_globals(&routers, wiring);
        Ok(wired)
    }
}

impl WiredDragonfly {
    fn wire_globals(&mut self, routers: &[VertexId], wiring: &mut Wiring) {
        for from in 0..self.groups {
            for c in 0..self.links_per_pair * (self.groups - 1) {
                let to = self.far_group(from, c);
                let ends = [self.owner(from, c), self.owner(to, self.far_channel(c))];
                let [a, b] = ends.map(|router| routers[router as usize]);
                wiring.one_way(a, b, self.shape.global, LinkClass::SpineCore);
            }
        }
    }

    const fn far_group(&self, group: u32, channel: u32) -> u32 {
        (group + 1 + channel % (self.groups - 1)) % self.groups
    }

    /// The number that the far group gives to a channel.
    const fn far_channel(&self, channel: u32) -> u32 {
        let (copy, near) = (channel / (self.groups - 1), channel % (self.groups - 1));
        copy * (self.groups - 1) + self.groups - 2 - near
    }

    /// The router that holds a group's channel.
    const fn owner(&self, group: u32, channel: u32) -> u32 {
        group * self.shape.routers_per_group + channel / self.shape.globals_per_router
    }

    pub fn route(&self, from: u32, to: u32, choice: u64, route: &mut Vec<LinkId>) {
        let routers = [from, to].map(|port| port / self.shape.ports_per_router);
        let groups = routers.map(|router| router / self.shape.routers_per_group);
        route.push(LinkId(self.first_port + 2 * from));
        let mut here = routers[0];
        if groups[0] != groups[1] {
            if self.shape.detour == Detour::Valiant && self.groups > 2 {
                let third = third_group(self.groups, groups[0], groups[1], choice);
                here = self.to_group(here, third, choice, route);
            }
            here = self.to_group(here, groups[1], choice, route);
        }
        self.local(here, routers[1], route);
        route.push(LinkId(self.first_port + 2 * to + 1));
    }

    /// Appends the way from a router into another group and returns the router it arrives at.
    fn to_group(&self, router: u32, group: u32, choice: u64, route: &mut Vec<LinkId>) -> u32 {
        let home = router / self.shape.routers_per_group;
        let near = (group + self.groups - home - 1) % self.groups;
        let copy = (choice % u64::from(self.links_per_pair)) as u32;
        let channel = copy * (self.groups - 1) + near;
        self.local(router, self.owner(home, channel), route);
        let channels = self.links_per_pair * (self.groups - 1);
        route.push(LinkId(self.first_global + home * channels + channel));
        self.owner(group, self.far_channel(channel))
    }

    fn local(&self, from: u32, to: u32, route: &mut Vec<LinkId>) {
        if from != to {
            let a = self.shape.routers_per_group;
            let (i, j) = (from % a, to % a);
            let slot = if j < i { j } else { j - 1 };
            route.push(LinkId(self.first_local + from * (a - 1) + slot));
        }
    }
}

impl DragonflyPlus {
    pub(super) fn wire(
        &self,
        ports: &Ports,
        wiring: &mut Wiring,
    ) -> Result<WiredDragonflyPlus, Unbuildable> {
        let cable = ports.cable()?;
        let count = ports.vertices.len() as u32;
        if self.groups < 2 || !count.is_multiple_of(self.groups * self.ports_per_leaf) {
            return Err(Unbuildable::at(
                "fabric.dragonfly-plus",
                format!(
                    "{count} ports do not fill {} groups of leaves of {}",
                    self.groups, self.ports_per_leaf
                ),
                "let groups (at least 2) · ports_per_leaf divide the ports of all nodes",
            ));
        }
        let leaves_per_group = count / (self.groups * self.ports_per_leaf);
        let leaves = wiring.vertices_of(VertexKind::Leaf, self.groups * leaves_per_group);
        let spines = wiring.vertices_of(VertexKind::Spine, self.groups);
        let first_port = wiring.next_link();
        for (n, &port) in ports.vertices.iter().enumerate() {
            let leaf = leaves[n / self.ports_per_leaf as usize];
            wiring.both_ways(port, leaf, cable, LinkClass::Nic);
        }
        let first_uplink = wiring.next_link();
        for (n, &leaf) in leaves.iter().enumerate() {
            let spine = spines[n / leaves_per_group as usize];
            wiring.both_ways(leaf, spine, self.uplink, LinkClass::LeafSpine);
        }
        let first_global = wiring.next_link();
        for &from in &spines {
            for &to in spines.iter().filter(|&&to| to != from) {
                wiring.one_way(from, to, self.global, LinkClass::SpineCore);
            }
        }
        Ok(WiredDragonflyPlus {
            groups: self.groups,
            leaves_per_group,
            ports_per_leaf: self.ports_per_leaf,
            detour: self.detour,
            first_port,
            first_uplink,
            first_global,
        })
    }
}

impl WiredDragonflyPlus {
    pub fn route(&self, from: u32, to: u32, choice: u64, route: &mut Vec<LinkId>) {
        let leaves = [from, to].map(|port| port / self.ports_per_leaf);
        let [a, b] = leaves.map(|leaf| leaf / self.leaves_per_group);
        route.push(LinkId(self.first_port + 2 * from));
        if leaves[0] != leaves[1] {
            route.push(LinkId(self.first_uplink + 2 * leaves[0]));
            if a != b && self.detour == Detour::Valiant && self.groups > 2 {
                let third = third_group(self.groups, a, b, choice);
                route.extend([self.global(a, third), self.global(third, b)]);
            } else if a != b {
                route.push(self.global(a, b));
            }
            route.push(LinkId(self.first_uplink + 2 * leaves[1] + 1));
        }
        route.push(LinkId(self.first_port + 2 * to + 1));
    }

    const fn global(&self, from: u32, to: u32) -> LinkId {
        let slot = if to < from { to } else { to - 1 };
        LinkId(self.first_global + from * (self.groups - 1) + slot)
    }
}
