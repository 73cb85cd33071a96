//! Rows of `hybrid_ep.csv`, what Hybrid-EP's authors publish of its dispatch and combine.

use std::path::Path;

use serde::Deserialize;

use super::ExchangeRow;
use crate::base::table::TableError;
use crate::kernels::exchange::{EXPERTS_OF_GPU, ExchangeShape, Library, distinct_groups};

/// What all of it was measured with: tokens of a GPU, numbers of a token, picks.
const TOKENS: u32 = 4096;
const HIDDEN: u32 = 7168;
const TOP_K: u32 = 8;

/// A line as it is written.
#[derive(Deserialize)]
struct Line {
    gpu: String,
    nodes: u32,
    ranks: u32,
    sms: u32,
    op: String,
    format: String,
    /// GB/s of the whole call, and of its kernel alone.
    api: f64,
    kernel: f64,
}

impl ExchangeRow {
    /// The rows of these devices. Rates count each GPU of a domain, or each domain of several, that a token reaches,
    /// the own one too.
    ///
    /// # Errors
    /// If the file cannot be read, or a line is not of this schema.
    pub fn of_hybrid_ep(path: &Path, devices: &[&str]) -> Result<Vec<Self>, TableError> {
        let wrong = |found: String| TableError {
            table: path.display().to_string(),
            column: None,
            found,
            help: "the columns are gpu, nodes, ranks, sms, op, format, api, kernel".to_owned(),
        };
        let reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_path(path);
        let mut reader = reader.map_err(|error| wrong(error.to_string()))?;
        let lines: Result<Vec<Line>, csv::Error> = reader.deserialize().collect();
        let lines = lines.map_err(|error| wrong(error.to_string()))?;
        Ok(lines
            .iter()
            .filter(|line| devices.contains(&line.gpu.as_str()))
            .map(Line::row)
            .collect())
    }
}

impl Line {
    fn row(&self) -> ExchangeRow {
        let experts = EXPERTS_OF_GPU * self.ranks;
        let reached = if self.nodes > 1 { self.nodes } else { self.ranks };
        // Dispatch in 8 bits is a family of its own: on few SMs its engines, not links, bind.
        let (bytes, format) = if self.format == "fp8" { (1.0, "/fp8") } else { (2.0, "") };
        let moved = bytes
            * f64::from(TOKENS)
            * f64::from(HIDDEN)
            * distinct_groups(reached, experts, TOP_K);
        ExchangeRow {
            name: format!("{}/{}{format}", Library::HybridEp.name(), self.op),
            library: Library::HybridEp,
            bytes,
            shape: ExchangeShape {
                groups: self.nodes,
                hidden: HIDDEN,
                top_k: TOP_K,
                experts,
                sms: self.sms,
                ranks: self.ranks / self.nodes.max(1),
            },
            tokens: TOKENS,
            seconds: moved / (self.api * 1e9),
            kernel_s: Some(moved / (self.kernel * 1e9)),
        }
    }
}
