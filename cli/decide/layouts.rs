//! `moesim layouts`: how to lay a workload over clusters.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::arguments::choice;
use crate::arguments::comparison::ComparisonArgs;
use crate::output::progress::Progress;
use crate::{Failure, output};
use moesim::commands::decide::layouts;
use moesim::commands::words::{library, overlap, size, tau};
use moesim::output::pictures;
use moesim::studies::layouts::{Objective, Space};
use moesim::workload::{ExchangeLibrary, Overlap};

/// A workload, clusters, and what may be varied.
#[derive(Args)]
pub(crate) struct LayoutsArgs {
    /// The clusters: built in or files, each NAME or NAME=PROFILE.
    #[arg(required = true, num_args = 1..)]
    clusters: Vec<String>,
    /// What is wanted most.
    #[arg(long = "for", value_parser = choice::parser::<Objective>(), default_value = "throughput")]
    objective: Objective,
    /// Expert-parallel sizes. Default: all that divide experts and leave at most an eighth of the GPUs idle.
    #[arg(long, value_name = "GPUS", value_delimiter = ',', value_parser = size)]
    ep: Vec<u32>,
    /// Sizes that the width of each expert is cut over: 1, expert parallelism alone. Default: the workload's.
    #[arg(long, value_name = "GPUS", value_delimiter = ',', value_parser = size)]
    etp: Vec<u32>,
    /// Tensor-parallel sizes. Default: powers of two within a node, where attention counts.
    #[arg(long, value_name = "GPUS", value_delimiter = ',', value_parser = size)]
    tp: Vec<u32>,
    /// Pipeline stages. Default: 1, 2, 4 and 8, where the whole model counts.
    #[arg(long, value_name = "STAGES", value_delimiter = ',', value_parser = size)]
    pp: Vec<u32>,
    /// Tokens on a GPU in a micro-batch. Default: a quarter to four times the workload's.
    #[arg(long, value_delimiter = ',', value_parser = size)]
    tokens: Vec<u32>,
    /// Exchange libraries. Default: the workload's, or all that the profile has.
    #[arg(long, value_delimiter = ',', value_parser = library)]
    library: Vec<ExchangeLibrary>,
    /// What exchanges of a forward pass run beside: none, two-batch, single-batch, chunks, chunks=N. Default: the workload's.
    #[arg(long, value_delimiter = ',', value_parser = overlap)]
    overlap: Vec<Overlap>,
    /// τ; layouts of different τ never drop each other. Default: the workload's.
    #[arg(long, value_delimiter = ',', value_parser = tau)]
    tau: Vec<f64>,
    /// Run every layout, those too that their bounds would drop.
    #[arg(long)]
    exhaustive: bool,
    #[command(flatten)]
    comparison: ComparisonArgs,
    /// A price book; the built-in one if not given.
    #[arg(long)]
    prices: Option<PathBuf>,
    /// Draw the layouts that none beats, throughput against step time, into this .svg or .png.
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &LayoutsArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let space = Space {
        expert_parallel: args.ep.clone(),
        expert_tensor_parallel: args.etp.clone(),
        tensor_parallel: args.tp.clone(),
        pipeline_parallel: args.pp.clone(),
        tokens_per_gpu: args.tokens.clone(),
        libraries: args.library.clone(),
        overlaps: args.overlap.clone(),
        taus: args.tau.clone(),
    };
    let options = layouts::Options {
        clusters: args.clusters.clone(),
        objective: args.objective,
        space,
        exhaustive: args.exhaustive,
        comparison: args.comparison.options(),
        prices: args.prices.clone(),
    };
    let progress = Progress::new(0, "steps of layouts", false);
    let told = |done: usize, all: usize| progress.of(done, all);
    let result = layouts::run(&options, &output::call(), &told)?;
    drop(progress);
    if let Some(path) = &args.plot {
        output::chart(&pictures::layouts_chart(&result), path)?;
    }
    if args.json { output::result(out, &result) } else { Ok(result.write_text(out)?) }
}
