//! The simulator, as a predictor of the paper's rows.

use super::PaperRow;
use super::fit::Row;
use super::parts::Parts;
use crate::base::threads::in_parallel;
use crate::config::{Diagnostic, Overrides, Scenario, ScenarioSource};
use crate::execution::cost::Overheads;
use crate::execution::outcome::TooLong;
use crate::studies::study;
use crate::workload::Workload;

/// Seeds over which a row's time is averaged.
pub const SEEDS: u64 = 2;

/// What is needed to predict the paper's rows: its cluster, and its models by name.
pub struct Predictor {
    scenario: Scenario,
    threads: usize,
}

impl Predictor {
    /// The built-in paper scenario, with overrides: what would be fitted under other assumptions?
    ///
    /// # Errors
    /// If an override is wrong.
    pub fn new(overrides: Overrides, threads: usize) -> Result<Self, Diagnostic> {
        let scenario = ScenarioSource::open("paper", overrides)?.load()?;
        Ok(Self { scenario, threads })
    }

    /// The workload that a row is about, if its model is known.
    #[must_use]
    pub fn workload_of(&self, row: &PaperRow) -> Option<Workload> {
        let case = self.scenario.cases.iter().find(|case| case.vanilla.model.name == row.model)?;
        let mut workload = match row.tau {
            None => case.vanilla.clone(),
            Some(tau) => {
                let mut moepp = case.moepp.first()?.clone();
                moepp.model.experts.tau = Some(tau);
                moepp
            }
        };
        let experts = &workload.model.experts;
        let same = experts.ffn == row.ffn_experts
            && experts.zero_computation.total() == row.zero_computation_experts;
        workload.name.clone_from(&row.model);
        same.then_some(workload)
    }

    /// The overheads that the built-in scenario uses.
    #[must_use]
    pub const fn overheads(&self) -> Overheads {
        self.scenario.overheads
    }

    /// The GPU's name.
    #[must_use]
    pub fn gpu(&self) -> &str {
        &self.scenario.topology.gpu().name
    }

    /// Tokens of a GPU's micro-batch.
    #[must_use]
    pub fn tokens_per_gpu(&self) -> u32 {
        self.scenario.cases.first().map_or(0, |case| case.vanilla.batch.tokens_per_gpu)
    }

    /// The published time and the parts of each row of a known model, in micro-batches of so many tokens, or their
    /// own; none where these do not divide a row's tokens.
    ///
    /// # Errors
    /// If a run exceeds representable time.
    pub fn parts(
        &self,
        rows: &[PaperRow],
        tokens_per_gpu: Option<u32>,
    ) -> Result<Option<Vec<Row>>, TooLong> {
        let known: Vec<(f64, Workload)> = rows
            .iter()
            .filter_map(|row| Some((row.expert_forward_ms, self.workload_of(row)?)))
            .collect();
        let parts = in_parallel(known.len(), self.threads, |row| {
            let (published, workload) = &known[row];
            let parts = Parts::of(&self.scenario, workload, tokens_per_gpu)?;
            Ok(parts.map(|parts| (*published, parts)))
        });
        let parts: Vec<Option<Row>> = parts.into_iter().collect::<Result<_, TooLong>>()?;
        Ok(parts.into_iter().collect())
    }

    /// The expert forward time of each row under `overheads`, in milliseconds; none for rows whose
    /// model is unknown.
    ///
    /// # Errors
    /// If a run exceeds representable time.
    pub fn times_ms(
        &self,
        rows: &[PaperRow],
        overheads: Overheads,
    ) -> Result<Vec<Option<f64>>, TooLong> {
        let workloads: Vec<Option<Workload>> =
            rows.iter().map(|row| self.workload_of(row)).collect();
        let times = in_parallel(rows.len() * SEEDS as usize, self.threads, |job| {
            let Some(workload) = &workloads[job / SEEDS as usize] else { return Ok(None) };
            let outcome = study::run(&self.scenario, workload, overheads, job as u64 % SEEDS)?;
            Ok(Some(1e3 * outcome.counted_secs()))
        });
        let times: Vec<Option<f64>> = times.into_iter().collect::<Result<_, _>>()?;
        let mean = |seeds: &[Option<f64>]| {
            seeds.iter().copied().sum::<Option<f64>>().map(|sum| sum / SEEDS as f64)
        };
        Ok(times.chunks(SEEDS as usize).map(mean).collect())
    }
}
