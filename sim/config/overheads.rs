//! Overheads files: what a loop over experts costs beyond its kernels, and what says so.

use std::fmt::Write as _;

use serde::Deserialize;

use super::{Count, Mistake, Number, Source, Written};
use crate::cost::Overheads;
use crate::paper::fit::Fit;
use crate::units::SimDuration;

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
pub fn overheads(source: &Source) -> Result<Overheads, Mistake> {
    let file: File = source.parse()?;
    Ok(Overheads {
        traffic_factor: file.traffic_factor.0,
        expert_visit: file.expert_visit.0,
        layer: file.layer.0,
    })
}

/// An overheads file for a fit, as `moesim fit-overheads` writes it.
#[must_use]
pub fn overheads_file(name: &str, fit: &Fit, fitted_to: &str) -> String {
    let Overheads { traffic_factor, expert_visit, layer } = fit.overheads;
    let mut text = String::new();
    let _ = write!(
        text,
        "# Written by `moesim fit-overheads`. Do not edit: fit again.\n\
         #\n\
         # What a loop over experts costs beyond its kernels (the meaning is in sim/cost.rs, eq. 4-6):\n\
         # memory traffic as a multiple of touching each operand once, launching and synchronising for\n\
         # each expert visited, and once for each layer.\n\
         schema         = 1\n\
         name           = \"{name}\"\n\
         traffic_factor = {traffic_factor:.3}\n\
         expert_visit   = \"{:.2} us\"\n\
         layer          = \"{:.2} us\"\n\
         \n\
         [fitted]\n\
         to   = \"{fitted_to}\"\n\
         rows = {}\n\
         mean_absolute_relative_error = {:.4}\n",
        expert_visit.us(),
        layer.us(),
        fit.rows,
        fit.residual,
    );
    text
}
