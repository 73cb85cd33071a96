//! What must hold of every parser of users' files, whatever bytes it is given.
//!
//! A target takes the bytes of a file and panics where a promise is broken: a parser panics, a refusal has no help
//! or acts on a terminal, what was accepted is not a number, or is written and reads back as something else.
//! `main.rs` gives targets to libFuzzer; `tests/property/fuzz_targets.rs` runs them on their seeds and on what
//! was found, so that they are compiled and held with all other tests.

use moesim::config::{Diagnostic, Style};

mod imports;
mod journal;
mod json;
mod parquet;
mod tables;
mod toml_files;

/// A parser of users' files, and files that it accepts.
pub struct Target {
    /// Its name, as `fuzz/run` takes it.
    pub name: &'static str,
    /// Shipped files of its kind, from the root of the repository: a name, or `FOLDER/*.ENDING`.
    pub seeds: &'static [&'static str],
    /// Small sound files of its kind.
    pub small: &'static [&'static str],
    /// Panics where these bytes break a promise.
    pub holds: fn(&[u8]),
}

/// All targets.
pub fn all() -> impl Iterator<Item = &'static Target> {
    let kinds = [
        toml_files::TARGETS,
        tables::TARGETS,
        parquet::TARGETS,
        json::TARGETS,
        imports::TARGETS,
        journal::TARGETS,
    ];
    kinds.into_iter().flatten()
}

/// The bytes as text; files that are none are refused before they are parsed.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Judges a refusal, and hands on what was accepted.
fn accepted<T>(parsed: Result<T, impl Into<Diagnostic>>) -> Option<T> {
    parsed.map_err(|mistake| helpful(&mistake.into())).ok()
}

/// A refusal says how to fix what it refuses, at a length that people read, and acts on no terminal.
pub fn helpful(mistake: &Diagnostic) {
    let said = mistake.render(Style::default());
    assert!(!mistake.found.trim().is_empty(), "says nothing: {said}");
    assert!(!mistake.help.trim().is_empty(), "no help: {said}");
    assert!(said.len() <= 12_000, "{} bytes: {:.200}", said.len(), said);
    let acts = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(!said.contains(acts), "acts on a terminal: {said:?}");
}

/// Numbers that people are shown are numbers.
fn finite(what: &str, numbers: impl IntoIterator<Item = f64>) {
    for number in numbers {
        assert!(number.is_finite(), "{what}: {number}");
    }
}

/// A folder that goes when it is dropped, in memory where there is such a place.
fn folder() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a folder for a moment")
}

/// Hands the path of a file with these bytes to a parser.
fn as_file<T>(name: &str, bytes: &[u8], parse: impl FnOnce(&std::path::Path) -> T) -> T {
    let folder = folder();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("a file for a moment");
    parse(&path)
}
