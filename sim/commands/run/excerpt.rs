//! A stretch of the timeline of one workload of a scenario: it is run again under the first seed.

use crate::base::order::ascending;
use crate::base::units::GpuId;
use crate::config::{Diagnostic, Scenario};
use crate::output::pictures::timeline_chart;
use crate::output::plot::Spans;
use crate::output::report::spoken;
use crate::output::timeline::Timeline;
use crate::studies::study::{self, WhatIf};
use crate::workload::Workload;

/// GPUs that are shown.
const GPUS: usize = 6;

/// What some GPUs do in the middle of a run of this workload: from the one that others wait for to the one that waits
/// most.
///
/// # Errors
/// If the run exceeds representable time.
pub fn excerpt(scenario: &Scenario, workload: &Workload) -> Result<Spans, Diagnostic> {
    let seed = scenario.seeds.start;
    let outcome = study::run(scenario, workload, scenario.overheads, seed)?;
    let gpus = workload.layout.in_use(scenario.topology.gpus());
    let mut by_wait: Vec<u32> = (0..gpus).collect();
    let waited = |gpu: u32| outcome.waited_ms(gpu as usize);
    ascending(&mut by_wait, |&gpu| waited(gpu));
    let last = by_wait.len().saturating_sub(1);
    let shown = (0..GPUS.min(by_wait.len()))
        .map(|at| GpuId(by_wait[at * last / (GPUS.min(by_wait.len()) - 1).max(1)]))
        .collect();
    let mut timeline = Timeline::new(&scenario.topology, shown, workload.layout.expert_group());
    let nothing = WhatIf::NOTHING;
    study::run_if(scenario, workload, scenario.overheads, seed, &nothing, Some(&mut timeline))?;
    let mut slices = timeline.slices().to_vec();
    slices.sort_by_key(|slice| (slice.gpu, slice.from));
    let name = spoken(&workload.name, workload.model.experts.tau);
    Ok(timeline_chart(&slices, &format!("{name}, seed {seed}")))
}
