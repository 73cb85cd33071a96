//! The `calibrate` command.

use std::io::Write;
use std::process::ExitCode;

use calibrate::commands::{self, Command};
use clap::Parser;

/// Measures GPUs, and fits moesim's profiles to measurements.
#[derive(Parser)]
#[command(name = "calibrate", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    match commands::run(&Args::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refused) => {
            // Nothing can be done for a closed standard error.
            let _ = writeln!(std::io::stderr(), "{}", refused.render());
            ExitCode::FAILURE
        }
    }
}
