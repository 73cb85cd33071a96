//! `moesim run`: a scenario, as a table or as JSON.

use std::io::Write;

use clap::Args;

use super::{Failure, default_threads};
use crate::config::{Overrides, ScenarioSource};
use crate::{report, study};

/// The scenario of `moesim` without a subcommand.
pub(super) const PAPER: &str = "paper";

/// A scenario, and how to run it.
#[derive(Args)]
pub(super) struct RunArgs {
    /// A scenario file, or the name of a built-in one (see `moesim list`).
    scenario: String,
    #[command(flatten)]
    study: StudyArgs,
}

/// How to run a scenario.
#[derive(Args)]
pub(super) struct StudyArgs {
    /// Override a key, such as counted=moe-layer, seeds=0..20, workload.batch.tokens_per_gpu=4096 or
    /// topology.nodes.count=8. Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Draw the gain over τ and where the time goes into this folder, as SVG.
    #[arg(long, value_name = "FOLDER")]
    plot: Option<std::path::PathBuf>,
    /// Threads to use; results are the same for any number. Default: all cores.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

pub(super) fn run(args: &RunArgs, out: &mut dyn Write) -> Result<(), Failure> {
    study(&args.scenario, &args.study, out)
}

pub(super) fn study(name: &str, args: &StudyArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let overrides = Overrides::new(args.set.clone());
    let scenario = ScenarioSource::open(name, overrides)?.load()?;
    let rows = study::study(&scenario, args.threads.map_or_else(default_threads, usize::from))?;
    if let Some(folder) = &args.plot {
        std::fs::create_dir_all(folder)?;
        super::save_chart(&report::gain_chart(&scenario, &rows), &folder.join("gain.svg"))?;
        let breakdown = report::breakdown_chart(&scenario, &rows);
        super::save_chart(&breakdown, &folder.join("breakdown.svg"))?;
    }
    if args.json {
        let asked =
            report::Asked { scenario: name, set: &args.set, moesim: env!("CARGO_PKG_VERSION") };
        report::write_json(out, &asked, &scenario, &rows)?;
    } else {
        report::write_text(out, &scenario, &rows)?;
    }
    Ok(())
}
