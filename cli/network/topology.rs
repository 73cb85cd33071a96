//! `moesim topology`: what a cluster is, what it can do at best, what it costs and draws.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::Failure;
use moesim::config::{self, Kind, Source};
use moesim::output::report::network::topology::ClusterDescription;
use moesim::topology::picture;

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
    pub(crate) svg: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs `moesim topology`.
pub(crate) fn run(args: &TopologyArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let source = config::built_in_or_file(Kind::Topology, &args.topology)?;
    // As `moesim run` takes them, too.
    let overrides = args.overrides.iter().map(|line| line.trim_start());
    let overrides = overrides.map(|line| line.strip_prefix("topology.").unwrap_or(line));
    let source = source.with_overrides(overrides);
    let topology = config::read_topology(&source)?;
    let prices = match &args.prices {
        Some(path) => Source::read(path)?,
        None => config::built_in_prices(),
    };
    let book = config::read_prices(&prices)?;
    if let Some(path) = &args.svg {
        crate::output::write(path, picture(&topology))?;
    }
    let own = source.inputs(&[]).into_iter().chain(prices.inputs(&[]));
    let described = ClusterDescription::of(crate::reproduce::made_by(own), &topology, &book);
    if args.json { crate::output::result(out, &described) } else { Ok(described.write_text(out)?) }
}
