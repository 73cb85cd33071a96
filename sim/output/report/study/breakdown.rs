//! Where the time of an average GPU goes: vanilla beside MoE++ at one τ, for each case.

use std::io::{self, Write};

use super::{StudyResult, StudyRow};
use crate::execution::Scope;
use crate::execution::blame::Reason;
use crate::output::report::shared::table::{Column, Table, fitting};
use crate::output::report::shared::value::decimals_of;

/// Columns of eight that stand beside the labels, where names are as short.
const COLUMNS: usize = 6;
const NARROWEST: usize = 8;
const LABELS: usize = 28;

pub(super) fn write(result: &StudyResult, out: &mut dyn Write) -> io::Result<()> {
    let wanted = |row: &&StudyRow| row.tau().is_none() || row.tau() == result.breakdown_tau;
    let shown: Vec<&StudyRow> = result.results.iter().filter(wanted).collect();
    if shown.len() < 2 {
        return Ok(());
    }
    let names = || shown.iter().map(|row| row.model.as_str());
    let short = names().all(|name| name.chars().count() <= NARROWEST);
    let abreast = if short { COLUMNS } else { fitting(LABELS, NARROWEST, names()) };
    for few in shown.chunks(abreast) {
        columns(result.counted, few, out)?;
    }
    Ok(())
}

fn columns(counted: Scope, rows: &[&StudyRow], out: &mut dyn Write) -> io::Result<()> {
    let figures = rows.iter().map(|_| Column::right(NARROWEST + 1));
    let table = &mut Table::of(std::iter::once(Column::left(LABELS)).chain(figures));
    cells(table, rows, "where the time goes, ms", |row| row.model.clone());
    cells(table, rows, "mean over GPUs and seeds", |row| {
        let word = if row.zero_computation_experts > 0 { "MoE++" } else { "vanilla" };
        row.tau().map_or_else(|| word.to_owned(), |tau| format!("τ={tau}"))
    });
    // For experts alone, waiting is no part of what is counted and comes after the total.
    let apart = counted == Scope::Experts;
    for reason in Reason::ALL.into_iter().filter(|reason| !(apart && reason.is_wait())) {
        line(table, rows, reason);
    }
    let total = if apart { "expert forward" } else { "total" };
    cells(table, rows, total, |row| in_ms(row.time.ms.value()));
    if apart {
        for reason in Reason::ALL.into_iter().filter(|reason| reason.is_wait()) {
            line(table, rows, reason);
        }
        let until = "until the slowest is done";
        cells(table, rows, until, |row| in_ms(row.makespan_ms.value()));
    }
    if rows.iter().any(|row| row.hidden_zero_computation_ms > 0.0) {
        let hidden = |row: &StudyRow| in_ms(row.hidden_zero_computation_ms);
        cells(table, rows, "(hidden under dispatch)", hidden);
    }
    table.write(out)?;
    writeln!(out)
}

/// One reason's time in each row, if it matters in any.
fn line(table: &mut Table, rows: &[&StudyRow], reason: Reason) {
    let of = |row: &StudyRow| row.blame_ms(reason).unwrap_or_default();
    if rows.iter().any(|row| of(row) >= 5e-4 * row.time.ms.value()) {
        cells(table, rows, reason.label(), |row| in_ms(of(row)));
    }
}

fn cells(table: &mut Table, rows: &[&StudyRow], label: &str, of: impl Fn(&StudyRow) -> String) {
    table.row(std::iter::once(label.to_owned()).chain(rows.iter().map(|row| of(row))));
}

fn in_ms(ms: f64) -> String {
    if ms == 0.0 { "-".to_owned() } else { format!("{ms:.*}", decimals_of(ms).min(4)) }
}
