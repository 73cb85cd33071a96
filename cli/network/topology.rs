//! `moesim topology`: what a cluster is, what it can do at best, what it costs and draws.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::{Failure, output};
use moesim::commands::topology;
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
    let options = topology::Options {
        topology: args.topology.clone(),
        set: args.overrides.clone(),
        prices: args.prices.clone(),
    };
    let (described, topology) = topology::run(&options, &output::call())?;
    if let Some(path) = &args.svg {
        output::write(path, picture(&topology))?;
    }
    if args.json { output::result(out, &described) } else { Ok(described.write_text(out)?) }
}
