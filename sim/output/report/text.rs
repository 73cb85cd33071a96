//! A study as tables of at most 80 columns.

use std::io::{self, Write};

use super::{published, write_phase, write_stands_on};
use crate::base::statistics::{COVERAGE, Estimate};
use crate::config::Scenario;
use crate::execution::Scope;
use crate::execution::blame::Reason;
use crate::execution::lowering::draws_of;
use crate::execution::run::{NCCL_SMS, slowdown};
use crate::kernels::TimedBasis;
use crate::network::fluid::Engine;
use crate::studies::paper::PaperRow;
use crate::studies::study::Row;
use crate::workload::Workload;

/// Writes the study's table, then where the time goes.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_text(out: &mut dyn Write, scenario: &Scenario, rows: &[Row]) -> io::Result<()> {
    heading(out, scenario)?;
    results(out, scenario, rows)?;
    network(out, scenario, rows)?;
    provenance(out, rows)?;
    if scenario.calibration_uncertainty {
        super::ranges::write(out, scenario, rows)?;
    }
    breakdown(out, scenario, rows)
}

/// What all rows together stand on.
fn provenance(out: &mut dyn Write, rows: &[Row]) -> io::Result<()> {
    let all = TimedBasis::merged(rows.iter().flat_map(|row| row.stands_on.clone()));
    write_stands_on(out, &all)?;
    let workloads: Vec<_> = rows.iter().map(|row| &row.workload).collect();
    write_phase(out, &workloads)?;
    writeln!(out)
}

fn heading(out: &mut dyn Write, scenario: &Scenario) -> io::Result<()> {
    let from = &scenario.ingredients;
    let gpus = scenario.topology.gpus();
    writeln!(
        out,
        "{}: {} x {} ({})",
        scenario.name,
        gpus,
        scenario.topology.gpu().name,
        from.topology
    )?;
    writeln!(out, "counted: {}", scenario.counted.description())?;
    writeln!(out, "profile {}, overheads {}", from.profile, scenario.overheads_in_words())?;
    if let Some(said) = scenario.borrowed() {
        writeln!(out, "{said}")?;
    }
    if let Some(said) = super::memory::not_stated(scenario) {
        writeln!(out, "{said}")?;
    }
    for line in &scenario.oom {
        writeln!(out, "does not fit, run as asked: {line}")?;
    }
    writeln!(out)
}

fn results(out: &mut dyn Write, scenario: &Scenario, rows: &[Row]) -> io::Result<()> {
    let any_published = scenario.counted == Scope::Experts
        && rows
            .iter()
            .any(|row| published(scenario, row).is_some_and(|paper| paper.increase.is_some()));
    let time = scenario.counted.label();
    write!(out, "{:<6}{:>6} {:>6} {:>7} {time:>18} {:>16}", "", "", "", "FFN", "throughput")?;
    writeln!(out, "{}", if any_published { "  published" } else { "" })?;
    write!(
        out,
        "{:<6}{:>6} {:>6} {:>7} {:>18} {:>16}",
        "model", "expts", "tau", "share", "ms", "increase %"
    )?;
    writeln!(out, "{}", if any_published { "     %  error" } else { "" })?;
    for row in rows {
        result(out, row, any_published.then(|| published(scenario, row)))?;
    }
    writeln!(out)?;
    if scenario.counted == Scope::TrainingStep {
        utilisation(out, scenario, rows)?;
    }
    let seeds = scenario.seeds.end - scenario.seeds.start;
    if seeds > 1 {
        let cover = COVERAGE * 100.0;
        writeln!(
            out,
            "±: {cover}% interval of the mean over {seeds} seeds, vanilla paired with MoE++."
        )?;
    }
    if any_published {
        writeln!(
            out,
            "error: predicted less published increase, in points. The fit's own error on"
        )?;
        writeln!(out, "       models it has not seen: moesim validate.")?;
    }
    writeln!(out)
}

/// Throughput of training as the field reports it: model operations, those computed again not counted.
fn utilisation(out: &mut dyn Write, scenario: &Scenario, rows: &[Row]) -> io::Result<()> {
    let gpus = f64::from(scenario.topology.gpus());
    for row in rows {
        let tau = row.tau().map_or_else(String::new, |tau| format!(", tau {tau}"));
        let (flops, peak) = (super::model_flops(scenario, row), super::peak(scenario, row));
        writeln!(
            out,
            "{}{tau}: {:.0} tokens/s and {:.0} TFLOP/s per GPU, MFU {:.1} % of {:.0}",
            row.workload.name,
            row.tokens_per_sec.mean / gpus,
            flops / 1e12,
            100.0 * flops / peak,
            peak / 1e12
        )?;
    }
    writeln!(out, "TFLOP/s: model operations, all picks counted as FFN experts.")?;
    beside_exchanges(out, scenario, rows)?;
    let draws = rows.iter().filter_map(|row| draws_of(&scenario.topology, &row.workload));
    super::write_gate_draws(out, draws.max())?;
    writeln!(out)
}

/// What is taken of kernels that run beside exchanges.
fn beside_exchanges(out: &mut dyn Write, scenario: &Scenario, rows: &[Row]) -> io::Result<()> {
    let known = |row: &Row| scenario.carrier(&row.workload).ok()?.sms(&row.workload);
    let mut held: Vec<Option<u32>> = rows.iter().map(known).collect();
    held.sort_unstable();
    held.dedup();
    for sms in held {
        let assumed = if sms.is_some() { "" } else { ", assumed" };
        let sms = sms.unwrap_or(NCCL_SMS);
        let slower = slowdown(&scenario.topology, sms);
        writeln!(
            out,
            "beside exchanges ({sms} of {} SMs held{assumed}): products x {:.2}, memory x {:.2}",
            scenario.topology.gpu().sms,
            slower.arithmetic,
            slower.memory
        )?;
    }
    Ok(())
}

/// Which engines carried the exchanges, and what is known of their errors.
fn network(out: &mut dyn Write, scenario: &Scenario, rows: &[Row]) -> io::Result<()> {
    for engine in [Engine::ClosedForm, Engine::Exact, Engine::Quantised] {
        let own = rows
            .iter()
            .map(|row| &row.network_report)
            .filter(|network_report| network_report.exchanges > 0);
        let own = own.filter(|network_report| network_report.engine == engine);
        let Some(all) = own.copied().reduce(|all, network_report| all.and(&network_report)) else {
            continue;
        };
        write!(
            out,
            "network: {} all-to-all, {} engine: ",
            scenario.algorithms(own_workloads(rows, engine)),
            engine.name()
        )?;
        match all.error_bound {
            Some(error) if engine == Engine::Quantised => {
                writeln!(out, "times of exchanges within about {}%", 100.0 * error)?;
            }
            Some(_) => writeln!(out, "exact but for rounding")?,
            None => {
                let share = 100.0 * all.certified as f64 / all.exchanges as f64;
                writeln!(out, "{share:.0}% of exchanges certified;")?;
                writeln!(
                    out,
                    "         {} of them shared exactly: {:+.1}% on average, {:.1}% at worst",
                    all.measured,
                    100.0 * all.mean_measured,
                    100.0 * all.worst_measured
                )?;
            }
        }
    }
    if rows.iter().any(|row| row.network_report.exchanges > 0) {
        writeln!(out)?;
    }
    Ok(())
}

/// Workloads whose exchanges this engine carried.
fn own_workloads(rows: &[Row], engine: Engine) -> impl Iterator<Item = &Workload> {
    let own =
        move |row: &&Row| row.network_report.exchanges > 0 && row.network_report.engine == engine;
    rows.iter().filter(own).map(|row| &row.workload)
}

/// One row; with a column of what was published where any row has such.
fn result(out: &mut dyn Write, row: &Row, published: Option<Option<&PaperRow>>) -> io::Result<()> {
    let experts = row.workload.model.experts;
    let expts = format!("{}+{}", experts.ffn, experts.zero_computation.total());
    let tau = row.tau().map_or_else(|| "-".to_owned(), |tau| format!("{tau:.2}"));
    let increase = row.increase_percent.map_or_else(|| "-".to_owned(), |inc| plus_minus(&inc, 1));
    write!(
        out,
        "{:<6}{expts:>6} {tau:>6} {:>7.3} {:>18} {increase:>16}",
        row.workload.model.name,
        row.ffn_share.mean,
        plus_minus(&row.time_ms, decimals_of(row.time_ms.mean)),
    )?;
    if let Some(paper) = published {
        let paper = paper.and_then(|paper| paper.increase);
        match (row.increase_percent, paper) {
            (Some(ours), Some(theirs)) => {
                write!(out, " {theirs:>6.1} {:>+6.1}", ours.mean - theirs)?;
            }
            (Some(_), None) => write!(out, "  {:>5}", "-")?,
            (None, _) => {}
        }
    }
    writeln!(out)
}

/// Enough decimals for four figures.
fn decimals_of(value: f64) -> usize {
    if value <= 0.0 { 1 } else { (3 - value.log10().floor() as i32).clamp(1, 6) as usize }
}

fn plus_minus(estimate: &Estimate, decimals: usize) -> String {
    let mean = format!("{:.decimals$}", estimate.mean);
    match estimate.half_width {
        Some(half) => format!("{mean} ± {half:.decimals$}"),
        None => mean,
    }
}

/// Where the time of an average GPU goes: vanilla beside MoE++ at one τ, for each case.
fn breakdown(out: &mut dyn Write, scenario: &Scenario, rows: &[Row]) -> io::Result<()> {
    let shown: Vec<&Row> = rows
        .iter()
        .filter(|row| row.tau().is_none() || row.tau() == scenario.breakdown_tau)
        .collect();
    if shown.len() < 2 {
        return Ok(());
    }
    // Six columns of eight fit 80 beside the labels.
    for few in shown.chunks(6) {
        breakdown_of(out, scenario.counted, few)?;
    }
    Ok(())
}

fn breakdown_of(out: &mut dyn Write, counted: Scope, rows: &[&Row]) -> io::Result<()> {
    write!(out, "{:<28}", "where the time goes, ms")?;
    for row in rows {
        write!(out, " {:>8}", row.workload.model.name)?;
    }
    write!(out, "\n{:<28}", "mean over GPUs and seeds")?;
    for row in rows {
        let moepp = row.workload.model.experts.zero_computation.total() > 0;
        let word = if moepp { "MoE++" } else { "vanilla" };
        let tau = row.tau().map_or_else(|| word.to_owned(), |tau| format!("τ={tau}"));
        write!(out, " {tau:>8}")?;
    }
    writeln!(out)?;
    // For experts alone, waiting is no part of what is counted and comes after the total.
    let apart = counted == Scope::Experts;
    for (at, reason) in Reason::ALL.iter().enumerate() {
        if !(apart && reason.is_wait()) {
            reason_line(out, rows, at, reason.label())?;
        }
    }
    totals(out, rows, if apart { "expert forward" } else { "total" }, |row| row.time_ms.mean)?;
    if apart {
        for (at, reason) in Reason::ALL.iter().enumerate().filter(|(_, reason)| reason.is_wait()) {
            reason_line(out, rows, at, reason.label())?;
        }
        totals(out, rows, "until the slowest is done", |row| row.makespan_ms.mean)?;
    }
    if rows.iter().any(|row| row.hidden_ms > 0.0) {
        write!(out, "{:<28}", "(hidden under dispatch)")?;
        for row in rows {
            write!(out, " {:>8}", in_ms(row.hidden_ms))?;
        }
        writeln!(out)?;
    }
    writeln!(out)
}

/// One reason's time in each row, if it matters in any.
fn reason_line(out: &mut dyn Write, rows: &[&Row], at: usize, label: &str) -> io::Result<()> {
    if rows.iter().all(|row| row.blame_ms[at] < 5e-4 * row.time_ms.mean) {
        return Ok(());
    }
    totals(out, rows, label, |row| row.blame_ms[at])
}

fn totals(
    out: &mut dyn Write,
    rows: &[&Row],
    label: &str,
    of: impl Fn(&Row) -> f64,
) -> io::Result<()> {
    write!(out, "{label:<28}")?;
    for row in rows {
        write!(out, " {:>8}", in_ms(of(row)))?;
    }
    writeln!(out)
}

fn in_ms(ms: f64) -> String {
    if ms == 0.0 { "-".to_owned() } else { format!("{ms:.*}", decimals_of(ms).min(4)) }
}
