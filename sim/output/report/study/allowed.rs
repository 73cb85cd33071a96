//! The range that the fit of the overheads allows, as a table of at most 80 columns.

use std::io::{self, Write};

use super::StudyResult;
use crate::output::report::shared::table::{Column, Table};
use crate::output::report::shared::value::digits;

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
        let time = allowed.expert_forward_ms.map(digits).join(" to ");
        let increase = allowed
            .throughput_increase_percent
            .map_or_else(|| "-".to_owned(), |[low, high]| format!("{low:.1} to {high:.1}"));
        table.row([row.model.clone(), row.experts_cell(), row.tau_cell(), time, increase]);
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
