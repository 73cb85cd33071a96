//! A study as people read it, and as machines do.

mod json;
mod link_use;
mod memory;
pub mod pictures;
pub mod predicted_measured;
mod ranges;
mod stands_on;
mod sweep;
mod text;

pub use json::{Asked, json_of, write_json};
pub use link_use::{cluster_chart, link_use};
pub use memory::{memories_json, memory_json, not_stated, write_memory};
pub use stands_on::{stands_on_json, write_phase, write_stands_on};
pub use sweep::{any_drawing, chart, check_drawings, draw, write_sweep};
pub use text::write_text;

use crate::studies::study::Row;

/// The paper's own result for a row, where it has one [moepp, Table 3].
#[must_use]
pub fn published(row: &Row) -> Option<&'static crate::studies::paper::PaperRow> {
    crate::studies::paper::built_in().iter().find(|paper| paper.describes(&row.workload))
}
