//! `moesim run`: a scenario.

use std::path::{Path, PathBuf};

use super::{Call, with_oom};
use crate::base::threads;
use crate::config::{Diagnostic, Overrides, Scenario, Source, read_profile};
use crate::kernels::Device;
use crate::kernels::profile::Precision;
use crate::output::report::Asked;
use crate::output::report::study::StudyResult;
use crate::studies::paper::range;
use crate::studies::study::{self, Row};
use crate::workload::{Dtype, Workload};

mod excerpt;
pub mod memory;

pub use excerpt::excerpt;

/// How to run a scenario.
#[derive(Clone, Debug)]
pub struct Options {
    /// A scenario file, or the name of a built-in one.
    pub scenario: String,
    /// Overrides of keys.
    pub set: Vec<String>,
    /// Run on this measured device: a profile file, whose peaks the cluster's GPUs take over.
    pub profile: Option<PathBuf>,
    /// Refuse kernels whose constants are borrowed from another kernel, format or GPU.
    pub strict: bool,
    /// Run what does not fit into the GPUs' memory, and say so.
    pub allow_oom: bool,
    /// Threads to use; results are the same for any number. Default: all cores.
    pub threads: Option<usize>,
}

/// A scenario that was run.
pub struct Ran {
    /// The result.
    pub result: StudyResult,
    /// The scenario.
    pub scenario: Scenario,
    /// What each workload took.
    pub rows: Vec<Row>,
}

/// Runs a scenario.
///
/// # Errors
/// If an option or a file is refused, or a run exceeds representable time.
pub fn run(options: &Options, call: &Call) -> Result<Ran, Diagnostic> {
    let mut set = with_oom(&options.set, options.allow_oom);
    if let Some(path) = &options.profile {
        set.extend(as_device(path)?);
    }
    let scenario = call.scenario(&options.scenario, Overrides::new(set.clone()))?;
    if options.strict {
        study::refuse_borrowed(&scenario)?;
    }
    if let Some(path) = &options.profile {
        refuse_unmeasured_fp8(path, &scenario)?;
    }
    let threads = options.threads.unwrap_or_else(threads::available);
    let rows = study::study(&scenario, threads)?;
    let allowed = range::allowed(&scenario, &rows, threads)?;
    let moesim = env!("CARGO_PKG_VERSION").to_owned();
    let asked = Asked { scenario: options.scenario.clone(), set, moesim };
    let made_by = call.made_by(scenario.ingredients.inputs.iter().cloned());
    let result = StudyResult::of(asked, made_by, &scenario, &rows).with_allowed(&allowed);
    Ok(Ran { result, scenario, rows })
}

fn computes_in_fp8(workload: &Workload) -> bool {
    [workload.batch.dtype, workload.batch.attention_dtype].contains(&Dtype::Fp8)
}

/// Refuses fp8 on a device of which no fp8 product was measured: the cluster's GPUs may have the unit, the device's
/// need not.
fn refuse_unmeasured_fp8(path: &Path, scenario: &Scenario) -> Result<(), Diagnostic> {
    let measured = scenario.profile.gemm.keys().any(|format| *format != Precision::Bf16);
    let mut workloads =
        scenario.cases.iter().flat_map(|case| std::iter::once(&case.vanilla).chain(&case.moepp));
    let Some(workload) = workloads.find(|w| computes_in_fp8(w) && !measured) else {
        return Ok(());
    };
    let found = format!(
        "has no timings in fp8, and `{}` computes in it: has {} the unit?",
        workload.name, scenario.profile.device
    );
    let help = "compute in bf16, as in --set workload.batch.dtype=bf16 (and attention_dtype), or measure the device in fp8";
    Err(Diagnostic::of(path.display().to_string(), found, help))
}

/// The overrides that put the device of a profile into every place of the cluster.
fn as_device(path: &Path) -> Result<Vec<String>, Diagnostic> {
    let profile = read_profile(&Source::read(path)?, path)?;
    let Device { peak_bf16, peak_fp8, memory_bandwidth, sms } = profile.data_sheet;
    // A scenario's own paths are relative to its folder; this one is relative to where we are.
    let whole = std::path::absolute(path)
        .map_err(|error| Diagnostic::unreadable(path.display().to_string(), &error))?;
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
