//! Fits a whole profile from a folder of measurements.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use moesim::base::table::{Table, TableError};
use moesim::base::units::{Bandwidth, SimDuration};
use moesim::kernels::experts::ExpertsPrior;
use moesim::kernels::experts::tiles::TileRule;
use moesim::kernels::gemm::GemmPrior;
use moesim::kernels::measurements::{CollectiveRow, ExchangeRow, ExpertsRow, GemmRow};
use moesim::kernels::profile::{
    CollectiveFit, CollectiveOp, Evidence, ExchangeFit, Family, InterNodeFit, LogErrors, MemoryFit,
    Precision, Profile,
};
use moesim::kernels::transfer::{self, Scales};

use crate::device::DataSheet;
use crate::residuals::rounded;
use crate::{experts, gemm, nccl};

/// Fits the profile of `sheet`'s device on the tables of `from`.
///
/// Where experts or collectives were not measured, those of the nearest device of its family
/// stand in (see [`transferred`]).
///
/// # Errors
/// If a table cannot be read, or what a profile cannot do without is not there.
pub fn profile(sheet: &DataSheet, from: &Path) -> Result<Profile, TableError> {
    let mut profile = of_own_tables(sheet, from)?;
    let nearest = sheet.nearest.and_then(DataSheet::named);
    if profile.experts.is_empty() && nearest.is_none() {
        return Err(missing(sheet, "moe", "no device of its family is known"));
    }
    if let Some(donor) = nearest {
        let donor = of_own_tables(donor, from)?;
        transferred(&mut profile, &donor, sheet, from)?;
    }
    if profile.experts.is_empty() {
        return Err(missing(sheet, "moe", "nor was the nearest device's measured"));
    }
    Ok(profile)
}

fn missing(sheet: &DataSheet, kind: &str, why: &str) -> TableError {
    TableError {
        table: format!("{kind}_{}.parquet", sheet.file),
        column: None,
        found: format!("is missing or holds no usable rows, {why}"),
        help: "measure it, or fit a device whose family was measured".to_owned(),
    }
}

/// A profile with collectives and exchanges fitted again, and kernels as they are.
///
/// # Errors
/// If a table cannot be read.
pub fn with_links(
    mut profile: Profile,
    sheet: &DataSheet,
    from: &Path,
) -> Result<Profile, TableError> {
    own_links(&mut profile, sheet, from)?;
    if let Some(nearest) = sheet.nearest.and_then(DataSheet::named) {
        let mut donor = Profile { name: nearest.name.to_owned(), ..profile.clone() };
        own_links(&mut donor, nearest, from)?;
        transferred_links(&mut profile, &donor);
    }
    Ok(profile)
}

/// Collectives and exchanges that were measured of this device itself.
fn own_links(profile: &mut Profile, sheet: &DataSheet, from: &Path) -> Result<(), TableError> {
    let path = from.join(format!("nccl_{}.parquet", sheet.file));
    profile.collectives = match Table::read(&path) {
        Ok(table) => collective_fits(sheet, &table, &format!("nccl_{}", sheet.file))?,
        Err(_) if !path.exists() => BTreeMap::new(),
        Err(e) => return Err(e),
    };
    profile.exchanges = exchange_fits(sheet, from)?;
    let pair = profile.collectives.get(&CollectiveOp::AllToAll).and_then(|fit| fit.ramps.get(&2));
    profile.pair_bandwidth = pair.map(|ramp| ramp.bandwidth);
    profile.inter_node = Some(published_inter_node());
    Ok(())
}

/// A profile of what was measured of this device alone; experts and collectives may be none.
fn of_own_tables(sheet: &DataSheet, from: &Path) -> Result<Profile, TableError> {
    let file = |kind: &str| format!("{kind}_{}", sheet.file);
    let path = |kind: &str| from.join(format!("{}.parquet", file(kind)));
    let gemm_table = Table::read(&path("gemm"))?;
    let name = gemm_table.texts("device")?.first().copied().flatten().unwrap_or(sheet.name);
    let (gemm, memory) = gemm_families(sheet, &gemm_table, &file("gemm"))?;
    let experts = match Table::read(&path("moe")) {
        Ok(table) => expert_families(sheet, &table, &file("moe"))?,
        Err(_) if !path("moe").exists() => BTreeMap::new(),
        Err(e) => return Err(e),
    };
    let mut profile = Profile {
        scale_up: Some(Bandwidth::from_bytes_per_sec(sheet.scale_up_gb_per_s * 1e9)),
        name: sheet.name.to_owned(),
        device: name.to_owned(),
        data_sheet: sheet.device(),
        gemm,
        experts,
        memory,
        pair_bandwidth: None,
        collectives: BTreeMap::new(),
        exchanges: BTreeMap::new(),
        inter_node: None,
    };
    own_links(&mut profile, sheet, from)?;
    Ok(profile)
}

/// Takes over what the profile lacks from a device of the same family.
///
/// Efficiencies are shares of peaks, so they carry over; a few dozen of the device's own GEMMs says how
/// its launches, bandwidth and arithmetic compare with the donor's (`moesim::kernels::transfer`).
/// Intervals are widened by half: the step from one device to the next was not measured.
fn transferred(
    profile: &mut Profile,
    donor: &Profile,
    sheet: &DataSheet,
    from: &Path,
) -> Result<(), TableError> {
    let table = Table::read(&from.join(format!("gemm_{}.parquet", sheet.file)))?;
    let timings = transfer::sample_timings(&plain(GemmRow::of(&table)?.rows));
    let (scales, _) = transfer::scales(donor, Some(&sheet.device()), &timings)
        .unwrap_or((Scales::NONE, f64::NAN));
    let mut scaled = transfer::scaled_profile(donor, Some(sheet.sms), scales);
    transfer::rebase_to_peaks(&mut scaled, profile.data_sheet);
    if profile.experts.is_empty() {
        for (key, mut family) in scaled.experts {
            family.evidence = carried_over(&family.evidence, donor);
            family.prior.tiles = family.prior.tiles.on(&profile.device);
            family.prior.interval = family.prior.interval.map(|width| width.widened(STRETCH));
            profile.experts.insert(key, family);
        }
    }
    transferred_links(profile, donor);
    Ok(())
}

/// Evidence of what another device of the family was measured to take.
fn carried_over(evidence: &Evidence, donor: &Profile) -> Evidence {
    Evidence {
        fitted_on: format!("{}, of {}: transferred, not measured", evidence.fitted_on, donor.name),
        rows: 0,
        prior: None,
        held_out: None,
        left_out: format!("this device; what {} reached stands in its profile", donor.name),
        log_error_p90: evidence.log_error_p90.map(|e| rounded(e * STRETCH)),
        log_errors: evidence.log_errors.as_ref().map(|law| law.widened(STRETCH)),
    }
}

/// Collectives, where none were measured, and exchanges that were not.
fn transferred_links(profile: &mut Profile, donor: &Profile) {
    let on = |evidence: &Evidence| carried_over(evidence, donor);
    if profile.collectives.is_empty() {
        for (op, fit) in &donor.collectives {
            let unseen_gpus = fit.unseen_gpus.as_ref().map(on);
            let fit = CollectiveFit { evidence: on(&fit.evidence), unseen_gpus, ..fit.clone() };
            profile.collectives.insert(*op, fit);
        }
        profile.pair_bandwidth = donor.pair_bandwidth;
    }
    for (name, fit) in &donor.exchanges {
        let [one_node, unseen_groups] =
            [&fit.one_node, &fit.unseen_groups].map(|evidence| evidence.as_ref().map(on));
        let evidence = on(&fit.evidence);
        let fit = ExchangeFit { evidence, one_node, unseen_groups, ..fit.clone() };
        profile.exchanges.entry(name.clone()).or_insert(fit);
    }
}

type GemmFamilies = BTreeMap<Precision, Family<GemmPrior>>;

fn gemm_families(
    sheet: &DataSheet,
    table: &Table,
    on: &str,
) -> Result<(GemmFamilies, MemoryFit), TableError> {
    let device = sheet.device();
    let rows = plain(GemmRow::of(table)?.rows);
    let of = |precision: Precision| -> Vec<GemmRow> {
        rows.iter().filter(|row| row.precision == precision).copied().collect()
    };
    let families = [Precision::Bf16, Precision::Fp8, Precision::Fp8Block].into_iter();
    let fit = |p: Precision| gemm::fit(&device, p, &of(p), on).map(|family| (p, family));
    let memory = gemm::memory(&device, &of(Precision::Bf16), on).ok_or_else(|| TableError {
        table: on.to_owned(),
        column: None,
        found: "holds no bfloat16 rows with few tokens".to_owned(),
        help: "measure m = 1 with n, k = 64 and with n·k of at least 50 million".to_owned(),
    })?;
    Ok((families.filter_map(fit).collect(), memory))
}

type ExpertFamilies = BTreeMap<(String, Precision), Family<ExpertsPrior>>;

fn expert_families(
    sheet: &DataSheet,
    table: &Table,
    on: &str,
) -> Result<ExpertFamilies, TableError> {
    let rows = plain(ExpertsRow::of(table)?.rows);
    let device = table.texts("device")?.first().copied().flatten().unwrap_or(sheet.name);
    let keys: BTreeSet<(String, Precision)> =
        rows.iter().map(|row| (row.source.clone(), row.precision)).collect();
    let fit = |key: (String, Precision)| {
        let mine = |row: &&ExpertsRow| row.source == key.0 && row.precision == key.1;
        let of: Vec<&ExpertsRow> = rows.iter().filter(mine).collect();
        let kernel = (key.1, TileRule::of(&key.0, device));
        experts::fit(sheet, kernel, &of, on).map(|family| (key, family))
    };
    Ok(keys.into_iter().filter_map(fit).collect())
}

fn collective_fits(
    sheet: &DataSheet,
    table: &Table,
    on: &str,
) -> Result<BTreeMap<CollectiveOp, CollectiveFit>, TableError> {
    let rows = plain(CollectiveRow::of(table)?.rows);
    let fit = |op| nccl::fit(op, &rows, on, sheet.peer_to_peer).map(|fit| (op, fit));
    Ok(CollectiveOp::ALL.into_iter().filter_map(fit).collect())
}

/// The GPU whose rows of Hybrid-EP's table stand beside those of a GPU with too few: GB200 has the B200's chip and NVLink.
const SAME_CHIP: &str = "gb200";

/// The tables of exchanges that there are of this device.
fn exchange_fits(
    sheet: &DataSheet,
    from: &Path,
) -> Result<BTreeMap<String, ExchangeFit>, TableError> {
    use moesim::kernels::exchange::Library::{DeepEpLowLatency, DeepEpNormal, NvlinkDomain};
    let mut fits = BTreeMap::new();
    for (library, kinds) in [
        (DeepEpNormal, ["deepep_normal_1node", "deepep_normal_multinode"].as_slice()),
        (DeepEpLowLatency, ["deepep_ll_1node", "deepep_ll_multinode"].as_slice()),
        (NvlinkDomain, ["alltoall_nvl72"].as_slice()),
    ] {
        let (mut rows, mut on) = (Vec::new(), Vec::new());
        for kind in kinds {
            let name = format!("{kind}_{}", sheet.file);
            let path = from.join(format!("{name}.parquet"));
            if !path.exists() {
                continue;
            }
            let table = Table::read(&path)?;
            let found = match library {
                NvlinkDomain => ExchangeRow::of_nvlink(&table)?,
                deepep => ExchangeRow::of_deepep(&table, deepep, sheet.gpus_per_node())?,
            };
            rows.extend(plain(found.rows));
            on.push(name);
        }
        fits.extend(crate::exchange::fit(&rows, &on.join(" and ")));
    }
    fits.extend(hybrid_ep(sheet, from)?);
    Ok(fits)
}

/// The published table of Hybrid-EP, where it has rows of the device. One number of ranks and of SMs fits no constants: a
/// device with one row has its own beside those of the GPU that shares its chip.
fn hybrid_ep(sheet: &DataSheet, from: &Path) -> Result<BTreeMap<String, ExchangeFit>, TableError> {
    let path = from.join("hybrid_ep.csv");
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let own = ExchangeRow::of_hybrid_ep(&path, &[sheet.file])?;
    let (devices, on) = match own.len() {
        0 => return Ok(BTreeMap::new()),
        1..=3 => {
            (vec![sheet.file, SAME_CHIP], format!("hybrid_ep of {} and {SAME_CHIP}", sheet.file))
        }
        _ => (vec![sheet.file], format!("hybrid_ep of {}", sheet.file)),
    };
    let rows = ExchangeRow::of_hybrid_ep(&path, &devices)?;
    Ok(crate::exchange::fit(&rows, &on))
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
            log_error_p90: Some(rounded(ASSUMED[7])),
            log_errors: LogErrors::new(ASSUMED),
        },
    }
}

/// How much wider intervals are of what another device of the family was measured to take.
const STRETCH: f64 = 1.5;

/// The assumed law of errors of published inter-node figures on a fabric that was never measured. There is no
/// table of NCCL's all-to-all between nodes, so nothing was left out to learn it from. On healthy InfiniBand the
/// published points scatter by ±20 % (SimAI's fit; 8 nodes of 8 H800 at 8 MiB, 296 to 338 us where 335 are
/// predicted, NCCL issue 1531); fabrics that people report on carry from half (H100, 25 of 50 GB/s, DeepEP issue
/// 155) to 0.4 of the NICs' rate (AWS EFA off its rails), and a quarter where misconfigured (DeepEP issue 493): the
/// slow side is that wide.
const ASSUMED: [f64; LogErrors::LEVELS.len()] =
    [-0.283, -0.2, -0.156, -0.082, 0.0, 0.2, 0.5, 0.69, 1.1];
