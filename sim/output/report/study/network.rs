//! Which engine carried the exchanges, and what is known of its error.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{StudyResult, word};
use crate::config::Scenario;
use crate::network::NetworkReport;
use crate::network::fluid::Engine;
use crate::output::report::shared::wrapped::wrapped;
use crate::studies::study::Row;
use crate::workload::Overlap;

/// The exchanges of one workload, over all seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkUse {
    /// The engine; the costlier one where runs differ.
    #[serde(with = "word")]
    #[schemars(with = "word::OneOf<Engine>")]
    pub engine: Engine,
    /// How tokens travel.
    #[serde(default)]
    pub all_to_all: String,
    /// What exchanges run beside, where that is more than local experts: `two-batch`, `single-batch`, `4 chunks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<String>,
    /// Exchanges with bytes for the network.
    pub exchanges: u64,
    /// Transfers of these exchanges.
    pub flows: u64,
    /// The relative error that the engine keeps for an exchange, where it keeps one.
    pub error_bound: Option<f64>,
    /// Exchanges for which the closed form's certificate held; all of them for other engines.
    pub certified_exchanges: u64,
    /// Exchanges solved a second time as flows.
    pub measured_exchanges: u64,
    /// Mean difference between the two; positive where the closed form is late.
    pub mean_measured_error: Option<f64>,
    /// Greatest difference between the two.
    pub worst_measured_error: Option<f64>,
}

impl NetworkUse {
    /// None where there were no exchanges.
    pub(super) fn of(scenario: &Scenario, row: &Row) -> Option<Self> {
        let report = &row.network_report;
        let overlap = row.workload.stack.overlap;
        let measured = (report.measured > 0).then_some(report);
        (report.exchanges > 0).then(|| Self {
            engine: report.engine,
            all_to_all: scenario.algorithms([&row.workload]),
            overlap: (overlap != Overlap::None).then(|| overlap_of(row)),
            exchanges: report.exchanges,
            flows: report.flows,
            error_bound: report.error_bound,
            certified_exchanges: report.certified,
            measured_exchanges: report.measured,
            mean_measured_error: measured.map(|report| report.mean_measured),
            worst_measured_error: measured.map(|report| report.worst_measured),
        })
    }

    fn report(&self) -> NetworkReport {
        NetworkReport {
            engine: self.engine,
            exchanges: self.exchanges,
            flows: self.flows,
            error_bound: self.error_bound,
            certified: self.certified_exchanges,
            measured: self.measured_exchanges,
            worst_measured: self.worst_measured_error.unwrap_or_default(),
            mean_measured: self.mean_measured_error.unwrap_or_default(),
        }
    }
}

/// What exchanges of a row run beside.
fn overlap_of(row: &Row) -> String {
    let overlap = row.workload.stack.overlap;
    if overlap != Overlap::BestChunks {
        return overlap.to_string();
    }
    let list = |of: &[u32]| of.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let tokens = row.workload.batch.tokens_per_gpu;
    let tried: Vec<u32> = Overlap::tried(tokens).collect();
    if tried == [1] {
        return format!("no chunks: none of 2, 4 and 8 divides {tokens} tokens");
    }
    format!("chunks: {}, the best of {}", list(&row.best_chunks), list(&tried))
}

/// A line for each engine that carried exchanges.
pub(super) fn write(result: &StudyResult, out: &mut dyn Write) -> io::Result<()> {
    let all: Vec<&NetworkUse> =
        result.results.iter().filter_map(|row| row.network.as_ref()).collect();
    for engine in [Engine::ClosedForm, Engine::Exact, Engine::Quantised] {
        let carried = || all.iter().filter(|one| one.engine == engine);
        let reports = carried().map(|one| one.report());
        if let Some(report) = reports.reduce(|all, one| all.and(&one)) {
            let mut names: Vec<String> = Vec::new();
            for one in carried().filter(|one| !one.all_to_all.is_empty()) {
                let overlap = one.overlap.as_ref();
                let overlap =
                    overlap.map_or_else(String::new, |how| format!(" overlapped ({how})"));
                let name = format!("{} all-to-all{overlap}", one.all_to_all);
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            line(&names.join(", "), &report, out)?;
        }
    }
    if all.is_empty() { Ok(()) } else { writeln!(out) }
}

fn line(algorithms: &str, report: &NetworkReport, out: &mut dyn Write) -> io::Result<()> {
    let engine = report.engine;
    let error = match report.error_bound {
        Some(error) if engine == Engine::Quantised => {
            format!("times of exchanges within about {}%", 100.0 * error)
        }
        Some(_) => "exact but for rounding".to_owned(),
        None => {
            let share = 100.0 * report.certified as f64 / report.exchanges as f64;
            format!("{share:.0}% of exchanges certified;")
        }
    };
    let text = format!("{algorithms}, {} engine: {error}", engine.name());
    wrapped(out, "network: ", &text)?;
    if report.error_bound.is_some() {
        return Ok(());
    }
    if report.measured == 0 {
        return writeln!(
            out,
            "         none of them was shared exactly, so their error is not known"
        );
    }
    writeln!(
        out,
        "         {} of them shared exactly: {:+.1}% on average, {:.1}% at worst",
        report.measured,
        100.0 * report.mean_measured,
        100.0 * report.worst_measured
    )
}
