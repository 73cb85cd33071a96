//! `moesim validate`: measured tables and the paper's table, predicted and judged.

use std::io::Write;
use std::path::Path;

use super::Failure;
use super::output::Files;

mod command;
pub(super) mod fit_overheads;
mod systems;
pub(crate) use command::ValidateArgs;
use command::{Known, Other};
use moesim::base::threads;
use moesim::config::{Diagnostic, Overrides};
use moesim::execution::outcome::TooLong;
use moesim::output::plot::PredictedMeasured;
use moesim::studies::paper::{self, predictor::Predictor};

pub(super) fn run(args: &ValidateArgs, out: &mut dyn Write) -> Result<(), Failure> {
    match &args.known {
        Some(Known::Systems(args)) => systems::run(args, out),
        None => command::run(args, &papers_table, out),
    }
}

/// Judges a CSV in the columns of the paper's table; says nothing of other files.
fn papers_table(path: &Path) -> Result<Option<Other>, Diagnostic> {
    let is_csv = path.extension().is_some_and(|extension| extension == "csv");
    if !is_csv || !paper::looks_like(path) {
        return Ok(None);
    }
    let rows = paper::read(path)?;
    let file = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
    let predictor = Predictor::new(Overrides::default(), threads::available())?;
    let verdict = predictor.verdict(&file, &rows).map_err(|TooLong| {
        Diagnostic::of(&file, TooLong.to_string(), "this is a defect: please report it")
    })?;
    let json = serde_json::to_value(&verdict).map_err(|error| {
        Diagnostic::of(&file, error.to_string(), "this is a defect: please report it")
    })?;
    Ok(Some(Other { json, text: verdict.text() }))
}

/// Draws pictures, each as SVG and as PNG, into a folder.
fn draw(
    folder: &Path,
    charts: impl IntoIterator<Item = (String, PredictedMeasured)>,
) -> Result<(), Failure> {
    let mut files = Files::of(folder)?;
    for (name, chart) in charts {
        for ending in ["svg", "png"] {
            files.add_chart(&format!("{name}.{ending}"), &chart)?;
        }
    }
    files.keep()
}
