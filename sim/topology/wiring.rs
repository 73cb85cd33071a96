//! Vertices and links while a cluster is being wired, and what all families share.

use std::fmt;

use petgraph::graph::{DiGraph, NodeIndex};

use super::link::{Link, LinkClass, Vertex, VertexId, VertexKind};
use crate::base::hashes::splitmix64;
use crate::base::units::{Bandwidth, SimDuration};

/// Why the parts of a cluster do not make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unbuildable {
    /// The dotted key at fault, as in a topology file.
    pub key: String,
    /// What was found.
    pub found: String,
    /// How to fix it.
    pub help: String,
}

impl Unbuildable {
    pub(super) fn at(key: &str, found: impl Into<String>, help: impl Into<String>) -> Self {
        Self { key: key.to_owned(), found: found.into(), help: help.into() }
    }
}

impl fmt::Display for Unbuildable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.key, self.found, self.help)
    }
}

impl std::error::Error for Unbuildable {}

/// Vertices and links while they are being added.
#[derive(Debug, Default)]
pub(super) struct Wiring {
    pub vertices: Vec<Vertex>,
    pub links: Vec<Link>,
    of_kind: [u32; 9],
}

impl Wiring {
    pub fn vertex(&mut self, kind: VertexKind) -> VertexId {
        let id = VertexId(self.vertices.len() as u32);
        let index = &mut self.of_kind[kind as usize];
        self.vertices.push(Vertex { kind, index: *index });
        *index += 1;
        id
    }

    pub fn vertices_of(&mut self, kind: VertexKind, count: u32) -> Vec<VertexId> {
        (0..count).map(|_| self.vertex(kind)).collect()
    }

    /// The number that the next link will get.
    pub const fn next_link(&self) -> u32 {
        self.links.len() as u32
    }

    pub fn one_way(&mut self, from: VertexId, to: VertexId, cable: Cable, class: LinkClass) {
        let Cable { bandwidth, latency, lanes } = cable;
        self.links.push(Link { from, to, bandwidth, latency, class, lanes, health: 1.0 });
    }

    /// Adds the link from `a` to `b` and, as the next number, the one back.
    pub fn both_ways(&mut self, a: VertexId, b: VertexId, cable: Cable, class: LinkClass) {
        self.one_way(a, b, cable, class);
        self.one_way(b, a, cable, class);
    }
}

/// One direction of a cable: what a [`super::Link`] becomes between two places.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cable {
    /// Data-sheet peak of all lanes together.
    pub bandwidth: Bandwidth,
    /// Delay of the first byte.
    pub latency: SimDuration,
    /// Parallel cables; one for a plain link.
    pub lanes: u32,
}

/// The places where nodes plug into the fabric, and with what.
pub(super) struct Ports {
    /// A vertex for each port, node by node.
    pub vertices: Vec<VertexId>,
    /// Ports of one node.
    pub per_node: u32,
    /// The cable from a port to its switch; none where ports are wired to each other.
    pub cable: Option<Cable>,
}

impl Ports {
    pub fn cable(&self) -> Result<Cable, Unbuildable> {
        self.cable.ok_or_else(|| {
            Unbuildable::at(
                "nodes",
                "the fabric has switches but the nodes have no NICs",
                "add [nodes.nic] with per_node, bandwidth and latency",
            )
        })
    }
}

/// The cluster as a petgraph graph, vertices and links in the same order.
pub(super) fn graph_of(vertices: usize, links: &[Link]) -> DiGraph<(), u32> {
    let mut graph = DiGraph::with_capacity(vertices, links.len());
    for _ in 0..vertices {
        graph.add_node(());
    }
    for (id, link) in (0..).zip(links) {
        let ends = (NodeIndex::new(link.from.0 as usize), NodeIndex::new(link.to.0 as usize));
        graph.add_edge(ends.0, ends.1, id);
    }
    graph
}

/// A fixed 64-bit mixture of a pair, to choose among equal routes.
pub(super) const fn choice_of(from: u32, to: u32) -> u64 {
    splitmix64((from as u64) << 32 | to as u64)
}
