//! `moesim compare`: clusters against each other.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::arguments::comparison::{ComparisonArgs, price_book, settings_json, write_cautions};
use super::{Failure, output};
use crate::arguments::choice;
use moesim::base::statistics::mean;
use moesim::base::threads;
use moesim::config::{Diagnostic, Scenario};
use moesim::output::report::{
    self,
    pictures::{self, Part, Picture},
};
use moesim::studies::compare::{
    ClusterCase, ClusterResult, Equal, Knob, break_even, compare, ratio,
};
use moesim::topology::{LinkClass, PriceBook};

/// Clusters, and what to run on them.
#[derive(Args)]
pub(super) struct CompareArgs {
    /// The clusters: built in or files, each NAME or NAME=PROFILE.
    #[arg(required = true, num_args = 1..)]
    clusters: Vec<String>,
    /// What clusters have equally much of.
    #[arg(long, value_parser = choice::parser::<Equal>(), default_value = "gpus")]
    equal: Equal,
    #[command(flatten)]
    comparison: ComparisonArgs,
    /// A price book; the built-in one if not given.
    #[arg(long)]
    prices: Option<PathBuf>,
    /// Draw throughput, at equal cost or power against what it costs, into this .svg or .png.
    #[arg(long, value_name = "FILE")]
    pub(super) plot: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &CompareArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let (book, prices) = price_book(args.prices.as_deref())?;
    let mut cluster_cases = Vec::new();
    for (name, scenario) in args.comparison.on_each(&args.clusters)? {
        let cluster_case = ClusterCase::new(name, scenario, &book);
        refuse_unpriced(args.equal, &cluster_case, &book)?;
        cluster_cases.push(cluster_case);
    }
    let results = compare(&cluster_cases, threads::available())?;
    let mut order: Vec<usize> = (0..results.len()).collect();
    let mean = |at: usize| mean_per(&results[at], args.equal).unwrap_or_default();
    order.sort_by(|&a, &b| mean(b).total_cmp(&mean(a)));
    let catch_up = catch_ups(&cluster_cases, &results, &order, args.equal)?;
    if let Some(path) = &args.plot {
        let json = json_of((args, &cluster_cases), &results, &order, &catch_up);
        let comparison = Part::whole("--plot", &json);
        let chart = match args.equal {
            Equal::Gpus => Picture::Bars(pictures::throughput_chart(&comparison)?),
            Equal::Cost | Equal::Power => Picture::Spots(pictures::cost_chart(&comparison)?),
        };
        output::chart(&chart, path)?;
    }
    if args.json {
        let report = json_of((args, &cluster_cases), &results, &order, &catch_up);
        let own = cluster_cases.iter().flat_map(|case| &case.scenario.ingredients.inputs);
        super::reproduce::print(out, report, own.cloned().chain(prices))
    } else {
        write_asked(args, &cluster_cases[0].scenario, out)?;
        write_text(args, &results, &order, &catch_up, out)?;
        if args.equal != Equal::Gpus {
            write_costs(&results, &order, &book, out)?;
        }
        let drawn = cluster_cases[0].scenario.calibration_uncertainty;
        write_notes((&results[order[0]], drawn), out)?;
        write_cautions(&cluster_cases, out)
    }
}

/// Refuses a cluster of GPUs that the price book does not know, where that matters.
pub(super) fn refuse_unpriced(
    equal: Equal,
    cluster_case: &ClusterCase,
    book: &PriceBook,
) -> Result<(), Failure> {
    let topology = &cluster_case.scenario.topology;
    if equal.of(topology.gpus(), &cluster_case.cost).is_some() {
        return Ok(());
    }
    let (gpu, dated) = (&topology.gpu().name, &book.date);
    let (what, key) = if equal == Equal::Power { ("power", "watts") } else { ("price", "usd") };
    Err(Diagnostic::of(
        cluster_case.name.clone(),
        format!("has no {what}: the price book of {dated} does not know that of its GPU, {gpu}"),
        format!(
            "give `{key}` of [gpu.\"{gpu}\"] in a copy of topologies/prices.toml with --prices, or \
             compare at equal gpus"
        ),
    )
    .into())
}

/// How much faster its binding fabric would have to be for a cluster to catch up with the leader.
struct CatchUp {
    cluster: usize,
    class: LinkClass,
    factor: Option<f64>,
    /// The slowest and the fastest of these links.
    gb_per_s: [f64; 2],
}

impl CatchUp {
    /// What these links would have to be, a range where they differ.
    fn wanted(&self, factor: f64) -> String {
        let [slowest, fastest] = self.gb_per_s;
        let range = |by: f64| {
            if slowest < fastest {
                format!("{:.1} to {:.1}", slowest * by, fastest * by)
            } else {
                format!("{:.1}", slowest * by)
            }
        };
        format!("{} GB/s (now {})", range(factor), range(1.0))
    }
}

fn catch_ups(
    cluster_cases: &[ClusterCase],
    results: &[ClusterResult],
    order: &[usize],
    equal: Equal,
) -> Result<Vec<CatchUp>, Failure> {
    let leader = &results[order[0]];
    let target = leader.moepp[0] / f64::from(leader.gpus);
    let mut found = Vec::new();
    for &at in &order[1..] {
        if !ratio(&results[at], leader, equal).differs() {
            continue;
        }
        let link = results[at].sensitivities.iter().find_map(|&(knob, _)| match knob {
            Knob::Bandwidth(class) => Some(class),
            Knob::Startup => None,
        });
        let Some(class) = link else { continue };
        let links = cluster_cases[at].scenario.topology.links();
        let own = links.iter().filter(|link| link.class == class);
        let rates: Vec<f64> = own.map(|link| link.bandwidth.gb_per_sec()).collect();
        let slowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
        let fastest = rates.iter().copied().fold(0.0, f64::max);
        found.push(CatchUp {
            cluster: at,
            class,
            factor: break_even(&cluster_cases[at], class, target)?,
            gb_per_s: [slowest.min(fastest), fastest],
        });
    }
    Ok(found)
}

fn write_asked(
    args: &CompareArgs,
    scenario: &Scenario,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let base = &args.comparison.vanilla;
    let tau = scenario.cases[0].moepp.first().and_then(|own| own.model.experts.tau);
    let own = pictures::spoken(&args.comparison.moepp, tau);
    writeln!(out, "{own} against {base}, at equal {}", equal_word(args.equal))?;
    Ok(report::write_counted(out, scenario)?)
}

fn write_text(
    args: &CompareArgs,
    results: &[ClusterResult],
    order: &[usize],
    catch_up: &[CatchUp],
    out: &mut dyn Write,
) -> Result<(), Failure> {
    writeln!(
        out,
        "\n{:<22} {:>5} {:>15} {:>7} {:>13}  {:<10}",
        "cluster",
        "GPUs",
        args.equal.unit(),
        "of best",
        "gain, %",
        "binds"
    )?;
    let leader = &results[order[0]];
    for &at in order {
        let result = &results[at];
        let mean = mean_per(result, args.equal).unwrap_or_default();
        let gain = result.gain_percent();
        let half = gain.half_width.map_or(String::new(), |half| format!(" ± {half:.1}"));
        let binds = result.binds().map_or("no link", |(knob, _)| knob.name());
        writeln!(
            out,
            "{:<22} {:>5} {:>15} {:>7.2} {:>13}  {:<10}",
            result.name,
            result.gpus,
            digits(mean),
            ratio(result, leader, args.equal).mean,
            format!("{:.1}{half}", gain.mean),
            binds
        )?;
    }
    writeln!(out)?;
    for &at in order {
        writeln!(out, "{}", results[at].name)?;
        report::write_stands_on(out, &results[at].outcome.stands_on)?;
        report::write_gate_draws(out, results[at].outcome.gate_draws)?;
    }
    writeln!(out, "\npercent of throughput for one percent of")?;
    for &at in order {
        let result = &results[at];
        let all: Vec<String> = result
            .sensitivities
            .iter()
            .map(|(knob, e)| format!("{} {:.2}", knob.name(), e.max(0.0)))
            .collect();
        writeln!(out, "  {:<22} {}", result.name, all.join("   "))?;
    }
    writeln!(out)?;
    for &at in &order[1..] {
        let (result, ratio) = (&results[at], ratio(&results[at], leader, args.equal));
        match ratio.interval {
            Some((low, high)) if !ratio.differs() => writeln!(
                out,
                "{} and {}: no difference shown ({low:.2} to {high:.2} of the best)",
                result.name, leader.name
            )?,
            Some((low, high)) => writeln!(
                out,
                "{} gives {:.2} of {} ({low:.2} to {high:.2})",
                result.name, ratio.mean, leader.name
            )?,
            None => writeln!(
                out,
                "{} gives {:.2} of {} under this one seed; more seeds give an interval",
                result.name, ratio.mean, leader.name
            )?,
        }
    }
    for found in catch_up {
        let name = &results[found.cluster].name;
        let class = found.class.name();
        match found.factor {
            Some(factor) => writeln!(
                out,
                "{name} matches {} a GPU with {class} links of {}",
                leader.name,
                found.wanted(factor)
            )?,
            None => writeln!(
                out,
                "{name} does not match {} a GPU with any {class} bandwidth: the rest of its time alone is too long",
                leader.name
            )?,
        }
    }
    Ok(())
}

/// What each cluster costs and draws, the network apart.
fn write_costs(
    results: &[ClusterResult],
    order: &[usize],
    book: &PriceBook,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    writeln!(out, "\n{:<22} {:>13} {:>11}   of it network", "by the price book", "USD", "W")?;
    for &at in order {
        let ClusterResult { name, cost, .. } = &results[at];
        let (total, network) = (cost.total(), cost.network());
        let [usd, watts] = [total.usd, total.watts].map(known);
        let share =
            |part: f64, all: Option<f64>| all.map(|all| format!("{:.0} %", 100.0 * part / all));
        let [of_usd, of_watts] = [share(network.usd, total.usd), share(network.watts, total.watts)]
            .map(|share| share.unwrap_or_else(|| "-".to_owned()));
        writeln!(out, "{name:<22} {usd:>13} {watts:>11}   {of_usd} of USD, {of_watts} of W")?;
    }
    writeln!(out, "prices of {}, most of them stated guesses: `moesim topology`", book.date)?;
    Ok(())
}

/// A whole number, if there is one.
pub(super) fn known(value: Option<f64>) -> String {
    value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.0}"))
}

fn write_notes(
    (leader, drawn): (&ClusterResult, bool),
    out: &mut dyn Write,
) -> Result<(), Failure> {
    writeln!(
        out,
        "\n±: 95% over seeds{}. binds: the knob with the largest share.",
        if drawn && leader.moepp.len() > 1 { ", calibration error drawn with them" } else { "" }
    )?;
    Ok(())
}

fn json_of(
    (args, cluster_cases): (&CompareArgs, &[ClusterCase]),
    results: &[ClusterResult],
    order: &[usize],
    catch_up: &[CatchUp],
) -> Value {
    let leader = &results[order[0]];
    let clusters: Vec<_> = order
        .iter()
        .map(|&at| {
            let result = &results[at];
            let (ratio, gain) = (ratio(result, leader, args.equal), result.gain_percent());
            let per = |equal: Equal| mean_per(result, equal);
            let found = catch_up.iter().find(|found| found.cluster == at);
            json!({
                "cluster": result.name,
                "gpu": result.gpu,
                "profile": result.profile,
                "profile_borrowed": result.profile_borrowed,
                "gpus": result.gpus,
                "stands_on": report::stands_on_json(&result.outcome.stands_on),
                "gate_draws_per_layer": result.outcome.gate_draws,
                "usd": result.cost.total().usd,
                "watts": result.cost.total().watts,
                "network_usd": result.cost.network().usd,
                "network_watts": result.cost.network().watts,
                "tokens_per_s": mean(&result.moepp),
                "vanilla_tokens_per_s": mean(&result.vanilla),
                "tokens_per_s_per_gpu": per(Equal::Gpus),
                "tokens_per_s_per_usd": per(Equal::Cost),
                "tokens_per_s_per_w": per(Equal::Power),
                "throughput_increase_percent": gain.mean,
                "throughput_increase_percent_low": gain.half_width.map(|_| gain.low()),
                "throughput_increase_percent_high": gain.half_width.map(|_| gain.high()),
                "ratio_to_best": ratio.mean,
                "ratio_to_best_low": ratio.interval.map(|ends| ends.0),
                "ratio_to_best_high": ratio.interval.map(|ends| ends.1),
                "differs_from_best": ratio.differs(),
                "binds": result.binds().map(|(knob, _)| knob.name()),
                "elasticities": result.sensitivities.iter().map(|(knob, e)| (knob.name(), *e))
                    .collect::<std::collections::BTreeMap<_, _>>(),
                "break_even_class": found.map(|found| found.class.name()),
                "break_even_factor": found.and_then(|found| found.factor),
                "break_even_gb_per_s": found.and_then(|found| Some(found.factor? * found.gb_per_s[0])),
            })
        })
        .collect();
    json!({
        "workload": args.comparison.moepp,
        "vanilla": args.comparison.vanilla,
        "equal": equal_word(args.equal),
        "set": args.comparison.set,
        "settings": settings_json(cluster_cases),
        "clusters": clusters,
    })
}

const fn equal_word(equal: Equal) -> &'static str {
    match equal {
        Equal::Gpus => "gpus",
        Equal::Cost => "cost",
        Equal::Power => "power",
    }
}

/// Mean over seeds of what a cluster gives for each GPU, dollar or watt, if that is known.
fn mean_per(result: &ClusterResult, equal: Equal) -> Option<f64> {
    result.per(equal).map(|values| mean(&values))
}

/// A number in four significant digits.
pub(super) fn digits(value: f64) -> String {
    let size = if value > 0.0 { value.log10().floor() as i32 } else { 0 };
    let after = (3 - size).clamp(0, 6) as usize;
    format!("{value:.after$}")
}
