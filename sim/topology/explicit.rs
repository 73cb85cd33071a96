//! A cluster wired link by link, for what no family describes.
//!
//! Routes are shortest in latency [dijkstra59], then in hops, then in the numbers of their links;
//! the table holds the next link from every vertex to every GPU, so its size is bounded by
//! [`MAX_EXPLICIT_GPUS`] and [`MAX_EXPLICIT_VERTICES`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use super::link::{Link, LinkClass, VertexId, VertexKind};
use super::wiring::{Cable, Unbuildable, Wiring, graph_of};
use crate::base::units::{GpuId, LinkId};

/// Most GPUs of an explicit graph: larger clusters have structure, so name their family.
pub const MAX_EXPLICIT_GPUS: u32 = 2048;
/// Most GPUs and switches of an explicit graph.
pub const MAX_EXPLICIT_VERTICES: u32 = 8192;

/// Most cables of an explicit graph.
pub const MAX_EXPLICIT_LINKS: usize = 65_536;

/// One cable of an explicit graph.
#[derive(Clone, Debug, PartialEq)]
pub struct ExplicitLink {
    /// `gpu3` or the name of a switch.
    pub from: String,
    /// Likewise.
    pub to: String,
    /// What it carries.
    pub cable: Cable,
    /// What sort of link it is.
    pub class: LinkClass,
    /// Whether there is one back.
    pub both_ways: bool,
}

/// GPUs, switches and the cables between them.
#[derive(Clone, Debug, PartialEq)]
pub struct ExplicitGraph {
    /// GPUs, named `gpu0`, `gpu1`, …
    pub gpus: u32,
    /// GPUs in one node, for reports.
    pub gpus_per_node: u32,
    /// Names of the switches.
    pub switches: Vec<String>,
    /// The cables.
    pub links: Vec<ExplicitLink>,
}

impl ExplicitGraph {
    pub(super) fn wire(&self, wiring: &mut Wiring) -> Result<(), Unbuildable> {
        let vertices = u64::from(self.gpus) + self.switches.len() as u64;
        if self.gpus > MAX_EXPLICIT_GPUS || vertices > u64::from(MAX_EXPLICIT_VERTICES) {
            return Err(Unbuildable::at(
                "graph",
                format!("{} GPUs and {} switches", self.gpus, self.switches.len()),
                format!(
                    "list at most {MAX_EXPLICIT_GPUS} GPUs and {MAX_EXPLICIT_VERTICES} vertices, \
                     or use a fabric family"
                ),
            ));
        }
        if self.links.len() > MAX_EXPLICIT_LINKS {
            return Err(Unbuildable::at(
                "graph.links",
                format!("{} links", self.links.len()),
                format!("list at most {MAX_EXPLICIT_LINKS} links, or use a fabric family"),
            ));
        }
        let switches = self.switch_vertices()?;
        let mut joined = BTreeSet::new();
        wiring.vertices_of(VertexKind::Gpu, self.gpus);
        wiring.vertices_of(VertexKind::Router, self.switches.len() as u32);
        for (n, link) in self.links.iter().enumerate() {
            let end = |name: &str, which: &str| self.vertex(name, &switches, n, which);
            let (from, to) = (end(&link.from, "from")?, end(&link.to, "to")?);
            if from == to {
                return Err(Unbuildable::at(
                    &format!("graph.links[{n}]"),
                    format!("a loop from `{}` to itself", link.from),
                    "join two different vertices",
                ));
            }
            let twice = !joined.insert((from, to)) || link.both_ways && !joined.insert((to, from));
            if twice {
                return Err(Unbuildable::at(
                    &format!("graph.links[{n}]"),
                    format!("`{}` and `{}` are joined already", link.from, link.to),
                    "give parallel cables as one link with the sum of their bandwidths and `lanes`",
                ));
            }
            wiring.one_way(from, to, link.cable, link.class);
            if link.both_ways {
                wiring.one_way(to, from, link.cable, link.class);
            }
        }
        Ok(())
    }

    /// The vertex of each switch, by its name: names tell switches apart in links and in reports.
    fn switch_vertices(&self) -> Result<BTreeMap<&str, u32>, Unbuildable> {
        let mut vertices = BTreeMap::new();
        for (name, vertex) in self.switches.iter().map(String::as_str).zip(self.gpus..) {
            let refuse = |found: &str, help: &str| {
                Err(Unbuildable::at("graph.switches", format!("`{name}` {found}"), help.to_owned()))
            };
            let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
            if name.is_empty() || name.len() > 32 || !name.chars().all(plain) {
                let help = "use 1 to 32 letters, digits and - _ . /";
                return refuse("is not a usable name of a switch", help);
            }
            if name.strip_prefix("gpu").is_some_and(|rest| rest.parse::<u32>().is_ok()) {
                return refuse("is the name of a GPU", "give the switch another name");
            }
            if vertices.insert(name, vertex).is_some() {
                return refuse("is listed twice", "give each switch a name of its own");
            }
        }
        Ok(vertices)
    }

    fn vertex(
        &self,
        name: &str,
        switches: &BTreeMap<&str, u32>,
        link: usize,
        which: &str,
    ) -> Result<VertexId, Unbuildable> {
        if let Some(&switch) = switches.get(name) {
            return Ok(VertexId(switch));
        }
        let gpu = name.strip_prefix("gpu").and_then(|digits| digits.parse::<u32>().ok());
        gpu.filter(|&gpu| gpu < self.gpus).map(VertexId).ok_or_else(|| {
            Unbuildable::at(
                &format!("graph.links[{link}].{which}"),
                format!("there is no `{name}`"),
                format!("name gpu0 to gpu{} or one of `switches`", self.gpus.saturating_sub(1)),
            )
        })
    }
}

/// From every vertex the next link towards every GPU.
#[derive(Clone, Debug)]
pub(super) struct NextHops {
    vertices: u32,
    /// `next[gpu * vertices + vertex]`; [`NO_LINK`] at the GPU itself.
    next: Vec<u32>,
}

const NO_LINK: u32 = u32::MAX;

impl NextHops {
    pub fn of(gpus: u32, wiring: &Wiring) -> Result<Self, Unbuildable> {
        let graph = graph_of(wiring.vertices.len(), &wiring.links);
        let vertices = wiring.vertices.len() as u32;
        let mut next = Vec::with_capacity((gpus * vertices) as usize);
        for goal in 0..gpus {
            let towards = next_links(&graph, &wiring.links, goal, gpus);
            let lost = (0..gpus).find(|&gpu| gpu != goal && towards[gpu as usize] == NO_LINK);
            if let Some(lost) = lost {
                return Err(Unbuildable::at(
                    "graph.links",
                    format!("no way leads from gpu{lost} to gpu{goal}"),
                    "add links until every GPU reaches every other, in both directions",
                ));
            }
            next.extend(towards);
        }
        Ok(Self { vertices, next })
    }

    pub fn route(&self, from: GpuId, to: GpuId, links: &[Link], route: &mut Vec<LinkId>) {
        let mut here = VertexId(from.0);
        while here.0 != to.0 {
            let link = LinkId(self.next[(to.0 * self.vertices + here.0) as usize]);
            route.push(link);
            here = links[link.index()].to;
        }
    }
}

/// Dijkstra from the goal backwards: for every vertex its first link on the best way there.
///
/// GPUs do not forward, so no way leads through a third GPU unless it is the only kind there is.
fn next_links(graph: &DiGraph<(), u32>, links: &[Link], goal: u32, gpus: u32) -> Vec<u32> {
    let mut next = vec![NO_LINK; graph.node_count()];
    let mut best = vec![(u64::MAX, u32::MAX, NO_LINK); graph.node_count()];
    let mut heap = BinaryHeap::new();
    best[goal as usize] = (0, 0, NO_LINK);
    heap.push(Reverse((0, 0, goal)));
    while let Some(Reverse((cost, hops, vertex))) = heap.pop() {
        if (cost, hops) > (best[vertex as usize].0, best[vertex as usize].1) {
            continue;
        }
        // Passing through a GPU costs more than any way round it.
        let detour = if vertex < gpus && vertex != goal { 1 << 60 } else { 0 };
        for edge in graph.edges_directed(NodeIndex::new(vertex as usize), Direction::Incoming) {
            let id = *edge.weight();
            let from = edge.source().index();
            let cost = cost.saturating_add(detour).saturating_add(links[id as usize].latency.ps());
            let way = (cost, hops + 1, id);
            if way < best[from] {
                let nearer = (way.0, way.1) < (best[from].0, best[from].1);
                best[from] = way;
                next[from] = id;
                if nearer {
                    heap.push(Reverse((cost, hops + 1, from as u32)));
                }
            }
        }
    }
    next
}
