//! Clos networks of two and three tiers, and their rail-wise relatives.
//!
//! NICs plug into leaves, leaves into a layer of spines, spines perhaps into a layer of cores
//! [leiserson85]. The uplinks of a leaf are one trunk; with `D` bytes/s of NICs below it,
//!
//! ```text
//!   trunk = D / o                                   (1)   o: oversubscription
//!   lanes = ceil(trunk / lane)                      (2)   lane: one uplink's bandwidth
//! ```
//!
//! A layer of spines is one vertex: with traffic sprayed it blocks nothing but by (1). Hashed
//! traffic (ECMP) does worse by a factor computed from the number of flows and of lanes, see
//! `network::ecmp`.
//!
//! The families differ in which leaf a NIC plugs into:
//!
//! ```text
//!   mixed (clos)      leaf = node / nodes_per_leaf
//!   rails             leaf = (node / nodes_per_leaf) · nics + nic      any leaf to any leaf
//!   rails only        the same, but spines join the leaves of one rail; other rails are reached
//!                     through the scale-up switch of the sender's node [wang23]
//! ```
//!
//! With `planes > 1` each NIC has that many ports into as many separate networks; a flow is
//! hashed onto one plane, or sprayed over all (then they are one plane with more lanes).

use super::link::{LinkClass, Spread, VertexId, VertexKind};
use super::wiring::{Cable, Ports, Unbuildable, Wiring};
use crate::base::units::{Bandwidth, LinkId, SimDuration};

/// Which NICs share a leaf, and which leaves reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All NICs of a node plug into one leaf.
    Mixed,
    /// Each NIC of a node plugs into the leaf of its rail; spines join all leaves.
    Rails,
    /// As `Rails`, but spines join only leaves of the same rail.
    RailsOnly,
}

/// The uplinks of a leaf, or of a pod of leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trunk {
    /// Bandwidth below over bandwidth above, `o` of (1); one is non-blocking.
    pub oversubscription: f64,
    /// Bandwidth of one uplink cable; the NIC's if absent.
    pub lane: Option<Bandwidth>,
    /// Delay of the first byte over the trunk.
    pub latency: SimDuration,
}

/// A Clos network.
#[derive(Clone, Debug, PartialEq)]
pub struct Clos {
    /// The family's name in files: `"clos"`, `"rail-optimized"`, …
    pub family: &'static str,
    /// Which NICs share a leaf.
    pub reach: Reach,
    /// Separate networks that each NIC has a port into.
    pub planes: u32,
    /// Nodes that plug into one leaf (or one set of rail leaves).
    pub nodes_per_leaf: u32,
    /// From a leaf to the spines; absent where one leaf (per rail) holds all.
    pub uplink: Option<Trunk>,
    /// Leaves that share spines and the trunk from those to the cores; absent in two tiers.
    pub pod: Option<(u32, Trunk)>,
    /// How flows are spread over lanes and planes.
    pub spread: Spread,
}

#[derive(Clone, Debug)]
pub(super) struct WiredClos {
    reach: Reach,
    planes: u32,
    ports: u32,
    nics: u32,
    nodes_per_leaf: u32,
    leaves: u32,
    leaves_per_pod: u32,
    first_nic_link: u32,
    first_leaf_link: u32,
    first_pod_link: u32,
}

impl Clos {
    pub(super) fn wire(
        &self,
        ports: &Ports,
        wiring: &mut Wiring,
    ) -> Result<WiredClos, Unbuildable> {
        let cable = ports.cable()?;
        let count = ports.vertices.len() as u32;
        let blocks = (count / ports.per_node).div_ceil(self.nodes_per_leaf);
        let leaves = blocks * if self.reach == Reach::Mixed { 1 } else { ports.per_node };
        let leaves_per_pod = match (self.reach, self.pod) {
            (Reach::RailsOnly, _) => blocks,
            (_, Some((per_pod, _))) => per_pod,
            _ => leaves,
        };
        let joined = leaves == 1 || self.uplink.is_some() || leaves_per_pod == 1;
        let pods = leaves.div_ceil(leaves_per_pod);
        if !joined || (self.reach != Reach::RailsOnly && pods > 1 && self.pod.is_none()) {
            return Err(Unbuildable::at(
                &format!("fabric.{}", self.family),
                format!("{leaves} leaves have no uplinks to join them"),
                "add an `uplink` table with oversubscription and latency",
            ));
        }
        // Sprayed planes act as one with more lanes.
        let (planes, lanes) = match self.spread {
            Spread::Spray => (1, self.planes),
            Spread::Ecmp => (self.planes, 1),
        };
        let mut wired = WiredClos {
            reach: self.reach,
            planes,
            ports: count,
            nics: ports.per_node,
            nodes_per_leaf: self.nodes_per_leaf,
            leaves,
            leaves_per_pod,
            first_nic_link: wiring.next_link(),
            first_leaf_link: 0,
            first_pod_link: 0,
        };
        let port_cable =
            Cable { bandwidth: cable.bandwidth.scaled(1.0 / f64::from(planes)), lanes, ..cable };
        let leaf_vertices = wiring.vertices_of(VertexKind::Leaf, planes * leaves);
        for plane in 0..planes {
            for (p, &port) in (0..).zip(&ports.vertices) {
                let leaf = leaf_vertices[(plane * leaves + wired.leaf_of(p)) as usize];
                wiring.both_ways(port, leaf, port_cable, LinkClass::Nic);
            }
        }
        self.wire_above(&mut wired, port_cable, &leaf_vertices, wiring);
        Ok(wired)
    }

    /// Adds spines and cores with their trunks.
    fn wire_above(
        &self,
        wired: &mut WiredClos,
        port: Cable,
        leaves: &[VertexId],
        wiring: &mut Wiring,
    ) {
        let Some(uplink) = self.uplink else { return };
        let per_node = if self.reach == Reach::Mixed { wired.nics } else { 1 };
        // Leaves have uplinks for the nodes that are there, not for empty places.
        let nodes = self.nodes_per_leaf.min(wired.ports / wired.nics);
        let nics_below = f64::from(nodes) * f64::from(per_node);
        let below = port.bandwidth.scaled(nics_below);
        let trunk = uplink.over(below, port.bandwidth);
        let pods = wired.leaves.div_ceil(wired.leaves_per_pod);
        let spines = wiring.vertices_of(VertexKind::Spine, wired.planes * pods);
        wired.first_leaf_link = wiring.next_link();
        for (n, &leaf) in (0..).zip(leaves) {
            let (plane, leaf_index) = (n / wired.leaves, n % wired.leaves);
            let spine = spines[(plane * pods + leaf_index / wired.leaves_per_pod) as usize];
            wiring.both_ways(leaf, spine, trunk, LinkClass::LeafSpine);
        }
        wired.first_pod_link = wiring.next_link();
        if let (Some((per_pod, upper)), true) = (self.pod, pods > 1) {
            let below = trunk.bandwidth.scaled(f64::from(per_pod));
            let trunk = upper.over(below, port.bandwidth);
            let cores = wiring.vertices_of(VertexKind::Core, wired.planes);
            for (n, &spine) in (0..).zip(&spines) {
                wiring.both_ways(spine, cores[n / pods as usize], trunk, LinkClass::SpineCore);
            }
        }
    }
}

impl Trunk {
    /// The trunk above `below` bytes/s of downlinks, by equations (1) and (2).
    fn over(self, below: Bandwidth, port: Bandwidth) -> Cable {
        let bandwidth = below.scaled(1.0 / self.oversubscription);
        let lane = self.lane.unwrap_or(port);
        let lanes = (bandwidth.bytes_per_sec() / lane.bytes_per_sec() - 1e-9).ceil().max(1.0);
        Cable { bandwidth, latency: self.latency, lanes: lanes as u32 }
    }
}

impl WiredClos {
    pub const fn keeps_to_rails(&self) -> bool {
        matches!(self.reach, Reach::RailsOnly)
    }

    /// The leaf of a port. Leaves of one rail are neighbours where spines keep to rails.
    const fn leaf_of(&self, port: u32) -> u32 {
        let (block, nic) = (port / self.nics / self.nodes_per_leaf, port % self.nics);
        match self.reach {
            Reach::Mixed => block,
            Reach::Rails => block * self.nics + nic,
            Reach::RailsOnly => nic * self.leaves_per_pod + block,
        }
    }

    #[inline]
    pub fn route(&self, from: u32, to: u32, choice: u64, route: &mut Vec<LinkId>) {
        let plane = if self.planes == 1 { 0 } else { (choice % u64::from(self.planes)) as u32 };
        let nic = |port: u32| self.first_nic_link + 2 * (plane * self.ports + port);
        let (a, b) = (self.leaf_of(from), self.leaf_of(to));
        route.push(LinkId(nic(from)));
        if a != b {
            let trunk = |leaf: u32| self.first_leaf_link + 2 * (plane * self.leaves + leaf);
            let (pod_a, pod_b) = (a / self.leaves_per_pod, b / self.leaves_per_pod);
            route.push(LinkId(trunk(a)));
            if pod_a != pod_b {
                let pods = self.leaves.div_ceil(self.leaves_per_pod);
                let upper = |pod: u32| self.first_pod_link + 2 * (plane * pods + pod);
                route.push(LinkId(upper(pod_a)));
                route.push(LinkId(upper(pod_b) + 1));
            }
            route.push(LinkId(trunk(b) + 1));
        }
        route.push(LinkId(nic(to) + 1));
    }
}
