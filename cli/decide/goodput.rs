//! `moesim goodput`: what failures leave of a training run's throughput.

use std::io::Write;

use clap::Args;

use super::explain::{chosen, named};
use crate::Failure;
use crate::output::progress::during;
use moesim::base::statistics::mean;
use moesim::base::streams::Streams;
use moesim::base::threads::{self, in_parallel};
use moesim::commands::{with_oom, words::positive};
use moesim::config::{Diagnostic, Overrides, Scenario, ScenarioSource};
use moesim::execution::Scope;
use moesim::execution::outcome::{Outcome, TooLong};
use moesim::output::report::Setting;
use moesim::output::report::goodput::{GoodputResult, GoodputRun};
use moesim::studies::goodput::Failures;
use moesim::studies::study;
use moesim::workload::Workload;

/// A training step, and how often things fail.
#[derive(Args)]
pub(crate) struct GoodputArgs {
    /// A scenario file whose counted is "training-step", or what `moesim run --json` printed of one.
    result: String,
    /// The MoE++ workload. Default: the first case's.
    #[arg(long)]
    workload: Option<String>,
    /// Its τ. Default: the scenario's breakdown, or its last.
    #[arg(long)]
    tau: Option<f64>,
    /// Hours between failures of one GPU, all that stops a run counted. Default: 419 in 54 days of 16,384 H100
    /// [llama3, §3.3.4].
    #[arg(long, value_name = "HOURS", default_value_t = 50_676.0, value_parser = positive, allow_negative_numbers = true)]
    gpu_mtbf_hours: f64,
    /// What a checkpoint takes of training, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = positive, allow_negative_numbers = true)]
    checkpoint_s: f64,
    /// From a failure until training goes on from the last checkpoint, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = positive, allow_negative_numbers = true)]
    restart_s: f64,
    /// Work between two checkpoints, in seconds. Default: the best.
    #[arg(long, value_name = "SECONDS", value_parser = positive, allow_negative_numbers = true)]
    interval_s: Option<f64>,
    /// Days of failures to draw.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    days: u32,
    /// Override a key. Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Run what does not fit into the GPUs' memory, and say so.
    #[arg(long)]
    allow_oom: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &GoodputArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let (name, mut set) = named(&args.result)?;
    set.extend(with_oom(&args.set, args.allow_oom));
    let mut scenario = ScenarioSource::open(&name, Overrides::new(set))?.load()?;
    if scenario.counted != Scope::TrainingStep {
        let found = format!("counts \"{}\": failures stop training steps", scenario.counted.word());
        let help = "give --set counted=training-step, and a [training] table or batch.phase = \"training\" in the \
                    workload";
        return Err(Diagnostic::of(args.result.clone(), found, help).into());
    }
    let (case, tau) = chosen(&scenario, args.workload.as_deref(), args.tau)?;
    scenario.cases = vec![scenario.cases[case].clone()];
    scenario.cases[0].moepp.retain(|workload| workload.model.experts.tau == tau);
    let own = scenario.cases[0].moepp.first().unwrap_or(&scenario.cases[0].vanilla);
    let gpus = own.layout.in_use(scenario.topology.gpus());
    let failures = Failures {
        mean_between_s: 3600.0 * args.gpu_mtbf_hours / f64::from(gpus),
        checkpoint_s: args.checkpoint_s,
        restart_s: args.restart_s,
    };
    let made_by = crate::output::call().made_by(scenario.ingredients.inputs.iter().cloned());
    let workloads: Vec<&Workload> = scenario
        .cases
        .iter()
        .flat_map(|case| std::iter::once(&case.vanilla).chain(&case.moepp))
        .collect();
    let mut runs = Vec::new();
    for workload in workloads {
        runs.push(of_workload(args, &scenario, workload, &failures)?);
    }
    let result = GoodputResult {
        made_by,
        cluster: scenario.topology.name().to_owned(),
        gpus,
        gpu_mtbf_hours: args.gpu_mtbf_hours,
        mean_between_failures_s: failures.mean_between_s,
        checkpoint_s: args.checkpoint_s,
        restart_s: args.restart_s,
        days: args.days as usize,
        runs,
        setting: Setting::of(&scenario),
    };
    if args.json { crate::output::result(out, &result) } else { Ok(result.write_text(out)?) }
}

fn of_workload(
    args: &GoodputArgs,
    scenario: &Scenario,
    workload: &Workload,
    failures: &Failures,
) -> Result<GoodputRun, Failure> {
    let seeds: Vec<u64> = scenario.seeds.clone().collect();
    let outcomes = during("runs", || {
        let run = |at| study::run(scenario, workload, scenario.overheads, seeds[at]);
        let runs = in_parallel(seeds.len(), threads::available(), run);
        runs.into_iter().collect::<Result<Vec<Outcome>, TooLong>>()
    })?;
    let step_s = mean(&outcomes.iter().map(Outcome::counted_secs).collect::<Vec<_>>());
    let steps = match args.interval_s {
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
        return Err(Diagnostic::of("moesim goodput", found, help).into());
    }
    let streams = Streams::new(scenario.seeds.start);
    let days = failures.days(interval_s, args.days as usize, streams);
    let named = (workload.name.as_str(), workload.model.experts.tau);
    Ok(GoodputRun::of(named, &outcomes, (failures, interval_s, args.interval_s.is_none()), &days))
}
