//! `moesim plan`: which τ meets a target at the least loss of quality.

use std::path::PathBuf;

use super::compare::refuse_unpriced;
use super::comparison::{Batch, Options as Comparing, price_book};
use crate::base::threads;
use crate::commands::{Call, input};
use crate::config::{Diagnostic, Scenario};
use crate::output::report::plan::{LeftOut, PlanResult, Planned};
use crate::studies::compare::{ClusterCase, Equal};
use crate::studies::planner::{Question, Target, Trend, plan};
use crate::topology::PriceBook;

/// A model, clusters and a target.
#[derive(Clone, Debug)]
pub struct Options {
    /// The clusters: built in or files, each NAME or NAME=PROFILE.
    pub clusters: Vec<String>,
    /// What is to be met.
    pub target: Target,
    /// With this probability.
    pub probability: f64,
    /// A price book; the built-in one if not given.
    pub prices: Option<PathBuf>,
    /// Leave out clusters that cost more, GPUs and network, in US dollars by the price book.
    pub max_usd: Option<f64>,
    /// τ to look at first; the edge between them is found by bisection.
    pub taus: Vec<f64>,
    /// Quality over τ, as a CSV. Default: the paper's.
    pub quality: Option<PathBuf>,
    /// The workloads.
    pub comparison: Comparing,
}

/// τ to look at where none are named.
const TAUS: [f64; 9] = [0.1, 0.15, 0.25, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0];

/// Refuses a model whose share of FFN slots does not depend on τ: all τ would come out alike.
fn refuse_if_tau_is_idle(name: &str, scenario: &Scenario) -> Result<(), Diagnostic> {
    let case = &scenario.cases[0];
    let own = case.moepp.first().unwrap_or(&case.vanilla);
    let experts = &own.model.experts;
    if experts.tau.is_some() || experts.zero_computation.total() == 0 {
        return Ok(());
    }
    let found =
        format!("`{name}` says itself what share of slots FFN experts get, so τ decides nothing");
    let help = "name a workload with experts.tau, or vary the share itself in a sweep";
    Err(Diagnostic::of("--moepp", found, help))
}

/// How quality depends on τ; nothing where one vanilla workload stands alone.
fn trend(options: &Options, first: &ClusterCase) -> Result<Option<Trend>, Diagnostic> {
    let model = &first.scenario.cases[0].vanilla.model.name;
    let vanilla_alone = !first.is_pair() && first.own().model.experts.tau.is_none();
    match &options.quality {
        Some(path) => Trend::read(path, model).map(Some),
        None if vanilla_alone => Ok(None),
        None => Trend::published(model).map(Some),
    }
}

/// The τ named, else those of [`TAUS`] and those at which quality was measured.
fn taus(options: &Options, trend: Option<&Trend>) -> Vec<f64> {
    let mut taus = options.taus.clone();
    if taus.is_empty() {
        taus.extend(TAUS);
        taus.extend(trend.iter().flat_map(|trend| trend.taus()));
    }
    taus.sort_by(f64::total_cmp);
    taus.dedup();
    taus
}

/// The clusters that may be taken, and those that cost too much.
fn affordable(
    options: &Options,
    book: &PriceBook,
    call: &Call,
) -> Result<(Vec<ClusterCase>, Vec<LeftOut>), Diagnostic> {
    let (mut cluster_cases, mut too_dear) = (Vec::new(), Vec::new());
    for (name, scenario) in options.comparison.on_each(&options.clusters, call, Batch::Own)? {
        let cluster_case = ClusterCase::new(name, scenario, book);
        if let Some(most) = options.max_usd {
            refuse_unpriced(Equal::Cost, &cluster_case, book)?;
            if let Some(usd) = cluster_case.cost.total().usd.filter(|usd| *usd > most) {
                let (cluster, prices_of) = (cluster_case.name, book.date.clone());
                too_dear.push(LeftOut { cluster, usd, prices_of });
                continue;
            }
        }
        cluster_cases.push(cluster_case);
    }
    Ok((cluster_cases, too_dear))
}

/// Plans.
///
/// # Errors
/// If an option or a file is refused, or a run exceeds representable time.
pub fn run(options: &Options, call: &Call) -> Result<PlanResult, Diagnostic> {
    let (book, prices) = price_book(options.prices.as_deref())?;
    let (cluster_cases, left_out) = affordable(options, &book, call)?;
    let Some(first) = cluster_cases.first() else {
        let found = "every cluster costs more".to_owned();
        return Err(Diagnostic::of("--max-usd", found, "allow more, or name other clusters"));
    };
    refuse_if_tau_is_idle(options.comparison.named().own(), &first.scenario)?;
    if !options.taus.is_empty() && !first.is_pair() && first.own().model.experts.tau.is_none() {
        let found = format!("`{}` has no τ, so it decides nothing", first.own().name);
        return Err(Diagnostic::of(
            "--tau",
            found,
            "leave it out, or name an MoE++ workload by --moepp",
        ));
    }
    let trend = trend(options, first)?;
    let (target, taus) = (options.target, taus(options, trend.as_ref()));
    let question = Question {
        cluster_cases: &cluster_cases,
        taus: &taus,
        target,
        probability: options.probability,
        trend: trend.as_ref(),
    };
    let answer = plan(&question, threads::available())?;
    let own = cluster_cases.iter().flat_map(|case| case.scenario.ingredients.inputs.clone());
    let quality = options.quality.iter().filter_map(|path| input(path));
    let asked = Planned {
        made_by: call.made_by(own.chain(quality).chain(prices)),
        probability: options.probability,
        trend: trend.as_ref(),
        set: &options.comparison.set,
        left_out,
        target_is_time: !matches!(target, Target::TokensPerSec(_)),
    };
    Ok(PlanResult::of(asked, &cluster_cases, &answer))
}
