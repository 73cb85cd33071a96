//! The table that quality is read from: a line for each point.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::base::statistics::mean;
use crate::config::{Diagnostic, TAU};

/// One point of one model.
#[derive(Deserialize)]
pub(super) struct Row {
    #[serde(default)]
    pub(super) model: Option<String>,
    pub(super) tau: Option<f64>,
    #[serde(alias = "average_accuracy_percent")]
    pub(super) quality: f64,
    #[serde(default)]
    pub(super) noise: Option<f64>,
}

impl Row {
    /// The first column whose number nothing can be made of, and that number.
    fn unusable(&self) -> Option<(&'static str, f64)> {
        let quality = -MOST_QUALITY..=MOST_QUALITY;
        let columns = [
            ("tau", self.tau, &TAU),
            ("quality", Some(self.quality), &quality),
            ("noise", self.noise, &NOISE),
        ];
        columns.into_iter().find_map(|(column, number, range)| {
            Some((column, number.filter(|number| !range.contains(number))?))
        })
    }
}

/// Quality beyond this, either way, is no share, score or loss: its squares would overflow.
const MOST_QUALITY: f64 = 1e6;

/// Noise that weights can be made of.
const NOISE: std::ops::RangeInclusive<f64> = 1e-9..=MOST_QUALITY;

/// A number as people write it.
fn shown(number: f64) -> String {
    let plain = number == 0.0 || number.is_nan() || (1e-3..1e7).contains(&number.abs());
    if plain { number.to_string() } else { format!("{number:e}") }
}

/// The rows of a table of quality.
pub(super) fn rows(name: &str, csv: &[u8]) -> Result<Vec<Row>, Diagnostic> {
    const COLUMNS: &str = "columns: tau, quality, noise if known, and model if several";
    let text = String::from_utf8_lossy(csv);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(csv);
    let mut rows: Vec<Row> = Vec::new();
    for (at, row) in reader.deserialize().enumerate() {
        let row: Row = row.map_err(|error| Diagnostic::of_csv((name, &text), &error, COLUMNS))?;
        if let Some((column, number)) = row.unusable() {
            let (least, most) = (TAU.start(), TAU.end());
            let help = format!(
                "give τ from {least} to {most}, quality up to {MOST_QUALITY}, noise above zero"
            );
            let (place, found) = ((at + 2, column), format!("found {}", shown(number)));
            return Err(Diagnostic::in_cell((name, &text), place, found, &help));
        }
        rows.push(row);
    }
    if rows.is_empty() {
        return Err(Diagnostic::of(
            name,
            "holds no points",
            format!("give a line for each τ; {COLUMNS}"),
        ));
    }
    Ok(rows)
}

/// The rows of one model: its own, and those that name none.
pub(super) fn of<'a>(name: &str, rows: &'a [Row], model: &str) -> Result<Vec<&'a Row>, Diagnostic> {
    let is_own = |row: &&Row| row.model.as_deref().is_none_or(|own| own == model);
    let own: Vec<&Row> = rows.iter().filter(is_own).collect();
    if own.iter().any(|row| row.tau.is_some()) {
        return Ok(own);
    }
    let models: BTreeSet<&str> = rows.iter().filter_map(|row| row.model.as_deref()).collect();
    let found = format!("has no quality of `{model}` at any τ");
    let help = match models.is_empty() {
        true => "give a line for each τ beside vanilla's".to_owned(),
        false => format!(
            "models in it: {}; give a curve of your own with --quality FILE",
            models.into_iter().collect::<Vec<_>>().join(", ")
        ),
    };
    Err(Diagnostic::of(name, found, help))
}

/// Vanilla's quality: the mean of what was measured.
pub(super) fn vanilla(own: &[&Row]) -> Option<f64> {
    let given: Vec<f64> =
        own.iter().filter(|row| row.tau.is_none()).map(|row| row.quality).collect();
    (!given.is_empty()).then(|| mean(&given))
}
