//! `moesim list`: what is built in.

use std::io::Write;

use textwrap::Options;

use crate::Failure;
use moesim::config::{Kind, built_in, built_in_names};

/// Columns of a line.
const WIDTH: usize = 80;

pub(crate) fn run(out: &mut dyn Write) -> Result<(), Failure> {
    for (kind, title) in [
        (Kind::Scenario, "scenarios (moesim run NAME)"),
        (Kind::Topology, "topologies (moesim topology NAME)"),
        (Kind::Workload, "workloads"),
        (Kind::Profile, "profiles"),
        (Kind::Overheads, "overheads"),
        (Kind::Prices, "price books"),
    ] {
        writeln!(out, "{title}")?;
        let mut imported = Vec::new();
        for name in built_in_names(kind) {
            let about =
                built_in(kind, name).and_then(|source| source.summary()).unwrap_or_default();
            if about.ends_with("imported from a config.json.") {
                imported.push(name);
            } else {
                write_entry(name, &about, out)?;
            }
        }
        columns(&mut imported, out)?;
        writeln!(out)?;
    }
    writeln!(out, "`moesim show NAME` prints a file, `moesim new KIND` starts one.")?;
    Ok(())
}

/// A name and what it is, in lines that fit; a long name has a line of its own.
fn write_entry(name: &str, about: &str, out: &mut dyn Write) -> Result<(), Failure> {
    const NAMES: usize = 22;
    let indent = " ".repeat(NAMES + 3);
    let options = Options::new(WIDTH).initial_indent(&indent).subsequent_indent(&indent);
    let text = textwrap::fill(about, options.break_words(false));
    if name.chars().count() > NAMES {
        writeln!(out, "  {name}")?;
        writeln!(out, "{text}")?;
    } else {
        writeln!(out, "{}", format!("  {name:<NAMES$} {}", text.trim_start()).trim_end())?;
    }
    Ok(())
}

/// Columns of names of models that fit 80 characters.
const COLUMNS: usize = 3;

/// Models whose names say what they are, in columns.
fn columns(names: &mut [&str], out: &mut dyn Write) -> Result<(), Failure> {
    if names.is_empty() {
        return Ok(());
    }
    names.sort_unstable();
    writeln!(out, "\nworkloads imported from a model's config.json (sizes: workloads/README.md)")?;
    let rows = names.len().div_ceil(COLUMNS);
    for row in 0..rows {
        let line = names.iter().skip(row).step_by(rows).map(|name| format!("{name:<24}"));
        writeln!(out, "  {}", line.collect::<String>().trim_end())?;
    }
    Ok(())
}
