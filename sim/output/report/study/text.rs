//! A study as tables of at most 80 columns.

use std::io::{self, Write};

use super::{StudyResult, StudyRow, allowed, breakdown, dropped, network};
use crate::base::statistics::{COVERAGE, Range};
use crate::execution::Scope;
use crate::output::report::shared::sampled::{Sampled, write_sampled};
use crate::output::report::shared::setting::{write_doubts, write_idle, write_phase};
use crate::output::report::shared::stands_on::{write_gate_draws, write_stands_on};
use crate::output::report::shared::table::{Column, Table};
use crate::output::report::shared::value::{decimals_of, spoken};
use crate::output::report::shared::wrapped::wrapped;

/// The study's table, then where the time goes.
pub(super) fn write(result: &StudyResult, out: &mut dyn Write) -> io::Result<()> {
    heading(result, out)?;
    results(result, out)?;
    let sampled = result.results.iter().filter_map(|row| Some((row, row.sampled.as_ref()?)));
    let sampled: Vec<(String, &Sampled)> = sampled
        .map(|(row, sampled)| (spoken(&row.workload.workload, row.tau()), sampled))
        .collect();
    write_sampled(out, sampled.iter().map(|(row, sampled)| (row.as_str(), *sampled)))?;
    allowed::write(result, out)?;
    network::write(result, out)?;
    write_stands_on(out, result.results.iter().flat_map(|row| &row.stands_on))?;
    write_phase(out, result.results.iter().map(|row| &row.workload))?;
    yields(result, out)?;
    writeln!(out)?;
    if result.calibration_uncertainty && result.seeds > 1 {
        ranges(result, out)?;
    }
    breakdown::write(result, out)
}

/// Tokens a second of what drafts: a step's time alone does not say whether drafting pays.
fn yields(result: &StudyResult, out: &mut dyn Write) -> io::Result<()> {
    for row in result.results.iter().filter(|row| row.workload.drafts.is_some()) {
        let name = spoken(&row.workload.workload, row.tau());
        let (rate, each) = (row.tokens_per_s.value(), row.tokens_per_s_per_gpu.value());
        let text = format!(
            "{name}: {each:.0} tokens/s yielded per GPU, {rate:.0} on all; drafts that are not accepted do not count"
        );
        wrapped(out, "", &text)?;
    }
    Ok(())
}

fn heading(result: &StudyResult, out: &mut dyn Write) -> io::Result<()> {
    let StudyResult { scenario, gpus, gpu, topology, profile, .. } = result;
    writeln!(out, "{scenario}: {gpus} x {gpu} ({topology})")?;
    write_idle(out, &result.idle)?;
    wrapped(out, "counted: ", result.counted.description())?;
    wrapped(out, "", &format!("profile {profile}, overheads {}", result.overheads_in_words))?;
    if result.results.iter().all(|row| row.sampled.is_none()) {
        wrapped(out, "precision: ", "exact, the default: all of every run is simulated")?;
    }
    write_doubts(out, "", (&result.cautions, &result.does_not_fit))?;
    writeln!(out)
}

/// The published increase of a row, where the paper has one.
fn published(row: &StudyRow) -> Option<f64> {
    row.published.published_throughput_increase_percent
}

fn results(result: &StudyResult, out: &mut dyn Write) -> io::Result<()> {
    let any_published = result.results.iter().any(|row| published(row).is_some());
    table(result, any_published).write(out)?;
    writeln!(out)?;
    if result.counted == Scope::TrainingStep {
        utilisation(result, out)?;
    }
    if result.seeds > 1 {
        writeln!(
            out,
            "±: {}% interval of the mean over {} seeds, vanilla paired with MoE++.",
            COVERAGE * 100.0,
            result.seeds
        )?;
    }
    if any_published {
        writeln!(
            out,
            "error: predicted less published increase, in points. The fit's own error on"
        )?;
        writeln!(out, "       models it has not seen: moesim validate.")?;
    }
    dropped::write(result, out)?;
    writeln!(out)
}

/// A row for each workload and τ; with tokens a second of a whole model passed forward, since a step of training has
/// them with its MFU.
fn table(result: &StudyResult, any_published: bool) -> Table {
    let says_rate = !any_published && result.counted == Scope::ModelForward;
    let time = result.counted.label();
    let widths = [6, 7, 8, 19, 17].map(Column::right);
    let beside = Column::left(0);
    let mut table = Table::of(std::iter::once(Column::left(6)).chain(widths).chain([beside]));
    let mut heads = [
        vec!["", "", "", "FFN", time, "throughput"],
        vec!["model", "expts", "tau", "share", "ms", "increase %"],
    ];
    if any_published {
        heads[0].push("  published");
        heads[1].push("     %  error");
    } else if says_rate {
        heads[0].push("   tokens/s");
        heads[1].push("    per GPU");
    }
    heads.into_iter().for_each(|head| table.row(head));
    for row in &result.results {
        let mut cells = line(row, any_published);
        if says_rate {
            let rate = row.tokens_per_s_per_gpu.value();
            cells.push(format!("{:>11}", format!("{rate:.*}", usize::from(rate < 100.0))));
        }
        table.row(cells);
    }
    table
}

/// One row; with a column of what was published where any row has such.
fn line(row: &StudyRow, any_published: bool) -> Vec<String> {
    let ms = &row.time.ms;
    let mut cells = vec![
        row.model.clone(),
        row.experts_cell(),
        row.tau_cell(),
        format!("{:.3}", row.ffn_share.value()),
        ms.shown(decimals_of(ms.value())),
        row.increase_percent.shown(1),
    ];
    match (row.increase_percent.mean, published(row)) {
        (Some(ours), Some(theirs)) if any_published => {
            cells.push(format!(" {theirs:>6.1} {:>+6.1}", ours - theirs));
        }
        (Some(_), None) if any_published => cells.push("      -".to_owned()),
        _ => {}
    }
    cells
}

/// Throughput of training as the field reports it.
fn utilisation(result: &StudyResult, out: &mut dyn Write) -> io::Result<()> {
    for row in &result.results {
        let Some(used) = row.utilisation else { continue };
        let tau = row.tau().map_or_else(String::new, |tau| format!(", tau {tau}"));
        writeln!(
            out,
            "{}{tau}: {:.0} tokens/s and {:.0} TFLOP/s per GPU, MFU {:.1} % of {:.0}",
            row.workload.workload,
            row.tokens_per_s_per_gpu.value(),
            used.model_tflops_per_gpu,
            100.0 * used.mfu,
            used.peak_tflops
        )?;
    }
    writeln!(out, "TFLOP/s: model operations, all picks counted as FFN experts.")?;
    beside_exchanges(result, out)?;
    let draws = result.results.iter().filter_map(|row| row.utilisation?.gate_draws_per_layer);
    write_gate_draws(out, draws.max())?;
    writeln!(out)
}

/// What is taken of kernels that run beside exchanges.
fn beside_exchanges(result: &StudyResult, out: &mut dyn Write) -> io::Result<()> {
    let mut each: Vec<_> = result.results.iter().filter_map(|row| row.beside_exchanges).collect();
    // What was assumed comes first.
    each.sort_by_key(|one| (!one.sms_assumed, one.sms));
    each.dedup_by_key(|one| (one.sms_assumed, one.sms));
    for one in each {
        let assumed = if one.sms_assumed { ", assumed" } else { "" };
        let (sms, all, memory) = (one.sms, result.gpu_sms, one.memory_times);
        let beside = match one.sms_reserved {
            true => format!(
                "beside exchanges ({sms} of {all} SMs kept): products lose no more, memory x {memory:.2}"
            ),
            false => format!(
                "beside exchanges ({sms} of {all} SMs held{assumed}): products x {:.2}, memory x {memory:.2}",
                one.products_times
            ),
        };
        writeln!(out, "{beside}")?;
        if let Some(times) = one.exchange_times {
            writeln!(out, "exchanges beside kernels bound by memory: x {times:.2}")?;
        }
    }
    Ok(())
}

/// Where times and gains lie when calibration error is drawn too.
fn ranges(result: &StudyResult, out: &mut dyn Write) -> io::Result<()> {
    let cover = Range::COVERAGE * 100.0;
    writeln!(out, "{cover}% prediction interval, calibration error included")?;
    let widths = [6, 7, 27, 21].map(Column::right);
    let mut table = Table::of(std::iter::once(Column::left(6)).chain(widths));
    table.row(["model", "expts", "tau", "ms", "increase %"]);
    for row in &result.results {
        let (time, gain) = (row.time.predicted.shown(), row.predicted_increase_percent.shown());
        table.row([row.model.clone(), row.experts_cell(), row.tau_cell(), time, gain]);
    }
    table.write(out)?;
    writeln!(out)?;
    writeln!(
        out,
        "{} seeds, each with its own draw of every kernel and link family's error;",
        result.seeds
    )?;
    writeln!(out, "vanilla and MoE++ of a pair meet the same draw.")?;
    writeln!(out)
}
