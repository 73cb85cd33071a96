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
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &MemoryArgs, out: &mut dyn Write) -> Result<(), Failure> {
    // What does not fit is shown, not refused.
    let set = crate::with_oom(&args.set, true);
    let scenario = ScenarioSource::open(&args.scenario, Overrides::new(set))?.load()?;
    let made_by = crate::reproduce::made_by(scenario.ingredients.inputs.iter().cloned());
    let result = MemoryResult::of(made_by, &scenario);
    if args.json { crate::output::json(out, &result) } else { Ok(result.write_text(out)?) }
}
