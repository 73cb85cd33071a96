//! `moesim explain`: why a result is what it is, in a dozen lines.

use crate::base::near::advice;
use crate::base::threads;
use crate::commands::{Call, with_oom};
use crate::config::{self, Case, Diagnostic, Kind, Overrides, Scenario};
use crate::output::report::Asked;
use crate::output::report::explanation::Explanation;
use crate::studies::bounds::Bounds;
use crate::studies::compare::{ClusterCase, evaluate};
use crate::workload::Workload;

/// A scenario, or the JSON of a run of one.
#[derive(Clone, Debug)]
pub struct Options {
    /// A scenario file, the name of a built-in one, or what `moesim run --json` printed.
    pub result: String,
    /// The MoE++ workload to explain. Default: the first case's.
    pub workload: Option<String>,
    /// Its τ. Default: the scenario's breakdown, or its last.
    pub tau: Option<f64>,
    /// Overrides of keys.
    pub set: Vec<String>,
    /// Run what does not fit into the GPUs' memory, and say so.
    pub allow_oom: bool,
}

/// Explains a scenario.
///
/// # Errors
/// If an option or a file is refused, or a run exceeds representable time.
pub fn run(options: &Options, call: &Call) -> Result<Explanation, Diagnostic> {
    let (name, mut set) = named(&options.result)?;
    set.extend(with_oom(&options.set, options.allow_oom));
    let scenario = call.scenario(&name, Overrides::new(set))?;
    let (case, tau) = chosen(&scenario, options.workload.as_deref(), options.tau)?;
    let mut own = scenario;
    own.cases = vec![own.cases[case].clone()];
    own.cases[0].moepp.retain(|workload| workload.model.experts.tau == tau);
    let book = config::read_prices(&config::built_in_prices())?;
    let cluster_case = ClusterCase::new(own.ingredients.topology.clone(), own, &book);
    let result = evaluate(&cluster_case, threads::available())?;
    let case = &cluster_case.scenario.cases[0];
    let explained = case.moepp.first().unwrap_or(&case.vanilla);
    let bounds = Bounds::of(&cluster_case.scenario, explained, threads::available())?;
    let made_by = call.made_by(cluster_case.scenario.ingredients.inputs.iter().cloned());
    Ok(Explanation::of(made_by, &cluster_case, &result, &bounds))
}

/// The scenario's name and overrides: as given, or as a run's JSON records them.
pub(super) fn named(result: &str) -> Result<(String, Vec<String>), Diagnostic> {
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
    let asked =
        value.get("asked").ok_or_else(|| unfit("does not say what was asked".to_owned()))?;
    let asked: Asked = serde_json::from_value(asked.clone())
        .map_err(|e| unfit(format!("does not say what was asked: {e}")))?;
    Ok((asked.scenario, asked.set))
}

/// Which case and τ is meant: those named, else the first case and the scenario's breakdown, or its last τ.
pub(super) fn chosen(
    scenario: &Scenario,
    name: Option<&str>,
    tau: Option<f64>,
) -> Result<(usize, Option<f64>), Diagnostic> {
    let of_name = |workload: &Workload| name.is_none_or(|name| workload.name == name);
    let case = scenario
        .cases
        .iter()
        .position(|case| of_name(&case.vanilla) || case.moepp.iter().any(of_name));
    let Some(case) = case else {
        let own = |case: &Case| case.moepp.first().unwrap_or(&case.vanilla).name.clone();
        let names: Vec<String> = scenario.cases.iter().map(own).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let given = name.unwrap_or_default();
        let help = advice(given, "its MoE++ workloads", &names);
        let found = format!("has no workload `{given}`");
        return Err(Diagnostic::of(scenario.name.clone(), found, help));
    };
    let moepp = scenario.cases[case].moepp.iter();
    let taus: Vec<f64> = moepp.filter_map(|workload| workload.model.experts.tau).collect();
    let wanted = tau.or(scenario.breakdown_tau);
    let known = wanted.and_then(|w| taus.iter().find(|tau| (**tau - w).abs() < 1e-9));
    let tau = match known {
        Some(tau) => Some(*tau),
        None if tau.is_some() => {
            let all: Vec<String> = taus.iter().map(f64::to_string).collect();
            let help = format!("τ of the scenario: {}", all.join(", "));
            return Err(Diagnostic::of("--tau", "the scenario has no such τ", help));
        }
        None => taus.last().copied(),
    };
    Ok((case, tau))
}
