//! Overheads files: what a loop over experts costs beyond its kernels, and what says so. They are
//! written by `paper::fit`.

use serde::Deserialize;

use super::{Count, Diagnostic, Kind, Number, Source, Written};
use crate::base::units::SimDuration;
use crate::execution::cost::Overheads;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "schema")]
    _schema: Count<1, 1>,
    #[serde(rename = "name")]
    _name: String,
    traffic_factor: Number<1_000, 1_000_000>,
    expert_visit: Written<SimDuration>,
    layer: Written<SimDuration>,
    #[serde(rename = "fitted")]
    _fitted: Option<Fitted>,
}

/// Kept for people: what the figures were fitted to, and how well they reproduce it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fitted {
    #[serde(rename = "to")]
    _to: String,
    #[serde(rename = "rows")]
    _rows: u32,
    #[serde(rename = "mean_absolute_relative_error")]
    _error: f64,
}

/// Reads an overheads file.
///
/// # Errors
/// The first mistake found.
pub fn overheads(source: &Source) -> Result<Overheads, Diagnostic> {
    let file: File = Kind::Overheads.parse(source)?;
    Ok(Overheads {
        traffic_factor: file.traffic_factor.0,
        expert_visit: file.expert_visit.0,
        layer: file.layer.0,
    })
}
