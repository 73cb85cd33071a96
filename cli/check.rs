//! `moesim check`: is a file sound? Says what it is, or the first mistake and how to fix it.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

pub(super) mod import;
pub(super) mod list;

use super::Failure;
use crate::arguments::choice;
use moesim::config::{self, Diagnostic, Kind, Overrides, ScenarioSource, Source};

/// A file to check.
#[derive(Args)]
pub(super) struct CheckArgs {
    /// A scenario, topology, workload, profile or overheads file.
    file: PathBuf,
    /// What the file is meant to be, if it should not be guessed from its keys.
    #[arg(long, value_parser = choice::parser::<Kind>())]
    kind: Option<Kind>,
}

pub(super) fn run(args: &CheckArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let source = Source::read(&args.file)?;
    let kind = match args.kind {
        Some(kind) => kind,
        None => Kind::guess(&source)?,
    };
    let name = args.file.display();
    let summary = match kind {
        Kind::Scenario => {
            let path = args.file.to_str().ok_or_else(|| {
                Diagnostic::of(name.to_string(), "its name is not UTF-8", "rename the file")
            })?;
            let scenario = ScenarioSource::open(path, Overrides::default())?.load()?;
            format!("{} comparisons on {}", scenario.cases.len(), scenario.topology.name())
        }
        Kind::Topology => format!("{} GPUs", config::read_topology(&source)?.gpus()),
        Kind::Workload => {
            let experts = config::workload(&source)?.model.experts;
            let zc = experts.zero_computation.total();
            format!("{} FFN and {zc} zero-computation experts", experts.ffn)
        }
        Kind::Profile => format!("of {}", config::read_profile(&source, &args.file)?.device),
        Kind::Overheads => {
            format!("traffic factor {}", config::overheads(&source)?.traffic_factor)
        }
    };
    writeln!(out, "{name}: a sound {kind}: {summary}")?;
    Ok(())
}
