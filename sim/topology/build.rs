//! Wires a topology up and checks it as a graph before anybody can hold it.

use std::collections::BTreeMap;

use petgraph::algo::kosaraju_scc;
use petgraph::graph::NodeIndex;

use super::explicit::{ExplicitGraph, NextHops};
use super::fabric::Fabric;
use super::link::{Spread, VertexKind};
use super::node::Node;
use super::wiring::{Unbuildable, Wiring, graph_of};
use super::{GpuSpec, Paths, Topology};

/// Largest cluster built: a million GPUs hold in about half a gigabyte.
pub const MAX_GPUS: u32 = 1 << 20;
/// Most one-way links of a cluster.
pub const MAX_LINKS: u64 = 1 << 23;

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
        slow_gpus: BTreeMap::new(),
        flapping: BTreeMap::new(),
        paths: Paths::Structured { node: Box::new(wired_node), fabric: wired_fabric },
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
        slow_gpus: BTreeMap::new(),
        flapping: BTreeMap::new(),
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
