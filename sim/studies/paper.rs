//! The paper's table of expert forward times [moepp, Table 3], and how well we predict it.
//!
//! The rows that are built in are those that the overheads of the loop over experts were fitted to
//! ([`fit`]). A model's rows are predicted *unseen* by fitting to the other models' rows only. Any
//! other file of the same columns is predicted with the fitted overheads as they stand.
//!
//! Errors are stated beside three baselines on the same rows. They are given the published vanilla
//! time of the model, which a prediction is not:
//!
//! ```text
//! ideal    t = φ · t_vanilla                                                        (1)
//! Amdahl   t = (s + (1 − s)·φ) · t_vanilla, one s for all, fitted to other models    (2)
//! others   increase = mean increase of the other models at the same τ                (3)
//! ```

use std::iter;
use std::path::Path;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::config::{Diagnostic, Overrides, ScenarioSource};
use crate::workload::Workload;

pub mod baseline;
pub mod candidates;
pub mod fit;
pub mod judge;
pub mod parts;
pub mod predictor;
pub mod range;
pub mod verdict;

/// One row of the paper's table.
#[derive(Clone, Debug, PartialEq)]
pub struct PaperRow {
    /// Model name: `"1B"`.
    pub model: String,
    /// FFN experts.
    pub ffn_experts: u32,
    /// Zero-computation experts.
    pub zero_computation_experts: u32,
    /// τ; none for vanilla.
    pub tau: Option<f64>,
    /// Published expert forward time, in milliseconds.
    pub expert_forward_ms: f64,
    /// Published throughput increase over vanilla, in percent.
    pub increase: Option<f64>,
}

impl PaperRow {
    /// φ(τ): the share of slots that FFN experts get at balance.
    #[must_use]
    pub fn ffn_share(&self) -> f64 {
        let Some(tau) = self.tau else { return 1.0 };
        let (ffn, zc) = (f64::from(self.ffn_experts), f64::from(self.zero_computation_experts));
        tau * ffn / (tau * ffn + zc)
    }

    /// Whether this row is about `workload`, none of whose sizes was changed.
    #[must_use]
    pub fn describes(&self, workload: &Workload) -> bool {
        let experts = &workload.model.experts;
        let zc = experts.zero_computation.total();
        let same_tau = match self.tau {
            None => zc == 0,
            Some(tau) => experts.tau.is_some_and(|own| (tau - own).abs() < 1e-9),
        };
        self.model == workload.model.name
            && self.ffn_experts == experts.ffn
            && self.zero_computation_experts == zc
            && same_tau
            && shipped().iter().any(|own| is_as_published(own, workload))
    }
}

/// The workloads of the built-in scenario, as the paper describes them.
fn shipped() -> &'static [Workload] {
    static SHIPPED: OnceLock<Vec<Workload>> = OnceLock::new();
    SHIPPED.get_or_init(|| {
        let paper = ScenarioSource::open("paper", Overrides::default());
        let loaded = paper.and_then(|source| source.load());
        let cases = loaded.map(|scenario| scenario.cases).unwrap_or_default();
        cases.into_iter().flat_map(|case| iter::once(case.vanilla).chain(case.moepp)).collect()
    })
}

/// Whether a workload is a shipped one but for τ: the same sizes, batch, layout and overlap.
fn is_as_published(shipped: &Workload, workload: &Workload) -> bool {
    let mut model = shipped.model.clone();
    model.experts.tau = workload.model.experts.tau;
    let alike = shipped.batch == workload.batch && shipped.layout == workload.layout;
    model == workload.model && alike && shipped.stack.overlap == workload.stack.overlap
}

/// In the names of the GPUs that the paper measured on.
pub const GPU: &str = "A100";

const BUILT_IN: &str = include_str!("../../calibrate/data/paper_moepp_table3.csv");

/// The rows that are built in.
///
/// # Panics
/// If the file that is compiled in is broken.
#[must_use]
pub fn built_in() -> &'static [PaperRow] {
    static ROWS: OnceLock<Vec<PaperRow>> = OnceLock::new();
    ROWS.get_or_init(|| parse("paper_moepp_table3.csv", BUILT_IN.as_bytes()).expect("built in"))
}

#[derive(Deserialize)]
struct CsvRow {
    model: String,
    ffn_experts: u32,
    zero_computation_experts: u32,
    tau: Option<f64>,
    expert_forward_ms: f64,
    throughput_increase_percent: Option<f64>,
}

/// Reads a table in the paper's columns.
///
/// # Errors
/// If the file cannot be read, or a row has a missing column or a value that makes no sense.
pub fn read(path: &Path) -> Result<Vec<PaperRow>, Diagnostic> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|e| {
        Diagnostic::of(&name, format!("cannot be read: {e}"), "check the path and its permissions")
    })?;
    parse(&name, &bytes)
}

/// Whether a file's first line has the paper's columns; false for files that cannot be read.
#[must_use]
pub fn looks_like(path: &Path) -> bool {
    let columns = std::fs::File::open(path).ok().and_then(|file| {
        let mut reader = csv::Reader::from_reader(file);
        Some(reader.headers().ok()?.iter().map(str::to_owned).collect::<Vec<_>>())
    });
    columns.is_some_and(|columns| {
        let has = |name: &str| columns.iter().any(|column| column == name);
        has("model") && has("ffn_experts") && has("expert_forward_ms")
    })
}

fn parse(name: &str, bytes: &[u8]) -> Result<Vec<PaperRow>, Diagnostic> {
    const COLUMNS: &str = "the columns are model, ffn_experts, zero_computation_experts, tau, \
                           expert_forward_ms, throughput_increase_percent";
    let text = String::from_utf8_lossy(bytes);
    let mut rows = Vec::new();
    for row in csv::Reader::from_reader(bytes).deserialize::<CsvRow>() {
        let row = row.map_err(|e| Diagnostic::of_csv((name, &text), &e, COLUMNS))?;
        let line = rows.len() + 2;
        let wrong = |key: &str, found: String, help: &str| {
            Diagnostic::in_cell((name, &text), (line, key), found, help)
        };
        let time = row.expert_forward_ms;
        if !(time > 0.0 && time.is_finite()) {
            let help = "give a time in milliseconds";
            return Err(wrong("expert_forward_ms", format!("found {time}"), help));
        }
        if row.ffn_experts == 0 {
            return Err(wrong("ffn_experts", "found 0".into(), "a model has at least one"));
        }
        match row.tau {
            Some(tau) if !(tau > 0.0 && tau.is_finite()) => {
                return Err(wrong("tau", format!("found {tau}"), "τ is above zero"));
            }
            None if row.zero_computation_experts > 0 => {
                return Err(wrong("tau", "found nothing".into(), "give MoE++ rows their τ"));
            }
            _ => {}
        }
        rows.push(PaperRow {
            model: row.model,
            ffn_experts: row.ffn_experts,
            zero_computation_experts: row.zero_computation_experts,
            tau: row.tau,
            expert_forward_ms: time,
            increase: row.throughput_increase_percent,
        });
    }
    Ok(rows)
}
