//! Layouts as a table.

use std::io::{self, Write};

use super::{LaidOut, LayoutsResult};
use crate::output::report::shared::sampled::write_sampled_sum;
use crate::output::report::shared::setting::{REMEDY, write_settings};
use crate::output::report::shared::table::{Column, Table};
use crate::output::report::shared::value::digits;
use crate::output::report::shared::word::Word;
use crate::output::report::shared::wrapped::{WIDTH, wrapped};
use crate::studies::advise::Part;
use crate::studies::layouts::Objective;

pub(super) fn write(result: &LayoutsResult, out: &mut dyn Write) -> io::Result<()> {
    wrapped(out, "", &answer(result))?;
    wrapped(out, "", &result.counted())?;
    table(result, out)?;
    let margin = 100.0 * result.bound_margin;
    let front = format!(
        "none of the same τ has more throughput and a shorter step; bounds allow for an error of {margin:.0} %; \
         binds: what takes most of the step"
    );
    wrapped(out, "listed: ", &front)?;
    write_sampled_sum(out, result.front.iter().map(|of| (spoken(of), of.sampled.as_ref())))?;
    kernels(result, out)?;
    slower(result, out)?;
    does_not_fit(result, out)?;
    for (label, why) in [
        ("not allowed, as one: ", &result.refused_why),
        ("too large, the least: ", &result.too_large_why),
    ] {
        if let Some(why) = why {
            wrapped(out, label, why)?;
        }
    }
    if let Some(first) = result.settings.first() {
        first.write_counted(out)?;
    }
    write_settings(out, &result.settings)
}

/// The best layout, in a sentence.
pub(super) fn answer(result: &LayoutsResult) -> String {
    let objective = result.objective.word_of();
    match result.front.first() {
        Some(best) => {
            format!("Of {}'s layouts, best for {objective}: {}.", result.workload, spoken(best))
        }
        None => format!("No layout of {} can be run.", result.workload),
    }
}

/// `EP 8, TP 1, PP 2, 2048 tokens, nccl on CLUSTER`.
fn spoken(best: &LaidOut) -> String {
    let tau = best.tau.map_or_else(String::new, |tau| format!(", τ = {tau}"));
    let cut = match best.expert_tensor_parallel {
        1 => String::new(),
        size => format!(" ETP {size},"),
    };
    format!(
        "EP {},{cut} TP {}, PP {}, {} tokens per GPU, {}{}{tau} on {}",
        best.expert_parallel,
        best.tensor_parallel,
        best.pipeline_parallel,
        best.tokens_per_gpu,
        best.exchange,
        overlapping(best),
        best.cluster
    )
}

/// What its exchanges run beside, behind their library.
fn overlapping(one: &LaidOut) -> String {
    one.overlap.as_ref().map_or_else(String::new, |overlap| format!(", {overlap}"))
}

/// The front; what all of it has alike stands in the line before it.
fn table(result: &LayoutsResult, out: &mut dyn Write) -> io::Result<()> {
    let Some(first) = result.front.first() else { return Ok(()) };
    writeln!(out)?;
    // Throughput of a GPU is told where lines stay within a terminal.
    let wide = columns(result, first, true);
    let fits = wide.columns_wide() <= WIDTH;
    if fits { wide } else { columns(result, first, false) }.write(out)?;
    let clusters = clusters(result);
    if clusters.len() > 1 {
        for (at, name) in clusters.iter().enumerate() {
            wrapped(out, &format!("[{}] ", at + 1), name)?;
        }
    }
    writeln!(out)
}

fn columns(result: &LayoutsResult, first: &LaidOut, per_gpu: bool) -> Table {
    let differs = |same: &dyn Fn(&LaidOut) -> bool| !result.front.iter().all(same);
    let tau = differs(&|one| one.tau == first.tau);
    let cut = differs(&|one| one.expert_tensor_parallel == 1);
    let idle = differs(&|one| one.idle_gpus == 0);
    let unit = if result.objective == Objective::Cost { "per USD" } else { "tokens/s" };
    let figures = [3, 4, 4, 7, 10].into_iter().map(Column::right);
    let shown = [per_gpu, true, cut, tau, idle];
    let more = kept(shown, [9, 9, 4, 6, 5]).map(Column::right);
    let names = [Column::left(13).after(2), Column::left(0).after(1)];
    let mut table = Table::of(figures.chain(more).chain(names));
    let head = ["EP", "TP", "PP", "tokens", unit].map(str::to_owned);
    let optional = kept(shown, ["per GPU", "step ms", "ETP", "τ", "idle"]).map(str::to_owned);
    let names = ["binds".to_owned(), "exchange".to_owned()];
    table.row(head.into_iter().chain(optional).chain(names));
    let clusters = clusters(result);
    for one in &result.front {
        let sizes = [one.expert_parallel, one.tensor_parallel, one.pipeline_parallel];
        let sizes = sizes.into_iter().chain([one.tokens_per_gpu]).map(|size| size.to_string());
        let rate = digits(one.tokens_per_s_per_usd.unwrap_or(one.tokens_per_s));
        let each = one.tokens_per_s_per_gpu.map_or_else(|| "-".to_owned(), digits);
        let own = one.tau.map_or_else(|| "-".to_owned(), |tau| tau.to_string());
        let (cut, idle) = (one.expert_tensor_parallel.to_string(), one.idle_gpus.to_string());
        let optional = kept(shown, [each, digits(one.step_ms), cut, own, idle]);
        table.row(sizes.chain([rate]).chain(optional).chain(named(one, &clusters)));
    }
    table
}

/// What binds a layout, and what carries its exchanges, on which of several clusters.
fn named(one: &LaidOut, clusters: &[&str]) -> [String; 2] {
    let mark = clusters.iter().position(|name| *name == one.cluster).unwrap_or(0) + 1;
    let mark = if clusters.len() > 1 { format!(" [{mark}]") } else { String::new() };
    let binds = format!("{} {:.0} %", short(&one.binds), 100.0 * one.binds_share);
    let large = if one.too_large.is_some() { " too large" } else { "" };
    [binds, format!("{}{}{mark}{large}", one.exchange, overlapping(one))]
}

/// The values of the columns that are shown.
fn kept<T, const N: usize>(shown: [bool; N], values: [T; N]) -> impl Iterator<Item = T> {
    values.into_iter().zip(shown).filter_map(|(value, shown)| shown.then_some(value))
}

/// That another kernel would run experts in far less time, so that the ranking may be the kernels'.
fn slower(result: &LayoutsResult, out: &mut dyn Write) -> io::Result<()> {
    if result.beside_grouped.is_empty() {
        return Ok(());
    }
    let each = result.beside_grouped.iter();
    let said = each.map(|one| format!("{:.1} times at EP {}", one.times, one.expert_parallel));
    let said = said.collect::<Vec<_>>().join(", ");
    let text = format!(
        "what \"auto\" takes runs up to {said} what grouped products, derived from dense ones, would take; {REMEDY}"
    );
    wrapped(out, "kernels of experts: ", &text)
}

/// That experts do not run as the same kernel in all layouts, so that differences between them may be the kernels'.
fn kernels(result: &LayoutsResult, out: &mut dyn Write) -> io::Result<()> {
    if result.experts_kernels.len() < 2 {
        return Ok(());
    }
    let said = result.experts_kernels.iter().map(|(kernel, sizes)| {
        let sizes: Vec<String> = sizes.iter().map(u32::to_string).collect();
        format!("{kernel} at EP {}", sizes.join(", "))
    });
    let said = said.collect::<Vec<_>>().join("; ");
    let text = format!("{said}; name one as workload.kernels.experts to compare layouts under it");
    wrapped(out, "FFN experts run as: ", &text)
}

/// That layouts run which do not fit into memory, as was asked.
fn does_not_fit(result: &LayoutsResult, out: &mut dyn Write) -> io::Result<()> {
    let mut large = result.front.iter().filter_map(|one| Some((one, one.too_large.as_ref()?)));
    let Some((first, why)) = large.next() else { return Ok(()) };
    let more = match large.count() {
        0 => String::new(),
        more => format!("; {more} more as well"),
    };
    let why = format!("{}: {why}{more}", spoken(first));
    wrapped(out, "does not fit, run as asked: ", &why)
}

/// The clusters of the front, in the order of it.
fn clusters(result: &LayoutsResult) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for one in &result.front {
        if !names.contains(&one.cluster.as_str()) {
            names.push(&one.cluster);
        }
    }
    names
}

/// The part of a step that takes most, in a word.
fn short(label: &str) -> &str {
    let part = Part::ALL.into_iter().find(|part| part.label() == label);
    match part {
        Some(Part::Ffn) => "experts",
        Some(Part::Exchange) => "exchange",
        Some(Part::Dense) => "dense",
        Some(Part::Routing) => "gate",
        Some(Part::Launch) => "launches",
        Some(Part::Waiting) => "waiting",
        Some(Part::Others) => "others",
        None => label,
    }
}
