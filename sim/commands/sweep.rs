//! `moesim sweep` and `moesim merge`: many runs, kept as they finish.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::files::Files;
use crate::config::{Diagnostic, SweepPlan};
use crate::execution::outcome::TooLong;
use crate::output::report;
use crate::studies::sweep::{
    self, Finished, Journal, JournalError, Record, Results, Row, Stopped, Sweep,
};

/// A sweep whose rows are kept in a folder as they come.
pub struct Kept {
    folder: PathBuf,
    journal: Journal,
    rows: Finished,
}

/// What to do where a folder holds rows already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resume {
    /// Go on there.
    pub resume: bool,
    /// Of a damaged journal keep the whole lines, and run the tasks of the others again.
    pub rerun_damaged: bool,
}

impl Kept {
    /// Opens the journal of a sweep in a folder.
    ///
    /// # Errors
    /// If there is one already and it is not to be resumed, if it is of another sweep, damaged or in use, or if the
    /// folder cannot be written.
    pub fn open(folder: &Path, sweep: &Sweep<'_>, resume: Resume) -> Result<Self, Diagnostic> {
        let there = folder.join(sweep::JOURNAL).exists();
        let shape = sweep.shape();
        let opened = match (there, resume.resume) {
            (true, true) => Journal::resume(folder, &shape, resume.rerun_damaged),
            (true, false) => {
                let help = "go on with --resume, or name another folder with --out";
                let place = folder.display().to_string();
                return Err(Diagnostic::of(place, "holds results already", help));
            }
            (false, _) => Journal::create(folder, &shape).map(|new| (new, BTreeMap::new())),
        };
        let (journal, rows) = opened.map_err(|error| error.diagnostic())?;
        Ok(Self { folder: folder.to_owned(), journal, rows })
    }

    /// The rows of finished tasks.
    #[must_use]
    pub const fn rows(&self) -> &Finished {
        &self.rows
    }

    /// The tasks of a shard that are left to run.
    #[must_use]
    pub fn left(&self, sweep: &Sweep<'_>, (nth, of): (usize, usize)) -> Vec<usize> {
        let mine = |task: &usize| task % of == nth - 1;
        (0..sweep.tasks()).filter(mine).filter(|task| !self.rows.contains_key(task)).collect()
    }

    /// Keeps the rows of a task.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn keep(&mut self, record: Record) -> Result<(), JournalError> {
        self.journal.keep(&record)?;
        self.rows.insert(record.task, record.rows);
        Ok(())
    }

    /// Why a sweep stopped, for its user.
    #[must_use]
    pub fn stopped(&self, stopped: Stopped) -> Diagnostic {
        match stopped {
            Stopped::Refused(mistake) => {
                let kept = self.folder.display();
                let help = format!("{}; finished runs are kept in {kept}", mistake.help);
                Diagnostic { help, ..mistake }
            }
            Stopped::TooLong => TooLong.into(),
            Stopped::Journal(error) => error.diagnostic(),
        }
    }
}

/// The rows of all shards of a sweep.
///
/// # Errors
/// If a folder is not of this sweep, two contradict each other, or tasks are in none.
pub fn merged(place: &str, sweep: &Sweep<'_>, shards: &[PathBuf]) -> Result<Finished, Diagnostic> {
    let mut rows: BTreeMap<usize, Vec<Row>> = BTreeMap::new();
    for shard in shards {
        let own = sweep::finished(shard, &sweep.shape()).map_err(|error| error.diagnostic())?;
        for (task, own) in own {
            if rows.get(&task).is_some_and(|known| *known != own) {
                let found = format!("has other rows of task {task} than a folder before it");
                let help = "run this shard again with the same moesim as the others";
                return Err(Diagnostic::of(shard.display().to_string(), found, help));
            }
            rows.insert(task, own);
        }
    }
    let missing = (0..sweep.tasks()).filter(|task| !rows.contains_key(task)).count();
    if missing == 0 {
        return Ok(rows);
    }
    let found = format!("{missing} of {} tasks are in none of these folders", sweep.tasks());
    let help = "name the folders of all shards, and finish interrupted ones with --resume";
    Err(Diagnostic::of(place, found, help))
}

/// Writes the tables of a sweep whose tasks have all finished, and its pictures: those that the plan asks for, and the
/// one that fits best where `any` is asked. Returns the tables and the paths of the pictures.
///
/// # Errors
/// If a file cannot be written, or a picture cannot be drawn.
pub fn finish(
    sweep: &Sweep<'_>,
    rows: &Finished,
    folder: &Path,
    any: bool,
) -> Result<(Results, Vec<PathBuf>), Diagnostic> {
    let plan = sweep.plan();
    let varied: Vec<&str> =
        plan.axes.iter().flat_map(|axis| &axis.keys).map(String::as_str).collect();
    let results = Results::of(&varied, rows);
    let mut files = Files::of(folder)?;
    for (name, bytes) in results.files().map_err(|error| {
        let place = folder.display().to_string();
        Diagnostic::of(place, format!("the table cannot be written: {error}"), GO_ON)
    })? {
        files.add(name, bytes).map_err(go_on)?;
    }
    files.keep().map_err(go_on)?;
    let drawn = draw(plan, &results, folder, any)?;
    Ok((results, drawn))
}

/// Draws what the plan asks for, and what fits the results best where that is asked; returns the paths.
fn draw(
    plan: &SweepPlan,
    results: &Results,
    folder: &Path,
    any: bool,
) -> Result<Vec<PathBuf>, Diagnostic> {
    let placed = |mistake: Diagnostic| Diagnostic { place: plan.name.clone(), ..mistake };
    let mut drawings = plan.drawings.clone();
    if any {
        drawings.push(report::any_drawing(results, [None; 3], [false; 2]).map_err(placed)?);
    }
    let (mut files, mut drawn) = (Files::of(folder)?, Vec::new());
    for drawing in &drawings {
        let name = format!("{}.svg", drawing.name);
        let chart = report::chart(results, drawing).map_err(placed)?;
        files.add_chart(&name, &chart).map_err(go_on)?;
        drawn.push(folder.join(name));
    }
    files.keep().map_err(go_on)?;
    Ok(drawn)
}

const GO_ON: &str = "check the folder, its permissions and the space left; all rows are in the journal, go \
                     on with --resume";

/// What cannot be written of results is not lost: the journal has it.
fn go_on(mistake: Diagnostic) -> Diagnostic {
    Diagnostic { help: GO_ON.to_owned(), ..mistake }
}
