//! What commands write beside what they print: files, pictures, folders of them.

use std::io;
use std::path::Path;

use crate::base::atomic_file::{self, Together};
use crate::config::Diagnostic;
use crate::output::plot::{Chart, Format, PlotError, render};

const HELP: &str = "check the folder, its permissions and the space left";

/// Writes a file whole or not at all.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<(), Diagnostic> {
    atomic_file::write(path, bytes).map_err(|error| unwritten(path, &error))
}

/// Draws a chart to a file.
///
/// # Errors
/// If it cannot be written.
pub fn chart(chart: &impl Chart, path: &Path) -> Result<(), Diagnostic> {
    let mut files = Together::default();
    add_chart(&mut files, chart, path)?;
    files.keep().map_err(|error| unwritten(path, &error))
}

/// Files of one folder: all of them are there, or none, and then no new folder either.
pub struct Files<'a> {
    folder: &'a Path,
    files: Together,
}

impl<'a> Files<'a> {
    /// Files in a folder, which is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn of(folder: &'a Path) -> Result<Self, Diagnostic> {
        let files = Together::in_folder(folder).map_err(|error| {
            let found = format!("cannot be made: {error}");
            Diagnostic::of(folder.display().to_string(), found, "name a folder that can be written")
        })?;
        Ok(Self { folder, files })
    }

    /// Adds a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&mut self, name: &str, bytes: impl AsRef<[u8]>) -> Result<(), Diagnostic> {
        let path = self.folder.join(name);
        self.files.add(&path, bytes).map_err(|error| unwritten(&path, &error))
    }

    /// Adds a picture, whose name ends in its format.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add_chart(&mut self, name: &str, chart: &impl Chart) -> Result<(), Diagnostic> {
        add_chart(&mut self.files, chart, &self.folder.join(name))
    }

    /// Puts all into their places.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep(self) -> Result<(), Diagnostic> {
        self.files.keep().map_err(|error| unwritten(self.folder, &error))
    }
}

fn add_chart(files: &mut Together, chart: &impl Chart, path: &Path) -> Result<(), Diagnostic> {
    let drawn = Format::of(path).ok_or(PlotError::Format).and_then(|format| render(chart, format));
    let drawn = drawn.and_then(|bytes| files.add(path, bytes).map_err(PlotError::Output));
    drawn.map_err(|error| {
        let help = "name a file that ends in .svg or .png, in a folder that can be written, or - for \
                    standard output";
        Diagnostic::of(path.display().to_string(), error.to_string(), help)
    })
}

fn unwritten(path: &Path, error: &io::Error) -> Diagnostic {
    let found = format!("cannot be written: {error}");
    Diagnostic::of(path.display().to_string(), found, HELP)
}
