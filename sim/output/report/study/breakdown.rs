//! Where the time of an average GPU goes: vanilla beside MoE++ at one τ, for each case.

use std::io::{self, Write};

use super::{StudyResult, StudyRow};
use crate::execution::Scope;
use crate::execution::blame::Reason;
use crate::output::report::shared::table::{Column, Table, fitting};
use crate::output::report::shared::value::decimals_of;

/// The least width of a column, and of the labels.
const NARROWEST: usize = 8;
const LABELS: usize = 26;

pub(super) fn write(result: &StudyResult, out: &mut dyn Write) -> io::Result<()> {
    let wanted = |row: &&StudyRow| row.tau().is_none() || row.tau() == result.breakdown_tau;
    let shown: Vec<&StudyRow> = result.results.iter().filter(wanted).collect();
    if shown.len() < 2 {
        return Ok(());
    }
    let named = Reason::ALL.into_iter().filter(|reason| matters(&shown, *reason));
    let labels = named.map(|reason| reason.label().chars().count()).max().unwrap_or(0).max(LABELS);
    let abreast = fitting(labels, NARROWEST, shown.iter().map(|row| row.model.as_str()));
    for few in shown.chunks(abreast) {
        columns(result.counted, few, labels, out)?;
    }
    Ok(())
}

fn columns(
    counted: Scope,
    rows: &[&StudyRow],
    labels: usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    let figures = rows.iter().map(|_| Column::right(NARROWEST + 1));
    let table = &mut Table::of(std::iter::once(Column::left(labels)).chain(figures));
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
    if matters(rows, reason) {
        let of = |row: &StudyRow| row.blame_ms(reason).unwrap_or_default();
        cells(table, rows, reason.label(), |row| in_ms(of(row)));
    }
}

fn matters(rows: &[&StudyRow], reason: Reason) -> bool {
    let of = |row: &StudyRow| row.blame_ms(reason).unwrap_or_default();
    rows.iter().any(|row| of(row) >= 5e-4 * row.time.ms.value())
}

fn cells(table: &mut Table, rows: &[&StudyRow], label: &str, of: impl Fn(&StudyRow) -> String) {
    table.row(std::iter::once(label.to_owned()).chain(rows.iter().map(|row| of(row))));
}

fn in_ms(ms: f64) -> String {
    if ms == 0.0 { "-".to_owned() } else { format!("{ms:.*}", decimals_of(ms).min(4)) }
}
