//! The journal of a sweep: one line a finished task, written as it finishes.
//!
//! A line is a JSON object `{"task": n, "rows": [[…], …]}`; the first line says whose tasks they
//! are. A process that is killed leaves at most one torn line, which is cut off when the sweep is
//! taken up again. Nothing else is ever rewritten.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::row::Row;

/// The rows of one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Which task.
    pub task: usize,
    /// Its rows.
    pub rows: Vec<Row>,
}

/// The rows of finished tasks, by task.
pub type Finished = BTreeMap<usize, Vec<Row>>;

/// Whose tasks a journal holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    moesim_sweep: u32,
    fingerprint: u64,
    tasks: usize,
}

/// Why a journal cannot be used.
#[derive(Debug)]
pub enum JournalError {
    /// It cannot be read or written.
    Io(PathBuf, io::Error),
    /// It is of another plan, or its inputs have changed.
    Foreign(PathBuf),
    /// A line in the middle is no record.
    Broken(PathBuf, usize),
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(
                f,
                "{}: {error}\n  help: check the folder, its permissions and the space left; what \
                 has finished is kept, go on with --resume",
                path.display()
            ),
            Self::Foreign(path) => write!(
                f,
                "{}: holds results of another plan, of other inputs, or of another version of \
                 moesim\n  help: name another --out folder, or remove this one",
                path.display()
            ),
            Self::Broken(path, line) => write!(
                f,
                "{}:{line}: is not a record of a task\n  help: the file was changed; remove the line, \
                 and its task will be run again",
                path.display()
            ),
        }
    }
}

impl std::error::Error for JournalError {}

/// An open journal.
pub struct Journal {
    path: PathBuf,
    file: File,
}

/// The name of the journal in a results folder.
pub const NAME: &str = "rows.jsonl";

impl Journal {
    /// Starts a journal in an empty place.
    ///
    /// # Errors
    /// If it cannot be written, or is there already ([`io::ErrorKind::AlreadyExists`]).
    pub fn create(folder: &Path, fingerprint: u64, tasks: usize) -> Result<Self, JournalError> {
        let path = folder.join(NAME);
        let fail = |error| JournalError::Io(path.clone(), error);
        std::fs::create_dir_all(folder).map_err(fail)?;
        let file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(fail)?;
        let mut journal = Self { path, file };
        journal.line(&Head { moesim_sweep: 1, fingerprint, tasks })?;
        Ok(journal)
    }

    /// Takes up a journal: what it holds, and the journal to go on with. A torn last line is cut off.
    ///
    /// # Errors
    /// If it cannot be read, is of another plan, or is broken elsewhere than at its end.
    pub fn resume(
        folder: &Path,
        fingerprint: u64,
        tasks: usize,
    ) -> Result<(Self, Finished), JournalError> {
        let path = folder.join(NAME);
        let begun = std::fs::read(&path).map_err(|error| JournalError::Io(path.clone(), error))?;
        if !begun.contains(&b'\n') {
            // Killed before the first line was whole: nothing is lost by starting again.
            std::fs::remove_file(&path).map_err(|error| JournalError::Io(path.clone(), error))?;
            return Ok((Self::create(folder, fingerprint, tasks)?, BTreeMap::new()));
        }
        let (held, records, whole) = read(&path)?;
        if held.fingerprint != fingerprint {
            return Err(JournalError::Foreign(path));
        }
        let fail = |error| JournalError::Io(path.clone(), error);
        let mut file = OpenOptions::new().write(true).open(&path).map_err(fail)?;
        file.set_len(whole).map_err(fail)?;
        file.seek(SeekFrom::Start(whole)).map_err(fail)?;
        Ok((Self { path, file }, records))
    }

    /// Keeps the rows of a task.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn keep(&mut self, record: &Record) -> Result<(), JournalError> {
        self.line(record)
    }

    fn line(&mut self, line: &impl Serialize) -> Result<(), JournalError> {
        let fail = |error| JournalError::Io(self.path.clone(), error);
        let mut text = serde_json::to_vec(line).map_err(|error| fail(error.into()))?;
        text.push(b'\n');
        // One call, so that a kill tears at most the end of the file.
        self.file.write_all(&text).map_err(fail)
    }
}

/// What a journal holds, for merging: its fingerprint and the rows of tasks that have finished.
///
/// # Errors
/// If it cannot be read or is broken.
pub fn finished(folder: &Path) -> Result<(u64, Finished), JournalError> {
    let (head, records, _) = read(&folder.join(NAME))?;
    Ok((head.fingerprint, records))
}

/// The head, the records, and how many bytes of whole lines there are.
fn read(path: &Path) -> Result<(Head, Finished, u64), JournalError> {
    let fail = |error| JournalError::Io(path.to_owned(), error);
    let mut reader = BufReader::new(File::open(path).map_err(fail)?);
    let (mut head, mut records, mut whole) = (None, BTreeMap::new(), 0);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = reader.read_until(b'\n', &mut line).map_err(fail)?;
        if read == 0 || line.last() != Some(&b'\n') {
            break;
        }
        let broken = |_| JournalError::Broken(path.to_owned(), number);
        if number == 1 {
            head = Some(serde_json::from_slice::<Head>(&line).map_err(broken)?);
        } else {
            let record: Record = serde_json::from_slice(&line).map_err(broken)?;
            records.insert(record.task, record.rows);
        }
        whole += read as u64;
    }
    match head {
        Some(head) => Ok((head, records, whole)),
        None => Err(JournalError::Broken(path.to_owned(), 1)),
    }
}
