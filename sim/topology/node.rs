//! The inside of a node: how its GPUs reach each other and its NICs.
//!
//! ```text
//!   switched    gpu0 ══╗                 mesh    gpu0 ══ gpu1      pcie    socket0 ── socket1
//!               gpu1 ══╬══ NVSwitch               ║  ╲╱  ║                  │
//!               gpu2 ══╝                         gpu2 ══ gpu3             switch ── nic
//!                                                                        gpu0 gpu1
//! ```
//!
//! With a switch a GPU's port up and its port down each carry all its traffic; in a mesh each
//! ordered pair has its own link. In a PCIe tree peers under one switch meet there if the platform
//! allows peer-to-peer transfers; otherwise everything is staged through the socket's memory.
//!
//! NICs: `gpus / per_node` neighbouring GPUs share one. Where the file gives the PCIe slots, GPU
//! and NIC meet in a PCIe switch, and a slot may bind before the NIC does.

use super::fabric::WiredFabric;
use super::link::{LinkClass, VertexId, VertexKind};
use super::wiring::{Cable, Ports, Unbuildable, Wiring, choice_of};
use crate::base::units::LinkId;

mod failed;

use failed::Failed;
pub use failed::Unroutable;

/// One node, or one NVLink domain.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// GPUs in it.
    pub gpus: u32,
    /// How they reach each other.
    pub scale_up: ScaleUp,
    /// How they reach the fabric; absent in a single node and where the fabric joins GPUs directly.
    pub nics: Option<Nics>,
}

/// How the GPUs of a node reach each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScaleUp {
    /// Only through the fabric.
    Alone,
    /// Each GPU has a port into a non-blocking switch.
    Switched(Cable),
    /// Each ordered pair has a link of its own.
    Mesh(Cable),
    /// A tree of PCIe switches under CPU sockets.
    Pcie(PcieTree),
}

/// A tree of PCIe switches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PcieTree {
    /// GPUs under one switch.
    pub gpus_per_switch: u32,
    /// Switches under one socket.
    pub switches_per_socket: u32,
    /// A GPU's slot.
    pub slot: Cable,
    /// From a switch to its socket.
    pub uplink: Cable,
    /// From one socket to another.
    pub between_sockets: Cable,
    /// Whether peers under one switch may talk without the socket.
    pub peer_to_peer: bool,
}

/// The NICs of a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nics {
    /// NICs in the node; divides its GPUs.
    pub per_node: u32,
    /// The NIC's port, one direction.
    pub port: Cable,
    /// The PCIe slots of GPU and NIC; absent where they never bind.
    pub slot: Option<Cable>,
}

#[derive(Clone, Debug)]
pub(super) struct WiredNode {
    gpus: u32,
    scale_up: Wired,
    nics: u32,
    /// Numbers of the slot links of GPUs and of NICs, where there are any.
    gpu_slots: Option<u32>,
    nic_slots: Option<u32>,
    failed: Failed,
}

/// Numbers of the first links of each kind.
#[derive(Clone, Copy, Debug)]
enum Wired {
    Alone,
    Switched { first: u32 },
    Mesh { first: u32 },
    Pcie { tree: PcieTree, slots: u32, uplinks: u32, sockets: u32 },
}

impl Node {
    pub(super) fn ports_per_node(&self) -> u64 {
        u64::from(self.nics.map_or(self.gpus, |nics| nics.per_node))
    }

    pub(super) fn links_per_node(&self) -> u64 {
        let gpus = u64::from(self.gpus);
        let up = match self.scale_up {
            ScaleUp::Alone => 0,
            ScaleUp::Switched(_) => 2 * gpus,
            ScaleUp::Mesh(_) => gpus * (gpus - 1),
            ScaleUp::Pcie(_) => 5 * gpus,
        };
        up + if self.nics.is_some_and(|nics| nics.slot.is_some()) { 4 * gpus } else { 0 }
    }

    pub(super) fn wire(
        &self,
        count: u32,
        gpus: &[VertexId],
        wiring: &mut Wiring,
    ) -> Result<(WiredNode, Ports), Unbuildable> {
        let mut switches = Vec::new();
        let scale_up = match self.scale_up {
            ScaleUp::Alone => Wired::Alone,
            ScaleUp::Switched(cable) => {
                let first = wiring.next_link();
                let switch = wiring.vertices_of(VertexKind::NodeSwitch, count);
                for (g, &gpu) in gpus.iter().enumerate() {
                    let switch = switch[g / self.gpus as usize];
                    wiring.both_ways(gpu, switch, cable, LinkClass::Nvlink);
                }
                Wired::Switched { first }
            }
            ScaleUp::Mesh(cable) => self.wire_mesh(gpus, cable, wiring),
            ScaleUp::Pcie(tree) => self.wire_pcie(count, gpus, tree, &mut switches, wiring)?,
        };
        let mut wired = WiredNode {
            gpus: self.gpus,
            scale_up,
            nics: 1,
            gpu_slots: None,
            nic_slots: None,
            failed: Failed::default(),
        };
        let ports = self.wire_nics(&mut wired, count, gpus, &switches, wiring)?;
        Ok((wired, ports))
    }

    fn wire_mesh(&self, gpus: &[VertexId], cable: Cable, wiring: &mut Wiring) -> Wired {
        let first = wiring.next_link();
        for node in gpus.chunks(self.gpus as usize) {
            for &from in node {
                for &to in node.iter().filter(|&&to| to != from) {
                    wiring.one_way(from, to, cable, LinkClass::Xgmi);
                }
            }
        }
        Wired::Mesh { first }
    }

    fn wire_pcie(
        &self,
        count: u32,
        gpus: &[VertexId],
        tree: PcieTree,
        switches: &mut Vec<VertexId>,
        wiring: &mut Wiring,
    ) -> Result<Wired, Unbuildable> {
        let per_socket = tree.gpus_per_switch * tree.switches_per_socket;
        if !self.gpus.is_multiple_of(per_socket) {
            return Err(Unbuildable::at(
                "nodes.scale-up.pcie",
                format!("{} GPUs do not fill sockets of {per_socket}", self.gpus),
                "let gpus_per_switch · switches_per_socket divide gpus_per_node",
            ));
        }
        let sockets_per_node = self.gpus / per_socket;
        *switches =
            wiring.vertices_of(VertexKind::PcieSwitch, count * self.gpus / tree.gpus_per_switch);
        let hosts = wiring.vertices_of(VertexKind::Host, count * sockets_per_node);
        let slots = wiring.next_link();
        for (g, &gpu) in gpus.iter().enumerate() {
            let switch = switches[g / tree.gpus_per_switch as usize];
            wiring.both_ways(gpu, switch, tree.slot, LinkClass::Pcie);
        }
        let uplinks = wiring.next_link();
        for (s, &switch) in switches.iter().enumerate() {
            let host = hosts[s / tree.switches_per_socket as usize];
            wiring.both_ways(switch, host, tree.uplink, LinkClass::Pcie);
        }
        let sockets = wiring.next_link();
        for node in hosts.chunks(sockets_per_node as usize) {
            for &from in node {
                for &to in node.iter().filter(|&&to| to != from) {
                    wiring.one_way(from, to, tree.between_sockets, LinkClass::Socket);
                }
            }
        }
        Ok(Wired::Pcie { tree, slots, uplinks, sockets })
    }

    fn wire_nics(
        &self,
        wired: &mut WiredNode,
        count: u32,
        gpus: &[VertexId],
        switches: &[VertexId],
        wiring: &mut Wiring,
    ) -> Result<Ports, Unbuildable> {
        let Some(nics) = self.nics else {
            wired.nics = self.gpus;
            return Ok(Ports { vertices: gpus.to_vec(), per_node: self.gpus, cable: None });
        };
        wired.nics = nics.per_node;
        let cable = Some(nics.port);
        if nics.per_node == 0 || !self.gpus.is_multiple_of(nics.per_node) {
            return Err(Unbuildable::at(
                "nodes.nic.per_node",
                format!("{} NICs cannot serve {} GPUs evenly", nics.per_node, self.gpus),
                "let per_node divide gpus_per_node",
            ));
        }
        let share = self.gpus / nics.per_node;
        let Some(slot) = nics.slot else {
            if share > 1 {
                return Err(Unbuildable::at(
                    "nodes.nic",
                    format!("{share} GPUs share a NIC, but through what is not said"),
                    "add [nodes.nic.pcie] with bandwidth and latency, the slots at their PCIe switch",
                ));
            }
            return Ok(Ports { vertices: gpus.to_vec(), per_node: nics.per_node, cable });
        };
        let vertices = wiring.vertices_of(VertexKind::Nic, count * nics.per_node);
        let meeting: Vec<VertexId> = if let Wired::Pcie { tree, slots, .. } = wired.scale_up {
            wired.gpu_slots = Some(slots);
            if !tree.gpus_per_switch.is_multiple_of(share) {
                return Err(Unbuildable::at(
                    "nodes.nic.per_node",
                    format!(
                        "a NIC for {share} GPUs does not fit under a switch of {}",
                        tree.gpus_per_switch
                    ),
                    "give every PCIe switch at least one NIC: per_node a multiple of the switches",
                ));
            }
            let switch_of = |n: u32| switches[(n * share / tree.gpus_per_switch) as usize];
            (0..count * nics.per_node).map(switch_of).collect()
        } else {
            let own = wiring.vertices_of(VertexKind::PcieSwitch, count * nics.per_node);
            wired.gpu_slots = Some(wiring.next_link());
            for (g, &gpu) in gpus.iter().enumerate() {
                wiring.both_ways(gpu, own[g / share as usize], slot, LinkClass::Pcie);
            }
            own
        };
        wired.nic_slots = Some(wiring.next_link());
        for (&switch, &nic) in meeting.iter().zip(&vertices) {
            wiring.both_ways(switch, nic, slot, LinkClass::Pcie);
        }
        Ok(Ports { vertices, per_node: nics.per_node, cable })
    }
}

impl WiredNode {
    /// NICs of a node.
    pub const fn nics(&self) -> u32 {
        self.nics
    }

    /// Lets these NICs be down.
    pub fn fail(&mut self, failed: Failed) {
        self.failed = failed;
    }

    pub const fn joins_its_gpus(&self) -> bool {
        !matches!(self.scale_up, Wired::Alone)
    }

    /// Appends the links between two GPUs of one node.
    pub fn within(&self, from: u32, to: u32, route: &mut Vec<LinkId>) {
        match self.scale_up {
            Wired::Alone => unreachable!("GPUs that are joined by the fabric alone"),
            Wired::Switched { first } => {
                route.extend([LinkId(first + 2 * from), LinkId(first + 2 * to + 1)]);
            }
            Wired::Mesh { first } => {
                let (i, j, base) = (from % self.gpus, to % self.gpus, from - from % self.gpus);
                let slot = if j < i { j } else { j - 1 };
                route.push(LinkId(first + (base + i) * (self.gpus - 1) + slot));
            }
            Wired::Pcie { tree, slots, uplinks, sockets } => {
                self.within_tree(from, to, tree, [slots, uplinks, sockets], route);
            }
        }
    }

    fn within_tree(
        &self,
        from: u32,
        to: u32,
        tree: PcieTree,
        [slots, uplinks, sockets]: [u32; 3],
        route: &mut Vec<LinkId>,
    ) {
        let (a, b) = (from / tree.gpus_per_switch, to / tree.gpus_per_switch);
        route.push(LinkId(slots + 2 * from));
        if a != b || !tree.peer_to_peer {
            let (x, y) = (a / tree.switches_per_socket, b / tree.switches_per_socket);
            route.push(LinkId(uplinks + 2 * a));
            if x != y {
                let per_node = self.gpus / (tree.gpus_per_switch * tree.switches_per_socket);
                let (i, j) = (x % per_node, y % per_node);
                let slot = if j < i { j } else { j - 1 };
                route.push(LinkId(sockets + x * (per_node - 1) + slot));
            }
            route.push(LinkId(uplinks + 2 * b + 1));
        }
        route.push(LinkId(slots + 2 * to + 1));
    }

    /// Appends the links between GPUs that meet in the fabric.
    #[inline]
    pub fn across(&self, from: u32, to: u32, fabric: &WiredFabric, route: &mut Vec<LinkId>) {
        let share = self.gpus / self.nics;
        let mut leaves_at = from;
        if fabric.keeps_to_rails() && (from / share) % self.nics != (to / share) % self.nics {
            leaves_at = from - from % self.gpus + to % self.gpus;
        }
        let (mut out, mut into) = (leaves_at / share, to / share);
        let mut arrives_at = to;
        if !self.failed.none() && out != into {
            let to_rails = fabric.keeps_to_rails();
            let [other_out, other_into] = self.failed.stand_in(to_rails, [out, into]);
            let at = |nic: u32, gpu: u32| if gpu / share == nic { gpu } else { nic * share };
            if other_out != out {
                (out, leaves_at) = (other_out, at(other_out, from));
            }
            if other_into != into {
                (into, arrives_at) = (other_into, at(other_into, to));
            }
        }
        if leaves_at != from {
            self.within(from, leaves_at, route);
        }
        self.by_nics(([leaves_at, arrives_at], [out, into]), choice_of(from, to), fabric, route);
        if arrives_at != to {
            self.within(arrives_at, to, route);
        }
    }

    /// Appends the links between two GPUs by way of their NICs.
    fn by_nics(
        &self,
        ([from, to], [out, into]): ([u32; 2], [u32; 2]),
        choice: u64,
        fabric: &WiredFabric,
        route: &mut Vec<LinkId>,
    ) {
        if let Some(slots) = self.gpu_slots {
            route.push(LinkId(slots + 2 * from));
        }
        if out != into {
            if let Some(slots) = self.nic_slots {
                route.push(LinkId(slots + 2 * out));
            }
            fabric.route(out, into, choice, route);
            if let Some(slots) = self.nic_slots {
                route.push(LinkId(slots + 2 * into + 1));
            }
        }
        if let Some(slots) = self.gpu_slots {
            route.push(LinkId(slots + 2 * to + 1));
        }
    }
}
