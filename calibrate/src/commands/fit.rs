//! `calibrate fit`: measurements → profile.

use std::path::{Path, PathBuf};

use clap::Args;

use super::table_beside;
use crate::device::{DEVICES, DataSheet};
use crate::{emit, fit};

/// What to fit, and where to write it.
#[derive(Args)]
pub struct FitArgs {
    /// The device of public tables: a100-sxm, h100-sxm, …
    #[arg(long, requires = "from")]
    device: Option<String>,
    /// The folder of public tables.
    #[arg(long, requires = "device", conflicts_with = "samples")]
    from: Option<PathBuf>,
    /// A folder that `calibrate measure` wrote.
    #[arg(long, required_unless_present = "device")]
    samples: Option<PathBuf>,
    /// The profile to write; its table goes beside it.
    #[arg(long)]
    out: PathBuf,
}

pub(super) fn run(args: &FitArgs) -> Result<(), String> {
    match (&args.samples, &args.device, &args.from) {
        (None, Some(device), Some(from)) => public(device, from, &args.out),
        _ => Err("name either --samples, or --device and --from".to_owned()),
    }
}

fn public(device: &str, from: &Path, out: &Path) -> Result<(), String> {
    let Some(sheet) = DataSheet::named(device) else {
        let known: Vec<&str> = DEVICES.iter().map(|d| d.name).collect();
        return Err(format!("unknown device `{device}`\n  help: use one of {}", known.join(", ")));
    };
    let profile = fit::profile(sheet, from).map_err(|e| e.to_string())?;
    emit::table(&profile, &table_beside(out, &profile.name)).map_err(|e| e.to_string())?;
    crate::measure::session::write_whole(out, &emit::toml(&profile, sheet))
}
