//! Wires a topology up and checks it as a graph before anybody can hold it.

use std::fmt;

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use super::explicit::{ExplicitGraph, NextHops};
use super::fabric::{Cable, Fabric};
use super::link::{Link, LinkClass, Spread, Vertex, VertexId, VertexKind};
use super::node::Node;
use super::{GpuSpec, Paths, Topology};

/// Largest cluster built: a million GPUs hold in about half a gigabyte.
pub const MAX_GPUS: u32 = 1 << 20;
/// Most one-way links of a cluster.
pub const MAX_LINKS: u64 = 1 << 23;

/// Why the parts of a cluster do not make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unbuildable {
    /// The dotted key at fault, as in a topology file.
    pub key: String,
    /// What was found.
    pub found: String,
    /// How to mend it.
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
        self.links.push(Link { from, to, bandwidth, latency, class, lanes });
    }

    /// Adds the link from `a` to `b` and, as the next number, the one back.
    pub fn both_ways(&mut self, a: VertexId, b: VertexId, cable: Cable, class: LinkClass) {
        self.one_way(a, b, cable, class);
        self.one_way(b, a, cable, class);
    }
}

pub(super) fn structured(
    name: &str,
    source: &str,
    gpu: GpuSpec,
    count: u32,
    node: &Node,
    fabric: &Fabric,
) -> Result<Topology, Unbuildable> {
    let gpus = u64::from(count) * u64::from(node.gpus);
    refuse_if_too_large(gpus, node, fabric, count)?;
    let gpus = gpus as u32;
    let mut wiring = Wiring::default();
    let gpu_vertices = wiring.vertices_of(VertexKind::Gpu, gpus);
    let (wired_node, ports) = node.wire(count, &gpu_vertices, &mut wiring)?;
    let wired_fabric = fabric.wire(&ports, &mut wiring)?;
    let topology = Topology {
        name: name.to_owned(),
        source: source.to_owned(),
        gpu,
        family: fabric.family(),
        gpus,
        gpus_per_node: node.gpus,
        spread: fabric.spread(),
        vertices: wiring.vertices,
        switch_names: Vec::new(),
        links: wiring.links,
        paths: Paths::Structured { node: wired_node, fabric: wired_fabric },
    };
    check_connected(&topology)?;
    Ok(topology)
}

pub(super) fn explicit(
    name: &str,
    source: &str,
    gpu: GpuSpec,
    graph: &ExplicitGraph,
) -> Result<Topology, Unbuildable> {
    let mut wiring = Wiring::default();
    graph.wire(&mut wiring)?;
    let hops = NextHops::of(graph.gpus, &wiring)?;
    Ok(Topology {
        name: name.to_owned(),
        source: source.to_owned(),
        gpu,
        family: "graph",
        gpus: graph.gpus,
        gpus_per_node: graph.gpus_per_node,
        spread: Spread::Spray,
        vertices: wiring.vertices,
        switch_names: graph.switches.clone(),
        links: wiring.links,
        paths: Paths::Explicit(hops),
    })
}

fn refuse_if_too_large(
    gpus: u64,
    node: &Node,
    fabric: &Fabric,
    count: u32,
) -> Result<(), Unbuildable> {
    if gpus > u64::from(MAX_GPUS) {
        return Err(Unbuildable::at(
            "nodes.count",
            format!("{count} nodes of {} GPUs are {gpus} GPUs", node.gpus),
            format!("build at most {MAX_GPUS} GPUs"),
        ));
    }
    let ports = node.ports_per_node() * u64::from(count);
    let links = node.links_per_node() * u64::from(count) + fabric.links_for(ports);
    if links > MAX_LINKS {
        return Err(Unbuildable::at(
            "nodes.count",
            format!("the cluster would have {links} links"),
            format!("stay within {MAX_LINKS} links: fewer nodes, or a switched fabric"),
        ));
    }
    Ok(())
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

/// Every GPU must reach every other: all of them lie in one strongly connected part.
fn check_connected(topology: &Topology) -> Result<(), Unbuildable> {
    let graph = graph_of(topology.vertices.len(), &topology.links);
    let parts = kosaraju_scc(&graph);
    let part_of_first = parts.iter().find(|part| part.contains(&NodeIndex::new(0)));
    let joined = part_of_first.map_or(0, |part| {
        part.iter().filter(|vertex| vertex.index() < topology.gpus as usize).count()
    });
    if joined == topology.gpus as usize {
        return Ok(());
    }
    Err(Unbuildable::at(
        "fabric",
        format!("only {joined} of {} GPUs can reach GPU 0 and be reached by it", topology.gpus),
        "give the nodes NICs and a fabric that joins all of them",
    ))
}
