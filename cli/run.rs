//! `moesim run`: a scenario, as a table or as JSON.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

pub(super) mod memory;

use super::Failure;
use super::output::Files;
use super::output::progress::during;
use moesim::base::threads;
use moesim::config::{Diagnostic, Overrides, Scenario, ScenarioSource, Source, read_profile};
use moesim::execution::outcome::TooLong;
use moesim::kernels::Device;
use moesim::kernels::profile::Precision;
use moesim::output::pictures;
use moesim::output::report;
use moesim::output::report::Asked;
use moesim::output::report::study::StudyResult;
use moesim::studies::paper::range;
use moesim::studies::study;
use moesim::studies::study::Row;
use moesim::workload::Dtype;

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
    let mut set = super::with_oom(&args.set, args.allow_oom);
    if let Some(path) = &args.profile {
        set.extend(as_device(path)?);
    }
    let overrides = Overrides::new(set.clone());
    let scenario = ScenarioSource::open(name, overrides)?.load()?;
    if args.strict {
        study::refuse_borrowed(&scenario)?;
    }
    if let Some(path) = &args.profile {
        refuse_unmeasured_fp8(path, &scenario)?;
    }
    let threads = args.threads.map_or_else(threads::available, usize::from);
    let (rows, allowed) = during("runs", || {
        let rows = study::study(&scenario, threads)?;
        let allowed = range::allowed(&scenario, &rows, threads)?;
        Ok::<_, TooLong>((rows, allowed))
    })?;
    let asked =
        Asked { scenario: name.to_owned(), set, moesim: env!("CARGO_PKG_VERSION").to_owned() };
    let made_by = super::reproduce::made_by(scenario.ingredients.inputs.iter().cloned());
    let result = StudyResult::of(asked, made_by, &scenario, &rows).with_allowed(&allowed);
    if let Some(folder) = &args.plot {
        draw(folder, &result, &scenario, &rows)?;
    }
    if args.json {
        return super::output::result(out, &result);
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
fn draw(
    folder: &Path,
    result: &StudyResult,
    scenario: &Scenario,
    rows: &[Row],
) -> Result<(), Failure> {
    let mut files = Files::of(folder)?;
    files.add_chart("gain.svg", &pictures::gain_chart(result))?;
    files.add_chart("breakdown.svg", &pictures::breakdown_chart(result))?;
    let most = |row: &Row| row.link_bytes_per_s.iter().copied().fold(0.0, f64::max);
    let fullest = rows.iter().max_by(|a, b| most(a).total_cmp(&most(b)));
    let Some(row) = fullest.filter(|row| most(row) > 0.0) else {
        return files.keep();
    };
    files.add_chart("links.svg", &pictures::links_chart(result, None, "--plot")?)?;
    let chart = pictures::cluster_chart(
        &scenario.topology,
        &row.link_bytes_per_s,
        &report::spoken(&row.workload.name, row.tau()),
    );
    files.add_chart("cluster.svg", &chart)?;
    files.keep()
}

/// Refuses fp8 on a device of which no fp8 product was measured: the cluster's GPUs may have the unit, the device's
/// need not.
fn refuse_unmeasured_fp8(path: &Path, scenario: &Scenario) -> Result<(), Failure> {
    let measured = scenario.profile.gemm.keys().any(|format| *format != Precision::Bf16);
    let mut workloads =
        scenario.cases.iter().flat_map(|case| std::iter::once(&case.vanilla).chain(&case.moepp));
    let Some(workload) = workloads.find(|w| w.batch.dtype == Dtype::Fp8 && !measured) else {
        return Ok(());
    };
    let found = format!(
        "has no timings in fp8, and `{}` computes in it: has {} the unit?",
        workload.name, scenario.profile.device
    );
    let help =
        "compute in bf16, as in --set workload.batch.dtype=bf16, or measure the device in fp8";
    Err(Diagnostic::of(path.display().to_string(), found, help).into())
}

/// The overrides that put the device of a profile into every place of the cluster.
fn as_device(path: &Path) -> Result<Vec<String>, Failure> {
    let profile = read_profile(&Source::read(path)?, path)?;
    let Device { peak_bf16, peak_fp8, memory_bandwidth, sms } = profile.data_sheet;
    // A scenario's own paths are relative to its folder; this one is relative to where we are.
    let whole = std::path::absolute(path)?;
    let (flops, bytes) = (peak_bf16.flops_per_sec() / 1e12, memory_bandwidth.gb_per_sec());
    let fp8 = peak_fp8
        .map(|peak| format!("topology.gpu.peak_fp8={} TFLOP/s", peak.flops_per_sec() / 1e12));
    let known = [
        format!("profile={}", whole.display()),
        format!("topology.gpu.name={}", profile.device),
        format!("topology.gpu.peak_bf16={flops} TFLOP/s"),
        format!("topology.gpu.memory_bandwidth={bytes} GB/s"),
        format!("topology.gpu.sms={sms}"),
    ];
    Ok(known.into_iter().chain(fp8).collect())
}
