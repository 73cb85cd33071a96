//! The cluster as inert data: GPUs, switches, NICs, the one-way links between them, and routes.
//!
//! A topology holds data-sheet peaks only; what links really deliver lives in a profile. Vertices
//! are numbered GPUs first, node by node; a two-way cable is two links with ids `l` and `l + 1`.
//! Several cables between the same two places whose traffic is spread over all of them (a leaf's
//! uplinks) are one *trunk*: a link with `lanes > 1` and the sum of their bandwidths.
//!
//! A GPU reaches a GPU of its own node through the node's [`ScaleUp`], any other through its NIC
//! and the [`Fabric`]; [`Topology::route`] computes the links crossed from the two numbers alone,
//! so nothing of size N² is stored. Only an explicit graph keeps a table of next hops.
//!
//! What this leaves out: queues, packets, and routes that depend on load. A route that is chosen
//! among equals (ECMP over planes, Valiant's detour) is chosen by a fixed hash of its two ends.

use std::collections::BTreeMap;

use crate::base::units::{Bandwidth, Bytes, FlopRate, GpuId, LinkId, SimDuration};
use crate::kernels::Device;

mod bounds;
mod build;
mod clos;
mod dragonfly;
mod explicit;
mod fabric;
mod grid;
mod link;
mod node;
mod picture;
mod price;
mod wiring;

pub use bounds::{Bounds, COUNTED_GPUS, SAMPLED_SOURCES};
pub use build::{MAX_GPUS, MAX_LINKS};
pub use clos::{Clos, Reach, Trunk};
pub use dragonfly::{Detour, Dragonfly, DragonflyPlus};
pub use explicit::{ExplicitGraph, ExplicitLink, MAX_EXPLICIT_GPUS};
pub use fabric::Fabric;
pub use grid::{HyperX, Torus};
pub use link::{ByClass, Link, LinkClass, Spread, Vertex, VertexId, VertexKind};
pub use node::{Nics, Node, PcieTree, ScaleUp, Unroutable};
pub use picture::{Layout, bend, layout, picture};
pub use price::{Cost, GpuPrice, Known, Price, PriceBook};
pub use wiring::{Cable, Unbuildable};

/// What one GPU is, by its data sheet.
#[derive(Clone, Debug, PartialEq)]
pub struct GpuSpec {
    /// The product's name.
    pub name: String,
    /// Dense bf16 tensor-core peak.
    pub peak_bf16: FlopRate,
    /// Dense fp8 tensor-core peak, where the GPU has fp8.
    pub peak_fp8: Option<FlopRate>,
    /// Peak rate of the GPU's memory.
    pub memory_bandwidth: Bandwidth,
    /// Size of the GPU's memory, where it is stated.
    pub memory: Option<Bytes>,
    /// Streaming multiprocessors (or compute units).
    pub sms: u32,
}

impl GpuSpec {
    /// The peaks, as kernels take them.
    #[must_use]
    pub const fn device(&self) -> Device {
        Device {
            peak_bf16: self.peak_bf16,
            peak_fp8: self.peak_fp8,
            memory_bandwidth: self.memory_bandwidth,
            sms: self.sms,
        }
    }
}

/// A name that no link of a cluster has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSuchLink {
    /// The name.
    pub name: String,
    /// Those that links have.
    pub known: Vec<String>,
}

/// A cluster, built valid: every GPU reaches every other.
#[derive(Clone, Debug)]
pub struct Topology {
    name: String,
    source: String,
    gpu: GpuSpec,
    family: &'static str,
    gpus: u32,
    gpus_per_node: u32,
    spread: Spread,
    vertices: Vec<Vertex>,
    /// Names that the user gave to switches of an explicit graph, which follow its GPUs; else empty.
    switch_names: Vec<String>,
    links: Vec<Link>,
    slow_gpus: BTreeMap<GpuId, f64>,
    flapping: BTreeMap<LinkId, f64>,
    paths: Paths,
}

/// How routes are computed.
#[derive(Clone, Debug)]
enum Paths {
    Structured { node: Box<node::WiredNode>, fabric: fabric::WiredFabric },
    Explicit(explicit::NextHops),
}

impl Topology {
    /// A cluster of `count` equal nodes joined by `fabric`.
    ///
    /// # Errors
    /// If the parts do not fit together or the cluster is too large to hold.
    pub fn structured(
        name: &str,
        source: &str,
        gpu: GpuSpec,
        count: u32,
        node: &Node,
        fabric: &Fabric,
    ) -> Result<Self, Unbuildable> {
        build::structured(name, source, gpu, count, node, fabric)
    }

    /// A cluster wired link by link.
    ///
    /// # Errors
    /// If a link is no link or some GPU cannot reach another.
    pub fn explicit(
        name: &str,
        source: &str,
        gpu: GpuSpec,
        graph: &ExplicitGraph,
    ) -> Result<Self, Unbuildable> {
        build::explicit(name, source, gpu, graph)
    }

    /// The name of the file or built-in.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its figures come from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The family of its fabric, as written in the file: `"rail-optimized"`.
    #[must_use]
    pub const fn family(&self) -> &'static str {
        self.family
    }

    /// How many GPUs there are.
    #[must_use]
    pub const fn gpus(&self) -> u32 {
        self.gpus
    }

    /// How many GPUs share a node, or an NVLink domain.
    #[must_use]
    pub const fn gpus_per_node(&self) -> u32 {
        self.gpus_per_node
    }

    /// How many nodes there are.
    #[must_use]
    pub const fn nodes(&self) -> u32 {
        self.gpus / self.gpus_per_node
    }

    /// What each GPU is.
    #[must_use]
    pub const fn gpu(&self) -> &GpuSpec {
        &self.gpu
    }

    /// The node a GPU sits in.
    #[must_use]
    pub const fn node_of(&self, gpu: GpuId) -> u32 {
        gpu.0 / self.gpus_per_node
    }

    /// How traffic is spread over the lanes of a trunk.
    #[must_use]
    pub const fn spread(&self) -> Spread {
        self.spread
    }

    /// All one-way links; a [`LinkId`] is an index into them.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// All GPUs, NICs and switches; a [`VertexId`] is an index into them.
    #[must_use]
    pub fn vertices(&self) -> &[Vertex] {
        &self.vertices
    }

    /// Puts into `route` the links that bytes cross from one GPU to another, in order.
    ///
    /// Bytes that stay on their GPU cross none.
    ///
    /// # Panics
    /// If either GPU is not of this cluster.
    #[inline]
    pub fn route(&self, from: GpuId, to: GpuId, route: &mut Vec<LinkId>) {
        assert!(from.0 < self.gpus, "GPU {} of {}", from.0, self.gpus);
        assert!(to.0 < self.gpus, "GPU {} of {}", to.0, self.gpus);
        route.clear();
        if from == to {
            return;
        }
        match &self.paths {
            Paths::Explicit(hops) => hops.route(from, to, &self.links, route),
            Paths::Structured { node, fabric } => {
                if self.node_of(from) == self.node_of(to) && node.joins_its_gpus() {
                    node.within(from.0, to.0, route);
                } else {
                    node.across(from.0, to.0, fabric, route);
                }
            }
        }
    }

    /// The latency of a route: the sum over its links.
    #[must_use]
    #[inline]
    pub fn latency(&self, route: &[LinkId]) -> SimDuration {
        route.iter().map(|l| self.links[l.index()].latency).sum()
    }

    /// The name of a link, by its two ends: `gpu3:leaf0`.
    #[must_use]
    pub fn link_name(&self, link: LinkId) -> String {
        let Link { from, to, .. } = self.links[link.index()];
        format!("{}:{}", self.vertex_name(from), self.vertex_name(to))
    }

    /// The name of a GPU, NIC or switch: the user's where one was given, else `gpu3` or `leaf0`.
    #[must_use]
    pub fn vertex_name(&self, vertex: VertexId) -> String {
        match self.given_name(vertex) {
            Some(name) => name.to_owned(),
            None => self.vertices[vertex.0 as usize].to_string(),
        }
    }

    /// The same, short enough for a box of a picture.
    #[must_use]
    pub fn short_name(&self, vertex: VertexId) -> String {
        match self.given_name(vertex) {
            Some(name) => name.to_owned(),
            None => picture::short_name(self.vertices[vertex.0 as usize]),
        }
    }

    fn given_name(&self, vertex: VertexId) -> Option<&str> {
        let switch = vertex.0.checked_sub(self.gpus)? as usize;
        self.switch_names.get(switch).map(String::as_str)
    }

    /// The same cluster with these links and GPUs, by name, at shares of their bandwidth and speed.
    ///
    /// # Errors
    /// The first name that neither a link nor a GPU has, and the names of all links.
    pub fn with_health(mut self, shares: &BTreeMap<String, f64>) -> Result<Self, NoSuchLink> {
        if shares.is_empty() {
            return Ok(self);
        }
        let ids = (0..self.links.len() as u32).map(LinkId);
        let by_name: BTreeMap<String, LinkId> = ids.map(|id| (self.link_name(id), id)).collect();
        for (name, &share) in shares {
            assert!((0.0..=1.0).contains(&share), "a link at {share} of its bandwidth");
            let number = name.strip_prefix("gpu").and_then(|number| number.parse::<u32>().ok());
            let written = |gpu: &u32| *gpu < self.gpus && format!("gpu{gpu}") == *name;
            if let Some(gpu) = number.filter(written) {
                if share < 1.0 {
                    self.slow_gpus.insert(GpuId(gpu), share);
                }
                continue;
            }
            match by_name.get(name) {
                Some(link) => self.links[link.index()].health = share,
                None => {
                    let gpus = (0..self.gpus).map(|gpu| format!("gpu{gpu}"));
                    let known = by_name.into_keys().chain(gpus).collect();
                    return Err(NoSuchLink { name: name.clone(), known });
                }
            }
        }
        Ok(self)
    }

    /// GPUs that are not in full health, with the share of their speed that is left.
    #[must_use]
    pub const fn slow_gpus(&self) -> &BTreeMap<GpuId, f64> {
        &self.slow_gpus
    }

    /// Links that are not in full health.
    pub fn sick_links(&self) -> impl Iterator<Item = (LinkId, f64)> {
        let links = (0_u32..).map(LinkId).zip(&self.links);
        links.filter(|(_, link)| link.health < 1.0).map(|(id, link)| (id, link.health))
    }

    /// The link of this name, if there is one.
    #[must_use]
    pub fn link_named(&self, name: &str) -> Option<LinkId> {
        (0..self.links.len() as u32).map(LinkId).find(|&link| self.link_name(link) == name)
    }
}
