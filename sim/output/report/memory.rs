//! What lies in the memory of the fullest GPU, as a table and as JSON.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde_json::{Map, Value, json};

use crate::base::units::Bytes;
use crate::config::Scenario;
use crate::execution::memory::{Ledger, What, hottest_rows, in_gb};
use crate::workload::{Phase, Training, Workload};

/// Columns beside the labels that fit 80 characters.
const COLUMNS: usize = 4;

/// The ledger of a workload under the scenario's first seed.
#[must_use]
pub fn ledger(scenario: &Scenario, workload: &Workload) -> Ledger {
    let rows = hottest_rows(workload, scenario.seeds.start);
    Ledger::of(&scenario.carried(workload), (scenario.counted, scenario.topology.gpus()), rows)
}

/// A workload's ledger as JSON; sizes in bytes.
#[must_use]
pub fn memory_json(scenario: &Scenario, workload: &Workload) -> Value {
    let ledger = ledger(scenario, workload);
    let capacity = scenario.topology.gpu().memory;
    let mut object = Map::new();
    for what in What::ALL {
        object.insert(format!("{}_bytes", what.key()), json!(ledger.bytes(what).0));
    }
    let total = ledger.total();
    object.insert("total_bytes".into(), json!(total.0));
    object.insert("capacity_bytes".into(), json!(capacity.map(|bytes| bytes.0)));
    object.insert("free_bytes".into(), json!(capacity.map(|bytes| free(bytes, total))));
    object.insert("fits".into(), json!(capacity.map(|bytes| total <= bytes)));
    object.insert("hottest_rows".into(), json!(ledger.rows));
    object.insert("phase".into(), json!(workload.phase().word()));
    Value::Object(object)
}

fn free(capacity: Bytes, total: Bytes) -> i64 {
    i64::try_from(i128::from(capacity.0) - i128::from(total.0)).unwrap_or(i64::MIN)
}

/// One JSON object with the ledger of every workload of a scenario.
#[must_use]
pub fn memories_json(scenario: &Scenario) -> Value {
    let workloads: Vec<Value> = workloads(scenario)
        .map(|workload| {
            json!({
                "workload": workload.name,
                "tau": workload.model.experts.tau,
                "memory": memory_json(scenario, workload),
            })
        })
        .collect();
    json!({
        "scenario": scenario.name,
        "topology": scenario.ingredients.topology,
        "gpu": scenario.topology.gpu().name,
        "workloads": workloads,
        "does_not_fit": scenario.oom,
    })
}

fn workloads(scenario: &Scenario) -> impl Iterator<Item = &Workload> {
    scenario.cases.iter().flat_map(|case| std::iter::once(&case.vanilla).chain(&case.moepp))
}

/// Writes the table of a scenario's workloads.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_memory(out: &mut dyn Write, scenario: &Scenario) -> io::Result<()> {
    let gpu = scenario.topology.gpu();
    writeln!(
        out,
        "{}: the fullest of {} x {} ({})",
        scenario.name,
        scenario.topology.gpus(),
        gpu.name,
        scenario.ingredients.topology
    )?;
    let all: Vec<(&Workload, Ledger)> =
        workloads(scenario).map(|workload| (workload, ledger(scenario, workload))).collect();
    for few in all.chunks(COLUMNS) {
        writeln!(out)?;
        columns(out, few, gpu.memory)?;
    }
    writeln!(out)?;
    notes(out, scenario, &all)
}

fn columns(
    out: &mut dyn Write,
    few: &[(&Workload, Ledger)],
    capacity: Option<Bytes>,
) -> io::Result<()> {
    let mut line = |label: &str, of: &dyn Fn(&Workload, &Ledger) -> String| {
        write!(out, "{label:<30}")?;
        for (workload, ledger) in few {
            let mut text: String = of(workload, ledger).chars().take(11).collect();
            if text.is_empty() {
                text.push('-');
            }
            write!(out, " {text:>11}")?;
        }
        writeln!(out)
    };
    line("model", &|workload, _| workload.model.name.clone())?;
    line("", &|workload, _| {
        workload.model.experts.tau.map_or_else(|| "no τ".to_owned(), |tau| format!("τ={tau}"))
    })?;
    for what in What::ALL {
        if few.iter().any(|(_, ledger)| ledger.bytes(what).0 > 0) {
            line(what.label(), &|_, ledger| match ledger.bytes(what) {
                Bytes(0) => String::new(),
                bytes => in_gb(bytes),
            })?;
        }
    }
    line("total", &|_, ledger| in_gb(ledger.total()))?;
    let Some(capacity) = capacity else { return Ok(()) };
    line("memory of the GPU", &|_, _| in_gb(capacity))?;
    line("free", &|_, ledger| match free(capacity, ledger.total()) {
        missing @ ..0 => format!("-{}", in_gb(Bytes(missing.unsigned_abs()))),
        free => in_gb(Bytes(free.unsigned_abs())),
    })?;
    line("rows of the hottest rank", &|_, ledger| ledger.rows.to_string())
}

fn notes(out: &mut dyn Write, scenario: &Scenario, all: &[(&Workload, Ledger)]) -> io::Result<()> {
    if let Some(said) = not_stated(scenario) {
        writeln!(out, "{said}")?;
    }
    for line in &scenario.oom {
        writeln!(out, "does not fit: {line}")?;
    }
    let of = |phase| all.iter().any(|(workload, _)| workload.phase() == phase);
    if of(Phase::Training) {
        let trained = all.iter().filter(|(workload, _)| workload.phase() == Phase::Training);
        let ways: BTreeSet<String> = trained.map(|(workload, _)| way(&workload.training)).collect();
        let ways: Vec<String> = ways.into_iter().collect();
        writeln!(
            out,
            "training: fp32 gradients (4 bytes a parameter), master weights (4) and Adam moments (8);\n{}",
            ways.join("; ")
        )?;
    }
    let blind =
        |workload: &Workload| workload.phase() == Phase::Decode && workload.batch.context.is_none();
    if all.iter().any(|(workload, _)| blind(workload)) {
        writeln!(
            out,
            "KV cache of the batch's own tokens alone: batch.context says how many each sequence had before"
        )?;
    }
    writeln!(out, "not counted: context of the driver and libraries (about 1 GB), fragmentation")
}

/// What of a training step decides what is kept.
fn way(training: &Training) -> String {
    let zero = training.zero as u8;
    format!("zero = {zero}, recompute = \"{}\"", training.recompute.word())
}

/// Says that memory could not be checked, where the topology does not state it.
#[must_use]
pub fn not_stated(scenario: &Scenario) -> Option<&'static str> {
    let stated = scenario.topology.gpu().memory.is_some();
    (!stated).then_some("memory of the GPU is not stated: not checked")
}
