//! Parquet: tables of all kinds, recordings, residuals of profiles, measurements, results.

use moesim::base::table::{Column, Table, TableError};
use moesim::config::{Source, profile};
use moesim::kernels::measurements::{CollectiveRow, ExpertsRow, GemmRow};
use moesim::studies::sweep::Results;
use moesim::workload::Recording;

use super::tables::drawn;
use super::{Target, accepted, as_file, finite};

const TABLES: &[&str] = &[
    "calibrate/data/nccl_a100_sxm.parquet",
    "calibrate/data/nccl_l40s.parquet",
    "calibrate/data/gemm_a100_sxm.parquet",
    "calibrate/data/moe_l40s.parquet",
    "calibrate/data/deepep_ll_1node_h100_sxm.parquet",
];
const RECORDINGS: &[&str] = &["workloads/traces/tiny_*.parquet"];

pub(super) const TARGETS: &[Target] = &[
    Target { name: "parquet", seeds: TABLES, small: &[], holds: table },
    Target { name: "recording", seeds: RECORDINGS, small: &[], holds: recording },
    Target {
        name: "residuals",
        seeds: &["calibrate/profiles/*.parquet"],
        small: &[],
        holds: residuals,
    },
    Target { name: "measurements", seeds: TABLES, small: &[], holds: measurements },
    Target { name: "results-parquet", seeds: &[], small: &[], holds: results },
];

/// Small enough that one input does not take what a thousand could.
fn small(bytes: &[u8]) -> Option<Table> {
    let table = accepted(Table::from_bytes("table.parquet", bytes.to_vec()))?;
    (table.rows() <= 20_000).then_some(table)
}

fn table(bytes: &[u8]) {
    let Some(table) = small(bytes) else { return };
    let written = match table.to_parquet() {
        Ok(written) => written,
        // A file may have no columns at all; one is not written so.
        Err(error) => return assert!(!error.found.is_empty(), "{error}"),
    };
    let again = Table::from_bytes("table.parquet", written).expect("what was written");
    assert_eq!(again.rows(), table.rows(), "rows");
    for ((name, was), (read_name, is)) in table.columns().iter().zip(again.columns()) {
        assert_eq!(name, read_name, "names of columns");
        assert!(same(was, is), "{name}: {was:?} read again as {is:?}");
    }
}

/// Whether two columns hold the same, not-a-numbers included.
fn same(a: &Column, b: &Column) -> bool {
    let bits = |values: &[Option<f64>]| {
        let plain = |x: f64| if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() };
        values.iter().map(|value| value.map(plain)).collect::<Vec<_>>()
    };
    match (a, b) {
        (Column::Numbers(a), Column::Numbers(b)) => bits(a) == bits(b),
        _ => a == b,
    }
}

fn recording(bytes: &[u8]) {
    let Some(table) = small(bytes) else { return };
    let Some(recording) = accepted(Recording::from_table(&table)) else { return };
    let tokens: usize = recording.sequences().map(|tokens| tokens.len()).sum();
    assert_eq!(tokens, recording.tokens(), "tokens of all sequences");
    if recording.tokens() > 0 && recording.tokens() <= 4096 {
        let counts = recording.counts();
        assert_eq!(counts.all_tokens(), recording.tokens() as u64, "tokens counted");
        finite("inclusion", counts.inclusion(0));
    }
}

/// A table of residuals beside a shipped profile.
fn residuals(bytes: &[u8]) {
    let shipped = include_str!("../../calibrate/profiles/a100-sxm.toml");
    let Some(table) = small(bytes) else { return };
    accepted(profile(&Source::built_in("a100-sxm", shipped), table));
}

fn measurements(bytes: &[u8]) {
    let Some(table) = small(bytes) else { return };
    let seconds = |times: Vec<f64>| {
        for time in times {
            assert!(time > 0.0 && time.is_finite(), "a time of {time} s");
        }
    };
    let of = |error: TableError| moesim::config::Diagnostic::from(error);
    if let Some(rows) = accepted(GemmRow::of(&table).map_err(of)) {
        seconds(rows.rows.iter().map(|(_, row)| row.seconds).collect());
    }
    if let Some(rows) = accepted(ExpertsRow::of(&table).map_err(of)) {
        seconds(rows.rows.iter().map(|(_, row)| row.seconds).collect());
    }
    if let Some(rows) = accepted(CollectiveRow::of(&table).map_err(of)) {
        seconds(rows.rows.iter().map(|(_, row)| row.seconds).collect());
    }
}

fn results(bytes: &[u8]) {
    if small(bytes).is_none() {
        return;
    }
    let read = as_file("results.parquet", bytes, Results::read);
    drawn(accepted(read).filter(|results| results.rows.len() <= 2_000));
}
