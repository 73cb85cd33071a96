//! `moesim validate`: measured tables and the paper's table, predicted and judged.

use std::io::Write;
use std::path::Path;

use super::Failure;
use super::output::Files;

mod command;
pub(super) mod fit_overheads;
mod systems;
use command::Known;
pub(crate) use command::ValidateArgs;
use moesim::output::plot::PredictedMeasured;

pub(super) fn run(args: &ValidateArgs, out: &mut dyn Write) -> Result<(), Failure> {
    match &args.known {
        Some(Known::Systems(args)) => systems::run(args, out),
        None => command::run(args, out),
    }
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
    Ok(files.keep()?)
}
