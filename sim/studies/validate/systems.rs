//! Are whole layers and systems right? Published figures, each predicted by the run that a user
//! would make.
//!
//! ```text
//!   row ─ question ─┐
//!       ─ stack ────┤                       ┌─ printed, exported, run by hand
//!       ─ hardware ─┼─ plan: three files ───┤
//!       ─ model ────┘                       └─ predict: study::run, as `moesim run`
//!        └ the reason why not
//! ```
//!
//! The mapping is a pure function of the row's cells: no row, set-up or identifier is treated apart.
//! A row that needs what is not modelled or not stated gets the reason instead of a number. Nothing
//! is fitted to these rows; constants come from tables of kernels and links.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;

use crate::base::threads::as_they_finish;
use crate::config::Diagnostic;
use plan::Plan;
pub use predict::Prediction;
use predict::Seconds;
pub use row::{BUILT_IN, BUILT_IN_NAME, Row};

mod drafts;
mod hardware;
mod model;
mod plan;
mod predict;
mod question;
mod recipe;
mod row;
mod stack;
pub mod summary;
mod training;
mod words;

/// A row, and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The row.
    pub row: Row,
    /// What was measured, where it is a number.
    pub measured: Option<f64>,
    /// What was predicted, or the reason why nothing was.
    pub outcome: Result<Prediction, String>,
}

impl Verdict {
    /// The prediction of a row that can be off: none where nothing was predicted, nor where the measurement is an
    /// upper bound.
    #[must_use]
    pub fn judged(&self) -> Option<&Prediction> {
        self.outcome.as_ref().ok().filter(|_| !self.row.is_upper_bound())
    }

    /// `predicted / measured − 1`, where the row was judged.
    #[must_use]
    pub fn error(&self) -> Option<f64> {
        Some(self.judged()?.predicted / self.measured? - 1.0)
    }

    /// Whether the measurement lies in the interval, where the row was judged.
    #[must_use]
    pub fn covered(&self) -> Option<bool> {
        let (predicted, measured) = (self.judged()?, self.measured?);
        Some((predicted.low..=predicted.high).contains(&measured))
    }
}

/// The rows of a file, or of the table that is built in.
///
/// # Errors
/// If the file cannot be read or is no table of published systems.
pub fn rows(file: Option<&Path>) -> Result<Vec<Row>, Diagnostic> {
    file.map_or_else(row::built_in, row::read)
}

/// Judges every row, in order.
#[must_use]
pub fn judge(rows: Vec<Row>, threads: usize) -> Vec<Verdict> {
    judge_told(rows, threads, |_| ())
}

/// The same, telling after each run for how many rows it was the last that they waited for.
pub fn judge_told(rows: Vec<Row>, threads: usize, mut told: impl FnMut(usize)) -> Vec<Verdict> {
    let planned = |row: &Row| match row.is_disowned() {
        true => Err("its own note says not to judge by it".to_owned()),
        false => plan::of(row),
    };
    let plans: Vec<Result<Plan, String>> = rows.iter().map(planned).collect();
    told(plans.iter().filter(|plan| plan.is_err()).count());
    // Rows that differ in the unit alone share their runs.
    let mut setups: BTreeMap<String, Vec<&Plan>> = BTreeMap::new();
    for plan in plans.iter().flatten() {
        setups.entry(plan.setup()).or_default().push(plan);
    }
    let setups: Vec<(String, Vec<&Plan>)> = setups.into_iter().collect();
    let mut runs: BTreeMap<usize, Result<Seconds, String>> = BTreeMap::new();
    let run = |(): &mut (), at: usize| (at, predict::seconds(setups[at].1[0]));
    let Ok(()) = as_they_finish(
        setups.len(),
        threads,
        |_| (),
        run,
        |(at, seconds)| {
            told(setups[at].1.len());
            runs.insert(at, seconds);
            Ok::<(), Infallible>(())
        },
    );
    let taken: BTreeMap<&str, &Result<Seconds, String>> =
        setups.iter().map(|(setup, _)| setup.as_str()).zip(runs.values()).collect();
    let verdict = |(row, plan): (Row, &Result<Plan, String>)| {
        let measured = row.measured().ok();
        let outcome = plan.as_ref().map_err(String::clone).and_then(|plan| {
            let seconds = taken[plan.setup().as_str()].as_ref().map_err(String::clone)?;
            Ok(predict::of(plan, seconds))
        });
        Verdict { row, measured, outcome }
    };
    rows.into_iter().zip(&plans).map(verdict).collect()
}

/// A row's scenario, to be read and run by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The files by name, `scenario.toml` first, which says what was assumed.
    pub files: Vec<(String, String)>,
    /// Why it does not run as it is, if it does not: the key first.
    pub refusal: Option<String>,
}

/// The scenario of a row.
///
/// # Errors
/// The reason why the row has none.
pub fn scenario(row: &Row) -> Result<Written, String> {
    let plan = plan::of(row)?;
    let refusal = plan.load().err().map(|mistake| plan::refusal(&mistake));
    Ok(Written { files: plan.written(row, refusal.as_deref()), refusal })
}
