//! `moesim goodput`: what failures leave of a training run's throughput.

use std::io::Write;

use clap::Args;

use crate::output::progress::during;
use crate::{Failure, output};
use moesim::commands::decide::goodput::{self, DAYS, GPU_MTBF_HOURS};
use moesim::commands::words::positive;

/// A training step, and how often things fail.
#[derive(Args)]
#[command(override_usage = "moesim goodput [OPTIONS] --checkpoint-s <SECONDS> \\\n       \
                      --restart-s <SECONDS> <RESULT>")]
pub(crate) struct GoodputArgs {
    /// A scenario file whose counted is "training-step", or what `moesim run --json` printed of one.
    result: String,
    /// The MoE++ workload. Default: the first case's.
    #[arg(long)]
    workload: Option<String>,
    /// Its τ. Default: the scenario's breakdown, or its last.
    #[arg(long)]
    tau: Option<f64>,
    /// Hours between failures of one GPU, all that stops a run counted. Default: 419 in 54 days of 16,384 H100
    /// [llama3, §3.3.4].
    #[arg(long, value_name = "HOURS", default_value_t = GPU_MTBF_HOURS, value_parser = positive)]
    gpu_mtbf_hours: f64,
    /// What a checkpoint takes of training, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    checkpoint_s: f64,
    /// From a failure until training goes on from the last checkpoint, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    restart_s: f64,
    /// Work between two checkpoints, in seconds. Default: the best.
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    interval_s: Option<f64>,
    /// Days of failures to draw.
    #[arg(long, default_value_t = DAYS, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    days: u32,
    /// Override a key. Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Run what does not fit into the GPUs' memory, and say so.
    #[arg(long)]
    allow_oom: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &GoodputArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let options = goodput::Options {
        result: args.result.clone(),
        workload: args.workload.clone(),
        tau: args.tau,
        gpu_mtbf_hours: args.gpu_mtbf_hours,
        checkpoint_s: args.checkpoint_s,
        restart_s: args.restart_s,
        interval_s: args.interval_s,
        days: args.days,
        set: args.set.clone(),
        allow_oom: args.allow_oom,
    };
    let result = during("runs", || goodput::run(&options, &output::call()))?;
    if args.json { output::result(out, &result) } else { Ok(result.write_text(out)?) }
}
