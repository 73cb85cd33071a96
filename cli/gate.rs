//! `moesim gate`: how gates spread tokens, as recorded and as drawn.

use std::io::Write;

use clap::{Args, Subcommand};

use super::Failure;

mod export;
mod fit;
mod loads;
mod plot;
mod print;
mod recording;
mod show;

/// What to do with gates.
#[derive(Args)]
pub(super) struct GateArgs {
    #[command(subcommand)]
    command: GateCommand,
}

#[derive(Subcommand)]
enum GateCommand {
    /// Fit the law of sequences to a recording and judge it on sequences that were held out.
    Fit(fit::FitArgs),
    /// Show how uneven the loads of a workload's gate, or of a recording, are.
    Show(show::ShowArgs),
}

impl GateArgs {
    /// The file that is written.
    pub(super) fn file(&self) -> Option<&std::path::Path> {
        match &self.command {
            GateCommand::Fit(args) => args.out.as_deref(),
            GateCommand::Show(args) => args.export.as_deref(),
        }
    }
}

/// Runs `moesim gate …`.
///
/// # Errors
/// If a file is refused or output cannot be written.
pub(super) fn run(args: &GateArgs, out: &mut dyn Write) -> Result<(), Failure> {
    match &args.command {
        GateCommand::Fit(args) => fit::run(args, out),
        GateCommand::Show(args) => show::run(args, out),
    }
}
