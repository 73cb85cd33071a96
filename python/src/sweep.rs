//! Sweeps: tasks that run anywhere, and the journal that keeps what they gave.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use moesim::base::threads;
use moesim::commands::sweep as commands;
use moesim::commands::words::shard;
use moesim::config::{Diagnostic, SweepPlan};
use moesim::output::report::check_drawings;
use moesim::studies::sweep::{Record, Stopped, Sweep as Tasks};
use pyo3::prelude::*;

use crate::errors::error;
use crate::table::Table;
use crate::work;

/// A plan with its scenarios checked, cut into tasks.
#[pyclass(frozen)]
pub struct Sweep {
    tasks: Arc<Tasks<'static>>,
}

#[pymethods]
impl Sweep {
    #[new]
    fn new(
        py: Python<'_>,
        plan: String,
        files: BTreeMap<String, String>,
        set: Vec<String>,
        strict: bool,
    ) -> PyResult<Self> {
        let tasks = work::done(py, None, move || {
            let plan = SweepPlan::of_files(&plan, files, &set)?;
            check_drawings(&plan)?;
            let tasks = Tasks::owning(plan)?;
            if strict {
                tasks.refuse_borrowed()?;
            }
            Ok(tasks)
        })?;
        Ok(Self { tasks: Arc::new(tasks) })
    }

    /// How many tasks there are.
    #[getter]
    fn tasks(&self) -> usize {
        self.tasks.tasks()
    }

    /// Tells this plan and all that it names from others.
    #[getter]
    fn fingerprint(&self) -> u64 {
        self.tasks.shape().fingerprint
    }

    /// Runs tasks: a line of JSON for each.
    fn run(&self, py: Python<'_>, tasks: Vec<usize>, threads: usize) -> PyResult<Vec<u8>> {
        let all = Arc::clone(&self.tasks);
        if let Some(wrong) = tasks.iter().find(|task| **task >= all.tasks()) {
            let found = format!("there is no task {wrong} among {}", all.tasks());
            return Err(error(&Diagnostic::of("", found, "")));
        }
        work::done(py, None, move || {
            let mut lines = Vec::new();
            let keep = |record: Record| {
                // Numbers and texts have a JSON form.
                let _ = serde_json::to_writer(&mut lines, &record);
                lines.push(b'\n');
                Ok(())
            };
            all.run(&tasks, threads, keep).map_err(stopped)?;
            Ok(lines)
        })
    }
}

fn stopped(why: Stopped) -> Diagnostic {
    match why {
        Stopped::Refused(mistake) => mistake,
        Stopped::TooLong => moesim::execution::outcome::TooLong.into(),
        Stopped::Journal(error) => error.diagnostic(),
    }
}

/// The rows of a sweep in a folder, as they come.
#[pyclass(frozen)]
pub struct Kept {
    tasks: Arc<Tasks<'static>>,
    folder: PathBuf,
    kept: Arc<Mutex<Option<commands::Kept>>>,
}

type Open<'a> = MutexGuard<'a, Option<commands::Kept>>;

fn closed() -> Diagnostic {
    Diagnostic::of("", "the sweep's folder is closed", "open it again")
}

impl Kept {
    fn open(&self) -> Open<'_> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Kept {
    #[new]
    fn new(
        py: Python<'_>,
        sweep: &Sweep,
        folder: PathBuf,
        resume: bool,
        rerun_damaged: bool,
    ) -> PyResult<Self> {
        let (tasks, place) = (Arc::clone(&sweep.tasks), folder.clone());
        let kept = py.detach(move || {
            let resume = commands::Resume { resume, rerun_damaged };
            commands::Kept::open(&place, &tasks, resume)
        });
        let kept = kept.map_err(|mistake| error(&mistake))?;
        let kept = Arc::new(Mutex::new(Some(kept)));
        Ok(Self { tasks: Arc::clone(&sweep.tasks), folder, kept })
    }

    /// The tasks of a shard, `I/N`, that are left to run.
    fn left(&self, of: &str) -> PyResult<Vec<usize>> {
        let unfit =
            |help: String| error(&Diagnostic::of("", format!("there is no shard {of}"), help));
        let shard = shard(of).map_err(unfit)?;
        let open = self.open();
        let kept = open.as_ref().ok_or_else(|| error(&closed()))?;
        Ok(kept.left(&self.tasks, shard))
    }

    /// How many tasks are done.
    fn done(&self) -> usize {
        self.open().as_ref().map_or(0, |kept| kept.rows().len())
    }

    /// Runs tasks here, keeping the rows of each as it finishes.
    fn run(
        &self,
        py: Python<'_>,
        tasks: Vec<usize>,
        threads: Option<usize>,
        told: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (all, kept) = (Arc::clone(&self.tasks), Arc::clone(&self.kept));
        work::done(py, told, move || {
            let threads = threads.unwrap_or_else(threads::available);
            let done = all.run(&tasks, threads, |record| {
                let mut open = kept.lock().unwrap_or_else(PoisonError::into_inner);
                // Whoever closed the folder does not want more rows.
                open.as_mut().map_or(Ok(()), |kept| kept.keep(record))
            });
            done.map_err(|why| {
                let open = kept.lock().unwrap_or_else(PoisonError::into_inner);
                match open.as_ref() {
                    Some(kept) => kept.stopped(why),
                    None => stopped(why),
                }
            })
        })
    }

    /// Keeps what [`Sweep::run`] gave elsewhere; returns how many tasks that were.
    fn keep(&self, lines: &[u8]) -> PyResult<usize> {
        let mut open = self.open();
        let kept = open.as_mut().ok_or_else(|| error(&closed()))?;
        let mut count = 0;
        for line in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let unfit = |found: String| {
                error(&Diagnostic::of("", found, "run the same moesim on every machine"))
            };
            let record: Record =
                serde_json::from_slice(line).map_err(|error| unfit(error.to_string()))?;
            self.tasks.shape().check(&record).map_err(unfit)?;
            kept.keep(record).map_err(|why| error(&why.diagnostic()))?;
            count += 1;
        }
        Ok(count)
    }

    /// Lets go of the folder, so that it can be opened again.
    fn close(&self) {
        self.open().take();
    }

    /// Writes the tables and pictures; returns the table and the paths of the pictures.
    fn finish(&self, py: Python<'_>, plot: bool) -> PyResult<(Table, Vec<PathBuf>)> {
        let open = self.open();
        let kept = open.as_ref().ok_or_else(|| error(&closed()))?;
        let written = py.detach(|| {
            let (results, pictures) =
                commands::finish(&self.tasks, kept.rows(), &self.folder, plot)?;
            Ok((Table::of(&results)?, pictures))
        });
        written.map_err(|mistake: Diagnostic| error(&mistake))
    }
}

/// Puts the folders of shards together in another.
#[pyfunction]
pub fn merge(
    py: Python<'_>,
    plan: &str,
    sweep: &Sweep,
    shards: Vec<PathBuf>,
    folder: PathBuf,
) -> PyResult<(Table, Vec<PathBuf>)> {
    let written = py.detach(|| {
        let rows = commands::merged(plan, &sweep.tasks, &shards)?;
        let (results, pictures) = commands::finish(&sweep.tasks, &rows, &folder, false)?;
        Ok((Table::of(&results)?, pictures))
    });
    written.map_err(|mistake: Diagnostic| error(&mistake))
}
