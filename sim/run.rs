//! One run, readable aloud.

use crate::calendar::Calendar;
use crate::cost::{Drawn, Factors, KernelTimes, LayerCost, Overheads, Uncertainty};
use crate::gate::Gate;
use crate::machine::{Counted, Course, Machine, Observer, StepPlanner};
use crate::network::{Network, NetworkRates};
use crate::outcome::{Outcome, TooLong};
use crate::streams::Streams;
use crate::topology::Topology;
use crate::units::{Bytes, SimTime};
use crate::workload::Workload;

/// Everything that decides what a run does, but the seed.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// The cluster, as on data sheets.
    pub topology: &'a Topology,
    /// What is computed. Its layout fits the topology (see [`misfit`]).
    pub workload: &'a Workload,
    /// What kernels take.
    pub kernels: &'a dyn KernelTimes,
    /// What a loop over experts costs beyond its kernels.
    pub overheads: Overheads,
    /// What links deliver.
    pub rates: NetworkRates,
    /// What is counted.
    pub counted: Counted,
    /// What calibration leaves open: each seed draws one world from it. None, and every seed takes
    /// predictions as they are.
    pub uncertainty: Option<&'a Uncertainty>,
}

/// Why a workload's layout does not fit a topology, if it does not.
#[must_use]
pub fn misfit(topology: &Topology, workload: &Workload) -> Option<String> {
    let (gpus, layout) = (topology.gpus(), &workload.layout);
    let (experts, stages) = (layout.expert_parallel, layout.pipeline_parallel);
    let fits = u64::from(gpus).is_multiple_of(u64::from(experts) * u64::from(stages));
    (!fits).then(|| {
        format!(
            "{gpus} GPUs cannot be divided into {stages} pipeline stages of groups of {experts} \
             GPUs"
        )
    })
}

/// Runs `inputs` under `seed`: a function of its arguments and nothing else.
///
/// # Errors
/// If the simulated time exceeds what can be represented (213 days).
///
/// # Panics
/// If the workload's layout does not fit the topology; see [`misfit`].
pub fn simulate(inputs: &Inputs<'_>, seed: u64) -> Result<Outcome, TooLong> {
    simulate_observed(inputs, seed, None)
}

/// As [`simulate`], telling `observer` of every fact.
///
/// # Errors
/// If the simulated time exceeds what can be represented (213 days).
pub fn simulate_observed<'a>(
    inputs: &'a Inputs<'a>,
    seed: u64,
    observer: Option<&'a mut dyn Observer>,
) -> Result<Outcome, TooLong> {
    let world = inputs.uncertainty.map_or(Factors::ONE, |open| open.draw(Streams::new(seed)));
    let kernels = Drawn::new(inputs.kernels, world);
    let drawn = Inputs { kernels: &kernels, rates: world.on(inputs.rates), ..*inputs };
    // An observer that lives longer than the drawn kernels is lent for as long as they live.
    in_world(&drawn, seed, observer.map(|observer| observer as &mut dyn Observer))
}

/// A run whose kernels and rates are those of one world.
fn in_world<'a>(
    inputs: &'a Inputs<'a>,
    seed: u64,
    observer: Option<&'a mut dyn Observer>,
) -> Result<Outcome, TooLong> {
    let misfit = misfit(inputs.topology, inputs.workload);
    assert!(misfit.is_none(), "{misfit:?}");
    let workload = inputs.workload;
    let mut calendar = Calendar::new();
    let mut machine = Machine::new(
        course(inputs),
        StepPlanner::new(
            workload,
            inputs.counted,
            Gate::new(workload, Streams::new(seed)),
            LayerCost::new(workload, inputs.kernels, inputs.overheads),
            inputs.kernels,
        ),
        network(inputs),
        observer,
    );
    machine.start(calendar.schedule());
    while let Some(event) = calendar.next() {
        if calendar.now() == SimTime::MAX {
            return Err(TooLong);
        }
        machine.handle(event, calendar.schedule());
    }
    Outcome::of(machine.finish(), inputs.counted, tokens(inputs), seed)
}

/// Tokens that go through the model: those of the first stage's GPUs.
fn tokens(inputs: &Inputs<'_>) -> u64 {
    let (batch, layout) = (&inputs.workload.batch, &inputs.workload.layout);
    let first_stage = u64::from(inputs.topology.gpus() / layout.pipeline_parallel);
    first_stage * u64::from(batch.tokens_per_gpu) * u64::from(batch.micro_batches)
}

fn course(inputs: &Inputs<'_>) -> Course {
    let workload = inputs.workload;
    let stages = workload.layout.pipeline_parallel;
    let micro_batch_bytes =
        Bytes(u64::from(workload.batch.tokens_per_gpu) * workload.token_bytes().0);
    let waits = stages > 1 && inputs.counted == Counted::ModelForward;
    Course {
        gpus: inputs.topology.gpus(),
        group: workload.layout.expert_parallel,
        stages,
        layers: workload.layers_per_gpu() * workload.gating.scheme.rounds(),
        micro_batches: workload.batch.micro_batches,
        dispatches: inputs.counted != Counted::Experts,
        handover: waits.then_some(micro_batch_bytes),
    }
}

fn network<'a>(inputs: &Inputs<'a>) -> Box<dyn Network + 'a> {
    Box::new(crate::network::ClosedForm::new(inputs.topology, inputs.rates))
}
