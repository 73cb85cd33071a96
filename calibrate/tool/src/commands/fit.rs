//! `calibrate fit`: measurements → profile.

use std::path::{Path, PathBuf};

use clap::Args;

use moesim::base::near::advice;
use moesim::config::{self, Diagnostic};
use moesim::kernels::profile::Residual;

use super::{Refused, loop_name, say, write_profile};
use crate::device::{DEVICES, DataSheet};
use crate::measure::samples;
use crate::measure::session::{DEVICE_FILE, coverage, recorded, write_atomically};
use crate::{emit, fit, fit_samples, overheads};

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
    /// Fits collectives and exchanges alone; kernels stay as the built-in profile has them.
    #[arg(long, requires = "device")]
    links_only: bool,
}

pub(super) fn run(args: &FitArgs) -> Result<(), Refused> {
    match (&args.samples, &args.device, &args.from) {
        (Some(samples), ..) => own_device(samples, &args.out),
        (None, Some(device), Some(from)) => public(device, from, args),
        _ => Err("name either --samples, or --device and --from".to_owned().into()),
    }
}

fn public(device: &str, from: &Path, args: &FitArgs) -> Result<(), Refused> {
    let Some(sheet) = DataSheet::named(device) else {
        let known: Vec<&str> = DEVICES.iter().map(|d| d.name).collect();
        let help = advice(device, "devices of public tables", &known);
        return Err(Diagnostic::of("--device", format!("unknown device `{device}`"), help).into());
    };
    let profile = if args.links_only {
        let kernels = config::built_in_profile(device)?;
        fit::with_links(kernels, sheet, from).map_err(|e| e.to_string())?
    } else {
        fit::profile(sheet, from).map_err(|e| e.to_string())?
    };
    let out = &args.out;
    let origin = format!("Written by `calibrate fit --device {device}`. Do not edit: fit again.");
    Ok(write_profile(out, &profile, &emit::toml(&profile, sheet, &[origin]))?)
}

/// A profile is named after its file; a device's own samples are all that it is made of.
fn own_device(samples: &Path, out: &Path) -> Result<(), Refused> {
    let Some(name) = out.file_stem().and_then(|stem| stem.to_str()) else {
        let place = out.display().to_string();
        let help = "give one that ends in .toml: --out mine.toml";
        return Err(Diagnostic::of(place, "is not a name for a profile", help).into());
    };
    let Some(identity) = recorded(samples) else {
        let found = format!("no {DEVICE_FILE} says which device was measured");
        let help = "name a folder that `calibrate measure --out` wrote";
        return Err(Diagnostic::of(samples.display().to_string(), found, help).into());
    };
    let rows = samples::read_folder(samples).map_err(|e| e.to_string())?;
    let rows = samples::undisturbed(rows, identity.is_software());
    let (profile, sheet) = fit_samples::profile(name, &identity, &rows)?;
    let covered = coverage(samples, &rows).described();
    let of = |key| identity.get(key).unwrap_or("unknown");
    let origin = [
        "Written by `calibrate fit --samples`. Do not edit: fit again.".to_owned(),
        format!(
            "Measured {} by calibrate {}, commit {}.",
            of("date"),
            of("calibrate"),
            of("commit")
        ),
        format!("Samples: {covered}."),
    ];
    write_profile(out, &profile, &emit::toml(&profile, &sheet, &origin))?;
    if let Some(fitted) = overheads::fit(&profile, &rows) {
        let name = loop_name(name);
        let file = out.with_file_name(format!("{name}.toml"));
        write_atomically(&file, &overheads::toml(&fitted, &name, &origin))?;
    }
    let families = profile.gemm.values().map(|f| ("dense products", &f.evidence));
    let families = families.chain(profile.experts.values().map(|f| ("experts", &f.evidence)));
    for (family, evidence) in families.chain([("memory", &profile.memory.evidence)]) {
        let of = |r: Option<Residual>| {
            r.map_or("-".to_owned(), |r| {
                format!("{:.1} % median, {:.1} % p90", r.median * 100.0, r.p90 * 100.0)
            })
        };
        let rows = evidence.rows;
        let (prior, held_out) = (of(evidence.prior), of(evidence.held_out));
        say(&format!(
            "{family}: {rows} samples; constants alone off by {prior}; shapes left out: {held_out}"
        ));
    }
    say(&format!("samples: {covered}"));
    say(&format!("profile: {}", out.display()));
    Ok(())
}
