//! `moesim memory`: what lies in the memory of a scenario's fullest GPU.

use std::io::Write;

use clap::Args;

use crate::{Failure, output};
use moesim::commands::{run::memory, with_oom};
use moesim::config::{Overrides, ScenarioSource};

/// A scenario.
#[derive(Args)]
pub(crate) struct MemoryArgs {
    /// A scenario file, or the name of a built-in one.
    scenario: String,
    /// Override a key. Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Do not end with an error where it does not fit.
    #[arg(long)]
    allow_oom: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &MemoryArgs, out: &mut dyn Write) -> Result<(), Failure> {
    // What does not fit is shown first, then refused as `run` does.
    let result = memory::run(&args.scenario, &args.set, &output::call())?;
    if args.json {
        output::result(out, &result)?
    } else {
        result.write_text(out)?
    }
    if result.does_not_fit.is_empty() {
        return Ok(());
    }
    out.flush()?;
    let asked = with_oom(&args.set, args.allow_oom);
    ScenarioSource::open(&args.scenario, Overrides::new(asked))?.load()?;
    Ok(())
}
