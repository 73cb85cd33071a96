//! `moesim new`: a commented file to start from.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::Failure;
use moesim::config::{Diagnostic, Kind, template};

/// What to start.
#[derive(Args)]
pub(crate) struct NewArgs {
    /// What the file is to be.
    #[arg(value_enum)]
    kind: Started,
    /// Write it here instead of printing it; a file that is there already is kept.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// The kinds of file that people write themselves.
#[derive(Clone, Copy, ValueEnum)]
enum Started {
    /// A cluster.
    Topology,
    /// A model, batch and layout.
    Workload,
    /// One question: a cluster and workloads to compare.
    Scenario,
    /// A sweep: a scenario and what varies over it.
    Plan,
}

pub(crate) fn run(args: &NewArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let kind = match args.kind {
        Started::Topology => Kind::Topology,
        Started::Workload => Kind::Workload,
        Started::Scenario => Kind::Scenario,
        Started::Plan => Kind::Plan,
    };
    let text = template(kind).expect("each kind that can be started has a template");
    let Some(path) = &args.out else { return Ok(out.write_all(text.as_bytes())?) };
    let name = path.display();
    if path.exists() && !moesim::base::atomic_file::is_stdout(path) {
        let help = "name a file that is not there, or remove this one";
        return Err(Diagnostic::of(name.to_string(), "is there already", help).into());
    }
    crate::output::write(path, text)?;
    writeln!(out, "{name}: a {kind} to change; then `moesim check {name}`")?;
    Ok(())
}
