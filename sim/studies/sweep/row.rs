//! From runs to rows.

use serde::{Deserialize, Serialize};
use toml::Value;

use crate::base::statistics::mean;
use crate::config::Scenario;
use crate::execution::blame::Reason;
use crate::execution::outcome::{Outcome, Sample, TooLong};
use crate::studies::study;
use crate::workload::Workload;

/// One value of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// Nothing.
    Absent(()),
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        if value.is_finite() { Self::Number(value) } else { Self::Absent(()) }
    }
}

impl From<u64> for Cell {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or(Self::Absent(()), Self::Integer)
    }
}

impl From<u32> for Cell {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent(()), Into::into)
    }
}

impl From<&Value> for Cell {
    fn from(value: &Value) -> Self {
        match value {
            Value::Integer(n) => Self::Integer(*n),
            Value::Float(x) => Self::from(*x),
            Value::String(text) => Self::Text(text.clone()),
            other => Self::Text(other.to_string()),
        }
    }
}

impl Cell {
    /// The cell as a number, if it is one.
    #[must_use]
    pub const fn number(&self) -> Option<f64> {
        match self {
            Self::Integer(n) => Some(*n as f64),
            Self::Number(x) => Some(*x),
            Self::Text(_) | Self::Absent(()) => None,
        }
    }

    /// The cell as people read it; nothing for an absent one.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Integer(n) => n.to_string(),
            Self::Number(x) => x.to_string(),
            Self::Text(text) => text.clone(),
            Self::Absent(()) => String::new(),
        }
    }
}

/// One run: what varied, then [`super::COLUMNS`], then the blame table.
pub type Row = Vec<Cell>;

/// The rows of one case of a scenario under the seed of its vanilla run: vanilla, then MoE++ at each τ.
///
/// # Errors
/// If a run exceeds representable time.
pub fn rows_of(
    scenario: &Scenario,
    case: usize,
    vanilla: &Outcome,
    point: usize,
    settings: &[(&str, &Value)],
) -> Result<Vec<Row>, TooLong> {
    let case = &scenario.cases[case];
    let mut rows = vec![row(scenario, &case.vanilla, vanilla, vanilla, point, settings)];
    for workload in &case.moepp {
        let own = study::run_beside(scenario, workload, vanilla)?;
        rows.push(row(scenario, workload, &own, vanilla, point, settings));
    }
    Ok(rows)
}

fn row(
    scenario: &Scenario,
    workload: &Workload,
    own: &Outcome,
    vanilla: &Outcome,
    point: usize,
    settings: &[(&str, &Value)],
) -> Row {
    let experts = &workload.model.experts;
    let kinds = experts.zero_computation.total();
    let gpus = scenario.topology.gpus();
    let (time, base) = (own.counted_secs(), vanilla.counted_secs());
    let increase = (kinds > 0).then(|| 100.0 * (base / time - 1.0));
    let makespan = own.makespan.ms();
    let waits: Vec<f64> = (0..own.blame.len()).map(|gpu| own.waited_ms(gpu)).collect();
    let busiest = (0..waits.len()).min_by(|&a, &b| waits[a].total_cmp(&waits[b])).unwrap_or(0);
    let mean_wait = mean(&waits);
    let mut row: Row = settings.iter().map(|(_, value)| Cell::from(*value)).collect();
    row.extend([
        Cell::from(point as u64),
        seed_cell(own.seed),
        workload.name.as_str().into(),
        workload.model.name.as_str().into(),
        u32::from(kinds > 0).into(),
        experts.tau.into(),
        experts.ffn.into(),
        kinds.into(),
        gpus.into(),
        scenario.topology.gpu().name.as_str().into(),
        scenario.counted.word().into(),
        (1e3 * time).into(),
        (1e3 * base).into(),
        increase.into(),
        makespan.into(),
        own.tokens_per_sec().into(),
        (own.tokens_per_sec() / f64::from(gpus)).into(),
        own.ffn_share().into(),
        own.drop_share().into(),
        (own.totals.padded_rows as f64 / own.totals.ffn_slots.max(1) as f64).into(),
        (own.totals.dispatched_bytes as f64 / 1e6).into(),
        own.mean_hidden_ms().into(),
        (busiest as u64).into(),
        (mean_wait / makespan.max(f64::MIN_POSITIVE)).into(),
        (1e3 * own.half_width_secs()).into(),
        own.sample.as_ref().map_or(1.0, Sample::share).into(),
    ]);
    row.extend(Reason::ALL.map(|reason| Cell::from(own.mean_blame_ms(reason))));
    row
}

fn seed_cell(seed: u64) -> Cell {
    Cell::from(seed)
}
