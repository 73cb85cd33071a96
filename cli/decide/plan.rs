//! `moesim plan`: which τ meets a target at the least loss of quality.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::arguments::comparison::{ComparisonArgs, positive, tau};
use crate::output::progress::during;
use crate::{Failure, output};
use moesim::base::threads;
use moesim::config::{Diagnostic, Scenario};
use moesim::output::pictures;
use moesim::output::report::plan::{LeftOut, PlanResult, Planned};
use moesim::studies::compare::{ClusterCase, Equal};
use moesim::studies::planner::{Question, Target, Trend, plan};

/// A model, clusters and a target.
#[derive(Args)]
#[command(
    after_help = "Ends with status 0 whether or not anything meets the target; `met` in --json tells.",
    group(clap::ArgGroup::new("target").required(true)),
    override_usage = "moesim plan [OPTIONS] <TARGET> <CLUSTERS>...\n       \
                      TARGET: --tokens-per-s, --step-ms or --layer-ms with a NUMBER"
)]
pub(crate) struct PlanArgs {
    /// The clusters: built in or files, each NAME or NAME=PROFILE.
    #[arg(required = true, num_args = 1..)]
    clusters: Vec<String>,
    /// At least this many tokens per second, all GPUs together.
    #[arg(long, group = "target", value_name = "NUMBER", value_parser = positive, allow_negative_numbers = true)]
    tokens_per_s: Option<f64>,
    /// At most this many milliseconds for a step of all micro-batches.
    #[arg(long, group = "target", value_name = "NUMBER", value_parser = positive, allow_negative_numbers = true)]
    step_ms: Option<f64>,
    /// At most this many milliseconds for a layer of a micro-batch, on average.
    #[arg(long, group = "target", value_name = "NUMBER", value_parser = positive, allow_negative_numbers = true)]
    layer_ms: Option<f64>,
    /// With this probability.
    #[arg(long, default_value_t = 0.9, value_parser = share)]
    probability: f64,
    /// A price book; the built-in one if not given.
    #[arg(long)]
    prices: Option<PathBuf>,
    /// Leave out clusters that cost more, GPUs and network, in US dollars by the price book.
    #[arg(long, value_name = "USD", value_parser = positive, allow_negative_numbers = true)]
    max_usd: Option<f64>,
    /// τ to look at first; the edge between them is found by bisection. Default: 0.1,0.15,0.25,0.4,0.5,0.75,1,1.5,2 and
    /// those of --quality.
    #[arg(long, value_delimiter = ',', value_parser = tau, allow_negative_numbers = true)]
    tau: Vec<f64>,
    /// Quality over τ: a CSV with columns tau (empty for vanilla) and quality, and noise if the points' standard deviations
    /// are known. Default: the paper's.
    #[arg(long, value_name = "FILE")]
    quality: Option<PathBuf>,
    #[command(flatten)]
    comparison: ComparisonArgs,
    /// Draw quality against throughput, and the Pareto front, into this .svg or .png.
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// τ to look at where none are named.
const TAUS: [f64; 9] = [0.1, 0.15, 0.25, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0];

fn share(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(value) if value > 0.0 && value < 1.0 => Ok(value),
        _ => Err("give a probability between 0 and 1, such as 0.9".to_owned()),
    }
}

/// Refuses a model whose share of FFN slots does not depend on τ: all τ would come out alike.
fn refuse_if_tau_is_idle(name: &str, scenario: &Scenario) -> Result<(), Failure> {
    let case = &scenario.cases[0];
    let own = case.moepp.first().unwrap_or(&case.vanilla);
    let experts = &own.model.experts;
    if experts.tau.is_some() || experts.zero_computation.total() == 0 {
        return Ok(());
    }
    let found =
        format!("`{name}` says itself what share of slots FFN experts get, so τ decides nothing");
    let help = "name a workload with experts.tau, or vary the share itself in a sweep";
    Err(Diagnostic::of("--moepp", found, help).into())
}

/// How quality depends on τ; nothing where one vanilla workload stands alone.
fn trend(args: &PlanArgs, first: &ClusterCase) -> Result<Option<Trend>, Diagnostic> {
    let model = &first.scenario.cases[0].vanilla.model.name;
    let vanilla_alone = !first.is_pair() && first.own().model.experts.tau.is_none();
    match &args.quality {
        Some(path) => Trend::read(path, model).map(Some),
        None if vanilla_alone => Ok(None),
        None => Trend::published(model).map(Some),
    }
}

/// The τ named, else those of [`TAUS`] and those at which quality was measured.
fn taus(args: &PlanArgs, trend: Option<&Trend>) -> Vec<f64> {
    let mut taus = args.tau.clone();
    if taus.is_empty() {
        taus.extend(TAUS);
        taus.extend(trend.iter().flat_map(|trend| trend.taus()));
    }
    taus.sort_by(f64::total_cmp);
    taus.dedup();
    taus
}

pub(crate) fn run(args: &PlanArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let (book, prices) = crate::arguments::comparison::price_book(args.prices.as_deref())?;
    let (mut cluster_cases, mut too_dear) = (Vec::new(), Vec::new());
    for (name, scenario) in args.comparison.on_each(&args.clusters)? {
        let cluster_case = ClusterCase::new(name, scenario, &book);
        if let Some(most) = args.max_usd {
            crate::compare::refuse_unpriced(Equal::Cost, &cluster_case, &book)?;
            if let Some(usd) = cluster_case.cost.total().usd.filter(|usd| *usd > most) {
                let (cluster, prices_of) = (cluster_case.name, book.date.clone());
                too_dear.push(LeftOut { cluster, usd, prices_of });
                continue;
            }
        }
        cluster_cases.push(cluster_case);
    }
    let Some(first) = cluster_cases.first() else {
        let found = "every cluster costs more".to_owned();
        return Err(Diagnostic::of("--max-usd", found, "allow more, or name other clusters").into());
    };
    refuse_if_tau_is_idle(args.comparison.named().own(), &first.scenario)?;
    let trend = trend(args, first)?;
    let target = match (args.tokens_per_s, args.step_ms, args.layer_ms) {
        (Some(least), _, _) => Target::TokensPerSec(least),
        (_, Some(most), _) => Target::StepMs(most),
        (_, _, most) => Target::LayerMs(most.unwrap_or(f64::INFINITY)),
    };
    let taus = taus(args, trend.as_ref());
    let question = Question {
        cluster_cases: &cluster_cases,
        taus: &taus,
        target,
        probability: args.probability,
        trend: trend.as_ref(),
    };
    let answer = during("runs", || plan(&question, threads::available()))?;
    let own = cluster_cases.iter().flat_map(|case| case.scenario.ingredients.inputs.clone());
    let quality = args.quality.iter().filter_map(|path| output::input(path));
    let asked = Planned {
        made_by: crate::reproduce::made_by(own.chain(quality).chain(prices)),
        probability: args.probability,
        trend: trend.as_ref(),
        set: &args.comparison.set,
        left_out: too_dear,
        target_is_time: !matches!(target, Target::TokensPerSec(_)),
    };
    let result = PlanResult::of(asked, &cluster_cases, &answer);
    if let Some(path) = &args.plot {
        output::chart(&pictures::front_chart(&result, "--plot")?, path)?;
    }
    if args.json { output::result(out, &result) } else { Ok(result.write_text(out)?) }
}
