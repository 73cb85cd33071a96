//! `moesim advise`: does MoE++ pay here, and where does that turn?

use super::explain::{chosen, named};
use crate::base::threads;
use crate::commands::{Call, with_oom};
use crate::config::{CaseSpec, Diagnostic, Kind, Overrides, Scenario, ScenarioSpec, Seeds};
use crate::execution::Scope;
use crate::output::report::advice::AdviceResult;
use crate::studies::advise::{Question, advise, paired};
use crate::studies::study::refuse_borrowed;

/// A scenario, or a workload and a cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// A scenario file, the name of a built-in one, or what `moesim run --json` printed; with a topology a vanilla
    /// workload.
    pub what: String,
    /// The cluster to run the workload on: NAME or NAME=PROFILE, with calibration error drawn.
    pub topology: Option<String>,
    /// What is counted, with a topology.
    pub counted: Scope,
    /// Seeds, half open, with a topology.
    pub seeds: Seeds,
    /// The workload to advise on, vanilla or MoE++. Default: the first case's.
    pub workload: Option<String>,
    /// Its τ: of those of the scenario, or any of a twin that is derived.
    pub tau: Option<f64>,
    /// The gain in percent from which MoE++ pays.
    pub worth: f64,
    /// Overrides of keys.
    pub set: Vec<String>,
    /// Refuse kernels whose constants are borrowed from another kernel, format or GPU.
    pub strict: bool,
    /// Run what does not fit into the GPUs' memory, and say so.
    pub allow_oom: bool,
}

/// Advises on a scenario.
///
/// # Errors
/// If an option or a file is refused, or a run exceeds representable time.
pub fn run(options: &Options, call: &Call) -> Result<AdviceResult, Diagnostic> {
    let scenario = scenario(options, call)?;
    if options.strict {
        refuse_borrowed(&scenario)?;
    }
    // A twin that is derived has any τ.
    let is_derived = scenario.cases.iter().all(|case| case.moepp.is_empty());
    let of_scenario = options.tau.filter(|_| !is_derived);
    let (at, tau) = chosen(&scenario, options.workload.as_deref(), of_scenario)?;
    let mut case = scenario.cases[at].clone();
    case.moepp.retain(|workload| workload.model.experts.tau == tau);
    let derived_of = case.vanilla.name.clone();
    let (scenario, changes) = paired(&scenario, &case, options.tau.filter(|_| is_derived))
        .map_err(|(found, help)| Diagnostic::of(derived_of, found, help))?;
    let worth_percent = options.worth;
    let question = Question { scenario: &scenario, derived: !changes.is_empty(), worth_percent };
    let answer = advise(&question, threads::available())?;
    let made_by = call.made_by(scenario.ingredients.inputs.iter().cloned());
    Ok(AdviceResult::of(made_by, &question, changes, &answer))
}

/// The scenario named, or that of a workload on a cluster.
fn scenario(options: &Options, call: &Call) -> Result<Scenario, Diagnostic> {
    let set = with_oom(&options.set, options.allow_oom);
    let Some(cluster) = &options.topology else {
        let (name, mut own) = named(&options.what)?;
        if call.is_a(Kind::Workload, &name) && !call.is_a(Kind::Scenario, &name) {
            let found = "is a workload: on which cluster?".to_owned();
            let help = format!("add --topology CLUSTER, as in --topology h100-4x8-rail; {LISTED}");
            return Err(Diagnostic::of(name, found, help));
        }
        own.extend(set);
        return call.scenario(&name, Overrides::new(own));
    };
    if call.is_a(Kind::Scenario, &options.what) && !call.is_a(Kind::Workload, &options.what) {
        let found = "is a scenario, which names its own cluster".to_owned();
        let help = format!("leave --topology out, or give --set topology={cluster} in its place");
        return Err(Diagnostic::of(options.what.clone(), found, help));
    }
    let (topology, profile) = match cluster.split_once('=') {
        Some((topology, profile)) => (topology, Some(profile.to_owned())),
        None => (cluster.as_str(), None),
    };
    let compare = CaseSpec { vanilla: options.what.clone(), moepp: None };
    let mut spec =
        ScenarioSpec::new("advise", topology, options.counted, options.seeds.clone(), compare);
    let overrides = Overrides::new(set);
    let seeds = overrides.seeds();
    spec.calibration_uncertainty = seeds.as_ref().unwrap_or(&options.seeds).are_several();
    spec.profile = profile;
    let loaded = call.specified(&spec, overrides).load();
    loaded.map_err(|mistake| as_argument(options, cluster, mistake))
}

/// Where clusters are listed.
const LISTED: &str = "`moesim list` shows them";

/// A mistake in the specification as one in the argument that it was made from.
fn as_argument(options: &Options, cluster: &str, mistake: Diagnostic) -> Diagnostic {
    if mistake.found.ends_with("has zero-computation experts") {
        let found = "is MoE++ already, and its vanilla twin is not known".to_owned();
        let help = "name a scenario that has both, with `vanilla` and `moepp` under [[compare]], or the vanilla model";
        return Diagnostic::of(options.what.clone(), found, help);
    }
    let place = match mistake.key.as_str() {
        "compare[0].vanilla" => options.what.clone(),
        "topology" | "profile" => format!("--topology {cluster}"),
        _ => return mistake,
    };
    Diagnostic { place, line: None, excerpt: None, key: String::new(), ..mistake }
}
