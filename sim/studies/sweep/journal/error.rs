//! Why a journal cannot be used, and what to do then.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::Diagnostic;

/// Why a journal cannot be used.
#[derive(Debug)]
pub enum JournalError {
    /// It cannot be read.
    Unread(PathBuf, io::Error),
    /// It cannot be written.
    Unwritten(PathBuf, io::Error),
    /// It is of another plan, or its inputs have changed.
    Foreign(PathBuf),
    /// Another process writes to it.
    Busy(PathBuf),
    /// Lines, from 1, that are no records, and what they are.
    Damaged(PathBuf, Vec<(usize, String)>),
}

/// The most damaged lines that a message names.
const MOST_NAMED: usize = 3;

impl JournalError {
    /// The mistake, placed.
    #[must_use]
    pub fn diagnostic(&self) -> Diagnostic {
        let of = |path: &Path, found: String, help: &str| {
            Diagnostic::of(path.display().to_string(), found, help)
        };
        match self {
            Self::Unread(path, error) => of(
                path,
                format!("cannot be read: {error}"),
                "check the folder and its permissions; a sweep that was never run has no journal",
            ),
            Self::Unwritten(path, error) if error.kind() == io::ErrorKind::AlreadyExists => of(
                path,
                "is there already".to_owned(),
                "go on with --resume, or name another folder with --out",
            ),
            Self::Unwritten(path, error) => of(
                path,
                format!("cannot be written: {error}"),
                "check the folder, its permissions and the space left; what has finished is kept, \
                 go on with --resume",
            ),
            Self::Foreign(path) => of(
                path,
                "holds results of another plan, of other inputs, or of another version of moesim"
                    .to_owned(),
                "name another --out folder, or remove this one",
            ),
            Self::Busy(path) => of(
                path,
                "is being written by another moesim".to_owned(),
                "wait until that one has ended, or name another folder with --out",
            ),
            Self::Damaged(path, lines) => damaged(path, lines),
        }
    }
}

fn damaged(path: &Path, lines: &[(usize, String)]) -> Diagnostic {
    let named: Vec<String> =
        lines.iter().skip(1).take(MOST_NAMED).map(|(at, _)| at.to_string()).collect();
    let more = match lines.len() {
        0 | 1 => String::new(),
        n if n <= 1 + MOST_NAMED => format!("; damaged too: lines {}", named.join(", ")),
        n => format!("; damaged too: lines {} and {} more", named.join(", "), n - 1 - named.len()),
    };
    let (first, what) = lines.first().cloned().unwrap_or_default();
    let help = "the file was changed or the disk failed; `moesim sweep PLAN --resume --rerun-damaged` \
                keeps the whole lines and runs the other tasks again";
    let line = Some(first);
    Diagnostic { line, ..Diagnostic::of(path.display().to_string(), format!("{what}{more}"), help) }
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.diagnostic().fmt(f)
    }
}

impl std::error::Error for JournalError {}
