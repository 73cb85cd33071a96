//! `moesim memory`: what lies in the memory of a scenario's fullest GPU.

use std::io::Write;

use clap::Args;

use crate::Failure;
use moesim::config::{Overrides, ScenarioSource};
use moesim::output::report::memory::MemoryResult;

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
    let set = crate::with_oom(&args.set, true);
    let scenario = ScenarioSource::open(&args.scenario, Overrides::new(set))?.load()?;
    let made_by = crate::reproduce::made_by(scenario.ingredients.inputs.iter().cloned());
    let result = MemoryResult::of(made_by, &scenario);
    if args.json {
        crate::output::result(out, &result)?
    } else {
        result.write_text(out)?
    }
    if result.does_not_fit.is_empty() {
        return Ok(());
    }
    out.flush()?;
    let asked = crate::with_oom(&args.set, args.allow_oom);
    ScenarioSource::open(&args.scenario, Overrides::new(asked))?.load()?;
    Ok(())
}
