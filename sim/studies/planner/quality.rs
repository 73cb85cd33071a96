//! How a model's quality depends on τ.
//!
//! Published averages over tasks differ from one τ to the next by as much as they trend, so a curve
//! is not read off point by point. A straight line in `ln τ` is fitted, one slope for all models and a
//! level for each,
//!
//! ```text
//!   q = a_model + b·ln τ + e                                                       (1)
//! ```
//!
//! and the standard deviation of `e` is stated with every figure as its noise.

use std::path::Path;

use serde::Deserialize;

use crate::base::statistics::mean;
use crate::config::{Diagnostic, Kind, TAU};

/// Quality at a τ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// By the fitted line, in the curve's unit (percent of tasks for the paper's).
    pub expected: f64,
    /// Standard deviation of what was measured about the line.
    pub noise: f64,
    /// Whether τ lies outside what was measured.
    pub extrapolated: bool,
}

/// A fitted curve of one model.
#[derive(Clone, Debug, PartialEq)]
pub struct Trend {
    /// What was measured of this model: τ (none for vanilla) and quality.
    pub points: Vec<(Option<f64>, f64)>,
    level: f64,
    slope: f64,
    noise: f64,
    measured: (f64, f64),
    vanilla: Option<f64>,
    /// Where it comes from.
    pub source: String,
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    model: Option<String>,
    tau: Option<f64>,
    #[serde(alias = "average_accuracy_percent")]
    quality: f64,
}

impl Line {
    fn is_sound(&self) -> bool {
        self.quality.abs() <= MOST_QUALITY && self.tau.is_none_or(|tau| TAU.contains(&tau))
    }
}

/// Quality beyond this, either way, is no share, score or loss: its squares would overflow.
const MOST_QUALITY: f64 = 1e6;

const PUBLISHED: &str = include_str!("../../../calibrate/data/paper_moepp_quality.csv");

impl Trend {
    /// The published curve of a model of the paper: averages over its tasks [moepp, Table 3].
    ///
    /// # Errors
    /// If the paper has no such model.
    pub fn published(model: &str) -> Result<Self, Diagnostic> {
        Self::parse("paper_moepp_quality.csv", PUBLISHED.as_bytes(), model)
    }

    /// A user's curve: a CSV with columns `tau` (empty for vanilla) and `quality`, and `model` if it
    /// holds several.
    ///
    /// # Errors
    /// If the file cannot be read or lacks what a line needs.
    pub fn read(path: &Path, model: &str) -> Result<Self, Diagnostic> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| {
            Diagnostic::of(&name, format!("cannot be read: {error}"), "check the path")
        })?;
        let other = |mistake| Kind::misplaced_file(path).unwrap_or(mistake);
        Self::parse(&name, &bytes, model).map_err(other)
    }

    fn parse(name: &str, csv: &[u8], model: &str) -> Result<Self, Diagnostic> {
        const COLUMNS: &str = "columns: tau, quality, and model if several";
        let text = String::from_utf8_lossy(csv);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(csv);
        let mut lines: Vec<Line> = Vec::new();
        for (at, line) in reader.deserialize().enumerate() {
            let line: Line =
                line.map_err(|error| Diagnostic::of_csv((name, &text), &error, COLUMNS))?;
            if !line.is_sound() {
                let (least, most) = (TAU.start(), TAU.end());
                let help = format!("give τ from {least} to {most}, quality up to {MOST_QUALITY}");
                let found = "τ and quality are not usable numbers";
                return Err(Diagnostic::at_line(name, (&text, at + 2), found, help));
            }
            lines.push(line);
        }
        let of = |line: &Line| line.model.as_deref().is_none_or(|own| own == model);
        let points: Vec<(Option<f64>, f64)> =
            lines.iter().filter(|line| of(line)).map(|line| (line.tau, line.quality)).collect();
        if points.iter().all(|(tau, _)| tau.is_none()) {
            let models: std::collections::BTreeSet<&str> =
                lines.iter().filter_map(|line| line.model.as_deref()).collect();
            return Err(Diagnostic::of(
                name,
                format!("has no quality of `{model}` at any τ"),
                format!(
                    "models in it: {}; give a curve of your own with --quality FILE",
                    models.into_iter().collect::<Vec<_>>().join(", ")
                ),
            ));
        }
        Ok(Self::fit(&lines, points, name))
    }

    /// Equation (1) by least squares within models.
    fn fit(lines: &[Line], points: Vec<(Option<f64>, f64)>, name: &str) -> Self {
        let mut groups: std::collections::BTreeMap<&str, Vec<(f64, f64)>> = Default::default();
        for line in lines {
            let model = line.model.as_deref().unwrap_or("");
            if let Some(tau) = line.tau {
                groups.entry(model).or_default().push((tau.ln(), line.quality));
            }
        }
        let mean = |values: &mut dyn Iterator<Item = f64>| mean(&values.collect::<Vec<f64>>());
        let (mut xy, mut xx, mut count) = (0.0, 0.0, 0.0);
        for group in groups.values() {
            let (x, y) =
                (mean(&mut group.iter().map(|p| p.0)), mean(&mut group.iter().map(|p| p.1)));
            xy += group.iter().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>();
            xx += group.iter().map(|p| (p.0 - x).powi(2)).sum::<f64>();
            count += group.len() as f64;
        }
        let slope = if xx > 0.0 { xy / xx } else { 0.0 };
        let mut squares = 0.0;
        for group in groups.values() {
            let level = mean(&mut group.iter().map(|p| p.1 - slope * p.0));
            squares += group.iter().map(|p| (p.1 - level - slope * p.0).powi(2)).sum::<f64>();
        }
        let free = (count - groups.len() as f64 - 1.0).max(1.0);
        let own: Vec<(f64, f64)> = points
            .iter()
            .filter_map(|(tau, quality)| Some((tau.as_ref()?.ln(), *quality)))
            .collect();
        let all = || groups.values().flatten().map(|p| p.0);
        let ends = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
        let vanilla = points.iter().find(|(tau, _)| tau.is_none()).map(|(_, quality)| *quality);
        Self {
            level: mean(&mut own.iter().map(|p| p.1 - slope * p.0)),
            slope,
            noise: (squares / free).sqrt(),
            measured: (ends.0.exp(), ends.1.exp()),
            vanilla,
            points,
            source: name.to_owned(),
        }
    }

    /// Quality at a τ; vanilla's as measured, or the line's at the largest τ where it was not.
    #[must_use]
    pub fn at(&self, tau: Option<f64>) -> Quality {
        let line = |tau: f64| self.level + self.slope * tau.ln();
        let (low, high) = self.measured;
        match tau {
            None => Quality {
                expected: self.vanilla.unwrap_or_else(|| line(high)),
                noise: self.noise,
                extrapolated: self.vanilla.is_none(),
            },
            Some(tau) => Quality {
                expected: line(tau),
                noise: self.noise,
                extrapolated: !(low * 0.999..=high * 1.001).contains(&tau),
            },
        }
    }

    /// What one more `ln τ` brings.
    #[must_use]
    pub const fn slope(&self) -> f64 {
        self.slope
    }

    /// Standard deviation about the line.
    #[must_use]
    pub const fn noise(&self) -> f64 {
        self.noise
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_curves_rise_gently_with_tau_and_say_their_noise() {
        let trend = Trend::published("1B").unwrap();
        assert!(trend.slope() > 0.0 && trend.slope() < 1.5, "{}", trend.slope());
        assert!(trend.noise() > 0.1 && trend.noise() < 1.5, "{}", trend.noise());
        assert!((trend.at(None).expected - 45.3).abs() < 1e-9);
        assert!(trend.at(Some(2.0)).extrapolated && !trend.at(Some(0.5)).extrapolated);
        assert!(trend.at(Some(1.0)).expected > trend.at(Some(0.1)).expected);
    }

    #[test]
    fn a_line_is_found_again() {
        let csv = b"tau,quality\n0.1,50\n1,60\n10,70\n";
        let trend = Trend::parse("mine.csv", csv, "any").unwrap();
        assert!((trend.at(Some(1.0)).expected - 60.0).abs() < 1e-9);
        assert!((trend.slope() - 10.0 / 10_f64.ln()).abs() < 1e-9 && trend.noise() < 1e-9);
        // Vanilla was not measured: the line at the largest τ stands for it, and it is said.
        let vanilla = trend.at(None);
        assert!((vanilla.expected - 70.0).abs() < 1e-9 && vanilla.extrapolated, "{vanilla:?}");
    }

    #[test]
    fn a_curve_that_is_none_is_refused_by_line() {
        let wrong =
            |csv: &str| Trend::parse("mine.csv", csv.as_bytes(), "m").unwrap_err().to_string();
        assert!(
            wrong("tau,quality\n0.1,fine\n").starts_with("mine.csv:2"),
            "{}",
            wrong("tau,quality\n0.1,fine\n")
        );
        assert!(wrong("tau,quality\n-1,3\n").contains("not usable numbers"));
        assert!(wrong("model,tau,quality\nx,0.5,3\n").contains("models in it: x"));
        assert!(wrong("").contains("has no quality"));
    }
}
