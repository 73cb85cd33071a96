//! A lower bound on the time of a step, from one layer.
//!
//! ```text
//!   forward     T ≥ (1 − m) · M · (L/P) · t₁            t₁: makespan of one layer of one micro-batch       (1)
//!   training    T ≥ (1 − m) · M · (L/P) · w₁            w₁: a GPU's own work in it, forward and backward    (2)
//!   overlapped  T ≥ (1 − m) · M · (L/P) · f₁            f₁: a GPU's own work in it, forward, undivided       (3)
//! ```
//!
//! with `M` micro-batches and `L/P` layers of a stage; dense layers in front, embedding and output, pipeline bubbles,
//! gradients and the optimiser are left out. The layer has a gate without popular experts, since uneven loads make the
//! slowest GPU no faster. In training exchanges may hide under another pass, and under other parts where a forward pass overlaps them, so that
//! only own work counts. Draws of a
//! gate, and kernels that are faster in larger pieces, can make a real layer a little faster than this one: hence the
//! margin `m`, [`MARGIN`]; `tests/cli/layouts.rs` compares bound and run over a space.

use crate::config::Scenario;
use crate::execution::blame::Reason;
use crate::execution::outcome::{Outcome, TooLong};
use crate::studies::study::{WhatIf, run_if};
use crate::workload::{Origin, Overlap, PipelineSchedule, Popularity, Spread, Workload};

/// What a bound gives away for draws of gates. A stated choice.
pub const MARGIN: f64 = 0.05;

/// Equation (1), (2) or (3), in seconds.
///
/// # Errors
/// If the run exceeds representable time.
pub fn least_secs(scenario: &Scenario, workload: &Workload) -> Result<f64, TooLong> {
    Ok(passes(workload) * layer_secs(scenario, workload)?)
}

/// How often a GPU of the workload goes through a layer, the margin taken off.
pub(super) fn passes(workload: &Workload) -> f64 {
    let of_stage = f64::from(workload.model.layers / workload.layout.pipeline_parallel);
    (1.0 - MARGIN) * f64::from(workload.batch.micro_batches) * of_stage
}

/// `t₁` or `w₁`, in seconds: the same for any number of stages and micro-batches.
pub(super) fn layer_secs(scenario: &Scenario, workload: &Workload) -> Result<f64, TooLong> {
    let mut one = workload.clone();
    one.model.layers = 1;
    one.model.dense.leading_layers = 0;
    one.layout.pipeline_parallel = 1;
    one.batch.micro_batches = 1;
    one.training.chunks = 1;
    one.training.schedule = PipelineSchedule::OneForwardOneBackward;
    one.gating.popularity = Popularity::LogNormal { sd: 0.0 };
    one.gating.spread = Spread::NONE;
    one.gating.origin = Origin::Drawn;
    one.model.vocabulary = 1;
    if scenario.counted.has_backward() {
        // What is done once a step cancels.
        let [first, both] = [1, 2].map(|micro_batches| {
            one.batch.micro_batches = micro_batches;
            own_secs(scenario, &one)
        });
        Ok((both? - first?).max(0.0))
    } else if one.stack.overlap != Overlap::None {
        one.stack.overlap = Overlap::None;
        own_secs(scenario, &one)
    } else {
        Ok(one_run(scenario, &one)?.counted_secs())
    }
}

fn one_run(scenario: &Scenario, one: &Workload) -> Result<Outcome, TooLong> {
    let seed = scenario.seeds.start;
    run_if(scenario, one, scenario.overheads, seed, &WhatIf::NOTHING, None)
}

/// Own work that nothing hides and no other GPU is waited for in, mean over GPUs.
fn own_secs(scenario: &Scenario, one: &Workload) -> Result<f64, TooLong> {
    let outcome = one_run(scenario, one)?;
    let own = [
        Reason::Dense,
        Reason::Gate,
        Reason::Permute,
        Reason::FfnGemm,
        Reason::FfnMemory,
        Reason::FfnIndexing,
        Reason::Launch,
        Reason::Mix,
        Reason::DenseBackward,
        Reason::RoutingBackward,
        Reason::FfnBackward,
        Reason::FfnWeightGradients,
    ];
    Ok(own.map(|reason| outcome.mean_blame_ms(reason)).iter().sum::<f64>() / 1e3)
}
