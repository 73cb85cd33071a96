//! Clusters against each other, as tables.

use std::io::{self, Write};

use super::{ComparedCluster, Comparison};
use crate::output::report::shared::knobs::by_size;
use crate::output::report::shared::sampled::write_sampled;
use crate::output::report::shared::setting::{write_idle_of, write_settings};
use crate::output::report::shared::stands_on::{write_gate_draws, write_stands_on};
use crate::output::report::shared::table::{Column, Table};
use crate::output::report::shared::value::digits;
use crate::output::report::shared::value::spoken;
use crate::output::report::shared::word::Word;
use crate::output::report::shared::wrapped::wrapped;
use crate::studies::compare::Equal;

pub(super) fn write(comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    let own = spoken(&comparison.workload, comparison.tau);
    let equal = comparison.equal.word_of();
    match &comparison.vanilla {
        Some(vanilla) => writeln!(out, "{own} against {vanilla}, at equal {equal}")?,
        None => writeln!(out, "{own} alone, at equal {equal}: no gain of MoE++ is asked")?,
    }
    write_idle_of(out, &comparison.settings)?;
    if let Some(first) = comparison.settings.first() {
        first.write_counted(out)?;
    }
    table(comparison, out)?;
    for cluster in &comparison.clusters {
        writeln!(out, "{}", cluster.cluster)?;
        write_stands_on(out, &cluster.stands_on)?;
        write_gate_draws(out, cluster.gate_draws_per_layer)?;
    }
    let sampled = comparison.clusters.iter();
    let sampled = sampled.filter_map(|of| Some((of.cluster.as_str(), of.sampled.as_ref()?)));
    write_sampled(out, sampled)?;
    elasticities(comparison, out)?;
    let Some((leader, others)) = comparison.clusters.split_first() else { return Ok(()) };
    for cluster in others {
        ratio(cluster, leader, comparison.few_seeds(), out)?;
    }
    let order = |cluster: &&ComparedCluster| cluster.break_even_class.is_some();
    for cluster in others.iter().filter(order) {
        catch_up(cluster, leader, out)?;
    }
    if comparison.equal != Equal::Gpus {
        costs(comparison, out)?;
    }
    intervals(comparison, leader, out)?;
    writeln!(out, "binds: the link class or startup with the largest elasticity")?;
    write_settings(out, &comparison.settings)
}

/// What intervals are, where any are shown.
fn intervals(
    comparison: &Comparison,
    leader: &ComparedCluster,
    out: &mut dyn Write,
) -> io::Result<()> {
    let drawn = comparison.settings.first().is_some_and(|first| first.calibration_uncertainty);
    let drawn = drawn && leader.ratio_to_best.low.is_some();
    let drawn = if drawn { ", calibration error drawn with them" } else { "" };
    match comparison.vanilla {
        Some(_) => writeln!(out, "\n±: 95% over seeds{drawn}"),
        None if comparison.clusters.len() > 1 => {
            writeln!(out, "\nintervals: 95% over seeds{drawn}")
        }
        None => writeln!(out),
    }
}

fn table(comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    let gain = comparison.vanilla.is_some();
    let figures = [6, 18, 8].into_iter().chain(gain.then_some(14)).map(Column::right);
    let binds = Column::left(0).after(2);
    let mut table = Table::of(std::iter::once(Column::left(22)).chain(figures).chain([binds]));
    let head = ["cluster", "GPUs", comparison.equal.unit(), "of best"].into_iter();
    table.row(head.chain(gain.then_some("gain, %")).chain(["binds"]));
    for cluster in &comparison.clusters {
        let figures = [
            cluster.cluster.clone(),
            cluster.gpus.to_string(),
            digits(comparison.per(cluster).unwrap_or_default()),
            format!("{:.2}", cluster.ratio_to_best.value()),
        ];
        let shown = gain.then(|| cluster.increase_percent.shown(1));
        let binds = cluster.binds.clone().unwrap_or_else(|| "no link".to_owned());
        table.row(figures.into_iter().chain(shown).chain([binds]));
    }
    writeln!(out)?;
    table.write(out)?;
    writeln!(out)
}

fn elasticities(comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\npercent of throughput for one percent of, measured over + 25 %")?;
    for cluster in &comparison.clusters {
        let all = by_size(&cluster.elasticities).into_iter();
        let all: Vec<String> = all.map(|(knob, e)| format!("{knob} {:.2}", e.max(0.0))).collect();
        wrapped(out, &format!("  {:<22} ", cluster.cluster), &all.join(", "))?;
    }
    writeln!(out)
}

fn ratio(
    cluster: &ComparedCluster,
    leader: &ComparedCluster,
    few: Option<u64>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (name, best, mean) = (&cluster.cluster, &leader.cluster, cluster.ratio_to_best.value());
    let said = match cluster.ratio_to_best.interval() {
        Some((low, high)) if !cluster.differs_from_best => match few {
            Some(seeds) => format!(
                "{name} gives {mean:.2} of {best}, but {seeds} seeds leave {:.2} to {high:.2} open: more tell them apart",
                low.max(0.0)
            ),
            None => format!("{name} is within noise of {best} ({low:.2} to {high:.2} of it)"),
        },
        Some((low, high)) => {
            format!("{name} gives {mean:.2} of {best} ({low:.2} to {high:.2})")
        }
        None => format!(
            "{name} gives {mean:.2} of {best} under this one seed; more seeds give an interval"
        ),
    };
    wrapped(out, "", &said)
}

fn catch_up(
    cluster: &ComparedCluster,
    leader: &ComparedCluster,
    out: &mut dyn Write,
) -> io::Result<()> {
    let class = cluster.break_even_class.as_deref().unwrap_or_default();
    let (name, best) = (&cluster.cluster, &leader.cluster);
    let [slowest, fastest] = cluster.break_even_class_gb_per_s.unwrap_or_default();
    let range = |by: f64| {
        if slowest < fastest {
            format!("{:.1} to {:.1}", slowest * by, fastest * by)
        } else {
            format!("{:.1}", slowest * by)
        }
    };
    let said = match cluster.break_even_factor {
        Some(factor) => format!(
            "{name} matches {best} per GPU with {class} links of {} GB/s (now {})",
            range(factor),
            range(1.0)
        ),
        None => format!(
            "{name} does not match {best} per GPU with any {class} bandwidth: the rest of its time alone is too long"
        ),
    };
    wrapped(out, "", &said)
}

/// What each cluster costs and draws, the network apart.
fn costs(comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::of([
        Column::left(22),
        Column::right(14),
        Column::right(12),
        Column::left(0).after(3),
    ]);
    table.row(["by the price book", "USD", "W", "network share"]);
    for cluster in &comparison.clusters {
        let [usd, watts] = [cluster.usd, cluster.watts].map(known);
        let share = |part: f64, all: Option<f64>| {
            all.map_or_else(|| "-".to_owned(), |all| format!("{:.0} %", 100.0 * part / all))
        };
        let of_usd = share(cluster.network_usd, cluster.usd);
        let of_watts = share(cluster.network_watts, cluster.watts);
        let name = cluster.cluster.clone();
        table.row([name, usd, watts, format!("{of_usd} of USD, {of_watts} of W")]);
    }
    writeln!(out)?;
    table.write(out)?;
    let dated = &comparison.prices_of;
    writeln!(out, "prices of {dated}, most of them stated guesses: `moesim topology`")
}

/// A whole number, if there is one.
fn known(value: Option<f64>) -> String {
    value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.0}"))
}
