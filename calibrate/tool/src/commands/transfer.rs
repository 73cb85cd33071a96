//! `calibrate transfer`: a data sheet and a handful of timings → the profile of a device never measured.

use std::path::PathBuf;

use clap::Args;

use moesim::base::table::Table;
use moesim::config::{
    Source, Timings, built_in_profile, built_in_profiles, data_sheet, read_timings,
};
use moesim::kernels::devices::DataSheet;
use moesim::kernels::measurements::GemmRow;
use moesim::kernels::profile::{Precision, Profile};
use moesim::kernels::unmeasured::Stranger;

use super::{say, table_beside};
use crate::measure::session::write_whole;
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

/// With so many timings of a precision, GEMMs are fitted to them instead of taken from the donor.
const ENOUGH_TO_FIT: usize = 1_000;

pub(super) fn run(args: &TransferArgs) -> Result<(), String> {
    let source = Source::read(&args.sheet).map_err(|e| e.to_string())?;
    let (sheet, device) = data_sheet(&source).map_err(|e| e.to_string())?;
    let timings = match &args.timings {
        None => Timings::default(),
        Some(path) if path.extension().is_some_and(|end| end == "parquet") => {
            let rows = Table::read(path).and_then(|table| GemmRow::of(&table));
            let rows = rows.map_err(|e| e.to_string())?.rows;
            let gemm = rows.into_iter().map(|(_, row)| row).collect();
            Timings { gemm, copies: Vec::new() }
        }
        Some(path) => read_timings(path).map_err(|e| e.to_string())?,
    };
    let (mut profile, rule) = foretold(&sheet, &timings)?;
    profile.name = sheet.name.to_owned();
    profile.device = device;
    let rule = rule.trim_start_matches("unknown device: ");
    let origin = [
        format!("Written by `calibrate transfer`. Not measured: {rule}."),
        format!("Timings given: {} GEMMs, {} copies.", timings.gemm.len(), timings.copies.len()),
    ];
    emit::table(&profile, &table_beside(&args.out, &profile.name)).map_err(|e| e.to_string())?;
    write_whole(&args.out, &emit::toml(&profile, &sheet, &origin))?;
    say(rule);
    say(&format!("profile: {}", args.out.display()));
    Ok(())
}

/// The profile and how it came about.
fn foretold(sheet: &DataSheet, timings: &Timings) -> Result<(Profile, String), String> {
    let others: Result<Vec<Profile>, _> = built_in_profiles()
        .iter()
        .filter(|known| known.name != sheet.name)
        .map(|known| built_in_profile(known.name))
        .collect();
    let others = others.map_err(|e| e.to_string())?;
    let Timings { gemm, copies } = timings;
    let (mut profile, mut rule) = Stranger { sheet: Some(sheet), gemm, copies }.profile(&others);
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
