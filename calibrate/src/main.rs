//! The `calibrate` command.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use calibrate::device::{DEVICES, DataSheet};
use calibrate::{emit, fit};
use clap::{Parser, Subcommand};

/// Fits moesim's profiles to measurements.
#[derive(Parser)]
#[command(name = "calibrate", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fits the profile of a device and writes it with its table of residuals.
    Fit {
        /// The device: a100-sxm, h100-sxm, …
        #[arg(long)]
        device: String,
        /// The folder of measurements.
        #[arg(long)]
        from: PathBuf,
        /// The profile to write; its table goes beside it.
        #[arg(long)]
        out: PathBuf,
    },
}

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Fit { device, from, out } => fit_command(&device, &from, &out),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Nothing can be done for a closed standard error.
            let _ = writeln!(std::io::stderr(), "error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn fit_command(device: &str, from: &std::path::Path, out: &std::path::Path) -> Result<(), String> {
    let Some(sheet) = DataSheet::named(device) else {
        let known: Vec<&str> = DEVICES.iter().map(|d| d.name).collect();
        return Err(format!("unknown device `{device}`\n  help: use one of {}", known.join(", ")));
    };
    let profile = fit::profile(sheet, from).map_err(|e| e.to_string())?;
    let table = out.with_file_name(format!("{}.parquet", profile.name));
    emit::table(&profile, &table).map_err(|e| e.to_string())?;
    let part = out.with_extension("toml.tmp");
    std::fs::write(&part, emit::toml(&profile, sheet))
        .and_then(|()| std::fs::rename(&part, out))
        .map_err(|e| format!("{}: cannot be written: {e}", out.display()))
}
