//! `moesim report`: any result as one page that opens anywhere.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::output::progress::during;
use crate::{Failure, output};
use moesim::commands::stored::{self, Stored};
use moesim::config::Diagnostic;
use moesim::output::page::Page;
use moesim::output::plot::PlotError;
use moesim::output::report::study::StudyResult;

/// A result, and where its page goes.
#[derive(Args)]
pub(crate) struct ReportArgs {
    /// JSON that run, compare, plan, layouts, advise, explain, goodput, memory, topology, flows, validate, validate
    /// systems, gate show or gate fit printed (- for standard input); a sweep's folder or its table; counts that gate
    /// show exported.
    result: PathBuf,
    /// The .html to write. Default: beside the result.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Of a run: draw the cluster with its links too; runs one workload again.
    #[arg(long)]
    cluster: bool,
    /// Of a run: draw a stretch of its timeline too; runs one workload again.
    #[arg(long)]
    timeline: bool,
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
    let asked = if args.cluster { "--cluster" } else { "--timeline" };
    match &found.result {
        Stored::Study(run) => more(args, run, &name, &mut page)?,
        _ if args.cluster || args.timeline => {
            let help = format!("leave {asked} out, or name what moesim run printed with --json");
            let found = "is no run: it has neither a cluster at work nor a timeline";
            return Err(Diagnostic::of(name, found, help).into());
        }
        _ => {}
    }
    let path = args.out.clone().unwrap_or_else(|| beside(&args.result));
    output::write(&path, page.html())?;
    writeln!(out, "page: {}", path.display())?;
    Ok(())
}

/// What is drawn of a run that is made again.
fn more(args: &ReportArgs, run: &StudyResult, name: &str, page: &mut Page) -> Result<(), Failure> {
    let defect = |error: PlotError| {
        Diagnostic::of(name, error.to_string(), "this is a defect: please report it")
    };
    if args.cluster {
        let chart = during("runs", || super::plot::cluster(None, run))?;
        page.draw_cluster(&chart).map_err(defect)?;
    }
    if args.timeline {
        let chart = during("runs", || super::plot::timeline(run))?;
        page.draw_timeline(&chart).map_err(defect)?;
    }
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
