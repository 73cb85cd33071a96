//! What `moesim validate` found: how far off predictions are, file by file.

use crate::base::order::ascending;
use crate::config::Diagnostic;
use crate::output::plot::{Axis, Bar, StackedBars};
use crate::studies::validate::summary::FileErrors;

/// Median and nine-in-ten error of each file of measurements.
///
/// # Errors
/// If no file has predictions; `place` says of which result.
pub fn errors_chart(files: &[FileErrors], place: &str) -> Result<StackedBars, Diagnostic> {
    let bar = |file: &FileErrors| {
        let (median, nine) = file.median_abs_error.zip(file.p90_abs_error)?;
        let name = file.file.replace(".parquet", "");
        Some((median, Bar { name, parts: vec![100.0 * median, 100.0 * (nine - median)] }))
    };
    let mut bars: Vec<(f64, Bar)> = files.iter().filter_map(bar).collect();
    ascending(&mut bars, |one| one.0);
    let Some((worst, last)) = bars.last() else {
        let help =
            "draw what `moesim validate FOLDER --json` printed of a folder with measurements";
        return Err(Diagnostic::of(place, "holds no file with predictions", help));
    };
    Ok(StackedBars {
        title: format!("Median errors are at most {:.0} % ({})", (100.0 * worst).ceil(), last.name),
        below:
            "error of predicted times, absolute; predicted against measured: moesim validate --plot"
                .to_owned(),
        axis: Axis::from_zero("error, %"),
        parts: vec!["median".to_owned(), "up to which nine in ten lie".to_owned()],
        bars: bars.into_iter().map(|(_, bar)| bar).collect(),
        shades: Vec::new(),
    })
}
