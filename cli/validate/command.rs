//! The report of `moesim validate DIR`: every file judged, in order of name.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::arguments::choice;
use crate::{Failure, output, reproduce};
use moesim::base::inputs::Input;
use moesim::base::table::Table;
use moesim::config::{Diagnostic, Kind, built_in_profiles};
use moesim::output::pictures::predicted_measured;
use moesim::studies::validate::summary::FileErrors;
use moesim::studies::validate::{LeaveOut, Report, judge, summary};

/// Predict every row of a folder of measurements and say how far off. Shapes that profiles were fitted to are
/// read back; --leave-out predicts them.
#[derive(Args, Clone, Debug, Default)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct ValidateArgs {
    #[command(subcommand)]
    pub known: Option<Known>,
    /// The folder of measurements. A folder named `systems` is written `./systems`.
    #[arg(required = true)]
    pub dir: Option<PathBuf>,
    /// Break each file down by the values of this column, or experts by `model`.
    #[arg(long, value_name = "COLUMN")]
    pub by: Option<String>,
    /// List the rows that are furthest off.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub worst: usize,
    /// Predict as if this had never been measured: every shape (the default), every number of GPUs or
    /// groups, or every file's whole device but for a few dozen of its GEMM timings.
    #[arg(long, value_name = "WHAT", value_parser = choice::parser::<LeaveOut>(), num_args = 0..=1, require_equals = true,
          default_missing_value = "shape")]
    pub leave_out: Option<LeaveOut>,
    /// Draw predicted against measured times of each file, as SVG and PNG files in this folder.
    #[arg(long, value_name = "FOLDER")]
    pub plot: Option<PathBuf>,
    /// Print JSON: under `files` an object for each file.
    #[arg(long)]
    pub json: bool,
}

/// What is validated instead of a folder.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Known {
    /// Predict published whole layers, exchanges, steps and serving figures, and say how far off.
    Systems(super::systems::SystemsArgs),
}

/// What another judge has to say of a file that is no table of measurements.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Other {
    /// Its object in the JSON array.
    pub json: Value,
    /// Its lines in the printed report.
    pub text: String,
}

/// Judges a file that tables of measurements know nothing of; none when it does not either.
pub(super) type OtherJudge<'j> = &'j dyn Fn(&Path) -> Result<Option<Other>, Diagnostic>;

/// Validates every file of a folder, in order of name, and writes the report to `out`.
///
/// Files that are no known table are handed to `other`; those it does not know are named as
/// ignored. A table that cannot be read does not keep the others from being judged: the first such
/// mistake is returned after the report.
///
/// # Errors
/// If the folder cannot be read or holds nothing to judge, if a table is refused, or if `out`
/// cannot be written.
pub(super) fn run(
    args: &ValidateArgs,
    other: OtherJudge<'_>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut found = Found::default();
    let dir = args.dir.clone().unwrap_or_default();
    for path in files_of(&dir)? {
        found.take(&path, args.leave_out, other)?;
    }
    if found.tables.is_empty() && found.others.is_empty() {
        let help = "name a folder with tables such as gemm_a100_sxm.parquet";
        let nothing = Diagnostic::of(dir.display().to_string(), "holds nothing to validate", help);
        return Err(found.mistakes.into_iter().next().unwrap_or(nothing).into());
    }
    if let Some(folder) = &args.plot {
        found.plot(folder)?;
    }
    if args.json {
        found.write_json(out)?;
    } else {
        found.write_text(args, out)?;
    }
    found.mistakes.into_iter().next().map_or(Ok(()), |mistake| Err(mistake.into()))
}

#[derive(Default)]
struct Found {
    tables: Vec<(Vec<Report>, Table)>,
    others: Vec<Other>,
    /// What was judged, and the profiles that come with moesim and predicted.
    inputs: Vec<Input>,
    ignored: Vec<String>,
    mistakes: Vec<Diagnostic>,
}

impl Found {
    fn take(
        &mut self,
        path: &Path,
        leave_out: Option<LeaveOut>,
        other: OtherJudge<'_>,
    ) -> Result<(), Diagnostic> {
        if path.extension().is_some_and(|e| e == "parquet") {
            match judge(path, leave_out) {
                Ok(Some(judged)) => {
                    self.inputs.extend(output::input(path));
                    self.inputs.extend(judged.0.iter().filter_map(profile_of));
                    self.tables.push(judged);
                }
                Ok(None) => self.ignored.push(path.display().to_string()),
                Err(mistake) => self.mistakes.push(mistake),
            }
            return Ok(());
        }
        match other(path)? {
            Some(judged) => {
                self.inputs.extend(output::input(path));
                self.others.push(judged);
            }
            None => self.ignored.push(path.display().to_string()),
        }
        Ok(())
    }

    fn plot(&self, folder: &Path) -> Result<(), Failure> {
        super::draw(folder, self.reports().filter_map(predicted_measured::of_report))
    }

    fn reports(&self) -> impl Iterator<Item = &Report> {
        self.tables.iter().flat_map(|(reports, _)| reports)
    }

    fn write_json(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let tables = self.reports().map(|report| serde_json::to_value(FileErrors::of(report)));
        let mut all = tables.collect::<Result<Vec<Value>, _>>().map_err(io::Error::from)?;
        all.extend(self.others.iter().map(|other| other.json.clone()));
        reproduce::print(out, json!({ "files": all }), self.inputs.iter().cloned())
    }

    fn write_text(&self, args: &ValidateArgs, out: &mut dyn Write) -> io::Result<()> {
        if args.leave_out.is_none() && !self.tables.is_empty() {
            write!(out, "{}", summary::read_back(self.reports()))?;
        }
        write!(out, "{}", summary::HEADER)?;
        for (reports, table) in &self.tables {
            for report in reports {
                write!(out, "{}", summary::line(report))?;
                if let Some(column) = &args.by {
                    let parts = summary::by(report, table, column);
                    let none = || format!("  has no column {column}\n");
                    write!(out, "{}", parts.unwrap_or_else(none))?;
                }
                write!(out, "{}", summary::worst(report, table, args.worst))?;
            }
        }
        write!(out, "\n{}", summary::notes(self.reports()))?;
        for other in &self.others {
            write!(out, "{}", other.text)?;
        }
        for path in &self.ignored {
            writeln!(out, "{path}: ignored, not a table of measurements that is known")?;
        }
        for mistake in &self.mistakes {
            writeln!(out, "{mistake}")?;
        }
        Ok(())
    }
}

/// The built-in profile that predicted a file.
fn profile_of(report: &Report) -> Option<Input> {
    let known = built_in_profiles().iter().find(|profile| profile.name == report.profile)?;
    Some(Input::of(known.name, known.toml.as_bytes(), true))
}

/// The files of a folder, by name.
fn files_of(dir: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    let unreadable = |e: io::Error| {
        let help = "name a folder with measurements";
        Diagnostic::of(dir.display().to_string(), format!("cannot be read: {e}"), help)
    };
    if let Some(other) = Kind::misplaced_file(dir) {
        return Err(other);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
