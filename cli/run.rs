//! `moesim run`: a scenario, as a table or as JSON.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

pub(super) mod memory;

use super::Failure;
use super::output::progress::during;
use super::output::{self, Files};
use moesim::commands::run::{self, Ran};
use moesim::commands::with_precision;
use moesim::output::{pictures, report};
use moesim::studies::study::Row;

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
    /// Run on this measured device: a profile file, whose peaks the cluster's GPUs take over. With
    /// --set profile=… instead, its efficiencies apply to the peaks that the topology states.
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Refuse kernels whose constants are borrowed from another kernel, format or GPU.
    #[arg(long)]
    strict: bool,
    /// Run what does not fit into the GPUs' memory, and say so.
    #[arg(long)]
    allow_oom: bool,
    /// How exactly the mean time over seeds is wanted, as in 0.5%: no more is simulated than that takes. Default: exact,
    /// which is all, or what the scenario says.
    #[arg(long, value_name = "PERCENT")]
    precision: Option<String>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Draw the gain over τ, where the time goes and how full links are into this folder, as SVG.
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
    let options = run::Options {
        scenario: name.to_owned(),
        set: with_precision(&args.set, args.precision.as_deref()),
        profile: args.profile.clone(),
        strict: args.strict,
        allow_oom: args.allow_oom,
        threads: args.threads.map(usize::from),
    };
    let ran = during("runs", || run::run(&options, &output::call()))?;
    let Ran { result, scenario, .. } = &ran;
    if let Some(folder) = &args.plot {
        draw(folder, &ran)?;
    }
    if args.json {
        return output::result(out, result);
    }
    if args.profile.is_some() {
        let gpu = scenario.topology.gpu();
        let memory = gpu.memory.map_or_else(
            || "no size of memory is stated".to_owned(),
            |memory| format!("{:.1} GB of memory", memory.0 as f64 / 1e9),
        );
        writeln!(out, "kept of the cluster, as a profile does not say: {memory}, its links\n")?;
    }
    Ok(result.write_text(out)?)
}

/// Draws the gain, where the time goes and, where exchanges are counted, how full links are.
fn draw(folder: &Path, ran: &Ran) -> Result<(), Failure> {
    let Ran { result, scenario, rows } = ran;
    let mut files = Files::of(folder)?;
    files.add_chart("gain.svg", &pictures::gain_chart(result))?;
    files.add_chart("breakdown.svg", &pictures::breakdown_chart(result))?;
    let most = |row: &Row| row.link_bytes_per_s.iter().copied().fold(0.0, f64::max);
    let fullest = rows.iter().max_by(|a, b| most(a).total_cmp(&most(b)));
    let Some(row) = fullest.filter(|row| most(row) > 0.0) else {
        return Ok(files.keep()?);
    };
    files.add_chart("links.svg", &pictures::links_chart(result, None, "--plot")?)?;
    let chart = pictures::cluster_chart(
        &scenario.topology,
        &row.link_bytes_per_s,
        &report::spoken(&row.workload.name, row.tau()),
    );
    files.add_chart("cluster.svg", &chart)?;
    Ok(files.keep()?)
}
