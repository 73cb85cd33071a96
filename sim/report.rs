//! A study as people read it, and as machines do.

mod json;
mod pictures;
mod ranges;
mod sweep;
mod text;

pub use json::{Asked, write_json};
pub use pictures::{breakdown_chart, gain_chart};
pub use sweep::{check_drawings, draw, write_sweep};
pub use text::write_text;

use crate::study::Row;

/// The paper's own result for a row, where it has one [moepp, Table 3].
#[must_use]
pub fn published(row: &Row) -> Option<&'static crate::paper::PaperRow> {
    crate::paper::built_in().iter().find(|paper| paper.describes(&row.workload))
}
