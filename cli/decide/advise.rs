//! `moesim advise`: does MoE++ pay here, and where does that turn?

use std::io::Write;

use clap::Args;

use super::explain::{chosen, named};
use crate::Failure;
use crate::arguments::comparison::{scope, seeds, tau};
use crate::output::progress::during;
use moesim::base::threads;
use moesim::config::{
    self, CaseSpec, Diagnostic, Kind, Overrides, Scenario, ScenarioSource, ScenarioSpec, Seeds,
};
use moesim::execution::Scope;
use moesim::output::report::advice::AdviceResult;
use moesim::studies::advise::{Question, WORTH_PERCENT, advise, paired};
use moesim::studies::study::refuse_borrowed;

/// A scenario, or a workload and a cluster.
#[derive(Args)]
pub(crate) struct AdviseArgs {
    /// A scenario file, the name of a built-in one, or what `moesim run --json` printed; with
    /// --topology a vanilla workload.
    what: String,
    /// The cluster to run the workload on: NAME or NAME=PROFILE, with calibration error drawn.
    #[arg(long, value_name = "CLUSTER")]
    topology: Option<String>,
    /// What is counted, with --topology: experts, moe-layer, model-forward, layer-training or
    /// training-step.
    #[arg(long, requires = "topology", default_value = "model-forward", value_parser = scope)]
    counted: Scope,
    /// Seeds, half open, with --topology.
    #[arg(long, requires = "topology", default_value = "0..8", value_parser = seeds)]
    seeds: Seeds,
    /// The workload to advise on, vanilla or MoE++. Default: the first case's.
    #[arg(long)]
    workload: Option<String>,
    /// Its τ: of those of the scenario, or any of a twin that is derived. Default: the scenario's breakdown, or its
    /// last; the paper's for a twin.
    #[arg(long, value_parser = tau, allow_negative_numbers = true)]
    tau: Option<f64>,
    /// The gain in percent from which MoE++ pays.
    #[arg(long, value_name = "PERCENT", default_value_t = WORTH_PERCENT, value_parser = worth, allow_negative_numbers = true)]
    worth: f64,
    /// Override a key. Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Refuse kernels whose constants are borrowed from another kernel, format or GPU.
    #[arg(long)]
    strict: bool,
    /// Run what does not fit into the GPUs' memory, and say so.
    #[arg(long)]
    allow_oom: bool,
    /// Print JSON instead of sentences.
    #[arg(long)]
    json: bool,
}

/// A gain that something could be worth.
fn worth(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= MOST_WORTH => Ok(percent),
        _ => Err(format!("give a gain in percent, above zero and up to {MOST_WORTH}")),
    }
}

/// More than this, in percent, nothing gains: a hundred times the throughput.
const MOST_WORTH: f64 = 9_900.0;

pub(crate) fn run(args: &AdviseArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let scenario = scenario(args)?;
    if args.strict {
        refuse_borrowed(&scenario)?;
    }
    // A twin that is derived has any τ.
    let is_derived = scenario.cases.iter().all(|case| case.moepp.is_empty());
    let of_scenario = args.tau.filter(|_| !is_derived);
    let (at, tau) = chosen(&scenario, args.workload.as_deref(), of_scenario)?;
    let mut case = scenario.cases[at].clone();
    case.moepp.retain(|workload| workload.model.experts.tau == tau);
    let derived_of = case.vanilla.name.clone();
    let (scenario, changes) = paired(&scenario, &case, args.tau.filter(|_| is_derived))
        .map_err(|(found, help)| Diagnostic::of(derived_of, found, help))?;
    let question =
        Question { scenario: &scenario, derived: !changes.is_empty(), worth_percent: args.worth };
    let answer = during("runs", || advise(&question, threads::available()))?;
    let made_by = crate::reproduce::made_by(scenario.ingredients.inputs.iter().cloned());
    let result = AdviceResult::of(made_by, &question, changes, &answer);
    if args.json { crate::output::result(out, &result) } else { Ok(result.write_text(out)?) }
}

/// The scenario named, or that of a workload on a cluster.
fn scenario(args: &AdviseArgs) -> Result<Scenario, Failure> {
    let set = crate::with_oom(&args.set, args.allow_oom);
    let Some(cluster) = &args.topology else {
        let (name, mut own) = named(&args.what)?;
        if is_a(Kind::Workload, &name) && !is_a(Kind::Scenario, &name) {
            let found = "is a workload: on which cluster?".to_owned();
            let help = format!("add --topology CLUSTER, as in --topology h100-4x8-rail; {LISTED}");
            return Err(Diagnostic::of(name, found, help).into());
        }
        own.extend(set);
        return Ok(ScenarioSource::open(&name, Overrides::new(own))?.load()?);
    };
    if is_a(Kind::Scenario, &args.what) && !is_a(Kind::Workload, &args.what) {
        let found = "is a scenario, which names its own cluster".to_owned();
        let help = format!("leave --topology out, or give --set topology={cluster} in its place");
        return Err(Diagnostic::of(args.what.clone(), found, help).into());
    }
    let (topology, profile) = match cluster.split_once('=') {
        Some((topology, profile)) => (topology, Some(profile.to_owned())),
        None => (cluster.as_str(), None),
    };
    let compare = CaseSpec { vanilla: args.what.clone(), moepp: None };
    let mut spec = ScenarioSpec::new("advise", topology, args.counted, args.seeds.clone(), compare);
    spec.calibration_uncertainty = true;
    spec.profile = profile;
    let loaded = ScenarioSource::of_spec(&spec, Overrides::new(set)).load();
    Ok(loaded.map_err(|mistake| as_argument(args, cluster, mistake))?)
}

/// Where clusters are listed.
const LISTED: &str = "`moesim list` shows them";

/// Whether this is the name of something built in of this kind, or a file of it.
fn is_a(kind: Kind, name: &str) -> bool {
    if config::built_in(kind, name).is_some() {
        return true;
    }
    std::fs::read_to_string(name).is_ok_and(|text| Kind::of_text(&text) == Some(kind))
}

/// A mistake in the specification as one in the argument that it was made from.
fn as_argument(args: &AdviseArgs, cluster: &str, mistake: Diagnostic) -> Diagnostic {
    if mistake.found.ends_with("has zero-computation experts") {
        let found = "is MoE++ already, and its vanilla twin is not known".to_owned();
        let help = "name a scenario that has both, with `vanilla` and `moepp` under [[compare]], or the vanilla model";
        return Diagnostic::of(args.what.clone(), found, help);
    }
    let place = match mistake.key.as_str() {
        "compare[0].vanilla" => args.what.clone(),
        "topology" | "profile" => format!("--topology {cluster}"),
        _ => return mistake,
    };
    Diagnostic { place, line: None, excerpt: None, key: String::new(), ..mistake }
}
