//! Overheads files: what a loop over experts costs beyond its kernels, and what says so. They are
//! written by `paper::candidates`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::base::units::{Bytes, SimDuration};
use crate::config::{Count, Diagnostic, Kind, Number, Source, Written};
use crate::execution::cost::Overheads;

/// Overheads, and what else the rows that they were fitted to allow.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedOverheads {
    /// Those that a run takes.
    pub overheads: Overheads,
    /// Others that fit about as well, each with the tokens of a GPU's micro-batch that it was fitted at.
    pub alternatives: Vec<(u32, Overheads)>,
    /// Hidden sizes of the models among the rows; empty where that is not known.
    pub hidden: Vec<u32>,
    /// The GPU that the rows were measured on, where that is known.
    pub gpu: Option<String>,
}

impl From<Overheads> for FittedOverheads {
    /// Overheads that no rows were fitted to.
    fn from(overheads: Overheads) -> Self {
        Self { overheads, alternatives: Vec::new(), hidden: Vec::new(), gpu: None }
    }
}

/// Schema 2; schema 1 knew no `slot_traffic` and no `overlap`, nothing and 1.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct File {
    /// The version of this kind of file.
    schema: Count<1, 2>,
    /// Its name.
    #[serde(rename = "name")]
    _name: String,
    /// Memory traffic, over touching each operand once.
    traffic_factor: Number<1_000, 1_000_000>,
    /// Bytes that indexing each slot of an FFN expert moves.
    slot_traffic: Option<Written<Bytes>>,
    /// Launches and synchronisation for each expert visited.
    expert_visit: Written<SimDuration>,
    /// The same once for each layer.
    layer: Written<SimDuration>,
    /// How far host and device hide each other: 1 not at all, the larger the more.
    overlap: Option<Number<1_000, 1_000_000>>,
    /// What the figures were fitted to.
    fitted: Option<Fitted>,
    /// Other figures that fit about as well, for ranges.
    #[serde(default)]
    alternative: Vec<Alternative>,
}

/// For people, what the figures were fitted to and how well they reproduce it; and its hidden sizes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Fitted {
    /// The table.
    #[serde(rename = "to")]
    _to: String,
    /// Rows of it.
    #[serde(rename = "rows")]
    _rows: u32,
    /// Mean of |predicted / published − 1|.
    #[serde(rename = "mean_absolute_relative_error")]
    _error: f64,
    /// The same for models left out of the fit.
    #[serde(rename = "left_out_error")]
    _left_out: Option<f64>,
    /// Hidden sizes of the models in it.
    #[serde(default)]
    hidden: Vec<u32>,
    /// The GPU that it was timed on.
    gpu: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Alternative {
    /// The micro-batch that it was fitted at.
    tokens_per_gpu: Count<1, 1_000_000_000>,
    /// As above.
    traffic_factor: Number<1_000, 1_000_000>,
    /// As above.
    slot_traffic: Written<Bytes>,
    /// As above.
    expert_visit: Written<SimDuration>,
    /// As above.
    layer: Written<SimDuration>,
    /// As above.
    overlap: Number<1_000, 1_000_000>,
    /// Mean error for models left out of the fit.
    #[serde(rename = "left_out_error")]
    _left_out: f64,
}

/// Reads an overheads file.
///
/// # Errors
/// The first mistake found.
pub fn overheads(source: &Source) -> Result<FittedOverheads, Diagnostic> {
    let file: File = Kind::Overheads.parse(source)?;
    let missing = |key: &str| {
        let help = "schema 2 has `slot_traffic = \"0 B\"` and `overlap = 1.0` where nothing is known of them";
        source.mistake_without_span(key, "missing from a file of schema 2", help)
    };
    let (slot, overlap) = match (file.schema.0, &file.slot_traffic, &file.overlap) {
        (2, None, _) => return Err(missing("slot_traffic")),
        (2, _, None) => return Err(missing("overlap")),
        (_, slot, overlap) => (
            slot.as_ref().map_or(Bytes(0), |slot| slot.0),
            overlap.as_ref().map_or(1.0, |overlap| overlap.0),
        ),
    };
    let alternative = |other: &Alternative| {
        let overheads = Overheads {
            traffic_factor: other.traffic_factor.0,
            slot_traffic: other.slot_traffic.0,
            expert_visit: other.expert_visit.0,
            layer: other.layer.0,
            overlap: other.overlap.0,
        };
        (other.tokens_per_gpu.0, overheads)
    };
    let (hidden, gpu) = file.fitted.map(|fitted| (fitted.hidden, fitted.gpu)).unwrap_or_default();
    Ok(FittedOverheads {
        overheads: Overheads {
            traffic_factor: file.traffic_factor.0,
            slot_traffic: slot,
            expert_visit: file.expert_visit.0,
            layer: file.layer.0,
            overlap,
        },
        alternatives: file.alternative.iter().map(alternative).collect(),
        hidden,
        gpu,
    })
}
