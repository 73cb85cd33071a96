//! What users type: one module a subcommand.

use std::path::PathBuf;

use clap::Subcommand;

mod compare;
mod fit;
mod measure;

/// The subcommands.
#[derive(Subcommand)]
pub enum Command {
    /// Measures the device at hand: the MoE++ layer and its parts.
    Measure(measure::MeasureArgs),
    /// Fits a profile to measurements and writes it with its table of residuals.
    Fit(fit::FitArgs),
    /// Predicts whole layers that were measured but not fitted, and says how far off.
    Compare(compare::CompareArgs),
    /// Draws what `compare` prints.
    Report(compare::ReportArgs),
}

/// Runs a subcommand; its message when it cannot.
///
/// # Errors
/// One message for the user, with a remedy.
pub fn run(command: &Command) -> Result<(), String> {
    match command {
        Command::Measure(args) => measure::run(args),
        Command::Fit(args) => fit::run(args),
        Command::Compare(args) => compare::compare(args),
        Command::Report(args) => compare::report(args),
    }
}

/// Writes lines to standard output; a closed pipe is no mistake.
fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Writes lines to standard error, where they do not mix with results.
fn warn(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The table of a profile lies beside it, under its name.
fn table_beside(profile: &std::path::Path, name: &str) -> PathBuf {
    profile.with_file_name(format!("{name}.parquet"))
}
