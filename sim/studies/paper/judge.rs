//! Predictions of the paper's rows, judged.

use super::PaperRow;
use super::baseline::{self, Baseline};
use super::fit::{self, Structure};
use super::predictor::Predictor;
use super::verdict::{Errors, Judgement, Verdict};
use crate::execution::outcome::TooLong;

impl Predictor {
    /// Judges `rows` predicted with the overheads as they stand; baselines learn from `known` rows
    /// of other models.
    ///
    /// # Errors
    /// If a run exceeds representable time.
    pub fn judge(&self, rows: &[PaperRow], known: &[PaperRow]) -> Result<Judgement, TooLong> {
        let times = self.times_ms(rows, self.overheads())?;
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

    /// Judges each model's rows predicted with overheads of the same structure fitted to the other models' rows.
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
            let parts = self.parts(&others, None)?.unwrap_or_default();
            let fitted = fit::fit(&parts, Structure::of(&self.overheads()));
            let times = self.times_ms(&own, fitted)?;
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
