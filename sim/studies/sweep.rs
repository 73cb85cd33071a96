//! Sweeps: every point of a plan, every case, every seed — a row per run, kept as runs finish.
//!
//! A *task* is one case of one point under one seed: the vanilla run and all its MoE++ runs, which
//! share random numbers so that their ratio is a paired comparison. Tasks are numbered (point, case,
//! seed; the seed moves fastest), each is a function of the plan alone, and results are put in order
//! of their numbers: the same bytes for any number of threads or shards, interrupted or not.

use std::borrow::Cow;

use crate::base::hashes::fold_bytes;
use crate::base::inputs::Input;
use crate::base::threads::as_they_finish;
use crate::config::{Diagnostic, MAX_TASKS, Scenario, SweepPlan};
use crate::execution::blame::Reason;
use crate::execution::outcome::TooLong;
use crate::studies::study;

mod columns;
mod idle;
mod journal;
mod read;
mod results;
mod row;
mod shared;
mod summary;

pub use columns::{COLUMNS, Description};
pub use idle::changed_nothing;
pub use journal::{
    DAMAGED, Finished, Journal, JournalError, NAME as JOURNAL, Record, Shape, finished,
};
pub use results::Results;
pub use row::{Cell, Row, rows_of};
use shared::Shared;
pub use summary::{Line, summarise};

/// A plan with its scenarios checked, cut into tasks.
pub struct Sweep<'a> {
    plan: Cow<'a, SweepPlan>,
    cases: usize,
    seeds: u64,
    first_seed: u64,
    fingerprint: u64,
    /// Rows of a task of each case, where all points have equally many.
    rows: Vec<Option<usize>>,
    vanilla: Shared,
    inputs: Vec<Input>,
}

/// Why a sweep ended early. What had finished is kept.
#[derive(Debug)]
pub enum Stopped {
    /// A point's scenario is wrong.
    Refused(Diagnostic),
    /// A run exceeded representable time.
    TooLong,
    /// Rows could not be kept.
    Journal(JournalError),
}

impl<'a> Sweep<'a> {
    /// Checks the scenarios of a plan: every value of each axis at least once.
    ///
    /// # Errors
    /// The first mistake found, or a sweep of too many runs.
    pub fn new(plan: &'a SweepPlan) -> Result<Self, Diagnostic> {
        Self::of(Cow::Borrowed(plan))
    }

    fn of(plan: Cow<'a, SweepPlan>) -> Result<Self, Diagnostic> {
        let first = plan.scenario_at(0)?;
        let mut fingerprint = fold_bytes(0, plan.text().as_bytes());
        fingerprint =
            plan.fixed().iter().fold(fingerprint, |all, line| fold_bytes(all, line.as_bytes()));
        fingerprint = fold_bytes(fingerprint, env!("CARGO_PKG_VERSION").as_bytes());
        let mut rows = rows_of_cases(&first);
        let mut inputs = plan.inputs();
        let mut stride = plan.points() as usize;
        for axis in &plan.axes {
            stride /= axis.steps.len();
            for step in 0..axis.steps.len() {
                let scenario = plan.scenario_at(step * stride)?;
                if scenario.seeds != first.seeds || scenario.cases.len() != first.cases.len() {
                    return Err(unlike(&plan, &axis.keys.join("`, `"), step));
                }
                fingerprint = fold_bytes(fingerprint, &scenario.fingerprint.to_le_bytes());
                keep_alike(&mut rows, &rows_of_cases(&scenario));
                inputs.extend(scenario.ingredients.inputs);
            }
        }
        let seeds = first.seeds.end - first.seeds.start;
        let sweep = Self {
            cases: first.cases.len(),
            seeds,
            first_seed: first.seeds.start,
            fingerprint,
            rows,
            vanilla: Shared::of(&plan),
            plan,
            inputs,
        };
        sweep.refuse_too_many()?;
        Ok(sweep)
    }

    fn refuse_too_many(&self) -> Result<(), Diagnostic> {
        let tasks = self.plan.points() * self.cases as u128 * u128::from(self.seeds);
        if tasks <= MAX_TASKS {
            return Ok(());
        }
        let found = format!("points, cases and seeds make {tasks} tasks");
        let help = format!("a sweep has at most {MAX_TASKS}: take fewer values or seeds");
        Err(Diagnostic::of(self.plan.name.clone(), found, help))
    }

    /// Refuses points in which any kernel's constants are borrowed.
    ///
    /// # Errors
    /// The first one found.
    pub fn refuse_borrowed(&self) -> Result<(), Diagnostic> {
        (0..self.plan.points() as usize)
            .try_for_each(|point| study::refuse_borrowed(&self.plan.scenario_at(point)?))
    }

    /// How many tasks there are.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.plan.points() as usize * self.cases * self.seeds as usize
    }

    /// What a journal of this sweep holds.
    #[must_use]
    pub fn shape(&self) -> Shape {
        let varied: usize = self.plan.axes.iter().map(|axis| axis.keys.len()).sum();
        Shape {
            // Tells results of this plan and these inputs from those of others.
            fingerprint: self.fingerprint,
            tasks: self.tasks(),
            columns: varied + COLUMNS.len() + Reason::ALL.len(),
            rows: self.rows.clone(),
            seeds: self.seeds as usize,
        }
    }

    /// The files and built-ins that the plan and every value of its axes read.
    #[must_use]
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &SweepPlan {
        &self.plan
    }

    /// The point of a task.
    #[must_use]
    pub const fn point_of(&self, task: usize) -> usize {
        task / (self.cases * self.seeds as usize)
    }

    /// Runs `tasks` on several threads, handing the rows of each to `keep` as it finishes.
    ///
    /// # Errors
    /// The first reason to stop; rows of tasks that had finished were kept.
    pub fn run(
        &self,
        tasks: &[usize],
        threads: usize,
        mut keep: impl FnMut(Record) -> Result<(), JournalError>,
    ) -> Result<(), Stopped> {
        let job = |latest: &mut Option<(usize, Scenario)>, at: usize| self.task(tasks[at], latest);
        as_they_finish(
            tasks.len(),
            threads,
            |_| None,
            job,
            |record| record.and_then(|record| keep(record).map_err(Stopped::Journal)),
        )
    }

    /// One task; `latest` holds the scenario that this thread used last.
    fn task(&self, task: usize, latest: &mut Option<(usize, Scenario)>) -> Result<Record, Stopped> {
        let point = self.point_of(task);
        if latest.as_ref().is_none_or(|(held, _)| *held != point) {
            let scenario = self.plan.scenario_at(point).map_err(Stopped::Refused)?;
            *latest = Some((point, scenario));
        }
        let Some((_, scenario)) = latest else { unreachable!("it was just put there") };
        let case = task / self.seeds as usize % self.cases;
        let seed = self.first_seed + (task % self.seeds as usize) as u64;
        let settings = self.plan.settings(point);
        let base = || study::run(scenario, &scenario.cases[case].vanilla, scenario.overheads, seed);
        let vanilla = self.vanilla.get((point, case, seed), base);
        let rows = vanilla
            .and_then(|vanilla| rows_of(scenario, case, &vanilla, point, &settings))
            .map_err(|TooLong| Stopped::TooLong)?;
        Ok(Record { task, rows })
    }
}

impl Sweep<'static> {
    /// The same of a plan that the sweep keeps.
    ///
    /// # Errors
    /// As [`Sweep::new`].
    pub fn owning(plan: SweepPlan) -> Result<Self, Diagnostic> {
        Self::of(Cow::Owned(plan))
    }
}

/// An axis along which points differ in their seeds or in how many cases they have.
fn unlike(plan: &SweepPlan, axis: &str, step: usize) -> Diagnostic {
    let found =
        format!("value {} of the axis `{axis}` changes the seeds or the number of cases", step + 1);
    let help =
        "every point runs the same seeds and cases: fix them outside [vary], or make two sweeps";
    Diagnostic::of(plan.name.clone(), found, help)
}

/// Rows of a task of each case: the vanilla run and those of MoE++.
fn rows_of_cases(scenario: &Scenario) -> Vec<Option<usize>> {
    scenario.cases.iter().map(|case| Some(1 + case.moepp.len())).collect()
}

/// Forgets what another point has otherwise.
fn keep_alike(rows: &mut [Option<usize>], other: &[Option<usize>]) {
    for (case, own) in rows.iter_mut().enumerate() {
        *own = own.filter(|_| other.get(case) == Some(own));
    }
}
