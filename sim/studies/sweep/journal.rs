//! The journal of a sweep: one line a finished task, written as it finishes.
//!
//! A line is a JSON object `{"task": n, "rows": [[…], …], "crc": "…"}`; the first line says whose tasks
//! they are. The checksum is CRC-32 of the bytes before it, begun with the sweep's fingerprint: neither a
//! flipped bit nor a line of another sweep is taken for a task of this one. A process that is killed
//! leaves at most one torn line, which is cut off when the sweep is taken up again. Any other damage is
//! named by its line, and its tasks are run again only when that is asked for; the damaged journal is kept
//! beside the new one. While a sweep runs, its journal is locked against a second one.
//!
//! What it does not promise: lines are not flushed to the disk one by one, so that a machine that loses
//! power may lose those of the last seconds. What is lost is run again.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::row::Row;

mod error;
mod held;
mod line;
#[cfg(test)]
mod tests;

pub use error::JournalError;
use held::Held;

/// The rows of one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Which task.
    pub task: usize,
    /// Its rows.
    pub rows: Vec<Row>,
}

/// The rows of finished tasks, by task.
pub type Finished = BTreeMap<usize, Vec<Row>>;

/// What a journal of a sweep holds: every line of it must fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Tells this plan and its inputs from all others.
    pub fingerprint: u64,
    /// How many tasks there are.
    pub tasks: usize,
    /// Cells of a row.
    pub columns: usize,
    /// Rows of a task of each case, where all points have equally many.
    pub rows: Vec<Option<usize>>,
    /// Tasks of a case at a point.
    pub seeds: usize,
}

/// Whose tasks a journal holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    moesim_sweep: u32,
    fingerprint: u64,
    tasks: usize,
}

impl Head {
    const VERSION: u32 = 2;

    fn of(shape: &Shape) -> Self {
        let Shape { fingerprint, tasks, .. } = *shape;
        Self { moesim_sweep: Self::VERSION, fingerprint, tasks }
    }

    /// The first line of a journal. Its checksum is not begun with a fingerprint: it says which.
    fn line(&self) -> Vec<u8> {
        line::sealed(0, self)
    }
}

/// What lines are written to: a file, or in tests one that fails.
trait Medium: Write {
    /// Cuts off what lies behind this many bytes, and goes on there.
    fn cut(&mut self, len: u64) -> io::Result<()>;
}

impl Medium for File {
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)?;
        self.seek(SeekFrom::Start(len)).map(drop)
    }
}

/// Lines that end where a line ended, whatever fails.
struct Lines<M> {
    medium: M,
    /// Bytes of whole lines.
    whole: u64,
    /// A torn line could not be cut off: nothing may be written behind it.
    torn: bool,
}

impl<M: Medium> Lines<M> {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.torn {
            self.medium.cut(self.whole)?;
            self.torn = false;
        }
        let written = self.medium.write_all(line);
        match written {
            Ok(()) => self.whole += line.len() as u64,
            // A part of it may have been written: the next line must not stand behind that.
            Err(_) => self.torn = self.medium.cut(self.whole).is_err(),
        }
        written
    }
}

/// An open journal.
pub struct Journal {
    path: PathBuf,
    fingerprint: u64,
    lines: Lines<File>,
}

/// The name of the journal in a results folder.
pub const NAME: &str = "rows.jsonl";

/// The name under which a damaged journal is kept.
pub const DAMAGED: &str = "rows.damaged.jsonl";

impl Journal {
    /// Starts a journal in an empty place.
    ///
    /// # Errors
    /// If it cannot be written, or is there already ([`io::ErrorKind::AlreadyExists`]).
    pub fn create(folder: &Path, shape: &Shape) -> Result<Self, JournalError> {
        let path = folder.join(NAME);
        let fail = |error| JournalError::Unwritten(path.clone(), error);
        std::fs::create_dir_all(folder).map_err(fail)?;
        let file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(fail)?;
        lock(&file, &path)?;
        Self::begin(path, file, shape)
    }

    /// Takes up a journal: what it holds, and the journal to go on with. A torn last line is cut off.
    /// With `rerun`, damaged lines are left out, so that their tasks are run again.
    ///
    /// # Errors
    /// If it cannot be read, is of another plan, in use, or damaged elsewhere than at its end.
    pub fn resume(
        folder: &Path,
        shape: &Shape,
        rerun: bool,
    ) -> Result<(Self, Finished), JournalError> {
        let path = folder.join(NAME);
        let unread = |error| JournalError::Unread(path.clone(), error);
        let unwritten = |error| JournalError::Unwritten(path.clone(), error);
        let mut file = OpenOptions::new().read(true).write(true).open(&path).map_err(unread)?;
        lock(&file, &path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(unread)?;
        let head = Head::of(shape).line();
        if bytes.len() < head.len() && head.starts_with(&bytes) {
            // Killed before the first line was whole: nothing is lost by starting again.
            file.cut(0).map_err(unwritten)?;
            return Ok((Self::begin(path, file, shape)?, Finished::new()));
        }
        let held = Held::of(&bytes, shape);
        if held.foreign {
            return Err(JournalError::Foreign(path));
        }
        if held.damaged.is_empty() {
            file.cut(held.whole).map_err(unwritten)?;
            let lines = Lines { medium: file, whole: held.whole, torn: false };
            let fingerprint = shape.fingerprint;
            return Ok((Self { path, fingerprint, lines }, held.records));
        }
        if !rerun {
            return Err(JournalError::Damaged(path, held.damaged));
        }
        let journal = Self::without_damage(&path, &bytes, &held, shape).map_err(unwritten)?;
        Ok((journal, held.records))
    }

    /// Replaces a damaged journal by one of its whole lines; the damaged one is kept beside it.
    fn without_damage(path: &Path, bytes: &[u8], held: &Held, shape: &Shape) -> io::Result<Self> {
        crate::base::atomic_file::write(&path.with_file_name(DAMAGED), bytes)?;
        let mut whole = Head::of(shape).line();
        for (&task, rows) in &held.records {
            let record = Record { task, rows: rows.clone() };
            whole.extend(line::sealed(shape.fingerprint, &record));
        }
        let mut file = tempfile::Builder::new()
            .prefix(".moesim-")
            .tempfile_in(path.parent().unwrap_or(Path::new(".")))?;
        // Locked before it gets its name: between the two files nobody else can slip in.
        file.as_file().try_lock().or_else(|error| match error {
            TryLockError::WouldBlock => Err(io::ErrorKind::WouldBlock.into()),
            TryLockError::Error(_) => Ok::<_, io::Error>(()),
        })?;
        file.write_all(&whole)?;
        file.as_file().set_permissions(std::fs::metadata(path)?.permissions())?;
        file.as_file().sync_all()?;
        let file = file.persist(path).map_err(|failed| failed.error)?;
        let lines = Lines { medium: file, whole: whole.len() as u64, torn: false };
        Ok(Self { path: path.to_owned(), fingerprint: shape.fingerprint, lines })
    }

    fn begin(path: PathBuf, file: File, shape: &Shape) -> Result<Self, JournalError> {
        let lines = Lines { medium: file, whole: 0, torn: false };
        let mut journal = Self { path, fingerprint: shape.fingerprint, lines };
        journal.write(&Head::of(shape).line())?;
        Ok(journal)
    }

    /// Keeps the rows of a task.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn keep(&mut self, record: &Record) -> Result<(), JournalError> {
        self.write(&line::sealed(self.fingerprint, record))
    }

    fn write(&mut self, line: &[u8]) -> Result<(), JournalError> {
        self.lines.write(line).map_err(|e| JournalError::Unwritten(self.path.clone(), e))
    }
}

/// Locks a journal until it is closed. Where the file system has no locks, nothing is locked.
fn lock(file: &File, path: &Path) -> Result<(), JournalError> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(JournalError::Busy(path.to_owned())),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

/// The rows of tasks that have finished, for merging.
///
/// # Errors
/// If the journal cannot be read, is of another plan, or damaged.
pub fn finished(folder: &Path, shape: &Shape) -> Result<Finished, JournalError> {
    let path = folder.join(NAME);
    let bytes = std::fs::read(&path).map_err(|e| JournalError::Unread(path.clone(), e))?;
    let held = Held::of(&bytes, shape);
    if held.foreign {
        return Err(JournalError::Foreign(path));
    }
    if held.damaged.is_empty() {
        return Ok(held.records);
    }
    Err(JournalError::Damaged(path, held.damaged))
}
