//! What users type: one module a subcommand.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use crate::measure::session::write_together;
use moesim::base::table::TableError;
use moesim::config::{Diagnostic, Style};
use moesim::kernels::profile::Profile;

mod check;
mod compare;
mod fit;
mod links;
mod measure;
mod transfer;

/// The subcommands.
#[derive(Subcommand)]
pub enum Command {
    /// Says in seconds what of a session works on the device at hand.
    Check(check::CheckArgs),
    /// Measures the device at hand: the MoE++ layer and its parts.
    Measure(measure::MeasureArgs),
    /// Fits a profile to measurements and writes it with its table of residuals.
    Fit(fit::FitArgs),
    /// Makes a profile with the links of one's own cluster from logs of nccl-tests, rccl-tests and DeepEP's tests.
    Links(links::LinksArgs),
    /// Foretells the profile of a device that was not measured, from its data sheet and a few dozen timings.
    Transfer(transfer::TransferArgs),
    /// Turns the public data folder of aiconfigurator-core (Apache-2.0) into tables of this schema.
    Import {
        /// The folder `systems` of the package, or one above it.
        dir: PathBuf,
        /// The folder to write tables to.
        #[arg(long)]
        out: PathBuf,
    },
    /// Predicts whole layers that were measured but not fitted, and says how far off.
    Compare(compare::CompareArgs),
    /// Draws what `compare` prints.
    Report(compare::ReportArgs),
}

/// Why a command ended without doing what was asked.
#[derive(Debug)]
pub enum Refused {
    /// A file that was given is wrong.
    File(Box<Diagnostic>),
    /// Anything else: a message with a remedy.
    Other(String),
}

impl From<Diagnostic> for Refused {
    fn from(mistake: Diagnostic) -> Self {
        Self::File(Box::new(mistake))
    }
}

impl From<TableError> for Refused {
    fn from(error: TableError) -> Self {
        Diagnostic::from(error).into()
    }
}

impl From<String> for Refused {
    fn from(message: String) -> Self {
        Self::Other(message)
    }
}

impl Refused {
    /// The message for standard error, which shows the line of a file that is wrong.
    #[must_use]
    pub fn render(&self) -> String {
        match self {
            Self::File(mistake) => mistake.render(Style::default()),
            Self::Other(message) => format!("error: {message}"),
        }
    }
}

/// Runs a subcommand.
///
/// # Errors
/// One message for the user, with a remedy.
pub fn run(command: &Command) -> Result<(), Refused> {
    match command {
        Command::Check(args) => check::run(args),
        Command::Measure(args) => measure::run(args),
        Command::Fit(args) => fit::run(args),
        Command::Links(args) => links::run(args),
        Command::Transfer(args) => transfer::run(args),
        Command::Import { dir, out } => import(dir, out),
        Command::Compare(args) => compare::compare(args),
        Command::Report(args) => compare::report(args),
    }
}

fn import(dir: &Path, out: &Path) -> Result<(), Refused> {
    let imported = crate::import::import(dir, out).map_err(|e| e.to_string())?;
    for table in imported.tables {
        say(&table);
    }
    for gpu in imported.without {
        say(&format!("{gpu}: nothing usable"));
    }
    Ok(())
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

/// The overheads of a device's loop over experts lie beside its profile, under its name.
fn loop_name(name: &str) -> String {
    format!("{name}-loop")
}

/// Writes a profile and its table, which lies beside it under its name: both, or neither.
///
/// # Errors
/// If they cannot be written.
pub fn write_profile(path: &std::path::Path, profile: &Profile, text: &str) -> Result<(), String> {
    let bytes = crate::emit::table(profile).map_err(|e| e.to_string())?;
    let table = path.with_file_name(format!("{}.parquet", profile.name));
    write_together(&[(&table, &bytes), (path, text.as_bytes())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_there_with_its_table_or_not_at_all() {
        let folder = std::env::temp_dir().join(format!("calibrate-pair-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("taken.toml")).unwrap();
        let profile = moesim::config::built_in_profile("l40s").unwrap();
        // A folder cannot be replaced by a file: the table must not be left alone.
        assert!(write_profile(&folder.join("taken.toml"), &profile, "text").is_err());
        assert!(!folder.join("l40s.parquet").exists(), "half of the pair was left");
        write_profile(&folder.join("mine.toml"), &profile, "text").unwrap();
        assert!(folder.join("l40s.parquet").is_file() && folder.join("mine.toml").is_file());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
