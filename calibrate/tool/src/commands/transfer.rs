//! `calibrate transfer`: a data sheet and a few dozen timings → the profile of a device never measured.

use std::path::PathBuf;

use clap::Args;

use moesim::base::table::Table;
use moesim::config::{
    Diagnostic, Source, Timings, built_in_profile, built_in_profiles, data_sheet, read_timings,
};
use moesim::kernels::devices::DataSheet;
use moesim::kernels::measurements::{Between, GemmRow};
use moesim::kernels::profile::{Precision, Profile};
use moesim::kernels::unmeasured::{UnmeasuredDevice, keep_family_exchanges};

use super::{Refused, say, write_profile};
use crate::{emit, gemm};

/// What is known, and where to write the profile.
#[derive(Args)]
pub struct TransferArgs {
    /// The device's data sheet, as TOML (calibrate/sheets holds examples).
    #[arg(long)]
    sheet: PathBuf,
    /// Its timings: a few dozen GEMMs, and copies, as CSV; or a whole GEMM table as Parquet.
    #[arg(long)]
    timings: Option<PathBuf>,
    /// The profile to write; its table goes beside it.
    #[arg(long)]
    out: PathBuf,
}

/// With this many timings of a precision, GEMMs are fitted to them instead of taken from the donor.
const ENOUGH_TO_FIT: usize = 1_000;

pub(super) fn run(args: &TransferArgs) -> Result<(), Refused> {
    let source = Source::read(&args.sheet)?;
    let (sheet, device) = data_sheet(&source)?;
    let timings = match &args.timings {
        None => Timings::default(),
        Some(path) if path.extension().is_some_and(|end| end == "parquet") => {
            let rows = Table::read(path).and_then(|table| GemmRow::of(&table))?.rows;
            let gemm = rows.into_iter().map(|(_, row)| row).collect();
            Timings { gemm, copies: Vec::new() }
        }
        Some(path) => read_timings(path)?,
    };
    refuse_impossible(&sheet, &timings)?;
    let (mut profile, rule) = foretold(&sheet, &timings)?;
    refuse_efficiency(&sheet, &profile)?;
    profile.name = sheet.name.to_owned();
    profile.device = device;
    let rule = rule.trim_start_matches("unknown device: ");
    let origin = [
        format!("Written by `calibrate transfer`. Not measured: {rule}."),
        format!("Timings given: {} GEMMs, {} copies.", timings.gemm.len(), timings.copies.len()),
    ];
    write_profile(&args.out, &profile, &emit::toml(&profile, &sheet, &origin))?;
    say(rule);
    say(&format!("profile: {}", args.out.display()));
    Ok(())
}

/// How far above a printed peak a timing may be: clocks above the printed one, and rounding.
const ABOVE_PEAK: f64 = 1.05;

/// Refuses timings that a device with these peaks cannot have: they are another's, or the sheet is.
fn refuse_impossible(sheet: &DataSheet, timings: &Timings) -> Result<(), String> {
    let refuse = |what: String, got: f64, unit: &str, peak: f64| {
        Err(format!(
            "{what} reaches {got:.0} {unit}, more than the {peak:.0} that the data sheet of {} states\n  help: \
             these timings are of another device, or the data sheet is wrong; give timings of {}",
            sheet.name, sheet.name
        ))
    };
    for row in &timings.gemm {
        let operations = 2.0 * f64::from(row.m) * f64::from(row.n) * f64::from(row.k);
        let got = operations / row.seconds / 1e12;
        // fp8 runs at twice the rate of bf16 where a device has it.
        let peak = if row.precision == Precision::Bf16 { 1.0 } else { 2.0 } * sheet.bf16_tflops;
        if got > ABOVE_PEAK * peak {
            let what =
                format!("the {} GEMM of {} x {} x {}", row.precision.name(), row.m, row.n, row.k);
            return refuse(what, got, "TFLOP/s", peak);
        }
    }
    for copy in timings.copies.iter().filter(|copy| copy.bytes as f64 > 4e6 * sheet.cache_mb) {
        let (what, times, peak) = match copy.between {
            Between::Memory => ("within memory", 2.0, sheet.memory_gb_per_s),
            Between::Gpus => ("between GPUs", 1.0, sheet.scale_up_gb_per_s),
        };
        let got = times * copy.bytes as f64 / copy.seconds / 1e9;
        if got > ABOVE_PEAK * peak {
            return refuse(format!("the copy of {} bytes {what}", copy.bytes), got, "GB/s", peak);
        }
    }
    Ok(())
}

/// Refuses a profile whose kernels would run faster than the device's peaks.
fn refuse_efficiency(sheet: &DataSheet, profile: &Profile) -> Result<(), String> {
    let products = profile.gemm.iter().map(|(precision, family)| {
        (format!("{} products", precision.name()), family.prior.compute_efficiency, "arithmetic")
    });
    let experts = profile.experts.iter().flat_map(|((kernel, precision), family)| {
        [family.prior.small_efficiency, family.prior.large_efficiency].map(|share| {
            let what = format!("experts' tiles of {kernel} in {}", precision.name());
            (what, share, "arithmetic")
        })
    });
    let copies = ("kernels that move memory".to_owned(), profile.memory.efficiency, "memory");
    match products.chain(experts).chain([copies]).find(|(_, share, _)| *share > 1.0) {
        None => Ok(()),
        Some((what, share, peak)) => Err(format!(
            "{what} would reach {share:.2} of the peak {peak} that the data sheet of {} states\n  help: \
             no kernel exceeds its peak: the timings are of another device, or the sheet is wrong",
            sheet.name
        )),
    }
}

/// The profile and how it came about.
fn foretold(sheet: &DataSheet, timings: &Timings) -> Result<(Profile, String), Refused> {
    let others: Result<Vec<Profile>, Diagnostic> = built_in_profiles()
        .iter()
        .filter(|known| known.name != sheet.name)
        .map(|known| built_in_profile(known.name))
        .collect();
    let others = others?;
    let Timings { gemm, copies } = timings;
    let (mut profile, mut rule) =
        UnmeasuredDevice { sheet: Some(sheet), gemm, copies }.profile(&others);
    keep_family_exchanges(&mut profile, sheet.nearest, &others);
    for precision in [Precision::Bf16, Precision::Fp8, Precision::Fp8Block] {
        let rows: Vec<GemmRow> =
            gemm.iter().filter(|row| row.precision == precision).copied().collect();
        if rows.len() >= ENOUGH_TO_FIT
            && let Some(family) = gemm::fit(&sheet.device(), precision, &rows, "its own GEMM table")
        {
            profile.gemm.insert(precision, family);
            rule.push_str(&format!("; {} GEMMs fitted to {} rows", precision.name(), rows.len()));
        }
    }
    Ok((profile, rule))
}
