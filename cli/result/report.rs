//! `moesim report`: any result as one page that opens anywhere.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::output::progress::during;
use crate::{Failure, output};
use moesim::commands::stored::{self, Stored};
use moesim::config::Diagnostic;

/// A result, and where its page goes.
#[derive(Args)]
pub(crate) struct ReportArgs {
    /// JSON that run, compare, plan, layouts, advise, goodput, flows, validate and others printed (- for standard
    /// input), a sweep's folder, or its table.
    result: PathBuf,
    /// The .html to write. Default: beside the result.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Of a run: draw the cluster with its links too; runs one workload again.
    #[arg(long)]
    cluster: bool,
}

impl ReportArgs {
    /// The file to write, where one is named.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.out.as_deref()
    }
}

/// Runs `moesim report`.
pub(crate) fn run(args: &ReportArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let name = args.result.display().to_string();
    let found = stored::open(&args.result)?;
    let mut page = found.page(&name)?;
    match &found.result {
        Stored::Study(run) if args.cluster => {
            let chart = during("runs", || super::plot::cluster(None, run))?;
            page.draw_cluster(&chart).map_err(|error| {
                Diagnostic::of(&name, error.to_string(), "this is a defect: please report it")
            })?;
        }
        _ if args.cluster => {
            let help = "leave --cluster out, or name what moesim run printed with --json";
            return Err(Diagnostic::of(name, "is no run: it has no cluster at work", help).into());
        }
        _ => {}
    }
    let path = args.out.clone().unwrap_or_else(|| beside(&args.result));
    output::write(&path, page.html())?;
    writeln!(out, "page: {}", path.display())?;
    Ok(())
}

/// `run.json` → `run.html`; what comes from standard input is named by what it is.
fn beside(result: &Path) -> PathBuf {
    if result == Path::new("-") {
        return PathBuf::from("report.html");
    }
    if result.is_dir() {
        return result.join("report.html");
    }
    result.with_extension("html")
}
