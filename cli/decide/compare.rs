//! `moesim compare`: clusters against each other.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::arguments::choice;
use crate::arguments::comparison::ComparisonArgs;
use crate::output::progress::during;
use crate::{Failure, output};
use moesim::commands::decide::compare;
use moesim::output::pictures::{self, Picture};
use moesim::studies::compare::Equal;

/// Clusters, and what to run on them.
#[derive(Args)]
pub(crate) struct CompareArgs {
    /// The clusters: built in or files, each NAME or NAME=PROFILE.
    #[arg(required = true, num_args = 1..)]
    clusters: Vec<String>,
    /// Compare at equal GPUs, cost or power.
    #[arg(long, value_parser = choice::parser::<Equal>(), default_value = "gpus")]
    equal: Equal,
    #[command(flatten)]
    comparison: ComparisonArgs,
    /// A price book; the built-in one if not given.
    #[arg(long)]
    prices: Option<PathBuf>,
    /// Draw throughput, at equal cost or power against what it costs, into this .svg or .png.
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &CompareArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let options = compare::Options {
        clusters: args.clusters.clone(),
        equal: args.equal,
        comparison: args.comparison.options(),
        prices: args.prices.clone(),
    };
    let comparison = during("runs", || compare::run(&options, &output::call()))?;
    if let Some(path) = &args.plot {
        let chart = match args.equal {
            Equal::Gpus => Picture::Bars(pictures::throughput_chart(&comparison)),
            Equal::Cost | Equal::Power => {
                Picture::Spots(pictures::cost_chart(&comparison, "--plot")?)
            }
        };
        output::chart(&chart, path)?;
    }
    if args.json { output::result(out, &comparison) } else { Ok(comparison.write_text(out)?) }
}
