//! Predictions of the paper's rows, judged.

use super::baseline::{self, Baseline};
use super::verdict::Verdict;
use super::{PaperRow, fit};
use crate::config::{Mistake, Overrides, Scenario, ScenarioSource};
use crate::execution::cost::Overheads;
use crate::execution::outcome::TooLong;
use crate::studies::study::{self, in_parallel};
use crate::workload::Workload;

/// Seeds over which a row's time is averaged.
pub const SEEDS: u64 = 2;

/// What is needed to predict the paper's rows: its cluster, and its models by name.
pub struct Predictor {
    scenario: Scenario,
    threads: usize,
}

/// A mean error in time (a fraction) and in increase (points); none where there was no row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Errors {
    /// Mean of |predicted / published − 1| over rows.
    pub time_mape: Option<f64>,
    /// Mean of predicted / published − 1: the signed bias.
    pub time_bias: Option<f64>,
    /// Mean of |predicted − published| increase over MoE++ rows, in points.
    pub increase_mae_points: Option<f64>,
}

/// How well a set of rows was predicted, and how well the baselines did on the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// What was judged: a model name, or all.
    pub of: String,
    /// Rows judged.
    pub rows: usize,
    /// Ours.
    pub ours: Errors,
    /// Each baseline's.
    pub baselines: Vec<(Baseline, Errors)>,
}

impl Predictor {
    /// The built-in paper scenario, with overrides: what would be fitted under other assumptions?
    ///
    /// # Errors
    /// If an override is wrong.
    pub fn new(overrides: Overrides, threads: usize) -> Result<Self, Mistake> {
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

    /// Judges `rows` predicted with the overheads as they stand; baselines learn from `known` rows
    /// of other models.
    ///
    /// # Errors
    /// If a run exceeds representable time.
    pub fn judge(&self, rows: &[PaperRow], known: &[PaperRow]) -> Result<Judgement, TooLong> {
        let times = self.times_ms(rows, self.scenario.overheads)?;
        Ok(judgement("all", rows, &times, known))
    }

    /// Judges one file's rows. Those that the overheads were fitted to are also predicted unseen;
    /// any others are, as they stand.
    ///
    /// # Errors
    /// If a run exceeds representable time.
    pub fn verdict(&self, file: &str, rows: &[PaperRow]) -> Result<Verdict, TooLong> {
        let fitted = super::built_in();
        let was_fitted = |row: &PaperRow| fitted.contains(row);
        let left_out =
            if rows.iter().all(was_fitted) { self.judge_leaving_out(rows)? } else { Vec::new() };
        let known: Vec<PaperRow> =
            fitted.iter().chain(rows.iter().filter(|row| !was_fitted(row))).cloned().collect();
        let all = self.judge(rows, &known)?;
        let skipped = rows.len() - all.rows;
        Ok(Verdict { file: file.to_owned(), all, skipped, left_out })
    }

    /// Judges each model's rows predicted with overheads fitted to the other models' rows.
    ///
    /// # Errors
    /// If a run exceeds representable time.
    pub fn judge_leaving_out(&self, rows: &[PaperRow]) -> Result<Vec<Judgement>, TooLong> {
        let mut judgements = Vec::new();
        for model in models_of(rows) {
            let (own, others): (Vec<PaperRow>, Vec<PaperRow>) =
                rows.iter().cloned().partition(|row| row.model == model);
            if others.is_empty() {
                continue;
            }
            let fitted = fit::fit(self, &others)?;
            let times = self.times_ms(&own, fitted.overheads)?;
            judgements.push(judgement(&model, &own, &times, &others));
        }
        Ok(judgements)
    }
}

/// The models of some rows, in order of first appearance.
#[must_use]
pub fn models_of(rows: &[PaperRow]) -> Vec<String> {
    let mut models: Vec<String> = Vec::new();
    for row in rows {
        if !models.contains(&row.model) {
            models.push(row.model.clone());
        }
    }
    models
}

fn judgement(of: &str, rows: &[PaperRow], times: &[Option<f64>], known: &[PaperRow]) -> Judgement {
    let predicted: Vec<(&PaperRow, f64)> =
        rows.iter().zip(times).filter_map(|(row, time)| Some((row, (*time)?))).collect();
    let vanilla_of = |model: &str| {
        predicted.iter().find(|(row, _)| row.model == model && row.tau.is_none()).map(|(_, t)| *t)
    };
    let ours =
        errors(rows, predicted.iter().map(|(row, time)| (*row, *time, vanilla_of(&row.model))));
    let by_baseline = |baseline: Baseline| {
        let moepp = predicted.iter().filter(|(row, _)| row.tau.is_some());
        let guesses = moepp.filter_map(|(row, _)| {
            let vanilla = baseline::vanilla_ms(&row.model, rows)?;
            let others: Vec<PaperRow> =
                known.iter().filter(|other| other.model != row.model).cloned().collect();
            let time = baseline.time_ms(row, vanilla, &others)?;
            Some((*row, time, Some(vanilla)))
        });
        (baseline, errors(rows, guesses))
    };
    let baselines = Baseline::ALL.into_iter().map(by_baseline).collect();
    Judgement { of: of.to_owned(), rows: predicted.len(), ours, baselines }
}

/// Errors of predictions, each a row, its predicted time and the predicted vanilla time.
fn errors<'a>(
    rows: &[PaperRow],
    predictions: impl Iterator<Item = (&'a PaperRow, f64, Option<f64>)>,
) -> Errors {
    let (mut relative, mut points) = (Vec::new(), Vec::new());
    for (row, time, vanilla) in predictions {
        relative.push(time / row.expert_forward_ms - 1.0);
        if let (Some(published), Some(vanilla)) = (baseline::increase(row, rows), vanilla) {
            points.push(100.0 * (vanilla / time - 1.0) - published);
        }
    }
    let mean = |values: &mut dyn ExactSizeIterator<Item = f64>| {
        let n = values.len();
        (n > 0).then(|| values.sum::<f64>() / n as f64)
    };
    Errors {
        time_mape: mean(&mut relative.iter().map(|e: &f64| e.abs())),
        time_bias: mean(&mut relative.iter().copied()),
        increase_mae_points: mean(&mut points.iter().map(|e: &f64| e.abs())),
    }
}
