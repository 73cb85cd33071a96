//! Fits a whole profile from a folder of measurements.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use moesim::measurements::{CollectiveRow, ExpertsRow, GemmRow};
use moesim::profile::{CollectiveOp, Evidence, InterNodeFit, Precision, Profile};
use moesim::table::{Table, TableError};
use moesim::units::SimDuration;

use crate::device::DataSheet;
use crate::{experts, gemm, nccl};

/// Fits the profile of `sheet`'s device on the tables of `from`.
///
/// # Errors
/// If a table cannot be read, or what a profile cannot do without is not there.
pub fn profile(sheet: &DataSheet, from: &Path) -> Result<Profile, TableError> {
    let device = sheet.device();
    let table = |kind: &str| Table::read(&from.join(format!("{kind}_{}.parquet", sheet.file)));
    let file = |kind: &str| format!("{kind}_{}", sheet.file);

    let gemm_table = table("gemm")?;
    let name =
        gemm_table.texts("device")?.first().copied().flatten().unwrap_or(sheet.name).to_owned();
    let gemm_rows = plain(GemmRow::of(&gemm_table)?.rows);
    let mut gemm_families = BTreeMap::new();
    for precision in [Precision::Bf16, Precision::Fp8, Precision::Fp8Block] {
        let of: Vec<GemmRow> =
            gemm_rows.iter().filter(|row| row.precision == precision).copied().collect();
        if let Some(family) = gemm::fit(&device, precision, &of, &file("gemm")) {
            gemm_families.insert(precision, family);
        }
    }
    let bf16: Vec<GemmRow> =
        gemm_rows.iter().filter(|row| row.precision == Precision::Bf16).copied().collect();
    let memory = gemm::memory(&device, &bf16, &file("gemm")).ok_or_else(|| TableError {
        table: file("gemm"),
        column: None,
        found: "holds no bfloat16 rows with few tokens".to_owned(),
        help: "measure m = 1 with n, k = 64 and with n·k of at least 50 million".to_owned(),
    })?;

    let expert_rows = plain(ExpertsRow::of(&table("moe")?)?.rows);
    let mut expert_families = BTreeMap::new();
    let keys: BTreeSet<(String, Precision)> =
        expert_rows.iter().map(|row| (row.source.clone(), row.precision)).collect();
    for key in keys {
        let of: Vec<&ExpertsRow> = expert_rows
            .iter()
            .filter(|row| row.source == key.0 && row.precision == key.1)
            .collect();
        if let Some(family) = experts::fit(&device, key.1, &of, &file("moe")) {
            expert_families.insert(key, family);
        }
    }

    let collective_rows = plain(CollectiveRow::of(&table("nccl")?)?.rows);
    let fits = CollectiveOp::ALL
        .into_iter()
        .filter_map(|op| nccl::fit(op, &collective_rows, &file("nccl")).map(|fit| (op, fit)));
    let collectives: BTreeMap<_, _> = fits.collect();
    let pair = collectives.get(&CollectiveOp::AllToAll).and_then(|fit| fit.ramps.get(&2));
    Ok(Profile {
        scale_up: Some(Bandwidth::from_bytes_per_sec(sheet.scale_up_gb_per_s * 1e9)),
        name: sheet.name.to_owned(),
        device: name,
        data_sheet: device,
        gemm: gemm_families,
        experts: expert_families,
        memory,
        pair_bandwidth: pair.map(|ramp| ramp.bandwidth),
        collectives,
        inter_node: Some(published_inter_node()),
    })
}

fn plain<R>(rows: Vec<(usize, R)>) -> Vec<R> {
    rows.into_iter().map(|(_, row)| row).collect()
}

/// What leaves a node: published for InfiniBand NICs of the ConnectX-6 and -7 kind, not measured
/// here. The efficiency is that of a ConnectX-7 at 400 Gb/s under NCCL's all-to-all (45 of 50
/// GB/s, 22.5 of 25 GB/s when scaled), the start-up times are fits to SimAI's table of 2 to 16
/// nodes of eight GPUs [simai25].
fn published_inter_node() -> InterNodeFit {
    let us = |us: u64| SimDuration::from_ps(us * 1_000_000);
    InterNodeFit {
        efficiency: 0.9,
        alpha: BTreeMap::from([(2, us(118)), (4, us(138)), (8, us(171)), (16, us(182))]),
        evidence: Evidence {
            fitted_on: "published, not measured here: SimAI's all-to-all table on ConnectX-7, \
                        scaled to the NIC's rate"
                .to_owned(),
            rows: 0,
            prior: None,
            held_out: None,
            left_out: String::new(),
            log_error_p90: None,
        },
    }
}
