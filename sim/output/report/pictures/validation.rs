//! What `moesim validate --json` printed: how far off predictions are, file by file.

use super::Part;
use crate::config::Diagnostic;
use crate::output::plot::{Axis, Bar, StackedBars};

/// Median and nine-in-ten error of each file of measurements.
///
/// # Errors
/// If the result lacks what is drawn.
pub fn errors_chart(validation: &Part<'_>) -> Result<StackedBars, Diagnostic> {
    let mut bars: Vec<(f64, Bar)> = Vec::new();
    for report in validation.list("")? {
        let errors = report.maybe("median_abs_error").zip(report.maybe("p90_abs_error"));
        let Some((median, nine)) = errors else { continue };
        let name = report.text("file")?.replace(".parquet", "");
        bars.push((median, Bar { name, parts: vec![100.0 * median, 100.0 * (nine - median)] }));
    }
    bars.sort_by(|a, b| a.0.total_cmp(&b.0));
    let Some((worst, last)) = bars.last() else {
        let help =
            "draw what `moesim validate FOLDER --json` printed of a folder with measurements";
        return Err(Diagnostic::of(validation.file, "holds no file with predictions", help));
    };
    Ok(StackedBars {
        title: format!("Median errors are at most {:.0} % ({})", (100.0 * worst).ceil(), last.name),
        below:
            "error of predicted times, absolute; predicted against measured: moesim validate --plot"
                .to_owned(),
        axis: Axis::from_zero("error, %"),
        parts: vec!["median".to_owned(), "up to which nine in ten lie".to_owned()],
        bars: bars.into_iter().map(|(_, bar)| bar).collect(),
    })
}
