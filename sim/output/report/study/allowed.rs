//! The range that the fit of the overheads allows, as a table of at most 80 columns.

use std::io::{self, Write};

use super::StudyResult;
use super::text::{experts, tau_cell};
use crate::output::report::shared::table::{Column, Table};

/// The range of each row, then models of other sizes than those fitted to; nothing where there is no range.
pub(super) fn write(result: &StudyResult, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<_> =
        result.results.iter().filter_map(|row| Some((row, row.allowed_by_fit?))).collect();
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "range over loop costs and micro-batches that fit the paper's rows alike")?;
    let widths = [6, 7, 22, 21].map(Column::right);
    let mut table = Table::of(std::iter::once(Column::left(6)).chain(widths));
    table.row(["model", "expts", "tau", "expert forward, ms", "increase, %"]);
    for (row, allowed) in &rows {
        let range = |[low, high]: [f64; 2]| format!("{low:.0} to {high:.0}");
        let increase = allowed.throughput_increase_percent.map_or_else(|| "-".to_owned(), range);
        let time = range(allowed.expert_forward_ms);
        table.row([row.model.clone(), experts(row), tau_cell(row), time, increase]);
    }
    table.write(out)?;
    writeln!(out)?;
    let mut beyond: Vec<&str> = rows
        .iter()
        .filter(|(_, allowed)| allowed.extrapolated)
        .map(|(row, _)| row.model.as_str())
        .collect();
    beyond.dedup();
    if !beyond.is_empty() {
        writeln!(
            out,
            "{}: an extrapolation, no row fitted to has this hidden size",
            beyond.join(", ")
        )?;
        writeln!(out)?;
    }
    Ok(())
}
