//! A study as people read it, and as machines do.

mod json;
mod link_use;
mod memory;
pub mod pictures;
pub mod predicted_measured;
mod ranges;
mod setting;
mod stands_on;
mod sweep;
mod text;

pub use json::{Asked, json_of, write_json};
pub use link_use::{cluster_chart, link_use};
pub use memory::{memories_json, memory_json, not_stated, write_memory};
pub use setting::{setting_json, write_assumed_phase, write_counted, write_setting};
pub use stands_on::{stands_on_json, write_gate_draws, write_phase, write_stands_on};
pub use sweep::{any_drawing, chart, check_drawings, write_sweep};
pub use text::write_text;

use crate::config::Scenario;
use crate::execution::cost::operations_per_token;
use crate::studies::study::Row;
use crate::workload::Dtype;

/// Model operations of a training step per second of one GPU.
#[must_use]
pub fn model_flops(scenario: &Scenario, row: &Row) -> f64 {
    let tokens = row.tokens_per_sec.mean / f64::from(scenario.topology.gpus());
    tokens * operations_per_token(&row.workload)
}

/// The data sheet's rate of products in a row's format, which MFU is a share of.
#[must_use]
pub fn peak(scenario: &Scenario, row: &Row) -> f64 {
    let gpu = scenario.topology.gpu();
    let of_format = match row.workload.batch.dtype {
        Dtype::Fp8 => gpu.peak_fp8,
        Dtype::Bf16 => None,
    };
    of_format.unwrap_or(gpu.peak_bf16).flops_per_sec()
}

/// The paper's own result for a row, where it has one [moepp, Table 3] and the GPUs are the paper's.
#[must_use]
pub fn published(
    scenario: &Scenario,
    row: &Row,
) -> Option<&'static crate::studies::paper::PaperRow> {
    let same = scenario.topology.gpu().name.contains(crate::studies::paper::GPU);
    let mut rows = crate::studies::paper::built_in().iter().filter(|_| same);
    rows.find(|paper| paper.describes(&row.workload))
}
