//! The report of `moesim validate DIR`: every file judged, in order of name.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::arguments::choice;
use crate::{Failure, output};
use moesim::commands::validate::{Judged, folder};
use moesim::output::pictures::predicted_measured;
use moesim::studies::validate::{LeaveOut, summary};

/// Predict every row of a folder of measurements and say how far off. Shapes that profiles were fitted to are
/// read back; --leave-out predicts them.
#[derive(Args, Clone, Debug, Default)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct ValidateArgs {
    #[command(subcommand)]
    pub known: Option<Known>,
    /// The folder of measurements. A folder named `systems` is written `./systems`.
    #[arg(required = true)]
    pub dir: Option<PathBuf>,
    /// Break each file down by the values of this column, or experts by `model`.
    #[arg(long, value_name = "COLUMN")]
    pub by: Option<String>,
    /// List the rows that are furthest off.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub worst: usize,
    /// Predict as if this had never been measured: every shape (the default), every number of GPUs or
    /// groups, or every file's whole device but for a few dozen of its GEMM timings.
    #[arg(long, value_name = "WHAT", value_parser = choice::parser::<LeaveOut>(), num_args = 0..=1, require_equals = true,
          default_missing_value = "shape")]
    pub leave_out: Option<LeaveOut>,
    /// Draw predicted against measured times of each file, as SVG and PNG files in this folder.
    #[arg(long, value_name = "FOLDER")]
    pub plot: Option<PathBuf>,
    /// Print JSON: under `files` an object for each file.
    #[arg(long)]
    pub json: bool,
}

/// What is validated instead of a folder.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Known {
    /// Predict published whole layers, exchanges, steps and serving figures, and say how far off.
    Systems(super::systems::SystemsArgs),
}

/// Validates every file of a folder, and writes the report to `out`: the first table that cannot be read is returned
/// after the report.
///
/// # Errors
/// If the folder cannot be read or holds nothing to judge, if a table is refused, or if `out`
/// cannot be written.
pub(super) fn run(args: &ValidateArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let found = folder(&args.dir.clone().unwrap_or_default(), args.leave_out)?;
    if let Some(folder) = &args.plot {
        super::draw(folder, found.reports().filter_map(predicted_measured::of_report))?;
    }
    if args.json {
        output::result(out, &found.result(&output::call()))?;
    } else {
        write_text(&found, args, out)?;
    }
    found.mistakes.into_iter().next().map_or(Ok(()), |mistake| Err(mistake.into()))
}

fn write_text(found: &Judged, args: &ValidateArgs, out: &mut dyn Write) -> io::Result<()> {
    if args.leave_out.is_none() && !found.tables.is_empty() {
        write!(out, "{}", summary::read_back(found.reports()))?;
    }
    write!(out, "{}", summary::HEADER)?;
    for (reports, table) in &found.tables {
        for report in reports {
            write!(out, "{}", summary::line(&summary::FileErrors::of(report)))?;
            if let Some(column) = &args.by {
                let parts = summary::by(report, table, column);
                let none = || format!("  has no column {column}\n");
                write!(out, "{}", parts.unwrap_or_else(none))?;
            }
            write!(out, "{}", summary::worst(report, table, args.worst))?;
        }
    }
    write!(out, "\n{}", summary::notes(found.reports()))?;
    for verdict in &found.papers {
        write!(out, "{}", verdict.text())?;
    }
    for path in &found.ignored {
        writeln!(out, "{path}: ignored, not a table of measurements that is known")?;
    }
    for mistake in &found.mistakes {
        writeln!(out, "{mistake}")?;
    }
    Ok(())
}
