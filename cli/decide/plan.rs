//! `moesim plan`: which τ meets a target at the least loss of quality.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::arguments::comparison::ComparisonArgs;
use crate::output::progress::during;
use crate::{Failure, output};
use moesim::commands::decide::plan;
use moesim::commands::words::{positive, probability, tau};
use moesim::output::pictures;
use moesim::studies::planner::Target;

/// A model, clusters and a target.
#[derive(Args)]
#[command(
    after_help = "Ends with status 0 whether or not anything meets the target; `met` in --json tells.",
    group(clap::ArgGroup::new("target").required(true)),
    override_usage = "moesim plan [OPTIONS] <TARGET> <CLUSTERS>...\n       \
                      TARGET: --tokens-per-s, --step-ms or --layer-ms with a NUMBER"
)]
pub(crate) struct PlanArgs {
    /// The clusters: built in or files, each NAME or NAME=PROFILE.
    #[arg(required = true, num_args = 1..)]
    clusters: Vec<String>,
    /// At least this many tokens per second, all GPUs together.
    #[arg(long, group = "target", value_name = "NUMBER", value_parser = positive)]
    tokens_per_s: Option<f64>,
    /// At most this many milliseconds for a step of all micro-batches.
    #[arg(long, group = "target", value_name = "NUMBER", value_parser = positive)]
    step_ms: Option<f64>,
    /// At most this many milliseconds for a layer of a micro-batch, on average.
    #[arg(long, group = "target", value_name = "NUMBER", value_parser = positive)]
    layer_ms: Option<f64>,
    /// With this probability.
    #[arg(long, default_value_t = 0.9, value_parser = probability)]
    probability: f64,
    /// A price book; the built-in one if not given.
    #[arg(long)]
    prices: Option<PathBuf>,
    /// Leave out clusters that cost more, GPUs and network, in US dollars by the price book.
    #[arg(long, value_name = "USD", value_parser = positive)]
    max_usd: Option<f64>,
    /// τ to look at first; the edge between them is found by bisection. Default: 0.1,0.15,0.25,0.4,0.5,0.75,1,1.5,2 and
    /// those of --quality.
    #[arg(long, value_delimiter = ',', value_parser = tau)]
    tau: Vec<f64>,
    /// Quality over τ: a CSV with columns tau (empty for vanilla) and quality, and noise if the points' standard deviations
    /// are known. Default: the paper's.
    #[arg(long, value_name = "FILE")]
    quality: Option<PathBuf>,
    #[command(flatten)]
    comparison: ComparisonArgs,
    /// Draw quality against throughput, and the Pareto front, into this .svg or .png.
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &PlanArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let target = match (args.tokens_per_s, args.step_ms, args.layer_ms) {
        (Some(least), _, _) => Target::TokensPerSec(least),
        (_, Some(most), _) => Target::StepMs(most),
        (_, _, most) => Target::LayerMs(most.unwrap_or(f64::INFINITY)),
    };
    let options = plan::Options {
        clusters: args.clusters.clone(),
        target,
        probability: args.probability,
        prices: args.prices.clone(),
        max_usd: args.max_usd,
        taus: args.tau.clone(),
        quality: args.quality.clone(),
        comparison: args.comparison.options(),
    };
    let result = during("runs", || plan::run(&options, &output::call()))?;
    if let Some(path) = &args.plot {
        output::chart(&pictures::front_chart(&result, "--plot")?, path)?;
    }
    if args.json { output::result(out, &result) } else { Ok(result.write_text(out)?) }
}
