//! `moesim advise`: does MoE++ pay here, and where does that turn?

use std::io::Write;

use clap::Args;

use crate::output::progress::during;
use crate::{Failure, output};
use moesim::commands::decide::advise;
use moesim::commands::words::{scope, seeds, tau, worth};
use moesim::config::Seeds;
use moesim::execution::Scope;
use moesim::studies::advise::WORTH_PERCENT;

/// A scenario, or a workload and a cluster.
#[derive(Args)]
pub(crate) struct AdviseArgs {
    /// A scenario file, the name of a built-in one, or what `moesim run --json` printed; with
    /// --topology a vanilla workload.
    what: String,
    /// The cluster to run the workload on: NAME or NAME=PROFILE, with calibration error drawn.
    #[arg(long, value_name = "CLUSTER")]
    topology: Option<String>,
    /// What is counted, with --topology: experts, moe-layer, model-forward, layer-training or
    /// training-step.
    #[arg(long, requires = "topology", default_value = "model-forward", value_parser = scope)]
    counted: Scope,
    /// Seeds, half open, with --topology.
    #[arg(long, requires = "topology", default_value = "0..8", value_parser = seeds)]
    seeds: Seeds,
    /// The workload to advise on, vanilla or MoE++. Default: the first case's.
    #[arg(long)]
    workload: Option<String>,
    /// Its τ: of those of the scenario, or any of a twin that is derived. Default: the scenario's breakdown, or its
    /// last; the paper's for a twin.
    #[arg(long, value_parser = tau)]
    tau: Option<f64>,
    /// The gain in percent from which MoE++ pays.
    #[arg(long, value_name = "PERCENT", default_value_t = WORTH_PERCENT, value_parser = worth)]
    worth: f64,
    /// Override a key. Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Refuse kernels whose constants are borrowed from another kernel, format or GPU.
    #[arg(long)]
    strict: bool,
    /// Run what does not fit into the GPUs' memory, and say so.
    #[arg(long)]
    allow_oom: bool,
    /// Print JSON instead of sentences.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &AdviseArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let options = advise::Options {
        what: args.what.clone(),
        topology: args.topology.clone(),
        counted: args.counted,
        seeds: args.seeds.clone(),
        workload: args.workload.clone(),
        tau: args.tau,
        worth: args.worth,
        set: args.set.clone(),
        strict: args.strict,
        allow_oom: args.allow_oom,
    };
    let result = during("runs", || advise::run(&options, &output::call()))?;
    if args.json { output::result(out, &result) } else { Ok(result.write_text(out)?) }
}
