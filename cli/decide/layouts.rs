//! `moesim layouts`: how to lay a workload over clusters.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::arguments::choice;
use crate::arguments::comparison::{ComparisonArgs, price_book, tau};
use crate::output::progress::Progress;
use crate::{Failure, output};
use moesim::base::threads;
use moesim::config::Diagnostic;
use moesim::output::pictures;
use moesim::output::report::layouts::LayoutsResult;
use moesim::studies::compare::{ClusterCase, Equal};
use moesim::studies::layouts::{Objective, Space, search_told};
use moesim::workload::ExchangeLibrary;

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
    /// τ; layouts of different τ never drop each other. Default: the workload's.
    #[arg(long, value_delimiter = ',', value_parser = tau, allow_negative_numbers = true)]
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

/// Refuses an answer without a layout: says why none can be run.
fn refuse_none(clusters: &[String], result: &LayoutsResult) -> Result<(), Failure> {
    if !result.front.is_empty() {
        return Ok(());
    }
    let found = format!("no layout of {} can be run: {}", result.workload, result.counted());
    let why = result.too_large_why.as_ref().or(result.refused_why.as_ref());
    let why = why.map_or_else(|| "name other sizes".to_owned(), |why| format!("of one: {why}"));
    Err(Diagnostic::of(clusters.join(", "), found, why).into())
}

fn size(text: &str) -> Result<u32, String> {
    let number = text.trim().parse::<u32>().ok().filter(|size| (1..=16_777_216).contains(size));
    number.ok_or_else(|| "give a whole number from 1 to 16777216".to_owned())
}

fn library(text: &str) -> Result<ExchangeLibrary, String> {
    let found = ExchangeLibrary::ALL.into_iter().find(|library| library.word() == text);
    let words = ExchangeLibrary::ALL.map(ExchangeLibrary::word).join(", ");
    found.ok_or_else(|| format!("choose from: {words}"))
}

pub(crate) fn run(args: &LayoutsArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let (book, prices) = price_book(args.prices.as_deref())?;
    let mut clusters = Vec::new();
    for (name, mut scenario) in args.comparison.on_each(&args.clusters)? {
        // All layouts of a cluster share its calibration: drawn errors would only blur their order and bounds.
        scenario.calibration_uncertainty = false;
        let case = ClusterCase::new(name, scenario, &book);
        if args.objective == Objective::Cost {
            crate::compare::refuse_unpriced(Equal::Cost, &case, &book)?;
        }
        clusters.push(case);
    }
    let space = Space {
        expert_parallel: args.ep.clone(),
        tensor_parallel: args.tp.clone(),
        pipeline_parallel: args.pp.clone(),
        tokens_per_gpu: args.tokens.clone(),
        libraries: args.library.clone(),
        taus: args.tau.clone(),
    };
    let progress = Progress::new(0, "steps of layouts", false);
    let told = |done: usize, all: usize| progress.of(done, all);
    let asked = (args.objective, args.exhaustive);
    let found = search_told(&clusters, &space, asked, threads::available(), &told)?;
    drop(progress);
    let own = clusters.iter().flat_map(|case| case.scenario.ingredients.inputs.clone());
    let made_by = crate::reproduce::made_by(own.chain(prices));
    let asked = (args.objective, args.comparison.set.as_slice());
    let result = LayoutsResult::of(made_by, asked, &clusters, &found);
    refuse_none(&args.clusters, &result)?;
    if let Some(path) = &args.plot {
        output::chart(&pictures::layouts_chart(&result), path)?;
    }
    if args.json { output::result(out, &result) } else { Ok(result.write_text(out)?) }
}
