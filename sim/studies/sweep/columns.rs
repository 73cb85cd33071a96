//! The columns of a sweep's results, and what each holds.

use crate::execution::blame::Reason;

/// A column's name and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its name; the unit is its last word.
    pub name: &'static str,
    /// What it holds.
    pub holds: &'static str,
}

const fn column(name: &'static str, holds: &'static str) -> Description {
    Description { name, holds }
}

/// Columns of every sweep, behind those of what varies and before those of the blame table.
pub const COLUMNS: [Description; 26] = [
    column("point", "number of the point among all combinations of what varies, from 0"),
    column("seed", "seed of the run; vanilla and MoE++ of one seed share random numbers"),
    column("workload", "name of the workload"),
    column("model", "name of the model"),
    column("moepp", "1 for MoE++, 0 for vanilla"),
    column("tau", "τ of eq. 7; absent for vanilla"),
    column("ffn_experts", "FFN experts of a layer"),
    column("zero_computation_experts", "zero, copy and constant experts of a layer"),
    column("gpus", "GPUs of the cluster"),
    column("gpu", "the GPU's name"),
    column("counted", "what `time_ms` is the time of: experts, moe-layer or model-forward"),
    column("time_ms", "the time counted, of one step"),
    column("vanilla_time_ms", "the same of the vanilla run of this seed"),
    column("throughput_increase_percent", "100 · (vanilla_time_ms / time_ms − 1)"),
    column("makespan_ms", "until the slowest GPU is done"),
    column(
        "tokens_per_s",
        "tokens that what is counted yields, all GPUs together: without drafts that are not accepted",
    ),
    column("tokens_per_s_per_gpu", "the same for one GPU"),
    column("ffn_share", "realised share of slots given to FFN experts"),
    column("drop_share", "share of slots dropped"),
    column("padded_share", "rows computed as padding over slots given to FFN experts"),
    column("dispatched_mb", "bytes sent to other GPUs by all dispatches, in 10⁶ bytes"),
    column(
        "hidden_zero_computation_ms",
        "work of shared and zero-computation experts under exchanges, mean over GPUs",
    ),
    column("busiest_gpu", "the GPU that waited least"),
    column("waiting_share", "time waiting for other GPUs over makespan, mean over GPUs"),
    column(
        "time_half_width_ms",
        "half the 95 % interval of `time_ms` where a sample was simulated; 0 of a whole run",
    ),
    column("simulated_share", "share of the run's micro-batches or layers that were simulated"),
];

/// The column of a reason of the blame table.
#[must_use]
pub fn blame_column(reason: Reason) -> (String, String) {
    let name = format!("{}_ms", reason.key());
    (name, format!("time blamed on “{}”, mean over GPUs", reason.label()))
}
