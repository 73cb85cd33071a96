//! `moesim fit-overheads`: published expert forward times → an overheads file.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::{Failure, default_threads, write_whole};
use crate::paper::{self, fit, judge::Predictor};

/// What to fit to, and where to write.
#[derive(Args)]
pub(super) struct FitArgs {
    /// A CSV in the columns of the paper's table; the built-in rows if left out.
    #[arg(long, value_name = "CSV")]
    from: Option<PathBuf>,
    /// What the rows are, for the record.
    #[arg(long, default_value = "rows 0.6B and 1B of arXiv 2410.07348, Table 3")]
    fitted_to: String,
    /// The overheads file to write.
    #[arg(long, value_name = "TOML")]
    out: PathBuf,
}

pub(super) fn run(args: &FitArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let read = args.from.as_deref().map(paper::read).transpose()?;
    let rows = read.as_deref().unwrap_or_else(|| paper::built_in());
    let fit = fit::fit(&Predictor::new(default_threads())?, rows)?;
    let name = args.out.file_stem().map_or_else(|| "overheads".into(), |s| s.to_string_lossy());
    write_whole(&args.out, &fit::file_text(&name, &fit, &args.fitted_to))?;
    writeln!(
        out,
        "{}: {} rows, mean |error| {:.1} %",
        args.out.display(),
        fit.rows,
        fit.residual * 100.0
    )?;
    Ok(())
}
