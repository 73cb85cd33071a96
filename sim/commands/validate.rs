//! `moesim validate`: measured tables, the paper's table and published systems, predicted and judged.

use std::io;
use std::path::{Path, PathBuf};

use super::{Call, input};
use crate::base::inputs::Input;
use crate::base::table::Table;
use crate::base::threads;
use crate::config::{Diagnostic, Kind, Overrides, built_in_profiles};
use crate::execution::outcome::TooLong;
use crate::output::report::evidence::validation::{PaperErrors, SystemsResult, ValidationResult};
use crate::studies::paper::{self, predictor::Predictor};
use crate::studies::validate::summary::FileErrors;
use crate::studies::validate::systems::summary::SystemRow;
use crate::studies::validate::systems::{self, BUILT_IN_NAME, Verdict};
use crate::studies::validate::{LeaveOut, Report, judge};

/// What a folder of measurements was judged to be.
#[derive(Default)]
pub struct Judged {
    /// Tables of measurements, each with its reports.
    pub tables: Vec<(Vec<Report>, Table)>,
    /// Tables in the columns of the paper's.
    pub papers: Vec<paper::verdict::Verdict>,
    /// What was judged, and the profiles that come with moesim and predicted.
    pub inputs: Vec<Input>,
    /// Files that are no known table.
    pub ignored: Vec<String>,
    /// Tables that cannot be read.
    pub mistakes: Vec<Diagnostic>,
}

/// Judges every file of a folder, in order of name. A table that cannot be read does not keep the others from being
/// judged: it is among the mistakes.
///
/// # Errors
/// If the folder cannot be read or holds nothing to judge.
pub fn folder(dir: &Path, leave_out: Option<LeaveOut>) -> Result<Judged, Diagnostic> {
    let mut found = Judged::default();
    for path in files_of(dir)? {
        found.take(&path, leave_out)?;
    }
    if found.tables.is_empty() && found.papers.is_empty() {
        let help = "name a folder with tables such as gemm_a100_sxm.parquet";
        let nothing = Diagnostic::of(dir.display().to_string(), "holds nothing to validate", help);
        return Err(found.mistakes.into_iter().next().unwrap_or(nothing));
    }
    Ok(found)
}

impl Judged {
    fn take(&mut self, path: &Path, leave_out: Option<LeaveOut>) -> Result<(), Diagnostic> {
        if path.extension().is_some_and(|e| e == "parquet") {
            match judge(path, leave_out) {
                Ok(Some(judged)) => {
                    self.inputs.extend(input(path));
                    self.inputs.extend(judged.0.iter().filter_map(profile_of));
                    self.tables.push(judged);
                }
                Ok(None) => self.ignored.push(path.display().to_string()),
                Err(mistake) => self.mistakes.push(mistake),
            }
            return Ok(());
        }
        match papers_table(path)? {
            Some(judged) => {
                self.inputs.extend(input(path));
                self.papers.push(judged);
            }
            None => self.ignored.push(path.display().to_string()),
        }
        Ok(())
    }

    /// The reports on all tables.
    pub fn reports(&self) -> impl Iterator<Item = &Report> {
        self.tables.iter().flat_map(|(reports, _)| reports)
    }

    /// As a result.
    #[must_use]
    pub fn result(&self, call: &Call) -> ValidationResult {
        ValidationResult {
            made_by: call.made_by(self.inputs.iter().cloned()),
            files: self.reports().map(FileErrors::of).collect(),
            papers: self.papers.iter().map(PaperErrors::of).collect(),
        }
    }
}

/// The verdicts on published systems as a result.
#[must_use]
pub fn systems_result(file: Option<&Path>, verdicts: &[Verdict], call: &Call) -> SystemsResult {
    let read = match file {
        Some(path) => input(path),
        None => Some(Input::of(BUILT_IN_NAME, systems::BUILT_IN.as_bytes(), true)),
    };
    SystemsResult {
        made_by: call.made_by(read),
        rows: verdicts.iter().map(SystemRow::of).collect(),
    }
}

/// Judges a CSV in the columns of the paper's table; says nothing of other files.
fn papers_table(path: &Path) -> Result<Option<paper::verdict::Verdict>, Diagnostic> {
    let is_csv = path.extension().is_some_and(|extension| extension == "csv");
    if !is_csv || !paper::looks_like(path) {
        return Ok(None);
    }
    let rows = paper::read(path)?;
    let file = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
    let predictor = Predictor::new(Overrides::default(), threads::available())?;
    let verdict = predictor.verdict(&file, &rows).map_err(|TooLong| {
        Diagnostic::of(&file, TooLong.to_string(), "this is a defect: please report it")
    })?;
    Ok(Some(verdict))
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
