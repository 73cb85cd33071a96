//! Verdicts on published systems: a result for each row, and the printed report.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Verdict;
use crate::base::statistics::{Rule, quantile};

/// The status of rows whose measurement a prediction may only stay below.
const UPPER_BOUND: &str =
    "predicted, not judged: an upper bound by the row's own note (bound by the host)";

/// One row of published systems, judged or not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SystemRow {
    /// Its id in the table.
    pub id: String,
    /// Its family.
    pub family: String,
    /// `judged`, or the reason why not.
    pub status: String,
    /// Predicted, in `unit`.
    pub predicted: Option<f64>,
    /// Measured.
    pub measured: Option<f64>,
    /// `predicted / measured − 1`.
    pub error: Option<f64>,
    /// The lower end of the 90 % interval.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
    /// Predicted by the data sheet's roofline.
    pub baseline: Option<f64>,
    /// The set-up, as the table has it.
    pub setup: String,
    /// What was measured.
    pub quantity: String,
    /// The phase.
    pub phase: String,
    /// The unit.
    pub unit: String,
    /// How far the source is trusted.
    pub trust: String,
    /// The exchange library.
    pub dispatcher: String,
    /// The kernel of experts.
    pub gemm_kernel: String,
    /// What the prediction stands on.
    pub stands_on: Option<Vec<String>>,
}

impl SystemRow {
    /// Of a verdict.
    #[must_use]
    pub fn of(verdict: &Verdict) -> Self {
        let row = &verdict.row;
        let predicted = verdict.outcome.as_ref().ok();
        let status = match (&verdict.outcome, verdict.row.is_upper_bound()) {
            (Err(reason), _) => reason,
            (Ok(_), true) => UPPER_BOUND,
            (Ok(_), false) => "judged",
        };
        Self {
            id: row.id.clone(),
            family: row.family.clone(),
            status: status.to_owned(),
            predicted: predicted.map(|p| p.predicted),
            measured: verdict.measured,
            error: verdict.error(),
            low: predicted.map(|p| p.low),
            high: predicted.map(|p| p.high),
            baseline: predicted.map(|p| p.baseline),
            setup: row.setup.clone(),
            quantity: row.quantity.clone(),
            phase: row.phase.clone(),
            unit: row.unit.clone(),
            trust: row.trust.clone(),
            dispatcher: row.dispatcher.clone(),
            gemm_kernel: row.gemm_kernel.clone(),
            stands_on: predicted.map(|p| p.stands_on.clone()),
        }
    }
}

/// The whole report.
#[must_use]
pub fn text(file: &str, verdicts: &[Verdict]) -> String {
    let judged = verdicts.iter().filter(|verdict| verdict.judged().is_some()).count();
    let mut out = format!("{file}: {} rows, {judged} judged\n\n", verdicts.len());
    groups(&mut out, "by family", verdicts, |verdict| verdict.row.family.clone());
    groups(&mut out, "by software stack", verdicts, |verdict| verdict.row.stack());
    rows(&mut out, verdicts);
    bounds(&mut out, verdicts);
    reasons(&mut out, verdicts);
    out
}

/// A line for each group of rows that has a judged one; the others are counted below it.
fn groups(out: &mut String, title: &str, verdicts: &[Verdict], of: impl Fn(&Verdict) -> String) {
    let mut found: BTreeMap<String, Vec<&Verdict>> = BTreeMap::new();
    for verdict in verdicts {
        found.entry(of(verdict)).or_default().push(verdict);
    }
    let _ = writeln!(
        out,
        "{title:<52} {:>5} {:>6} {:>8} {:>8} {:>8} {:>8} {:>9}",
        "rows", "judged", "median", "p90", "bias", "covered", "roofline"
    );
    let mut others = (0, 0);
    for (name, group) in &found {
        match statistics(group) {
            Some(cells) => {
                let name: String = name.chars().take(52).collect();
                let _ = writeln!(out, "{name:<52} {:>5} {cells}", group.len());
            }
            None => others = (others.0 + 1, others.1 + group.len()),
        }
    }
    if others.0 > 0 {
        let name = format!("{} more without a judged row", others.0);
        let _ = writeln!(out, "{name:<52} {:>5} {:>6}", others.1, 0);
    }
    out.push('\n');
}

fn statistics(group: &[&Verdict]) -> Option<String> {
    let errors: Vec<f64> = group.iter().filter_map(|verdict| verdict.error()).collect();
    let sizes: Vec<f64> = errors.iter().map(|error| error.abs()).collect();
    let covered: Vec<bool> = group.iter().filter_map(|verdict| verdict.covered()).collect();
    let inside = covered.iter().filter(|covered| **covered).count() as f64 / covered.len() as f64;
    let naive: Vec<f64> = group.iter().filter_map(|verdict| baseline_error(verdict)).collect();
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    Some(format!(
        "{:>6} {:>8} {:>8} {:>8} {:>8} {:>9}",
        errors.len(),
        percent(quantile(&sizes, 0.5, Rule::Linear)?),
        percent(quantile(&sizes, 0.9, Rule::Linear)?),
        percent(quantile(&errors, 0.5, Rule::Linear)?),
        percent(inside),
        percent(quantile(&naive, 0.5, Rule::Linear)?),
    ))
}

/// Absolute error of the baseline.
fn baseline_error(verdict: &Verdict) -> Option<f64> {
    Some((verdict.judged()?.baseline / verdict.measured? - 1.0).abs())
}

/// A line for each judged row, and under it what it stands on.
fn rows(out: &mut String, verdicts: &[Verdict]) {
    let _ = writeln!(
        out,
        "{:<44} {:<5} {:>13} {:>10}  {:<22} {:>10} {:>8}",
        "judged rows", "trust", "unit", "predicted", "90 % interval", "measured", "error"
    );
    for verdict in verdicts {
        let (Ok(p), Some(measured), Some(error)) =
            (&verdict.outcome, verdict.measured, verdict.error())
        else {
            continue;
        };
        let row = &verdict.row;
        let interval = format!("{} to {}", figures(p.low), figures(p.high));
        let _ = writeln!(
            out,
            "{:<44} {:<5} {:>13} {:>10}  {interval:<22} {:>10} {:>+6.1} %",
            row.id,
            row.trust,
            row.unit,
            figures(p.predicted),
            figures(measured),
            100.0 * error,
        );
        for line in &p.stands_on {
            let _ = writeln!(out, "    {line}");
        }
    }
    out.push('\n');
}

/// Four figures.
fn figures(value: f64) -> String {
    let size = value.abs().max(1e-12).log10().floor() as i32;
    let decimals = (3 - size).clamp(0, 6) as usize;
    format!("{value:.decimals$}")
}

/// How many measurements are upper bounds, and how many predictions stay below theirs.
fn bounds(out: &mut String, verdicts: &[Verdict]) {
    let ratios: Vec<f64> = verdicts
        .iter()
        .filter(|verdict| verdict.row.is_upper_bound())
        .filter_map(|verdict| Some(verdict.outcome.as_ref().ok()?.predicted / verdict.measured?))
        .collect();
    let Some(middle) = quantile(&ratios, 0.5, Rule::Linear) else { return };
    let below = ratios.iter().filter(|ratio| **ratio <= 1.0).count();
    let _ = writeln!(
        out,
        "{:>5}  predicted, not judged: upper bounds by the rows' own notes (bound by the host); {below} of them hold, the \
         median prediction being {:.0} % of its bound\n",
        ratios.len(),
        100.0 * middle,
    );
}

/// How many rows were not judged, by reason, most first; every family and set-up counted.
fn reasons(out: &mut String, verdicts: &[Verdict]) {
    let mut found: BTreeMap<&str, Vec<&Verdict>> = BTreeMap::new();
    for verdict in verdicts {
        if let Err(reason) = &verdict.outcome {
            found.entry(reason).or_default().push(verdict);
        }
    }
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_by_key(|(reason, rows)| (std::cmp::Reverse(rows.len()), *reason));
    let _ = writeln!(out, "{:>5}  not judged, because", "rows");
    for (reason, rows) in found {
        let first: &str = rows.first().map_or("", |verdict| &verdict.row.id);
        let more = if rows.len() > 1 { ", …" } else { "" };
        let _ = writeln!(out, "{:>5}  {reason} ({first}{more})", rows.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_show_four_figures() {
        assert_eq!(figures(4.3269), "4.327");
        assert_eq!(figures(62713.0), "62713");
        assert_eq!(figures(0.012_345_6), "0.01235");
    }
}
