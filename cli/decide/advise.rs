//! `moesim advise`: does MoE++ pay here, and where does that turn?

use std::io::Write;

use clap::Args;

use super::explain::{chosen, named};
use crate::Failure;
use crate::arguments::comparison::{positive, scope, seeds};
use moesim::base::threads;
use moesim::config::{
    CaseSpec, Diagnostic, Overrides, Scenario, ScenarioSource, ScenarioSpec, Seeds,
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
    /// Its τ. Default: the scenario's breakdown, or its last.
    #[arg(long)]
    tau: Option<f64>,
    /// The gain in percent from which MoE++ pays.
    #[arg(long, value_name = "PERCENT", default_value_t = WORTH_PERCENT, value_parser = positive)]
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

pub(crate) fn run(args: &AdviseArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let scenario = scenario(args)?;
    if args.strict {
        refuse_borrowed(&scenario)?;
    }
    let (at, tau) = chosen(&scenario, args.workload.as_deref(), args.tau)?;
    let mut case = scenario.cases[at].clone();
    case.moepp.retain(|workload| workload.model.experts.tau == tau);
    let derived_of = case.vanilla.name.clone();
    let (scenario, changes) = paired(&scenario, &case)
        .map_err(|(found, help)| Diagnostic::of(derived_of, found, help))?;
    let question =
        Question { scenario: &scenario, derived: !changes.is_empty(), worth_percent: args.worth };
    let answer = advise(&question, threads::available())?;
    let made_by = crate::reproduce::made_by(scenario.ingredients.inputs.iter().cloned());
    let result = AdviceResult::of(made_by, &question, changes, &answer);
    if args.json { crate::output::json(out, &result) } else { Ok(result.write_text(out)?) }
}

/// The scenario named, or that of a workload on a cluster.
fn scenario(args: &AdviseArgs) -> Result<Scenario, Failure> {
    let set = crate::with_oom(&args.set, args.allow_oom);
    let Some(cluster) = &args.topology else {
        let (name, mut own) = named(&args.what)?;
        own.extend(set);
        return Ok(ScenarioSource::open(&name, Overrides::new(own))?.load()?);
    };
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

/// A mistake in the specification as one in the argument that it was made from.
fn as_argument(args: &AdviseArgs, cluster: &str, mistake: Diagnostic) -> Diagnostic {
    let place = match mistake.key.as_str() {
        "compare[0].vanilla" => args.what.clone(),
        "topology" | "profile" => format!("--topology {cluster}"),
        _ => return mistake,
    };
    Diagnostic { place, line: None, excerpt: None, key: String::new(), ..mistake }
}
