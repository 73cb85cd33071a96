//! What `compare`, `plan` and `layouts` share on the command line.

use clap::Args;

use moesim::commands::decide::comparison::Options;
use moesim::commands::with_precision;
use moesim::commands::words::{scope, seeds};
use moesim::config::Seeds;
use moesim::execution::Scope;

/// A pair of workloads and how to run them.
#[derive(Args, Clone)]
pub(crate) struct ComparisonArgs {
    /// The vanilla workload: built in, or a file. Alone, nothing is said of MoE++. Default, with no --moepp: moe-1b
    /// and moepp-1b.
    #[arg(long, value_name = "WORKLOAD")]
    vanilla: Option<String>,
    /// The MoE++ workload to compare with it, or alone.
    #[arg(long, value_name = "WORKLOAD")]
    moepp: Option<String>,
    /// What is counted: experts, moe-layer, model-forward, layer-training or training-step.
    #[arg(long, default_value = "moe-layer", value_parser = scope)]
    counted: Scope,
    /// Seeds, half open.
    #[arg(long, default_value = "0..8", value_parser = seeds)]
    seeds: Seeds,
    /// Draw no calibration error: take times of kernels and links as predicted. One seed alone draws none.
    #[arg(long, visible_alias = "certain")]
    no_calibration_error: bool,
    /// What a loop over experts costs beyond its kernels. Default: moepp-loop where experts run one
    /// after another, none where they are grouped.
    #[arg(long, value_name = "NAME")]
    overheads: Option<String>,
    /// Refuse kernels whose constants are borrowed from another kernel, format or GPU.
    #[arg(long)]
    strict: bool,
    /// Override a key, as in --set workload.batch.tokens_per_gpu=4096. Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// How exactly the mean time over seeds is wanted, as in 0.5%: no more is simulated than that takes. Default: exact,
    /// which is all, or what the scenario says.
    #[arg(long, value_name = "PERCENT")]
    precision: Option<String>,
    /// Run what does not fit into the GPUs' memory, and say so.
    #[arg(long)]
    allow_oom: bool,
}

impl ComparisonArgs {
    /// As values.
    pub(crate) fn options(&self) -> Options {
        Options {
            vanilla: self.vanilla.clone(),
            moepp: self.moepp.clone(),
            counted: self.counted,
            seeds: self.seeds.clone(),
            no_calibration_error: self.no_calibration_error,
            overheads: self.overheads.clone(),
            strict: self.strict,
            set: with_precision(&self.set, self.precision.as_deref()),
            allow_oom: self.allow_oom,
        }
    }
}
