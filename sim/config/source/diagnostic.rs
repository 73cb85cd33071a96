//! A mistake in what the user wrote, as a message says it.

use std::fmt;

use crate::base::printable::{clipped, printable};

/// A mistake in what the user wrote: where, what was found, and how to fix it.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

/// Characters of each part that a message shows; of longer ones it shows the beginning and the end.
const MOST_OF_PLACE: usize = 4096;
const MOST_OF_KEY: usize = 200;
const MOST_FOUND: usize = 600;
const MOST_OF_HELP: usize = 4000;

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = |text: &str, most| printable(&clipped(text, most)).into_owned();
        write!(f, "{}", written(&self.place, MOST_OF_PLACE))?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", written(&self.key, MOST_OF_KEY))?;
        }
        write!(f, ": {}", written(&self.found, MOST_FOUND))?;
        if !self.help.is_empty() {
            write!(f, "\n  help: {}", written(&self.help, MOST_OF_HELP))?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

impl Diagnostic {
    /// A mistake that concerns a whole file or option.
    pub fn of(place: impl Into<String>, found: impl Into<String>, help: impl Into<String>) -> Self {
        let (place, found, help) = (place.into(), found.into(), help.into());
        Self { place, line: None, key: String::new(), found, help }
    }
}
