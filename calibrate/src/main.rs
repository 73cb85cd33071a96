//! The `calibrate` command.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use calibrate::device::{DEVICES, DataSheet};
use calibrate::{emit, fit, import};
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
    /// Turns the public data folder of aiconfigurator-core (Apache-2.0) into tables of this schema.
    Import {
        /// The folder `systems` of the package, or one above it.
        dir: PathBuf,
        /// The folder to write tables to.
        #[arg(long)]
        out: PathBuf,
    },
}

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Fit { device, from, out } => fit_command(&device, &from, &out),
        Command::Import { dir, out } => import_command(&dir, &out),
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

fn import_command(dir: &std::path::Path, out: &std::path::Path) -> Result<(), String> {
    let imported = import::import(dir, out).map_err(|e| e.to_string())?;
    let mut lines = imported.tables;
    lines.extend(imported.without.iter().map(|gpu| format!("{gpu}: nothing usable")));
    let text = lines.join("\n");
    writeln!(std::io::stdout(), "{text}").map_err(|e| format!("cannot print: {e}"))
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
