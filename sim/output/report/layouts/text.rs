//! Layouts as a table.

use std::io::{self, Write};

use super::{LaidOut, LayoutsResult};
use crate::output::report::shared::setting::write_settings;
use crate::output::report::shared::value::digits;
use crate::output::report::shared::word::Word;
use crate::output::report::shared::wrapped::wrapped;
use crate::studies::layouts::Objective;

pub(super) fn write(result: &LayoutsResult, out: &mut dyn Write) -> io::Result<()> {
    let objective = result.objective.word_of();
    match result.front.first() {
        Some(best) => wrapped(
            out,
            "",
            &format!("Of {}'s layouts, best for {objective}: {}.", result.workload, spoken(best)),
        )?,
        None => writeln!(out, "No layout of {} can be run.", result.workload)?,
    }
    let counts = format!(
        "{} layouts: {} not allowed, {} do not fit into memory, {} dropped by their bounds, {} simulated",
        result.layouts, result.refused, result.too_large, result.bounded, result.simulated
    );
    wrapped(out, "", &counts)?;
    table(result, out)?;
    let margin = 100.0 * result.bound_margin;
    let front = format!(
        "none of the same τ has more throughput and a shorter step; bounds give away {margin:.0} %"
    );
    wrapped(out, "listed: ", &front)?;
    for (label, why) in [
        ("not allowed, as one: ", &result.refused_why),
        ("too large, as one: ", &result.too_large_why),
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

/// `EP 8, TP 1, PP 2, 2048 tokens, nccl on CLUSTER`.
fn spoken(best: &LaidOut) -> String {
    let tau = best.tau.map_or_else(String::new, |tau| format!(", τ = {tau}"));
    format!(
        "EP {}, TP {}, PP {}, {} tokens per GPU, {}{tau} on {}",
        best.expert_parallel,
        best.tensor_parallel,
        best.pipeline_parallel,
        best.tokens_per_gpu,
        best.exchange,
        best.cluster
    )
}

fn table(result: &LayoutsResult, out: &mut dyn Write) -> io::Result<()> {
    if result.front.is_empty() {
        return Ok(());
    }
    let cost = result.objective == Objective::Cost;
    let unit = if cost { "per USD" } else { "tokens/s" };
    writeln!(
        out,
        "\n{:<16} {:>4} {:>3} {:>3} {:>7} {:<18} {:>5} {unit:>10} {:>9}  binds",
        "cluster", "EP", "TP", "PP", "tokens", "exchange", "τ", "step ms"
    )?;
    for one in &result.front {
        let rate = one.tokens_per_s_per_usd.unwrap_or(one.tokens_per_s);
        let tau = one.tau.map_or_else(|| "-".to_owned(), |tau| tau.to_string());
        writeln!(
            out,
            "{:<16} {:>4} {:>3} {:>3} {:>7} {:<18} {tau:>5} {:>10} {:>9}  {} {:.0} %",
            one.cluster,
            one.expert_parallel,
            one.tensor_parallel,
            one.pipeline_parallel,
            one.tokens_per_gpu,
            one.exchange,
            digits(rate),
            digits(one.step_ms),
            one.binds,
            100.0 * one.binds_share
        )?;
    }
    writeln!(out)
}
