//! The result of `moesim topology`: what a cluster is, what it can do at best, what it costs and draws.

use std::collections::BTreeMap;
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::output::report::shared::health::poor_health;
use crate::output::report::shared::made_by::MadeBy;
use crate::output::report::shared::table::elided;
use crate::output::report::shared::wrapped::wrapped;
use crate::topology::{Bounds, Cost, Known, LinkClass, Price, PriceBook, Topology, VertexKind};

/// A cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterDescription {
    /// How it was made.
    #[serde(default)]
    pub made_by: MadeBy,
    /// Its name.
    pub name: String,
    /// Where its figures come from.
    pub source: String,
    /// The family of its network.
    pub family: String,
    /// Its GPU.
    pub gpu: String,
    /// How many it has.
    pub gpus: u32,
    /// Of each node.
    pub gpus_per_node: u32,
    /// Switches, NICs and hosts, by kind.
    pub vertices: BTreeMap<String, usize>,
    /// Links one way, by class.
    pub links: Vec<LinkCount>,
    /// Links and GPUs that are not in full health, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub poor_health: Vec<String>,
    /// What each GPU gets of a uniform all-to-all at best, in GB/s.
    pub uniform_all_to_all_gb_per_s: Option<f64>,
    /// The class of link that decides it.
    pub decided_by: Option<String>,
    /// Bisection bandwidth, both directions, in GB/s.
    pub bisection_gb_per_s: Option<f64>,
    /// Whether these come from all routes, not a sample.
    pub bounds_from_all_routes: Option<bool>,
    /// The network's price, in US dollars.
    pub network_cost_usd: f64,
    /// Its power, in watts.
    pub network_power_w: f64,
    /// The cluster's price, where the GPU's is known.
    pub cluster_cost_usd: Option<f64>,
    /// Its power.
    pub cluster_power_w: Option<f64>,
    /// The date of the price book.
    pub prices_of: String,
    /// Price and power of each part.
    #[serde(default)]
    pub parts: Vec<PartCost>,
}

/// Links of one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LinkCount {
    /// The class.
    pub class: String,
    /// How many, one way.
    pub one_way_links: usize,
    /// The bandwidth of the slowest, in GB/s.
    pub gb_per_s: f64,
    /// That of the fastest.
    #[serde(default)]
    pub gb_per_s_most: f64,
}

/// Price and power of a part of the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PartCost {
    /// The part.
    pub part: String,
    /// US dollars, where known.
    pub usd: Option<f64>,
    /// Watts, where known.
    pub watts: Option<f64>,
}

impl ClusterDescription {
    /// Of a cluster, with prices by a book.
    #[must_use]
    pub fn of(made_by: MadeBy, topology: &Topology, book: &PriceBook) -> Self {
        let (bounds, cost) = (Bounds::of(topology), Cost::of(topology, book));
        let (network, total) = (cost.network(), cost.total());
        Self {
            made_by,
            name: topology.name().to_owned(),
            source: topology.source().to_owned(),
            family: topology.family().to_owned(),
            gpu: topology.gpu().name.clone(),
            gpus: topology.gpus(),
            gpus_per_node: topology.gpus_per_node(),
            vertices: vertices(topology),
            links: links(topology),
            poor_health: poor_health(topology),
            uniform_all_to_all_gb_per_s: bounds.map(|b| b.uniform_all_to_all.gb_per_sec()),
            decided_by: bounds.map(|b| b.decided_by.name().to_owned()),
            bisection_gb_per_s: bounds.map(|b| b.bisection.gb_per_sec()),
            bounds_from_all_routes: bounds.map(|b| b.counted),
            network_cost_usd: network.usd,
            network_power_w: network.watts,
            cluster_cost_usd: total.usd,
            cluster_power_w: total.watts,
            prices_of: book.date.clone(),
            parts: parts(&cost),
        }
    }

    /// The links in poor health, in a sentence.
    fn write_health(&self, out: &mut dyn Write) -> io::Result<()> {
        self.poor_health.iter().try_for_each(|line| wrapped(out, "  ", line))
    }

    /// The tables.
    ///
    /// # Errors
    /// If `out` cannot be written to.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { name, family, gpus, gpus_per_node, gpu, .. } = self;
        wrapped(out, "", &format!("{name} ({family})"))?;
        let nodes = gpus / gpus_per_node.max(&1);
        let s = if nodes == 1 { "" } else { "s" };
        let gpu = elided(gpu, 40);
        writeln!(out, "  {gpus} GPUs: {nodes} node{s} of {gpus_per_node} {gpu}")?;
        for (kind, count) in self.vertices_in_order() {
            writeln!(out, "  {count:>8} × {kind}")?;
        }
        writeln!(out, "\nlinks, one way         number      each")?;
        for LinkCount { class, one_way_links, gb_per_s, gb_per_s_most } in &self.links {
            let most = match gb_per_s_most > gb_per_s {
                true => format!(" to {gb_per_s_most:.1}"),
                false => String::new(),
            };
            writeln!(out, "  {class:<18} {one_way_links:>8} {gb_per_s:>8.1}{most} GB/s")?;
        }
        self.write_health(out)?;
        self.write_bounds(out)?;
        self.write_cost(out)
    }

    /// Kinds of vertices from the GPU outwards.
    fn vertices_in_order(&self) -> impl Iterator<Item = (&'static str, usize)> {
        KINDS.into_iter().filter_map(|kind| Some((kind.name(), *self.vertices.get(kind.name())?)))
    }

    fn write_bounds(&self, out: &mut dyn Write) -> io::Result<()> {
        let rates = self.uniform_all_to_all_gb_per_s.zip(self.bisection_gb_per_s);
        let (Some((rate, half)), Some(decided_by)) = (rates, &self.decided_by) else {
            return Ok(());
        };
        let counted = self.bounds_from_all_routes == Some(true);
        let sampled = if counted { "" } else { ", from a sample of routes" };
        writeln!(out, "\nat best, by data sheets{sampled}")?;
        let decided_by = elided(decided_by, 26);
        writeln!(out, "  uniform all-to-all {rate:>10.1} GB/s per GPU, decided by {decided_by}")?;
        writeln!(out, "  bisection          {half:>10.1} GB/s, both directions")
    }

    fn write_cost(&self, out: &mut dyn Write) -> io::Result<()> {
        let gpus = f64::from(self.gpus);
        let dated = &self.prices_of;
        writeln!(out, "\nprices of {dated}                USD            W  USD per GPU")?;
        let known = |value: Option<f64>| {
            value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.0}"))
        };
        for PartCost { part, usd, watts } in &self.parts {
            let each = usd.map(|usd| usd / gpus);
            let [usd, watts, each] = [*usd, *watts, each].map(known);
            writeln!(out, "  {part:<18} {usd:>15} {watts:>12} {each:>12}")?;
        }
        if self.cluster_cost_usd.is_none() {
            writeln!(out, "  (the price book has no price of the GPU {})", elided(&self.gpu, 36))?;
        }
        Ok(())
    }
}

/// Kinds of vertices that are listed, from the GPU outwards.
const KINDS: [VertexKind; 8] = [
    VertexKind::NodeSwitch,
    VertexKind::PcieSwitch,
    VertexKind::Host,
    VertexKind::Nic,
    VertexKind::Leaf,
    VertexKind::Spine,
    VertexKind::Core,
    VertexKind::Router,
];

fn vertices(topology: &Topology) -> BTreeMap<String, usize> {
    let count = |kind| topology.vertices().iter().filter(|vertex| vertex.kind == kind).count();
    let all = KINDS.map(|kind| (kind.name().to_owned(), count(kind)));
    all.into_iter().filter(|(_, count)| *count > 0).collect()
}

/// How many links of each class there are, and their bandwidths.
fn links(topology: &Topology) -> Vec<LinkCount> {
    let of = |class| topology.links().iter().filter(move |link| link.class == class);
    let rates = |class| of(class).map(|link| link.bandwidth.gb_per_sec());
    let counted = |class: LinkClass| {
        Some(LinkCount {
            class: class.name().to_owned(),
            one_way_links: of(class).count(),
            gb_per_s: rates(class).reduce(f64::min)?,
            gb_per_s_most: rates(class).reduce(f64::max)?,
        })
    };
    LinkClass::ALL.into_iter().filter_map(counted).collect()
}

fn parts(cost: &Cost) -> Vec<PartCost> {
    let known = |price: Price| Known { usd: Some(price.usd), watts: Some(price.watts) };
    let all = [
        ("GPUs", cost.gpus),
        ("nodes without them", known(cost.nodes)),
        ("NVSwitches", known(cost.nvswitch)),
        ("NICs", known(cost.nics)),
        ("switches", known(cost.switches)),
        ("cables", known(cost.cables)),
        ("network", known(cost.network())),
        ("everything", cost.total()),
    ];
    let one = |(part, price): (&str, Known)| PartCost {
        part: part.to_owned(),
        usd: price.usd,
        watts: price.watts,
    };
    all.map(one).into_iter().collect()
}
