//! A study as JSON: units are the last word of each name, absent values are null.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{link_use, published, stands_on_json};
use crate::base::statistics::{Estimate, Range};
use crate::config::Scenario;
use crate::execution::Scope;
use crate::execution::blame::Reason;
use crate::execution::lowering::draws_of;
use crate::execution::run::{NCCL_SMS, slowdown};
use crate::network::NetworkReport;
use crate::studies::study::Row;

/// What a user asked for, so that a result can be explained later.
#[derive(Serialize)]
pub struct Asked<'a> {
    /// The scenario's name or file.
    pub scenario: &'a str,
    /// Its overrides.
    pub set: &'a [String],
    /// The version that answered.
    pub moesim: &'a str,
    /// What whoever runs it says of how it was made, so that it can be made again.
    #[serde(skip)]
    pub made_by: Value,
}

#[derive(Serialize)]
struct Report<'a> {
    asked: &'a Asked<'a>,
    made_by: &'a Value,
    scenario: &'a str,
    counted: &'static str,
    topology: &'a str,
    gpus: u32,
    gpu: &'a str,
    profile: &'a str,
    profile_device: &'a str,
    profile_borrowed: bool,
    does_not_fit: &'a [String],
    overheads: &'a str,
    all_to_all: String,
    first_seed: u64,
    seeds: u64,
    calibration_uncertainty: bool,
    breakdown_tau: Option<f64>,
    results: Vec<Value>,
}

/// Writes the study as one JSON object with an array `results`.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_json(
    out: &mut dyn Write,
    asked: &Asked<'_>,
    scenario: &Scenario,
    rows: &[Row],
) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &report(asked, scenario, rows))?;
    writeln!(out)
}

/// The same as a value, to draw it.
///
/// # Errors
/// None that a sound study leads to.
pub fn json_of(asked: &Asked<'_>, scenario: &Scenario, rows: &[Row]) -> io::Result<Value> {
    Ok(serde_json::to_value(report(asked, scenario, rows))?)
}

fn report<'a>(asked: &'a Asked<'a>, scenario: &'a Scenario, rows: &[Row]) -> Report<'a> {
    let from = &scenario.ingredients;
    Report {
        asked,
        made_by: &asked.made_by,
        scenario: &scenario.name,
        counted: scenario.counted.word(),
        topology: &from.topology,
        gpus: scenario.topology.gpus(),
        gpu: &scenario.topology.gpu().name,
        profile: &from.profile,
        profile_device: &scenario.profile.device,
        profile_borrowed: scenario.profile_borrowed,
        does_not_fit: &scenario.oom,
        overheads: &from.overheads,
        all_to_all: scenario.algorithms(rows.iter().map(|row| &row.workload)),
        first_seed: scenario.seeds.start,
        seeds: scenario.seeds.end - scenario.seeds.start,
        calibration_uncertainty: scenario.calibration_uncertainty,
        breakdown_tau: scenario.breakdown_tau,
        results: rows.iter().map(|row| result(scenario, row)).collect(),
    }
}

fn result(scenario: &Scenario, row: &Row) -> Value {
    let counted = scenario.counted;
    let experts = row.workload.model.experts;
    let mut object = Map::new();
    object.insert("workload".into(), json!(row.workload.name));
    object.insert("model".into(), json!(row.workload.model.name));
    object.insert("ffn_experts".into(), json!(experts.ffn));
    object.insert("zero_computation_experts".into(), json!(experts.zero_computation.total()));
    object.insert("tau".into(), json!(row.tau()));
    estimate(&mut object, "ffn_share", Some(row.ffn_share));
    estimate(&mut object, "drop_share", Some(row.drop_share));
    estimate(&mut object, "dropped_weight_share", Some(row.dropped_weight_share));
    let time = counted.key();
    estimate(&mut object, time, Some(row.time_ms));
    estimate(&mut object, "makespan_ms", Some(row.makespan_ms));
    estimate(&mut object, "throughput_increase_percent", row.increase_percent);
    estimate(&mut object, "tokens_per_s", Some(row.tokens_per_sec));
    if counted == Scope::TrainingStep {
        let per_gpu = super::model_flops(scenario, row);
        object.insert("model_tflops_per_gpu".into(), json!(per_gpu / 1e12));
        object.insert("mfu".into(), json!(per_gpu / super::peak(scenario, row)));
        let draws = draws_of(&scenario.topology, &row.workload);
        object.insert("gate_draws_per_layer".into(), json!(draws));
    }
    let predicted = row.predicted;
    range(&mut object, time, predicted.and_then(|p| p.time_ms));
    let increase = predicted.and_then(|p| p.increase_percent);
    range(&mut object, "throughput_increase_percent", increase);
    if counted == Scope::Experts {
        let paper = published(scenario, row);
        let expert_forward = paper.map(|paper| paper.expert_forward_ms);
        object.insert("published_expert_forward_ms".into(), json!(expert_forward));
        let increase = paper.and_then(|paper| paper.increase);
        object.insert("published_throughput_increase_percent".into(), json!(increase));
    }
    let blame = Reason::ALL.iter().zip(row.blame_ms);
    let trains = counted.has_backward();
    let blame = blame.filter(|(reason, _)| trains || !reason.is_of_training());
    let blame: Map<String, Value> =
        blame.map(|(reason, ms)| (format!("{}_ms", reason.key()), json!(ms))).collect();
    object.insert("blame".into(), Value::Object(blame));
    object.insert("stands_on".into(), stands_on_json(&row.stands_on));
    object.insert("phase".into(), json!(row.workload.phase().word()));
    object.insert("phase_assumed".into(), json!(row.workload.stack.phase.is_none()));
    if counted.has_backward() {
        object.insert("beside_exchanges".into(), beside_exchanges(scenario, row));
    }
    object.insert("hidden_zero_computation_ms".into(), json!(row.hidden_ms));
    object.insert("memory".into(), super::memory_json(scenario, &row.workload));
    object.insert("network".into(), network(&row.network_report));
    object.insert("link_use".into(), link_use(&scenario.topology, &row.link_bytes_per_s));
    Value::Object(object)
}

/// SMs that exchanges hold, and how much longer kernels beside them take.
fn beside_exchanges(scenario: &Scenario, row: &Row) -> Value {
    let known = scenario.carrier(&row.workload).ok().and_then(|of| of.sms(&row.workload));
    let sms = known.unwrap_or(NCCL_SMS);
    let slower = slowdown(&scenario.topology, sms);
    json!({
        "sms": sms,
        "sms_assumed": known.is_none(),
        "products_times": slower.arithmetic,
        "memory_times": slower.memory,
    })
}

/// Which engine carried the exchanges, and what is known of its error; null where there were none.
fn network(network_report: &NetworkReport) -> Value {
    if network_report.exchanges == 0 {
        return Value::Null;
    }
    let measured = (network_report.measured > 0).then_some(network_report);
    json!({
        "engine": network_report.engine.name(),
        "exchanges": network_report.exchanges,
        "flows": network_report.flows,
        "error_bound": network_report.error_bound,
        "certified_exchanges": network_report.certified,
        "measured_exchanges": network_report.measured,
        "mean_measured_error": measured.map(|network_report| network_report.mean_measured),
        "worst_measured_error": measured.map(|network_report| network_report.worst_measured),
    })
}

/// `name`, `name_low` and `name_high`.
fn estimate(object: &mut Map<String, Value>, name: &str, value: Option<Estimate>) {
    let ends = value.filter(|value| value.half_width.is_some());
    object.insert(name.to_owned(), json!(value.map(|value| value.mean)));
    object.insert(format!("{name}_low"), json!(ends.map(|value| value.low())));
    object.insert(format!("{name}_high"), json!(ends.map(|value| value.high())));
}

/// `name_p05` and `name_p95`: null unless the scenario draws calibration error.
fn range(object: &mut Map<String, Value>, name: &str, value: Option<Range>) {
    object.insert(format!("{name}_p05"), json!(value.map(|value| value.low)));
    object.insert(format!("{name}_p95"), json!(value.map(|value| value.high)));
}
