//! A mistake in what the user wrote: the one type of error that users see.
//!
//! `Display` is the short form, for logs and callers of the library: `FILE:LINE: KEY: FOUND`, and the help
//! on a line of its own. [`Diagnostic::render`] is the form of the command line.

use std::fmt;

use super::excerpt::Excerpt;
use crate::base::inputs::is_device;
use crate::base::printable::{clipped, printable};
use crate::base::table::TableError;
use crate::execution::outcome::TooLong;

/// A mistake in what the user wrote: where, what was found, and how to fix it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, built-in name or option that holds it.
    pub place: String,
    /// The line, from 1, where there is one.
    pub line: Option<usize>,
    /// The dotted key, or nothing.
    pub key: String,
    /// What was found.
    pub found: String,
    /// How to fix it.
    pub help: String,
    /// The text of the line and what of it is meant, where they are known.
    pub excerpt: Option<Box<Excerpt>>,
}

/// Characters of each part that a message shows; of longer ones it shows the beginning and the end.
const MOST_OF_PLACE: usize = 4096;
const MOST_OF_KEY: usize = 200;
const MOST_FOUND: usize = 600;
const MOST_OF_HELP: usize = 4000;

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.placed_title())?;
        if !self.help.is_empty() {
            write!(f, "\n  help: {}", self.shown_help())?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

impl From<TooLong> for Diagnostic {
    fn from(error: TooLong) -> Self {
        let help = "fewer micro-batches or tokens, or faster links and GPUs";
        Self::of("", error.to_string(), help)
    }
}

impl From<TableError> for Diagnostic {
    fn from(error: TableError) -> Self {
        let key = error.column.map_or_else(String::new, |column| format!("column `{column}`"));
        Self { key, ..Self::of(error.table, error.found, error.help) }
    }
}

impl Diagnostic {
    /// A mistake that concerns a whole file or option.
    pub fn of(place: impl Into<String>, found: impl Into<String>, help: impl Into<String>) -> Self {
        Self { place: place.into(), found: found.into(), help: help.into(), ..Self::default() }
    }

    /// A mistake in one line, counted from 1, of a file with this text.
    pub fn at_line(
        place: impl Into<String>,
        (text, line): (&str, usize),
        found: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let excerpt = Excerpt::of_line(text, line).map(Box::new);
        Self { line: Some(line), excerpt, ..Self::of(place, found, help) }
    }

    /// A file that cannot be read, and what to look at.
    #[must_use]
    pub fn unreadable(place: impl Into<String>, error: &std::io::Error) -> Self {
        let help = match error.kind() {
            std::io::ErrorKind::NotFound => "check the path",
            _ => "check the path and its permissions",
        };
        Self::unreadable_but(place, error, help)
    }

    /// Refuses a device, which may never end; a pipe is read to its end.
    ///
    /// # Errors
    /// If the path is that of one.
    pub fn refuse_device(path: &std::path::Path) -> Result<(), Self> {
        if !is_device(path) {
            return Ok(());
        }
        let (name, help) = (path.display().to_string(), "name a file in its place");
        Err(Self::of(name, "is not a regular file", help))
    }

    /// The same, with help of what was wanted.
    #[must_use]
    pub fn unreadable_but(
        place: impl Into<String>,
        error: &std::io::Error,
        help: impl Into<String>,
    ) -> Self {
        // Of a link that leads round in a circle the system says no more than that it gave up.
        const LOOP: i32 = if cfg!(target_os = "linux") { 40 } else { 62 };
        if cfg!(unix) && error.raw_os_error() == Some(LOOP) {
            let found = "is a symbolic link that leads round in a circle";
            return Self::of(place, found, "name the file itself, or make the link anew");
        }
        Self::of(place, format!("cannot be read: {error}"), help)
    }

    /// The file or option, at a length that people read.
    pub(super) fn shown_place(&self) -> String {
        shown(&self.place, MOST_OF_PLACE)
    }

    /// `FILE:LINE: KEY: FOUND`.
    pub(super) fn placed_title(&self) -> String {
        let (place, title) = (self.shown_place(), self.shown_title());
        match self.line {
            _ if place.is_empty() => title,
            Some(line) => format!("{place}:{line}: {title}"),
            None => format!("{place}: {title}"),
        }
    }

    /// `KEY: FOUND`.
    pub(super) fn shown_title(&self) -> String {
        let found = shown(&self.found, MOST_FOUND);
        if self.key.is_empty() {
            return found;
        }
        format!("{}: {found}", shown(&self.key, MOST_OF_KEY))
    }

    pub(super) fn shown_help(&self) -> String {
        shown(&self.help, MOST_OF_HELP)
    }
}

/// Clipped twice: what stands for a character that acts is longer than it.
fn shown(text: &str, most: usize) -> String {
    clipped(&printable(&clipped(text, most)), most).into_owned()
}
