//! How well the paper's rows are predicted, and lines of text.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::baseline::Baseline;

/// A mean error in time (a fraction) and in increase (points); none where there was no row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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

/// The judgements of one file: all its rows, and each model predicted unseen.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The file's name.
    pub file: String,
    /// All rows, with the overheads as they stand.
    pub all: Judgement,
    /// Rows whose model is unknown.
    pub skipped: usize,
    /// Each model's rows, predicted with overheads fitted to the other models' rows; empty where
    /// the overheads were not fitted to this file's rows in the first place.
    pub left_out: Vec<Judgement>,
}

impl Verdict {
    /// The lines of this file in the printed report.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}: {} rows, {} skipped\n", self.file, self.all.rows, self.skipped);
        let _ = writeln!(
            text,
            "  {:<34} {:>10} {:>10} {:>14}",
            "", "mean |e|", "mean e", "mean |e| in"
        );
        let _ = writeln!(
            text,
            "  {:<34} {:>10} {:>10} {:>14}",
            "", "of time, %", "of time, %", "increase, pts"
        );
        lines(&self.all, "predicted as it stands", &mut text);
        for judgement in &self.left_out {
            lines(judgement, &format!("{} left out of the fit", judgement.of), &mut text);
        }
        text
    }
}

fn lines(judgement: &Judgement, title: &str, text: &mut String) {
    line(title, &judgement.ours, text);
    for (baseline, errors) in &judgement.baselines {
        line(&format!("  baseline: {}", baseline.key().replace('_', " ")), errors, text);
    }
}

fn line(title: &str, errors: &Errors, text: &mut String) {
    let percent = |value: Option<f64>| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{:.1}", 100.0 * value))
    };
    let points =
        errors.increase_mae_points.map_or_else(|| "-".to_owned(), |points| format!("{points:.1}"));
    let _ = writeln!(
        text,
        "  {title:<34} {:>10} {:>10} {points:>14}",
        percent(errors.time_mape),
        percent(errors.time_bias),
    );
}
