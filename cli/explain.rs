//! `moesim explain`: why a result is what it is, in a dozen lines.

use std::io::Write;

use clap::Args;

use super::Failure;
use super::compare::digits;
use moesim::base::statistics::mean;
use moesim::base::threads;
use moesim::config::{self, Diagnostic, Kind, Overrides, Scenario, ScenarioSource};
use moesim::execution::Scope;
use moesim::execution::blame::Reason;
use moesim::execution::outcome::Outcome;
use moesim::output::report;
use moesim::studies::compare::{ClusterCase, ClusterResult, Knob, evaluate};
use moesim::studies::study::{self, WhatIf};
use moesim::workload::Workload;

/// A scenario, or the JSON of a run of one.
#[derive(Args)]
pub(super) struct ExplainArgs {
    /// A scenario file, the name of a built-in one, or what `moesim run --json` printed.
    result: String,
    /// The MoE++ workload to explain. Default: the first case's.
    #[arg(long)]
    workload: Option<String>,
    /// Its τ. Default: the scenario's breakdown, or its last.
    #[arg(long)]
    tau: Option<f64>,
    /// Override a key. Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Run what does not fit into the GPUs' memory, and say so.
    #[arg(long)]
    allow_oom: bool,
}

pub(super) fn run(args: &ExplainArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let (name, mut set) = named(&args.result)?;
    set.extend(super::with_oom(&args.set, args.allow_oom));
    let scenario = ScenarioSource::open(&name, Overrides::new(set))?.load()?;
    let (case, tau) = chosen(&scenario, args)?;
    let mut own = scenario;
    own.cases = vec![own.cases[case].clone()];
    own.cases[0].moepp.retain(|workload| workload.model.experts.tau == tau);
    let book = config::read_prices(&config::built_in_prices())?;
    let cluster_case = ClusterCase::new(own.ingredients.topology.clone(), own, &book);
    let result = evaluate(&cluster_case, threads::available())?;
    let scenario = &cluster_case.scenario;
    let seed = scenario.seeds.start;
    let vanilla = study::run_if(
        scenario,
        &scenario.cases[0].vanilla,
        scenario.overheads,
        seed,
        &WhatIf::NOTHING,
        None,
    )?;
    tell(scenario, &vanilla, &result, out)?;
    report::write_counted(out, scenario)?;
    super::arguments::comparison::write_cautions(std::slice::from_ref(&cluster_case), out)
}

/// The scenario's name and overrides: as given, or as a run's JSON records them.
fn named(result: &str) -> Result<(String, Vec<String>), Failure> {
    let is_json = std::path::Path::new(result).extension().is_some_and(|ext| ext == "json");
    if !is_json {
        return Ok((result.to_owned(), Vec::new()));
    }
    let unfit = |found: String| {
        Diagnostic::of(result, found, "name a scenario, or a file that `moesim run --json` wrote")
    };
    let text =
        std::fs::read_to_string(result).map_err(|e| unfit(format!("cannot be read: {e}")))?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|e| {
        Kind::misplaced(result, &text).unwrap_or_else(|| unfit(format!("is no JSON: {e}")))
    })?;
    said(&value, result)
}

/// What was asked of a run, as its JSON says.
fn said(value: &serde_json::Value, result: &str) -> Result<(String, Vec<String>), Failure> {
    let unfit = |found: String| {
        Diagnostic::of(result, found, "name a scenario, or a file that `moesim run --json` wrote")
    };
    let asked =
        value.get("asked").ok_or_else(|| unfit("does not say what was asked".to_owned()))?;
    let scenario = asked.get("scenario").and_then(|name| name.as_str());
    let scenario = scenario.ok_or_else(|| unfit("names no scenario".to_owned()))?;
    let lines = asked.get("set").and_then(|set| set.as_array()).into_iter().flatten();
    Ok((scenario.to_owned(), lines.filter_map(|line| line.as_str().map(str::to_owned)).collect()))
}

/// The scenario that a run's JSON came from, and one of its workloads: that of this name, else its last.
pub(super) fn asked(
    value: &serde_json::Value,
    result: &str,
    workload: Option<&str>,
) -> Result<(Scenario, Workload), Failure> {
    let (name, set) = said(value, result)?;
    let scenario = ScenarioSource::open(&name, Overrides::new(set))?.load()?;
    let workload = super::timeline::choose(&scenario, workload, None)?.clone();
    Ok((scenario, workload))
}

/// Which case and τ to explain.
fn chosen(scenario: &Scenario, args: &ExplainArgs) -> Result<(usize, Option<f64>), Failure> {
    let name = args.workload.as_deref();
    let of_name = |workload: &Workload| name.is_none_or(|name| workload.name == name);
    let case = scenario
        .cases
        .iter()
        .position(|case| of_name(&case.vanilla) || case.moepp.iter().any(of_name));
    let Some(case) = case else {
        let names: Vec<&str> = scenario
            .cases
            .iter()
            .flat_map(|case| case.moepp.first().map(|own| own.name.as_str()))
            .collect();
        let help = format!("its MoE++ workloads: {}", names.join(", "));
        return Err(Diagnostic::of(scenario.name.clone(), "has no such workload", help).into());
    };
    let moepp = scenario.cases[case].moepp.iter();
    let taus: Vec<f64> = moepp.filter_map(|workload| workload.model.experts.tau).collect();
    let wanted = args.tau.or(scenario.breakdown_tau);
    let tau = match wanted.and_then(|w| taus.iter().find(|tau| (**tau - w).abs() < 1e-9)) {
        Some(tau) => Some(*tau),
        None if args.tau.is_some() => {
            let all: Vec<String> = taus.iter().map(f64::to_string).collect();
            let help = format!("τ of the scenario: {}", all.join(", "));
            return Err(Diagnostic::of("--tau", "the scenario has no such τ", help).into());
        }
        None => taus.last().copied(),
    };
    Ok((case, tau))
}

fn tell(
    scenario: &Scenario,
    vanilla: &Outcome,
    result: &ClusterResult,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let own = &result.outcome;
    let case = &scenario.cases[0];
    let Some(moepp) = case.moepp.first() else {
        writeln!(out, "{} on {}", case.vanilla.name, result.name)?;
        tell_time(own, out)?;
        report::write_stands_on(out, &own.stands_on)?;
        return Ok(report::write_gate_draws(out, own.gate_draws)?);
    };
    let gain = result.gain_percent();
    let half = gain.half_width.map_or(String::new(), |half| format!(" ± {half:.1}"));
    writeln!(
        out,
        "{} on {}, {} × {}: {:.1}{half} % more throughput than {}.",
        report::pictures::spoken(&moepp.name, moepp.model.experts.tau),
        result.name,
        result.gpus,
        result.gpu,
        gain.mean,
        case.vanilla.name
    )?;
    writeln!(
        out,
        "{}: {} ms against vanilla's {} ms (seed {}).",
        counted(scenario.counted),
        digits(1e3 * own.counted_secs()),
        digits(1e3 * vanilla.counted_secs()),
        own.seed
    )?;
    let share = 100.0 * own.ffn_share();
    writeln!(
        out,
        "{share:.1} % of slots reach FFN experts: if all time went with them, the gain would be {:.0} %.",
        100.0 * (100.0 / share - 1.0)
    )?;
    tell_time(vanilla, out)?;
    tell_change(vanilla, own, out)?;
    tell_ranks(own, out)?;
    report::write_stands_on(out, &own.stands_on)?;
    report::write_gate_draws(out, own.gate_draws)?;
    tell_knobs(result, scenario.counted, out)
}

const fn counted(counted: Scope) -> &'static str {
    match counted {
        Scope::Experts => "Expert forward",
        Scope::MoeLayer => "The MoE layers",
        Scope::ModelForward => "The model's forward pass",
        Scope::LayerTraining => "The MoE layers, forward and backward",
        Scope::TrainingStep => "A training step",
    }
}

fn tell_time(outcome: &Outcome, out: &mut dyn Write) -> Result<(), Failure> {
    let parts: Vec<String> = moesim::studies::planner::shares(outcome)
        .into_iter()
        .take(4)
        .map(|(reason, share)| format!("{} {:.0} %", reason.label(), 100.0 * share))
        .collect();
    writeln!(out, "Without MoE++ the time goes to {}.", parts.join(", "))?;
    Ok(())
}

/// What MoE++ took away, what it left, what it added.
fn tell_change(vanilla: &Outcome, own: &Outcome, out: &mut dyn Write) -> Result<(), Failure> {
    let before = |reason: Reason| vanilla.mean_blame_ms(reason);
    let after = |reason: Reason| own.mean_blame_ms(reason);
    let mut changes: Vec<(Reason, f64)> =
        Reason::ALL.map(|reason| (reason, after(reason) - before(reason))).to_vec();
    changes.sort_by(|a, b| a.1.total_cmp(&b.1));
    let whole: f64 = Reason::ALL.map(before).iter().sum();
    let said = |(reason, change): &(Reason, f64)| {
        format!(
            "{} {} ms ({:+.0} %)",
            reason.label(),
            digits(change.abs()),
            100.0 * change / before(*reason)
        )
    };
    let removed: Vec<String> =
        changes.iter().filter(|(_, change)| *change < -0.005 * whole).take(3).map(said).collect();
    if !removed.is_empty() {
        writeln!(out, "MoE++ shortens {}.", removed.join(", "))?;
    }
    let kept: Vec<String> = Reason::ALL
        .into_iter()
        .filter(|&reason| before(reason) > 0.03 * whole && after(reason) > 0.93 * before(reason))
        .map(|reason| format!("{} ({} ms)", reason.label(), digits(after(reason))))
        .collect();
    if !kept.is_empty() {
        writeln!(out, "It leaves {}.", kept.join(", "))?;
    }
    let added: Vec<String> = changes
        .iter()
        .rev()
        .filter(|(reason, change)| *change > 0.005 * whole && before(*reason) < after(*reason))
        .take(3)
        .map(|(reason, change)| format!("{} +{} ms", reason.label(), digits(*change)))
        .collect();
    if !added.is_empty() {
        writeln!(
            out,
            "It adds {}; {} ms of zero-computation work hide under exchanges.",
            added.join(", "),
            digits(own.mean_hidden_ms())
        )?;
    }
    Ok(())
}

fn tell_ranks(own: &Outcome, out: &mut dyn Write) -> Result<(), Failure> {
    let waits: Vec<f64> = (0..own.blame.len()).map(|gpu| own.waited_ms(gpu)).collect();
    let least = (0..waits.len()).min_by(|&a, &b| waits[a].total_cmp(&waits[b])).unwrap_or(0);
    let mean = mean(&waits);
    let whole = own.makespan.ms();
    writeln!(
        out,
        "GPU {least} decides most often: it waits {:.0} % of the time, an average one {:.0} %.",
        100.0 * waits[least] / whole,
        100.0 * mean / whole
    )?;
    Ok(())
}

fn tell_knobs(result: &ClusterResult, counted: Scope, out: &mut dyn Write) -> Result<(), Failure> {
    if counted == Scope::Experts {
        writeln!(out, "Links do not matter here: only the experts' own time is counted.")?;
        return Ok(());
    }
    let links: f64 = result.sensitivities.iter().map(|(_, e)| e.max(0.0)).sum();
    let named: Vec<String> = result
        .sensitivities
        .iter()
        .filter(|(_, e)| *e > 0.01)
        .map(|(knob, e)| format!("{} {:.2} %", knob_words(*knob), e))
        .collect();
    match named.is_empty() {
        true => writeln!(out, "No link matters: faster ones would change nothing.")?,
        false => writeln!(
            out,
            "One percent better brings throughput: {}; the rest, {:.2} %, is the GPUs' own work.",
            named.join(", "),
            (1.0 - links).max(0.0)
        )?,
    }
    Ok(())
}

fn knob_words(knob: Knob) -> String {
    match knob {
        Knob::Bandwidth(class) => format!("{} bandwidth", class.name()),
        Knob::Startup => "startup of exchanges".to_owned(),
    }
}
