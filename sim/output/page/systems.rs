//! The page of published whole layers and systems: predicted against measured.

use std::collections::BTreeMap;

use super::facts::left_out;
use super::{Block, Drawing, Page, Table};
use crate::base::order::descending;
use crate::base::statistics::{Rule, quantile};
use crate::output::pictures::predicted_measured::of_systems;
use crate::output::plot::{PlotError, figures};
use crate::output::report::evidence::validation::SystemsResult;
use crate::studies::validate::systems::summary::SystemRow;

impl Page {
    /// Of published systems.
    ///
    /// # Errors
    /// If a picture cannot be drawn.
    pub fn of_systems(of: &SystemsResult) -> Result<Self, PlotError> {
        let judged: Vec<&SystemRow> = of.rows.iter().filter(|row| row.error.is_some()).collect();
        let bounds: Vec<&SystemRow> =
            of.rows.iter().filter(|row| row.error.is_none() && row.predicted.is_some()).collect();
        let mut page = Self {
            title: "Published systems".to_owned(),
            question: "How far off are predictions of published whole layers, steps and serving?"
                .to_owned(),
            answer: answer(&of.rows, &judged),
            made_by: Some(of.made_by.clone()),
            ..Self::default()
        };
        for (_, chart) in of_systems(&of.rows) {
            let name = format!("Predicted against measured, {}", chart.quantity);
            page.draw(Drawing::of(&name, &chart)?);
        }
        page.part("By family", vec![Block::Table(families(&of.rows))]);
        page.part(
            "Judged figures",
            listed("Predicted and measured, the largest error first", &judged),
        );
        page.part("Figures that bound predictions from above", bounding(&bounds));
        page.part("What it stands on", bases(&judged));
        page.part("What is left out", left_out(unjudged(&of.rows)));
        Ok(page)
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A quantile of shares, in percent.
fn at(values: &[f64], p: f64) -> String {
    quantile(values, p, Rule::Linear).map_or_else(|| "–".to_owned(), percent)
}

fn sizes(rows: &[&SystemRow]) -> Vec<f64> {
    rows.iter().filter_map(|row| row.error).map(f64::abs).collect()
}

/// Whether what was measured lies in the interval that was predicted.
fn covered(row: &SystemRow) -> Option<bool> {
    Some((row.low?..=row.high?).contains(&row.measured?))
}

fn answer(all: &[SystemRow], judged: &[&SystemRow]) -> Vec<String> {
    let sizes = sizes(judged);
    if sizes.is_empty() {
        return vec![format!("None of {} published figures could be judged.", all.len())];
    }
    vec![
        format!(
            "Half of {} published figures are predicted within {}, nine in ten within {}.",
            sizes.len(),
            at(&sizes, 0.5),
            at(&sizes, 0.9)
        ),
        format!(
            "None of them was used to fit; {} more of the table could not be judged.",
            all.len() - sizes.len()
        ),
    ]
}

/// A row for each family that has a judged figure.
fn families(all: &[SystemRow]) -> Table {
    let head = [
        "family",
        "figures",
        "judged",
        "median error",
        "nine in ten within",
        "bias",
        "within the 90 % interval",
        "median error of rooflines",
    ];
    let mut table = Table::of("Errors by family, absolute but for the bias", head);
    let mut families: BTreeMap<&str, Vec<&SystemRow>> = BTreeMap::new();
    for row in all {
        families.entry(&row.family).or_default().push(row);
    }
    for (family, rows) in families {
        let judged: Vec<&SystemRow> =
            rows.iter().copied().filter(|row| row.error.is_some()).collect();
        if judged.is_empty() {
            continue;
        }
        let (sizes, errors): (_, Vec<f64>) =
            (sizes(&judged), judged.iter().filter_map(|row| row.error).collect());
        let inside: Vec<bool> = judged.iter().filter_map(|row| covered(row)).collect();
        let share = inside.iter().filter(|own| **own).count() as f64 / inside.len().max(1) as f64;
        let roofline = |row: &&SystemRow| Some((row.baseline? / row.measured? - 1.0).abs());
        let rooflines: Vec<f64> = judged.iter().filter_map(roofline).collect();
        table.row([
            family.to_owned(),
            rows.len().to_string(),
            judged.len().to_string(),
            at(&sizes, 0.5),
            at(&sizes, 0.9),
            at(&errors, 0.5),
            percent(share),
            at(&rooflines, 0.5),
        ]);
    }
    table
}

/// Rows with what was predicted and measured.
fn listed(caption: &str, rows: &[&SystemRow]) -> Vec<Block> {
    let head =
        ["figure", "error", "predicted", "90 % interval", "measured", "unit", "trust", "what"];
    let mut table = Table::of(caption, head);
    let mut rows = rows.to_vec();
    let size = |row: &SystemRow| row.error.map_or(0.0, f64::abs);
    descending(&mut rows, |one| size(one));
    let known = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), figures);
    for row in rows {
        table.row([
            row.id.clone(),
            row.error.map_or_else(|| "–".to_owned(), |error| format!("{:+.1} %", 100.0 * error)),
            known(row.predicted),
            format!("{} to {}", known(row.low), known(row.high)),
            known(row.measured),
            row.unit.clone(),
            row.trust.clone(),
            format!("{}, {}: {}", row.quantity, row.phase, row.setup),
        ]);
    }
    if table.rows.is_empty() { Vec::new() } else { vec![Block::Table(table)] }
}

/// Rows whose measurement a prediction may only stay below.
fn bounding(rows: &[&SystemRow]) -> Vec<Block> {
    let below = |row: &&&SystemRow| row.predicted <= row.measured;
    let hold = rows.iter().filter(below).count();
    let words = format!(
        "The host bounds these by their sources' own notes: {hold} of {} predictions stay below.",
        rows.len()
    );
    let mut blocks = listed("Predicted, and measured where the host is what takes long", rows);
    if !blocks.is_empty() {
        blocks.insert(0, Block::Words(words));
    }
    blocks
}

fn bases(rows: &[&SystemRow]) -> Vec<Block> {
    let mut table =
        Table::of("What each prediction stands on", ["figure", "kernels and libraries"]);
    for row in rows {
        let said = row.stands_on.as_ref().map(|lines| lines.join("; "));
        table.row([row.id.clone(), said.unwrap_or_else(|| "–".to_owned())]);
    }
    if table.rows.is_empty() { Vec::new() } else { vec![Block::Table(table)] }
}

/// Why rows were not judged, the most frequent reason first.
fn unjudged(all: &[SystemRow]) -> Vec<String> {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for row in all.iter().filter(|row| row.predicted.is_none()) {
        *reasons.entry(&row.status).or_default() += 1;
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(reason, rows)| (std::cmp::Reverse(*rows), *reason));
    reasons.into_iter().map(|(reason, rows)| format!("{rows} figures: {reason}")).collect()
}
