//! What lies in the memory of the fullest GPU, as a table and as JSON.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use super::shared::made_by::MadeBy;
use super::shared::setting::{idle_gpus, not_stated, workloads, write_idle};
use super::shared::table::{Column, Table, fitting};
use super::shared::word;
use super::shared::wrapped::wrapped;
use crate::base::units::Bytes;
use crate::config::Scenario;
use crate::execution::memory::{Ledger, What, hottest_rows, in_gb};
use crate::workload::{Phase, Training, Workload};

/// Width of labels, and the least of a column beside them: four fit 80 characters where names are short.
const LABELS: usize = 30;
const NARROWEST: usize = 11;

/// What lies in the memory of the fullest GPU; sizes in bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryUse {
    /// Bytes of each kind: `KIND_bytes`.
    #[serde(flatten)]
    pub kinds: Kinds,
    /// All of them together.
    pub total_bytes: u64,
    /// The GPU's memory, where the topology states it.
    pub capacity_bytes: Option<u64>,
    /// What is left of it; negative where it does not suffice.
    pub free_bytes: Option<i64>,
    /// Whether it suffices.
    pub fits: Option<bool>,
    /// Rows of the rank that is given most.
    pub hottest_rows: u64,
    /// Training, prefill or decode.
    #[serde(with = "word")]
    #[schemars(with = "word::OneOf<Phase>")]
    pub phase: Phase,
}

/// Bytes of each kind, in the order of [`What::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds([u64; What::ALL.len()]);

impl Kinds {
    /// Bytes of one kind.
    #[must_use]
    pub fn of(&self, what: What) -> Bytes {
        let at = What::ALL.iter().position(|own| *own == what);
        Bytes(at.map_or(0, |at| self.0[at]))
    }
}

impl JsonSchema for Kinds {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "kinds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let keys: Vec<String> =
            What::ALL.iter().map(|what| format!("{}_bytes", what.key())).collect();
        let bytes =
            keys.iter().map(|key| (key.clone(), json!({ "type": "integer", "minimum": 0 })));
        let properties: serde_json::Map<String, Value> = bytes.collect();
        json_schema!({ "type": "object", "properties": properties, "required": keys })
    }
}

impl Serialize for Kinds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = What::ALL.iter().zip(&self.0);
        serializer
            .collect_map(entries.map(|(what, bytes)| (format!("{}_bytes", what.key()), bytes)))
    }
}

impl<'de> Deserialize<'de> for Kinds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let of = |what: What| all.get(&format!("{}_bytes", what.key())).and_then(Value::as_u64);
        Ok(Self(What::ALL.map(|what| of(what).unwrap_or(0))))
    }
}

impl MemoryUse {
    /// The ledger of a workload under the scenario's first seed, whose most rows of a rank a run may have found.
    #[must_use]
    pub fn of(scenario: &Scenario, workload: &Workload, rows: Option<u64>) -> Self {
        let rows = rows.unwrap_or_else(|| hottest_rows(workload, scenario.seeds.start));
        let asked = (scenario.counted, workload.layout.in_use(scenario.topology.gpus()));
        let ledger = Ledger::of(&scenario.carried(workload), asked, rows);
        let capacity = scenario.topology.gpu().memory;
        let total = ledger.total();
        Self {
            kinds: Kinds(What::ALL.map(|what| ledger.bytes(what).0)),
            total_bytes: total.0,
            capacity_bytes: capacity.map(|bytes| bytes.0),
            free_bytes: capacity.map(|bytes| free(bytes, total)),
            fits: capacity.map(|bytes| total <= bytes),
            hottest_rows: ledger.rows,
            phase: workload.phase(),
        }
    }
}

fn free(capacity: Bytes, total: Bytes) -> i64 {
    i64::try_from(i128::from(capacity.0) - i128::from(total.0)).unwrap_or(i64::MIN)
}

/// The result of `moesim memory`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryResult {
    /// How it was made.
    #[serde(default)]
    pub made_by: MadeBy,
    /// The scenario's name.
    pub scenario: String,
    /// The topology's name or file.
    pub topology: String,
    /// GPUs of the cluster.
    #[serde(default)]
    pub gpus: u32,
    /// Those that no workload uses, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle: Vec<String>,
    /// Their name.
    pub gpu: String,
    /// Each workload's ledger.
    pub workloads: Vec<WorkloadMemory>,
    /// Workloads that do not fit: the arithmetic.
    pub does_not_fit: Vec<String>,
    /// Says that memory could not be checked, where the topology does not state it.
    #[serde(default)]
    pub not_stated: Option<String>,
}

/// One workload's ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadMemory {
    /// The workload.
    pub workload: String,
    /// Its model.
    #[serde(default)]
    pub model: String,
    /// Its τ.
    pub tau: Option<f64>,
    /// Whether it has zero-computation experts.
    #[serde(default)]
    pub moepp: bool,
    /// What lies in the memory of the fullest GPU.
    pub memory: MemoryUse,
    /// Of one that is trained: what of its step decides what is kept.
    #[serde(default)]
    pub training: Option<String>,
    /// Whether `batch.context` says how many tokens each sequence had before.
    #[serde(default)]
    pub context_given: bool,
}

impl MemoryResult {
    /// The ledgers of a scenario's workloads.
    #[must_use]
    pub fn of(made_by: MadeBy, scenario: &Scenario) -> Self {
        let one = |workload: &Workload| WorkloadMemory {
            workload: workload.name.clone(),
            model: workload.model.name.clone(),
            tau: workload.model.experts.tau,
            moepp: workload.model.experts.zero_computation.total() > 0,
            memory: MemoryUse::of(scenario, workload, None),
            training: (workload.phase() == Phase::Training).then(|| way(&workload.training)),
            context_given: workload.batch.context.is_some(),
        };
        Self {
            made_by,
            scenario: scenario.name.clone(),
            topology: scenario.ingredients.topology.clone(),
            gpus: scenario.topology.gpus(),
            idle: idle_gpus(scenario),
            gpu: scenario.topology.gpu().name.clone(),
            workloads: workloads(scenario).map(one).collect(),
            does_not_fit: scenario.oom.clone(),
            not_stated: not_stated(scenario).map(str::to_owned),
        }
    }

    /// The table of a scenario's workloads.
    ///
    /// # Errors
    /// If `out` cannot be written to.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { scenario, gpus, gpu, topology, .. } = self;
        writeln!(out, "{scenario}: the fullest of {gpus} x {gpu} ({topology})")?;
        write_idle(out, &self.idle)?;
        let names = self.workloads.iter().map(|one| one.model.as_str());
        for few in self.workloads.chunks(fitting(LABELS, NARROWEST, names)) {
            writeln!(out)?;
            columns(out, few)?;
        }
        writeln!(out)?;
        notes(out, self)
    }
}

fn columns(out: &mut dyn Write, few: &[WorkloadMemory]) -> io::Result<()> {
    let figures = few.iter().map(|_| Column::right(NARROWEST + 1));
    let mut table = Table::of(std::iter::once(Column::left(LABELS)).chain(figures));
    lines(few, &mut |label, of| {
        let shown = |one| Some(of(one)).filter(|text| !text.is_empty());
        let cells = few.iter().map(|one| shown(one).unwrap_or_else(|| "-".to_owned()));
        table.row(std::iter::once(label.to_owned()).chain(cells));
    });
    table.write(out)
}

/// A label, and its cell of a workload.
type Line<'a> = &'a mut dyn FnMut(&str, &dyn Fn(&WorkloadMemory) -> String);

fn lines(few: &[WorkloadMemory], line: Line<'_>) {
    line("model", &|one| one.model.clone());
    let word = |one: &WorkloadMemory| if one.moepp { "MoE++" } else { "vanilla" };
    line("", &|one| one.tau.map_or_else(|| word(one).to_owned(), |tau| format!("τ={tau}")));
    for what in What::ALL {
        if few.iter().any(|one| one.memory.kinds.of(what).0 > 0) {
            line(what.label(), &|one| match one.memory.kinds.of(what) {
                Bytes(0) => String::new(),
                bytes => in_gb(bytes),
            });
        }
    }
    line("total", &|one| in_gb(Bytes(one.memory.total_bytes)));
    if few.iter().all(|one| one.memory.capacity_bytes.is_none()) {
        return;
    }
    let capacity = |one: &WorkloadMemory| one.memory.capacity_bytes;
    line("memory of the GPU", &|one| {
        capacity(one).map_or_else(String::new, |bytes| in_gb(Bytes(bytes)))
    });
    line("free", &|one| match one.memory.free_bytes {
        Some(missing @ ..0) => format!("-{}", in_gb(Bytes(missing.unsigned_abs()))),
        Some(free) => in_gb(Bytes(free.unsigned_abs())),
        None => String::new(),
    });
    line("rows of the hottest rank", &|one| one.memory.hottest_rows.to_string());
}

fn notes(out: &mut dyn Write, result: &MemoryResult) -> io::Result<()> {
    if let Some(said) = &result.not_stated {
        writeln!(out, "{said}")?;
    }
    for line in &result.does_not_fit {
        wrapped(out, "does not fit: ", line)?;
    }
    let ways: BTreeSet<&str> =
        result.workloads.iter().filter_map(|one| one.training.as_deref()).collect();
    if !ways.is_empty() {
        let ways: Vec<&str> = ways.into_iter().collect();
        wrapped(out, "training: ", &ways.join("; "))?;
    }
    let blind = |one: &WorkloadMemory| one.memory.phase == Phase::Decode && !one.context_given;
    if result.workloads.iter().any(blind) {
        let said =
            "the batch's own tokens alone: batch.context says how many each sequence had before";
        wrapped(out, "KV cache: ", said)?;
    }
    writeln!(out, "not counted: context of the driver and libraries (about 1 GB), fragmentation")
}

/// What of a training step decides what is kept.
fn way(training: &Training) -> String {
    let format = |bytes: u64| if bytes == 4 { "fp32" } else { "bf16" };
    let kept = if training.kept_bytes == 1 { ", kept = \"fp8\"" } else { "" };
    format!(
        "{} gradients ({} bytes a parameter), master weights (4) and {} Adam moments ({}); zero = {}, recompute = \"{}\"{kept}",
        format(training.gradient_bytes),
        training.gradient_bytes,
        format(training.moment_bytes),
        2 * training.moment_bytes,
        training.zero as u8,
        training.recompute.word()
    )
}
