//! Predicted against measured times, as a chart.
//!
//! Both axes are logarithmic and alike; the lines are a perfect prediction and 10 % off. Of large
//! tables every n-th row is drawn.

use std::collections::BTreeMap;

use crate::output::plot::{Cloud, PredictedMeasured};
use crate::studies::validate::systems::summary::SystemRow;
use crate::studies::validate::{Judged, Report};

/// Points drawn at most.
const POINTS: usize = 4000;

/// The name of a report's picture, without ending, and the picture; none of nothing.
#[must_use]
pub fn of_report(report: &Report) -> Option<(String, PredictedMeasured)> {
    let name = report.file.replace(".parquet", "").replace(", ep > 1", "_several_ranks");
    chart(report).map(|chart| (name, chart))
}

/// The chart; none of nothing.
fn chart(report: &Report) -> Option<PredictedMeasured> {
    let residual = report.residual()?;
    let every = report.judged.len().div_ceil(POINTS).max(1);
    let cloud = |name: &str, extrapolated: bool| Cloud {
        name: name.to_owned(),
        points: report
            .judged
            .iter()
            .step_by(every)
            .filter(|j| j.extrapolated == extrapolated)
            .map(|Judged { measured, predicted, .. }| (measured * 1e6, predicted * 1e6))
            .collect(),
        names: Vec::new(),
    };
    let clouds = [cloud("measured shapes", false), cloud("extrapolated", true)];
    let (median, p90) = (residual.median * 100.0, residual.p90 * 100.0);
    Some(PredictedMeasured {
        title: format!(
            "{}: median error {median:.1} %, nine in ten within {p90:.1} %",
            report.file.replace(".parquet", "")
        ),
        below: format!("{} timings, predicted by profile {}", report.judged.len(), report.profile),
        quantity: "time, µs".to_owned(),
        clouds: clouds.into_iter().filter(|cloud| !cloud.points.is_empty()).collect(),
    })
}

/// `systems-UNIT` for each unit of published systems with a judged row: names without ending, and pictures.
#[must_use]
pub fn of_systems(rows: &[SystemRow]) -> Vec<(String, PredictedMeasured)> {
    let mut by_unit: BTreeMap<String, Vec<&SystemRow>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.error.is_some()) {
        let unit = if time_of(&row.unit).is_some() { "ms" } else { &row.unit };
        by_unit.entry(unit.to_owned()).or_default().push(row);
    }
    let named = |(unit, rows): (&String, &Vec<&SystemRow>)| {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let name: String = unit.chars().map(plain).collect();
        (format!("systems-{name}"), systems_chart(unit, rows))
    };
    by_unit.iter().map(named).collect()
}

/// Milliseconds in a unit of time.
fn time_of(unit: &str) -> Option<f64> {
    match unit.trim() {
        "s" => Some(1e3),
        "ms" => Some(1.0),
        "us" | "µs" => Some(1e-3),
        _ => None,
    }
}

/// The rows of one unit, a cloud for each family and trust.
fn systems_chart(unit: &str, rows: &[&SystemRow]) -> PredictedMeasured {
    let mut clouds: BTreeMap<String, Cloud> = BTreeMap::new();
    for row in rows {
        let scale = time_of(&row.unit).unwrap_or(1.0);
        let (Some(measured), Some(predicted)) = (row.measured, row.predicted) else { continue };
        let name = format!("{}, trust {}", row.family, row.trust);
        let cloud =
            clouds.entry(name.clone()).or_insert_with(|| Cloud { name, ..Cloud::default() });
        cloud.points.push((scale * measured, scale * predicted));
        cloud.names.push(row.id.clone());
    }
    let sizes: Vec<f64> = rows.iter().filter_map(|row| row.error).map(f64::abs).collect();
    let worst = 100.0 * sizes.iter().copied().fold(0.0, f64::max);
    PredictedMeasured {
        title: format!("{} published figures, the worst off by {worst:.0} %", sizes.len()),
        below: "none was used to fit; moesim validate systems says what each stands on".to_owned(),
        quantity: unit.to_owned(),
        clouds: clouds.into_values().collect(),
    }
}
