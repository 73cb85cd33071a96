//! What a command was asked and what it took: what is counted, seeds, profile, overheads, phase, and cautions.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::memory::not_stated;
use super::stands_on::write_phase;
use crate::config::Scenario;
use crate::workload::Workload;

fn workloads(scenario: &Scenario) -> Vec<&Workload> {
    scenario
        .cases
        .iter()
        .flat_map(|case| std::iter::once(&case.vanilla).chain(&case.moepp))
        .collect()
}

/// One line: what is counted, under which seeds, and what becomes of the error that calibration left.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_counted(out: &mut dyn Write, scenario: &Scenario) -> io::Result<()> {
    let (counted, seeds) = (scenario.counted.description(), &scenario.seeds);
    let drawn = if scenario.calibration_uncertainty {
        "calibration error drawn with each"
    } else {
        "no calibration error drawn"
    };
    writeln!(out, "counted: {counted}")?;
    writeln!(out, "seeds {} to {}, {drawn}", seeds.start, seeds.end - 1)
}

/// What was taken for a cluster: profile and overheads, the phase that was assumed; another GPU's profile, memory that
/// is not stated or does not suffice.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_setting(out: &mut dyn Write, name: &str, scenario: &Scenario) -> io::Result<()> {
    let overheads = scenario.overheads_in_words();
    writeln!(out, "{name}: profile {}, overheads {overheads}", scenario.ingredients.profile)?;
    let said = [scenario.borrowed(), not_stated(scenario).map(str::to_owned)];
    for line in said.into_iter().flatten() {
        writeln!(out, "{name}: {line}")?;
    }
    for line in &scenario.oom {
        writeln!(out, "{name}: does not fit, run as asked: {line}")?;
    }
    Ok(())
}

/// The phase of a scenario's workloads where it was assumed.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_assumed_phase(out: &mut dyn Write, scenario: &Scenario) -> io::Result<()> {
    write_phase(out, &workloads(scenario))
}

/// The same as JSON.
#[must_use]
pub fn setting_json(scenario: &Scenario) -> Value {
    let phases: Vec<Value> = workloads(scenario)
        .into_iter()
        .map(|workload| {
            json!({
                "workload": workload.name,
                "tau": workload.model.experts.tau,
                "phase": workload.phase().word(),
                "phase_assumed": workload.stack.phase.is_none(),
            })
        })
        .collect();
    json!({
        "counted": scenario.counted.word(),
        "seeds": [scenario.seeds.start, scenario.seeds.end],
        "calibration_uncertainty": scenario.calibration_uncertainty,
        "topology": scenario.ingredients.topology,
        "gpu": scenario.topology.gpu().name,
        "profile": scenario.ingredients.profile,
        "profile_borrowed": scenario.profile_borrowed,
        "overheads": scenario.ingredients.overheads,
        "overheads_named": scenario.ingredients.overheads_named,
        "does_not_fit": scenario.oom,
        "workloads": phases,
    })
}
