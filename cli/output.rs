//! What commands write beside what they print: files, pictures, folders of them, progress.
//!
//! `-` is standard output. What a command would have printed then goes to standard error, so that the
//! file comes out as it would lie on a disk.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use serde::Serialize;

use super::Failure;
use moesim::base::atomic_file::{self, Together};
use moesim::base::inputs::Input;
use moesim::config::{Diagnostic, Style};
use moesim::output::plot::{Chart, Format, PlotError, render};
use moesim::output::schema::{Labelled, Printed};

pub(super) mod progress;

/// Prints a result as JSON behind what it says it is.
pub(super) fn result(out: &mut dyn Write, result: &impl Printed) -> Result<(), Failure> {
    json(out, &Labelled::of(result))
}

/// Prints JSON.
pub(super) fn json(out: &mut dyn Write, result: &impl Serialize) -> Result<(), Failure> {
    serde_json::to_writer_pretty(&mut *out, result).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

const HELP: &str = "check the folder, its permissions and the space left";

/// A file that was read, for the record; none that is gone by now.
pub(super) fn input(path: &Path) -> Option<Input> {
    let bytes = std::fs::read(path).ok()?;
    Some(Input::of(path.display().to_string(), &bytes, false))
}

/// Writes a file whole or not at all.
pub(super) fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<(), Failure> {
    atomic_file::write(path, bytes).map_err(|error| unwritten(path, &error))
}

/// Draws a chart to a file.
pub(super) fn chart(chart: &impl Chart, path: &Path) -> Result<(), Failure> {
    let mut files = Together::default();
    add_chart(&mut files, chart, path)?;
    files.keep().map_err(|error| unwritten(path, &error))
}

/// Files of one folder: all of them are there, or none, and then no new folder either.
pub(super) struct Files<'a> {
    folder: &'a Path,
    files: Together,
}

impl<'a> Files<'a> {
    /// Files in a folder, which is made if it is not there.
    pub(super) fn of(folder: &'a Path) -> Result<Self, Failure> {
        let files = Together::in_folder(folder).map_err(|error| {
            let found = format!("cannot be made: {error}");
            Diagnostic::of(folder.display().to_string(), found, "name a folder that can be written")
        })?;
        Ok(Self { folder, files })
    }

    /// Adds a file.
    pub(super) fn add(&mut self, name: &str, bytes: impl AsRef<[u8]>) -> Result<(), Failure> {
        let path = self.folder.join(name);
        self.files.add(&path, bytes).map_err(|error| unwritten(&path, &error))
    }

    /// Adds a picture, whose name ends in its format.
    pub(super) fn add_chart(&mut self, name: &str, chart: &impl Chart) -> Result<(), Failure> {
        add_chart(&mut self.files, chart, &self.folder.join(name))
    }

    /// Puts all into their places.
    pub(super) fn keep(self) -> Result<(), Failure> {
        self.files.keep().map_err(|error| unwritten(self.folder, &error))
    }
}

/// The most columns that messages take: longer lines are hard to read.
const MOST_COLUMNS: usize = 80;

/// How messages on standard error are written. `NO_COLOR` and `TERM=dumb` ask for none.
pub(super) fn style_of_stderr() -> Style {
    if !io::stderr().is_terminal() {
        return Style::default();
    }
    let width =
        terminal_size::terminal_size_of(io::stderr()).map(|(width, _)| usize::from(width.0));
    let is = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let colours = is("NO_COLOR").is_none() && is("TERM").is_none_or(|term| term != "dumb");
    Style { columns: Some(width.unwrap_or(MOST_COLUMNS).clamp(40, MOST_COLUMNS)), colours }
}

/// What to say of the first argument that is no text. Names in files are UTF-8, so that paths must be too.
pub(super) fn not_text(args: impl IntoIterator<Item = OsString>) -> Option<Diagnostic> {
    let wrong = args.into_iter().find(|arg| arg.to_str().is_none())?;
    let place = wrong.to_string_lossy().into_owned();
    Some(Diagnostic::of(place, "is not UTF-8", "rename the file or folder, or reach it by a link"))
}

fn add_chart(files: &mut Together, chart: &impl Chart, path: &Path) -> Result<(), Failure> {
    let drawn = Format::of(path).ok_or(PlotError::Format).and_then(|format| render(chart, format));
    let drawn = drawn.and_then(|bytes| files.add(path, bytes).map_err(PlotError::Output));
    drawn.map_err(|error| {
        let help = "name a file that ends in .svg or .png, in a folder that can be written, or - for \
                    standard output";
        Diagnostic::of(path.display().to_string(), error.to_string(), help).into()
    })
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    let found = format!("cannot be written: {error}");
    Diagnostic::of(path.display().to_string(), found, HELP).into()
}
