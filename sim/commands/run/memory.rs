//! `moesim memory`: what lies in the memory of a scenario's fullest GPU.

use crate::commands::{Call, with_oom};
use crate::config::{Diagnostic, Overrides};
use crate::output::report::memory::MemoryResult;

/// The ledger of a scenario, whether it fits or not.
///
/// # Errors
/// If the scenario is refused.
pub fn run(scenario: &str, set: &[String], call: &Call) -> Result<MemoryResult, Diagnostic> {
    let scenario = call.scenario(scenario, Overrides::new(with_oom(set, true)))?;
    let made_by = call.made_by(scenario.ingredients.inputs.iter().cloned());
    Ok(MemoryResult::of(made_by, &scenario))
}
