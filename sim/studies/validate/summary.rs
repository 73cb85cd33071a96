//! Statistics of predictions: a result for each file, and lines of text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Judged, Report};
use crate::base::statistics::{Rule, quantile};
use crate::base::table::{Column, Table};
use crate::kernels::profile::Residual;

pub(super) fn residual(judged: &[Judged]) -> Option<Residual> {
    let errors: Vec<f64> = judged.iter().map(Judged::error).collect();
    let sizes: Vec<f64> = errors.iter().map(|e| e.abs()).collect();
    Some(Residual {
        median: quantile(&sizes, 0.5, Rule::Linear)?,
        p90: quantile(&sizes, 0.9, Rule::Linear)?,
        bias: quantile(&errors, 0.5, Rule::Linear)?,
    })
}

pub(super) fn coverage(judged: &[Judged]) -> Option<f64> {
    let inside = |j: &Judged| Some((j.predicted / j.measured).ln().abs() <= j.half_width?);
    let known: Vec<bool> = judged.iter().filter_map(inside).collect();
    let covered = known.iter().filter(|inside| **inside).count();
    (!known.is_empty()).then(|| covered as f64 / known.len() as f64)
}

/// Rows of the table: one that holds a dispatch and a combine counts once.
fn rows(judged: &[Judged]) -> usize {
    judged.iter().map(|j| j.row).collect::<BTreeSet<usize>>().len()
}

fn within(judged: &[Judged], most: f64) -> f64 {
    let good = judged.iter().filter(|j| j.error().abs() <= most).count();
    good as f64 / judged.len().max(1) as f64
}

fn baseline_median(judged: &[Judged]) -> Option<f64> {
    let error = |j: &Judged| Some((j.baseline? / j.measured - 1.0).abs());
    let sizes: Vec<f64> = judged.iter().filter_map(error).collect();
    quantile(&sizes, 0.5, Rule::Linear)
}

/// The first line of a report in which nothing was left out: how many rows are no prediction.
#[must_use]
pub fn read_back<'r>(reports: impl Iterator<Item = &'r Report>) -> String {
    let (mut all, mut known) = (0, 0);
    for judged in reports.flat_map(|report| &report.judged) {
        all += 1;
        known += usize::from(!judged.extrapolated);
    }
    if known == 0 {
        return format!(
            "All {all} timings are of shapes that no profile was fitted to: a prediction.\n"
        );
    }
    format!(
        "No prediction: {known} of {all} timings are of shapes that the profiles were fitted to, read back. \
         --leave-out predicts each shape as if it had never been measured.\n"
    )
}

/// How far off one file's predictions are; errors as fractions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FileErrors {
    /// The file's name.
    pub file: String,
    /// The profile that predicted.
    pub profile: String,
    /// Rows of the table that were predicted.
    pub rows: usize,
    /// Predictions: a row with a dispatch and a combine has two.
    pub predictions: usize,
    /// Rows that were not predicted.
    pub skipped: usize,
    /// The same by reason.
    pub skipped_by_reason: BTreeMap<String, usize>,
    /// Median of |error|; none where there was nothing to predict.
    pub median_abs_error: Option<f64>,
    /// 90th percentile of |error|.
    pub p90_abs_error: Option<f64>,
    /// Median error, with its sign.
    pub bias: Option<f64>,
    /// Share of predictions within 10 %.
    pub within_10_percent: f64,
    /// Median of |error| of the baseline.
    pub baseline_median_abs_error: Option<f64>,
    /// Predictions of shapes that were not measured.
    pub extrapolated_rows: usize,
    /// By what rule they were made.
    pub extrapolation_rule: Option<String>,
    /// Share of measurements in their 90 % intervals.
    pub interval_90_coverage: Option<f64>,
    /// The same by model.
    pub interval_90_coverage_by_model: BTreeMap<String, f64>,
}

impl FileErrors {
    /// Of a report.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        let judged = &report.judged;
        let residual = report.residual();
        let extrapolated = judged.iter().filter(|j| j.extrapolated).count();
        let skipped = report.skipped.iter();
        Self {
            file: report.file.clone(),
            profile: report.profile.clone(),
            rows: rows(judged),
            predictions: judged.len(),
            skipped: report.skipped.values().sum(),
            skipped_by_reason: skipped.map(|(why, rows)| ((*why).to_owned(), *rows)).collect(),
            median_abs_error: residual.map(|r| r.median),
            p90_abs_error: residual.map(|r| r.p90),
            bias: residual.map(|r| r.bias),
            within_10_percent: within(judged, 0.1),
            baseline_median_abs_error: baseline_median(judged),
            extrapolated_rows: extrapolated,
            extrapolation_rule: (extrapolated > 0).then(|| report.rule.clone()),
            interval_90_coverage: report.coverage(),
            interval_90_coverage_by_model: report.by_model.iter().cloned().collect(),
        }
    }
}

/// The header of [`line`].
pub const HEADER: &str = "file                              rows  skipped   median      p90     bias  \
                                 <=10 %  covered  baseline  extrapolated\n";

/// One line per file.
#[must_use]
pub fn line(of: &FileErrors) -> String {
    let name = of.file.replace(".parquet", "");
    let mut out = format!("{name:<30} {:>7} {:>8}", of.rows, of.skipped);
    let (Some(median), Some(p90), Some(bias)) = (of.median_abs_error, of.p90_abs_error, of.bias)
    else {
        let _ = writeln!(out, "   nothing to predict");
        return out;
    };
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let maybe = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), percent);
    let _ = writeln!(
        out,
        " {:>8} {:>8} {:>8} {:>7} {:>8} {:>9} {:>13}",
        percent(median),
        percent(p90),
        percent(bias),
        percent(of.within_10_percent),
        maybe(of.interval_90_coverage),
        maybe(of.baseline_median_abs_error),
        percent(of.extrapolated_rows as f64 / of.predictions.max(1) as f64),
    );
    out
}

/// Why rows were skipped and how unseen shapes were predicted.
pub fn notes<'r>(reports: impl Iterator<Item = &'r Report>) -> String {
    let mut out = String::new();
    for report in reports {
        for (reason, rows) in &report.skipped {
            let _ = writeln!(out, "{}: {rows} rows skipped: {reason}", report.file);
        }
        out.push_str(&models(report));
        if report.judged.iter().any(|j| j.extrapolated) {
            let _ = writeln!(out, "{}: extrapolated, {}", report.file, report.rule);
        }
    }
    out
}

/// The share of each model's rows in their intervals, by model.
pub(super) fn coverage_by_model(judged: &[Judged], table: &Table) -> Vec<(String, f64)> {
    let groups = grouped(judged, table, MODEL).unwrap_or_default();
    let of = |((_, model), judged): (Cell, Vec<Judged>)| Some((model, coverage(&judged)?));
    groups.into_iter().filter_map(of).collect()
}

/// How many models' rows lie in their intervals about as often as said.
fn models(report: &Report) -> String {
    let shares: Vec<f64> = report.by_model.iter().map(|(_, share)| *share).collect();
    let (Some(least), Some(most)) =
        (quantile(&shares, 0.0, Rule::Linear), quantile(&shares, 1.0, Rule::Linear))
    else {
        return String::new();
    };
    let fair = shares.iter().filter(|share| (0.8..=0.99).contains(*share)).count();
    format!(
        "{}: covered by model {:.0} to {:.0} %, {fair} of {} models between 80 and 99 %\n",
        report.file,
        least * 100.0,
        most * 100.0,
        shares.len()
    )
}

/// What rows of experts are grouped by beside the columns of their tables.
const MODEL: &str = "model";

/// Rows by the values of a column, or by model; none where the table has no such column.
fn grouped(judged: &[Judged], table: &Table, column: &str) -> Option<BTreeMap<Cell, Vec<Judged>>> {
    let of = |name: &str| table.columns().iter().find(|(known, _)| known == name).map(|(_, c)| c);
    let mut groups: BTreeMap<Cell, Vec<Judged>> = BTreeMap::new();
    if column == MODEL {
        let parts = ["hidden", "inter", "experts", "top_k"].map(of);
        let [Some(hidden), Some(inter), Some(experts), Some(top_k)] = parts else { return None };
        for judged in judged {
            let [h, i, e, k] = [hidden, inter, experts, top_k].map(|c| cell(c, judged.row).1);
            let model = (0, format!("{h} x {i}, {e} experts, top-{k}"));
            groups.entry(model).or_default().push(*judged);
        }
        return Some(groups);
    }
    let values = of(column)?;
    for judged in judged {
        groups.entry(cell(values, judged.row)).or_default().push(*judged);
    }
    Some(groups)
}

/// A line for each value of a column, or for each `model`.
pub fn by(report: &Report, table: &Table, column: &str) -> Option<String> {
    let groups = grouped(&report.judged, table, column)?;
    let mut out = String::new();
    for (value, judged) in groups {
        let name = format!("  {column} = {}", value.1);
        let part = Report { file: name, judged, skipped: BTreeMap::new(), ..report.clone() };
        out.push_str(&line(&FileErrors::of(&part)));
    }
    Some(out)
}

/// A value and how it reads; numbers sort by size, texts by letters.
type Cell = (u64, String);

fn cell(column: &Column, row: usize) -> Cell {
    match column {
        Column::Integers(values) => {
            let value = values[row].unwrap_or(0);
            (value.unsigned_abs(), value.to_string())
        }
        Column::Numbers(values) => {
            let value = values[row].unwrap_or(0.0);
            // Positive floats sort as their bits do.
            (value.abs().to_bits(), value.to_string())
        }
        Column::Texts(texts) => {
            (0, texts.ids[row].map_or_else(String::new, |id| texts.words[id as usize].clone()))
        }
    }
}

/// The rows whose predictions are furthest off, worst first.
pub fn worst(report: &Report, table: &Table, count: usize) -> String {
    let mut judged: Vec<&Judged> = report.judged.iter().collect();
    let size = |j: &Judged| (j.predicted / j.measured).ln().abs();
    judged.sort_by(|a, b| size(b).total_cmp(&size(a)).then(a.row.cmp(&b.row)));
    let mut out = String::new();
    for j in judged.into_iter().take(count) {
        let _ = write!(
            out,
            "  row {}: predicted {:.1} us, measured {:.1} us ({:+.0} %):",
            j.row,
            j.predicted * 1e6,
            j.measured * 1e6,
            j.error() * 100.0
        );
        for (name, column) in table.columns().iter().filter(|(name, _)| name != "device") {
            let _ = write!(out, " {name}={}", cell(column, j.row).1);
        }
        out.push('\n');
    }
    out
}
