//! Counts as tables: Parquet, or CSV by the file's name.

use std::fmt::Write as _;
use std::path::Path;

use super::super::{Failure, output};
use moesim::base::atomic_file::is_stdout;
use moesim::base::table::{Column, Table};
use moesim::config::Diagnostic;
use moesim::gate::Counts;

/// Counts of one gate and micro-batch.
pub(super) struct Drawn {
    pub(super) round: u32,
    pub(super) micro_batch: u32,
    pub(super) counts: Counts,
}

const COLUMNS: [&str; 6] = ["round", "micro_batch", "gpu", "expert", "kept", "dropped"];

/// Writes one row for each gate, micro-batch, GPU and expert.
pub(super) fn write(path: &Path, drawn: &[Drawn]) -> Result<(), Failure> {
    let rows = || {
        drawn.iter().flat_map(|of| {
            let cells = 0..of.counts.gpus() * of.counts.experts();
            cells.map(move |cell| {
                let (gpu, expert) = (cell / of.counts.experts(), cell % of.counts.experts());
                let [kept, dropped] = [of.counts.kept(gpu, expert), of.counts.dropped(gpu, expert)];
                [of.round, of.micro_batch, gpu as u32, expert as u32, kept, dropped]
            })
        })
    };
    let streams = is_stdout(path).then_some("csv");
    match streams.or_else(|| path.extension().and_then(|ending| ending.to_str())) {
        Some("csv") => {
            let mut text = COLUMNS.join(",") + "\n";
            for [round, micro_batch, gpu, expert, kept, dropped] in rows() {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{round},{micro_batch},{gpu},{expert},{kept},{dropped}");
            }
            Ok(output::write(path, &text)?)
        }
        Some("parquet") => {
            let mut table = Table::new(path.display().to_string());
            for (at, name) in COLUMNS.iter().enumerate() {
                let column = rows().map(|row| Some(i64::from(row[at]))).collect();
                table = table.with(name, Column::Integers(column));
            }
            let refused = |error: moesim::base::table::TableError| {
                Diagnostic::of(error.table, error.found, error.help).into()
            };
            table.write(path).map_err(refused)
        }
        _ => Err(Diagnostic::of(
            path.display().to_string(),
            "is not a name of a table",
            "end it in .parquet or .csv, or write - for CSV on standard output",
        )
        .into()),
    }
}
