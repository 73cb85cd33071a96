//! `moesim plan`: which τ meets a target at the least loss of quality.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::arguments::comparison::{ComparisonArgs, tau};
use super::compare::digits;
use super::{Failure, output};
use moesim::base::threads;
use moesim::config::{Diagnostic, Scenario};
use moesim::output::report;
use moesim::output::report::pictures::{self, Part};
use moesim::studies::compare::{ClusterCase, Equal};
use moesim::studies::planner::{Candidate, Plan, Question, Target, Trend, plan};

/// A model, clusters and a target.
#[derive(Args)]
#[command(
    group(clap::ArgGroup::new("target").required(true)),
    override_usage = "moesim plan [OPTIONS] <TARGET> <CLUSTERS>...\n       \
                      TARGET: --tokens-per-s, --step-ms or --layer-ms with a NUMBER"
)]
pub(super) struct PlanArgs {
    /// The clusters: built in or files, each NAME or NAME=PROFILE.
    #[arg(required = true, num_args = 1..)]
    clusters: Vec<String>,
    /// At least this many tokens per second, all GPUs together.
    #[arg(long, group = "target", value_name = "NUMBER", value_parser = positive)]
    tokens_per_s: Option<f64>,
    /// At most this many milliseconds for a step of all micro-batches.
    #[arg(long, group = "target", value_name = "NUMBER", value_parser = positive)]
    step_ms: Option<f64>,
    /// At most this many milliseconds for a layer of a micro-batch, on average.
    #[arg(long, group = "target", value_name = "NUMBER", value_parser = positive)]
    layer_ms: Option<f64>,
    /// With this probability.
    #[arg(long, default_value_t = 0.9, value_parser = share)]
    probability: f64,
    /// A price book; the built-in one if not given.
    #[arg(long)]
    prices: Option<PathBuf>,
    /// Leave out clusters that cost more, GPUs and network, in US dollars by the price book.
    #[arg(long, value_name = "USD", value_parser = positive)]
    max_usd: Option<f64>,
    /// τ to look at first; the edge between them is found by bisection.
    #[arg(long, value_delimiter = ',', value_parser = tau,
          default_value = "0.1,0.15,0.25,0.4,0.5,0.75,1,1.5,2")]
    tau: Vec<f64>,
    /// Quality over τ: a CSV with columns tau and quality. Default: the paper's.
    #[arg(long, value_name = "FILE")]
    quality: Option<PathBuf>,
    #[command(flatten)]
    comparison: ComparisonArgs,
    /// Draw quality against throughput, and the Pareto front, into this .svg or .png.
    #[arg(long, value_name = "FILE")]
    pub(super) plot: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
        _ => Err("give a number above zero".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(value) if value > 0.0 && value < 1.0 => Ok(value),
        _ => Err("give a probability between 0 and 1, such as 0.9".to_owned()),
    }
}

/// Refuses a model whose share of FFN slots does not depend on τ: all τ would come out alike.
fn refuse_if_tau_is_idle(name: &str, scenario: &Scenario) -> Result<(), Failure> {
    let mut moepp = scenario.cases.iter().flat_map(|case| &case.moepp);
    if moepp.all(|workload| workload.model.experts.tau.is_some()) {
        return Ok(());
    }
    let found =
        format!("`{name}` says itself what share of slots FFN experts get, so τ decides nothing");
    let help = "name a workload with experts.tau, or vary the share itself in a sweep";
    Err(Diagnostic::of("--moepp", found, help).into())
}

pub(super) fn run(args: &PlanArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let (book, prices) = super::arguments::comparison::price_book(args.prices.as_deref())?;
    let (mut cluster_cases, mut too_dear) = (Vec::new(), Vec::new());
    for (name, scenario) in args.comparison.on_each(&args.clusters)? {
        let cluster_case = ClusterCase::new(name, scenario, &book);
        if let Some(most) = args.max_usd {
            super::compare::refuse_unpriced(Equal::Cost, &cluster_case, &book)?;
            if let Some(usd) = cluster_case.cost.total().usd.filter(|usd| *usd > most) {
                too_dear.push((cluster_case.name, usd));
                continue;
            }
        }
        cluster_cases.push(cluster_case);
    }
    let Some(first) = cluster_cases.first() else {
        let found = "every cluster costs more".to_owned();
        return Err(Diagnostic::of("--max-usd", found, "allow more, or name other clusters").into());
    };
    refuse_if_tau_is_idle(&args.comparison.moepp, &first.scenario)?;
    let model = &first.scenario.cases[0].vanilla.model.name;
    let trend = match &args.quality {
        Some(path) => Trend::read(path, model)?,
        None => Trend::published(model)?,
    };
    let target = match (args.tokens_per_s, args.step_ms, args.layer_ms) {
        (Some(least), _, _) => Target::TokensPerSec(least),
        (_, Some(most), _) => Target::StepMs(most),
        (_, _, most) => Target::LayerMs(most.unwrap_or(f64::INFINITY)),
    };
    let mut taus = args.tau.clone();
    taus.sort_by(f64::total_cmp);
    taus.dedup();
    let question = Question {
        cluster_cases: &cluster_cases,
        taus: &taus,
        target,
        probability: args.probability,
        trend: &trend,
    };
    let answer = plan(&question, threads::available())?;
    if let Some(path) = &args.plot {
        let json = json_of(args, (&answer, &trend), (&cluster_cases, &too_dear));
        output::chart(&pictures::front_chart(&Part::whole("--plot", &json))?, path)?;
    }
    if args.json {
        let report = json_of(args, (&answer, &trend), (&cluster_cases, &too_dear));
        let own = cluster_cases.iter().flat_map(|case| case.scenario.ingredients.inputs.clone());
        let quality = args.quality.iter().filter_map(|path| output::input(path));
        super::reproduce::print(out, report, own.chain(quality).chain(prices))
    } else {
        write_text(args, &answer, &trend, out)?;
        report::write_counted(out, &first.scenario)?;
        for (name, usd) in &too_dear {
            writeln!(out, "{name}: left out, as it costs {usd:.0} USD by prices of {}", book.date)?;
        }
        super::arguments::comparison::write_cautions(&cluster_cases, out)
    }
}

fn tau_word(candidate: &Candidate) -> String {
    candidate.tau.map_or("vanilla".to_owned(), |tau| format!("{tau:.3}"))
}

/// A candidate in a sentence.
fn spoken(candidate: &Candidate) -> String {
    candidate.tau.map_or("vanilla".to_owned(), |tau| format!("τ = {tau:.3}"))
}

fn write_text(
    args: &PlanArgs,
    answer: &Plan,
    trend: &Trend,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let told = &answer.candidates[answer.best.unwrap_or(answer.closest)];
    let percent = 100.0 * args.probability;
    match answer.best {
        Some(_) => writeln!(
            out,
            "Take {} on {}: it meets the target with probability {:.2} (asked: {:.2}).",
            spoken(told),
            told.cluster,
            told.probability,
            args.probability
        )?,
        None => writeln!(
            out,
            "Nothing meets the target with {percent:.0} %. Closest: {} on {}, with probability {:.2}.",
            spoken(told),
            told.cluster,
            told.probability
        )?,
    }
    let q = told.quality;
    writeln!(
        out,
        "It gives {} tokens/s, {:+.1} % of the target's {}; quality {:.1} ± {:.1}{}.",
        digits(told.mean()),
        told.margin_percent(),
        digits(told.target),
        q.expected,
        q.noise,
        if q.extrapolated { " (outside the τ that were measured)" } else { "" }
    )?;
    let blame: Vec<String> = answer
        .blame
        .iter()
        .take(3)
        .map(|(reason, share)| format!("{} {:.0} %", reason.label(), 100.0 * share))
        .collect();
    writeln!(out, "Time goes to {}.", blame.join(", "))?;
    report::write_stands_on(out, &answer.stands_on)?;
    report::write_gate_draws(out, answer.gate_draws)?;
    let helps: Vec<String> = answer
        .knobs
        .iter()
        .filter(|(_, e)| *e > 0.02)
        .take(3)
        .map(|(knob, e)| format!("{} ({e:.2} % of throughput for 1 %)", knob.name()))
        .collect();
    if !helps.is_empty() {
        writeln!(out, "Of the network, what would help: {}.", helps.join(", "))?;
    }
    if answer.best.is_none() {
        writeln!(
            out,
            "To meet it on average: {:.2} times the GPUs, in whole expert-parallel groups, or a \
             target\nof {} tokens/s.",
            told.target / told.mean(),
            digits(told.mean())
        )?;
    }
    writeln!(
        out,
        "\n{:<22} {:>8} {:>12} {:>12} {:>12}",
        "cluster", "τ", "tokens/s", "probability", "quality"
    )?;
    for (at, candidate) in answer.candidates.iter().enumerate() {
        let mark = match (Some(at) == answer.best, answer.front.contains(&at)) {
            (true, _) => "◀ take",
            (false, true) => "front",
            (false, false) if candidate.too_large.is_some() => "does not fit into memory",
            (false, false) => "",
        };
        writeln!(
            out,
            "{:<22} {:>8} {:>12} {:>12.3} {:>12.1} {mark}",
            candidate.cluster,
            tau_word(candidate),
            digits(candidate.mean()),
            candidate.probability,
            candidate.quality.expected
        )?;
    }
    for candidate in &answer.candidates {
        if let Some(arithmetic) = &candidate.too_large {
            writeln!(out, "{}, τ {}: {arithmetic}", candidate.cluster, tau_word(candidate))?;
        }
    }
    writeln!(
        out,
        "\nquality: averages of {}, a line in ln τ with\nslope {:.2}; single points scatter ± {:.2} about it, so smaller differences are not\nshown by the data.",
        trend.source,
        trend.slope(),
        trend.noise()
    )?;
    Ok(())
}

fn json_of(
    args: &PlanArgs,
    (answer, trend): (&Plan, &Trend),
    (cluster_cases, too_dear): (&[ClusterCase], &[(String, f64)]),
) -> Value {
    let all = |indices: &[usize]| -> Vec<_> {
        indices.iter().map(|&at| candidate_json(&answer.candidates[at])).collect()
    };
    let every: Vec<usize> = (0..answer.candidates.len()).collect();
    json!({
        "asked_probability": args.probability,
        "met": answer.best.is_some(),
        "recommended": answer.best.map(|at| candidate_json(&answer.candidates[at])),
        "closest": candidate_json(&answer.candidates[answer.closest]),
        "front": all(&answer.front),
        "candidates": all(&every),
        "blame": answer.blame.iter().map(|(reason, share)| (reason.key(), *share))
            .collect::<std::collections::BTreeMap<_, _>>(),
        "elasticities": answer.knobs.iter().map(|(knob, e)| (knob.name(), *e))
            .collect::<std::collections::BTreeMap<_, _>>(),
        "stands_on": report::stands_on_json(&answer.stands_on),
        "quality_source": trend.source,
        "gate_draws_per_layer": answer.gate_draws,
        "set": args.comparison.set,
        "settings": super::arguments::comparison::settings_json(cluster_cases),
        "left_out": too_dear
            .iter()
            .map(|(name, usd)| json!({ "cluster": name, "usd": usd }))
            .collect::<Vec<_>>(),
    })
}

fn candidate_json(candidate: &Candidate) -> Value {
    json!({
        "cluster": candidate.cluster,
        "tau": candidate.tau,
        "tokens_per_s": candidate.mean(),
        "target_tokens_per_s": candidate.target,
        "margin_percent": candidate.margin_percent(),
        "probability": candidate.probability,
        "quality": candidate.quality.expected,
        "quality_noise": candidate.quality.noise,
        "quality_extrapolated": candidate.quality.extrapolated,
        "fits": candidate.too_large.is_none(),
        "too_large": candidate.too_large,
    })
}
