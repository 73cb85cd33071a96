//! `moesim explain`: why a result is what it is, in a dozen lines.

use std::io::Write;

use clap::Args;

use crate::output::progress::during;
use crate::{Failure, output};
use moesim::commands::decide::explain;

/// A scenario, or the JSON of a run of one.
#[derive(Args)]
pub(crate) struct ExplainArgs {
    /// A scenario file, the name of a built-in one, or what `moesim run --json` printed.
    result: String,
    /// The MoE++ workload to explain. Default: the first case's.
    #[arg(long)]
    workload: Option<String>,
    /// Its τ. Default: the scenario's breakdown, or its last.
    #[arg(long)]
    tau: Option<f64>,
    /// Override a key. Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Run what does not fit into the GPUs' memory, and say so.
    #[arg(long)]
    allow_oom: bool,
    /// Print JSON instead of sentences.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &ExplainArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let options = explain::Options {
        result: args.result.clone(),
        workload: args.workload.clone(),
        tau: args.tau,
        set: args.set.clone(),
        allow_oom: args.allow_oom,
    };
    let told = during("runs", || explain::run(&options, &output::call()))?;
    if args.json { output::result(out, &told) } else { Ok(told.write_text(out)?) }
}
