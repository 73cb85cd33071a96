//! `moesim validate systems`: published whole layers and systems, predicted and judged.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::output::Files;
use crate::output::progress::Progress;
use crate::{Failure, output};
use clap::Args;
use moesim::base::threads;
use moesim::commands::validate::systems_result;
use moesim::config::Diagnostic;
use moesim::output::pictures::predicted_measured;
use moesim::studies::validate::systems::summary;
use moesim::studies::validate::systems::{self, BUILT_IN_NAME, Row, Written};

/// Predict published whole layers, exchanges, steps and serving figures, and say how far off.
#[derive(Args, Clone, Debug)]
pub(crate) struct SystemsArgs {
    /// A table of published systems; the built-in one without.
    file: Option<PathBuf>,
    /// Print the scenario of the row with this id instead: its files, one after the other.
    #[arg(long, value_name = "ID")]
    scenario: Option<String>,
    /// Write the scenario's files into this folder, for `moesim run FOLDER/scenario.toml`. Without
    /// --scenario: those of every row that has one, each into a folder named after its row.
    #[arg(long, value_name = "FOLDER")]
    export: Option<PathBuf>,
    /// Draw predicted against measured values, as SVG and PNG files in this folder.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["scenario", "export"])]
    plot: Option<PathBuf>,
    /// Print JSON: under `rows` an object for each row.
    #[arg(long, conflicts_with_all = ["scenario", "export"])]
    json: bool,
    /// Threads to use; results are the same for any number. Default: all cores.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

pub(super) fn run(args: &SystemsArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let file = args.file.as_deref();
    let rows = systems::rows(file)?;
    if let Some(id) = &args.scenario {
        return one(file, &rows, id, args.export.as_deref(), out);
    }
    if let Some(folder) = &args.export {
        return every(&rows, folder, out);
    }
    let threads = args.threads.map_or_else(threads::available, usize::from);
    let progress = Progress::new(rows.len() as u64, "rows", false);
    let verdicts = systems::judge_told(rows, threads, |done| progress.done(done));
    drop(progress);
    let result = systems_result(file, &verdicts, &output::call());
    if let Some(folder) = &args.plot {
        super::draw(folder, predicted_measured::of_systems(&result.rows))?;
    }
    if args.json {
        return output::result(out, &result);
    }
    Ok(write!(out, "{}", summary::text(&name_of(file), &verdicts))?)
}

fn name_of(file: Option<&Path>) -> String {
    file.map_or_else(|| BUILT_IN_NAME.to_owned(), |path| path.display().to_string())
}

/// Prints or exports the scenario of one row.
fn one(
    file: Option<&Path>,
    rows: &[Row],
    id: &str,
    folder: Option<&Path>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let place = name_of(file);
    let Some(row) = rows.iter().find(|row| row.id == id) else {
        let help = "take an id from `moesim validate systems --json`";
        return Err(Diagnostic::of(place, format!("has no row `{id}`"), help).into());
    };
    let scenario = systems::scenario(row).map_err(|reason| {
        let help = "`moesim validate systems` lists the rows that are judged";
        Diagnostic::of(place, format!("row `{id}` has no scenario: {reason}"), help)
    })?;
    match folder {
        Some(folder) => write_files(folder, &scenario, out),
        None => {
            for (name, text) in &scenario.files {
                writeln!(out, "### {name}\n{text}")?;
            }
            Ok(())
        }
    }
}

/// Exports the scenario of every row that has one, and says of the others why not.
fn every(rows: &[Row], folder: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    for row in rows {
        match systems::scenario(row) {
            Ok(scenario) => write_files(&folder.join(folder_of(&row.id)), &scenario, out)?,
            Err(reason) => writeln!(out, "row `{}` has no scenario: {reason}", row.id)?,
        }
    }
    Ok(())
}

/// A row's id as the name of a folder: letters, digits, `-`, `_` and dots within.
fn folder_of(id: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = id.chars().map(plain).take(120).collect();
    format!("row-{name}")
}

/// Writes the files and prints the scenario's path; one that does not run as it is, is said to be so.
fn write_files(folder: &Path, scenario: &Written, out: &mut dyn Write) -> Result<(), Failure> {
    let mut together = Files::of(folder)?;
    for (name, text) in &scenario.files {
        together.add(name, text)?;
    }
    together.keep()?;
    let path = folder.join("scenario.toml");
    match &scenario.refusal {
        None => writeln!(out, "{}", path.display())?,
        Some(refusal) => writeln!(out, "{}: does not run as it is: {refusal}", path.display())?,
    }
    Ok(())
}
