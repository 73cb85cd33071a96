//! `moesim topology`: what a cluster is, what it can do at best, what it costs and draws.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::Failure;
use moesim::config::{self, Kind, Source};
use moesim::topology::{Bounds, Cost, Known, LinkClass, Price, Topology, VertexKind, picture};

/// A cluster to describe.
#[derive(Args)]
pub struct TopologyArgs {
    /// A topology file or a built-in name.
    topology: String,
    /// Change one value, as in --set nodes.count=8.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// A price book; the built-in one if not given.
    #[arg(long)]
    prices: Option<PathBuf>,
    /// Draw the cluster into this SVG file.
    #[arg(long)]
    pub(super) svg: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs `moesim topology`.
pub(super) fn run(args: &TopologyArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let source = config::built_in_or_file(Kind::Topology, &args.topology)?;
    let overrides = args.overrides.iter().map(String::as_str);
    let source = source.with_overrides(overrides);
    let topology = config::read_topology(&source)?;
    let prices = match &args.prices {
        Some(path) => Source::read(path)?,
        None => config::built_in_prices(),
    };
    let book = config::read_prices(&prices)?;
    if let Some(path) = &args.svg {
        super::output::write(path, picture(&topology))?;
    }
    let (bounds, cost) = (Bounds::of(&topology), Cost::of(&topology, &book));
    if args.json {
        let own = source.inputs(&[]).into_iter().chain(prices.inputs(&[]));
        super::reproduce::print(out, json_of(&topology, bounds, &cost, &book.date), own)?;
    } else {
        write_table(&topology, bounds, &cost, &book.date, out)?;
    }
    Ok(())
}

/// How many links of each class there are, and the bandwidth of the first.
fn classes(topology: &Topology) -> Vec<(LinkClass, usize, f64)> {
    let of = |class| topology.links().iter().filter(move |link| link.class == class);
    let facts = LinkClass::ALL.into_iter().filter_map(|class| {
        let first = of(class).next()?;
        Some((class, of(class).count(), first.bandwidth.gb_per_sec()))
    });
    facts.collect()
}

fn switches(topology: &Topology) -> Vec<(&'static str, usize)> {
    let kinds = [
        VertexKind::NodeSwitch,
        VertexKind::PcieSwitch,
        VertexKind::Host,
        VertexKind::Nic,
        VertexKind::Leaf,
        VertexKind::Spine,
        VertexKind::Core,
        VertexKind::Router,
    ];
    let count = |kind| topology.vertices().iter().filter(|vertex| vertex.kind == kind).count();
    kinds.map(|kind| (kind.name(), count(kind))).into_iter().filter(|&(_, n)| n > 0).collect()
}

fn json_of(topology: &Topology, bounds: Option<Bounds>, cost: &Cost, dated: &str) -> Value {
    let (network, total) = (cost.network(), cost.total());
    json!({
        "name": topology.name(),
        "source": topology.source(),
        "family": topology.family(),
        "gpu": topology.gpu().name,
        "gpus": topology.gpus(),
        "gpus_per_node": topology.gpus_per_node(),
        "vertices": switches(topology).into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "links": classes(topology).into_iter().map(|(class, count, gb_per_s)| {
            json!({ "class": class.name(), "one_way_links": count, "gb_per_s": gb_per_s })
        }).collect::<Vec<_>>(),
        "uniform_all_to_all_gb_per_s": bounds.map(|b| b.uniform_all_to_all.gb_per_sec()),
        "decided_by": bounds.map(|b| b.decided_by.name()),
        "half_to_half_gb_per_s": bounds.map(|b| b.half_to_half.gb_per_sec()),
        "bounds_from_all_routes": bounds.map(|b| b.counted),
        "network_cost_usd": network.usd,
        "network_power_w": network.watts,
        "cluster_cost_usd": total.usd,
        "cluster_power_w": total.watts,
        "prices_of": dated,
    })
}

fn write_table(
    topology: &Topology,
    bounds: Option<Bounds>,
    cost: &Cost,
    dated: &str,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let (nodes, per_node) = (topology.nodes(), topology.gpus_per_node());
    writeln!(out, "{} ({})", topology.name(), topology.family())?;
    writeln!(
        out,
        "  {} GPUs: {nodes} nodes of {per_node} {}",
        topology.gpus(),
        topology.gpu().name
    )?;
    for (name, count) in switches(topology) {
        writeln!(out, "  {count:>8} × {name}")?;
    }
    writeln!(out, "\nlinks, one way         number      each")?;
    for (class, count, gb_per_s) in classes(topology) {
        writeln!(out, "  {:<18} {count:>8} {gb_per_s:>8.1} GB/s", class.name())?;
    }
    if let Some(bounds) = bounds {
        let rate = bounds.uniform_all_to_all.gb_per_sec();
        let half = bounds.half_to_half.gb_per_sec();
        let sampled = if bounds.counted { "" } else { ", from a sample of routes" };
        writeln!(out, "\nat best, by data sheets{sampled}")?;
        writeln!(
            out,
            "  uniform all-to-all {rate:>10.1} GB/s a GPU, decided by {}",
            bounds.decided_by.name()
        )?;
        writeln!(out, "  bisection          {half:>10.1} GB/s, both directions")?;
    }
    write_cost(topology, cost, dated, out)
}

fn write_cost(
    topology: &Topology,
    cost: &Cost,
    dated: &str,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let gpus = f64::from(topology.gpus());
    writeln!(out, "\nprices of {dated}                USD            W    USD a GPU")?;
    let known = |price: Price| Known { usd: Some(price.usd), watts: Some(price.watts) };
    for (name, price) in [
        ("GPUs", cost.gpus),
        ("nodes without them", known(cost.nodes)),
        ("NVSwitches", known(cost.nvswitch)),
        ("NICs", known(cost.nics)),
        ("switches", known(cost.switches)),
        ("cables", known(cost.cables)),
        ("network", known(cost.network())),
        ("everything", cost.total()),
    ] {
        let each = price.usd.map(|usd| usd / gpus);
        let [usd, watts, each] = [price.usd, price.watts, each].map(super::compare::known);
        writeln!(out, "  {name:<18} {usd:>15} {watts:>12} {each:>12}")?;
    }
    if cost.total().usd.is_none() {
        let gpu = &topology.gpu().name;
        writeln!(out, "  (the price book has no price of the GPU {gpu})")?;
    }
    Ok(())
}
