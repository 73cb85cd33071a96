//! `moesim goodput`: what failures leave of a training run's throughput.

use super::explain::{chosen, named};
use crate::base::statistics::mean;
use crate::base::streams::Streams;
use crate::base::threads::{self, in_parallel};
use crate::commands::{Call, with_oom};
use crate::config::{Diagnostic, Overrides, Scenario};
use crate::execution::Scope;
use crate::execution::outcome::{Outcome, TooLong};
use crate::output::report::Setting;
use crate::output::report::goodput::{GoodputResult, GoodputRun};
use crate::studies::goodput::Failures;
pub use crate::studies::goodput::GPU_MTBF_HOURS;
use crate::studies::study;
use crate::workload::Workload;

/// A training step, and how often things fail.
#[derive(Clone, Debug)]
pub struct Options {
    /// A scenario file whose counted is "training-step", or what `moesim run --json` printed of one.
    pub result: String,
    /// The MoE++ workload. Default: the first case's.
    pub workload: Option<String>,
    /// Its τ. Default: the scenario's breakdown, or its last.
    pub tau: Option<f64>,
    /// Hours between failures of one GPU, all that stops a run counted.
    pub gpu_mtbf_hours: f64,
    /// What a checkpoint takes of training, in seconds.
    pub checkpoint_s: f64,
    /// From a failure until training goes on from the last checkpoint, in seconds.
    pub restart_s: f64,
    /// Work between two checkpoints, in seconds. Default: the best.
    pub interval_s: Option<f64>,
    /// Days of failures to draw.
    pub days: u32,
    /// Overrides of keys.
    pub set: Vec<String>,
    /// Run what does not fit into the GPUs' memory, and say so.
    pub allow_oom: bool,
}

/// Days of failures to draw where no number is given.
pub const DAYS: u32 = 1000;

/// Says what failures leave.
///
/// # Errors
/// If an option or a file is refused, no work would ever be kept, or a run exceeds representable time.
pub fn run(options: &Options, call: &Call) -> Result<GoodputResult, Diagnostic> {
    let scenario = scenario(options, call)?;
    let own = scenario.cases[0].moepp.first().unwrap_or(&scenario.cases[0].vanilla);
    let gpus = own.layout.in_use(scenario.topology.gpus());
    let failures = Failures {
        mean_between_s: 3600.0 * options.gpu_mtbf_hours / f64::from(gpus),
        checkpoint_s: options.checkpoint_s,
        restart_s: options.restart_s,
    };
    let made_by = call.made_by(scenario.ingredients.inputs.iter().cloned());
    let workloads: Vec<&Workload> = scenario
        .cases
        .iter()
        .flat_map(|case| std::iter::once(&case.vanilla).chain(&case.moepp))
        .collect();
    let mut runs = Vec::new();
    for workload in workloads {
        runs.push(of_workload(options, &scenario, workload, &failures)?);
    }
    Ok(GoodputResult {
        made_by,
        cluster: scenario.topology.name().to_owned(),
        gpus,
        gpu_mtbf_hours: options.gpu_mtbf_hours,
        mean_between_failures_s: failures.mean_between_s,
        checkpoint_s: options.checkpoint_s,
        restart_s: options.restart_s,
        days: options.days as usize,
        runs,
        setting: Setting::of(&scenario),
    })
}

/// The scenario with the case that is meant alone.
fn scenario(options: &Options, call: &Call) -> Result<Scenario, Diagnostic> {
    let (name, mut set) = named(&options.result)?;
    set.extend(with_oom(&options.set, options.allow_oom));
    let mut scenario = call.scenario(&name, Overrides::new(set))?;
    if scenario.counted != Scope::TrainingStep {
        let found = format!("counts \"{}\": failures stop training steps", scenario.counted.word());
        let help = "give --set counted=training-step, and a [training] table or batch.phase = \"training\" in the \
                    workload";
        return Err(Diagnostic::of(options.result.clone(), found, help));
    }
    let (case, tau) = chosen(&scenario, options.workload.as_deref(), options.tau)?;
    scenario.cases = vec![scenario.cases[case].clone()];
    scenario.cases[0].moepp.retain(|workload| workload.model.experts.tau == tau);
    Ok(scenario)
}

fn of_workload(
    options: &Options,
    scenario: &Scenario,
    workload: &Workload,
    failures: &Failures,
) -> Result<GoodputRun, Diagnostic> {
    let seeds: Vec<u64> = scenario.seeds.clone().collect();
    let run = |at| study::run(scenario, workload, scenario.overheads, seeds[at]);
    let runs = in_parallel(seeds.len(), threads::available(), run);
    let outcomes = runs.into_iter().collect::<Result<Vec<Outcome>, TooLong>>()?;
    let step_s = mean(&outcomes.iter().map(Outcome::counted_secs).collect::<Vec<_>>());
    let steps = match options.interval_s {
        Some(asked) => (asked / step_s).round().max(1.0),
        None => failures.best_steps(step_s) as f64,
    };
    let interval_s = steps * step_s;
    if failures.is_hopeless(interval_s) {
        let found = format!(
            "a failure every {:.3} s, and {:.3} s from one checkpoint to the next after a restart of {:.3} s: no work \
             would ever be kept",
            failures.mean_between_s,
            interval_s + failures.checkpoint_s,
            failures.restart_s
        );
        let help =
            "give GPUs more hours between failures, shorter checkpoints or restarts, or fewer GPUs";
        return Err(Diagnostic::of("moesim goodput", found, help));
    }
    let streams = Streams::new(scenario.seeds.start);
    let days = failures.days(interval_s, options.days as usize, streams);
    let named = (workload.name.as_str(), workload.model.experts.tau);
    Ok(GoodputRun::of(
        named,
        &outcomes,
        (failures, interval_s, options.interval_s.is_none()),
        &days,
    ))
}
