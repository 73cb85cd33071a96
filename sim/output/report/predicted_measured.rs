//! Predicted against measured times, as a chart.
//!
//! Both axes are logarithmic and alike; the lines are a perfect prediction and 10 % off. Of large
//! tables every n-th row is drawn.

use std::path::Path;

use crate::output::plot::{Cloud, PlotError, PredictedMeasured, save};
use crate::studies::validate::{Judged, Report};

/// Points drawn at most.
const POINTS: usize = 4000;

/// Writes `FILE.svg` and `FILE.png` into a folder, each whole or not at all.
pub fn write(report: &Report, folder: &Path) -> Result<(), PlotError> {
    let Some(chart) = chart(report) else { return Ok(()) };
    std::fs::create_dir_all(folder).map_err(PlotError::Output)?;
    let name = report.file.replace(".parquet", "").replace(", ep > 1", "_several_ranks");
    for ending in ["svg", "png"] {
        save(&chart, &folder.join(format!("{name}.{ending}")))?;
    }
    Ok(())
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
