//! One run, readable aloud.

mod contention;
mod engine;
mod reserved;

pub use contention::{NCCL_SMS, of_exchanges};
use engine::{ASKED_AFTER, Flows, GiveUp};
pub use reserved::ReservedKernels;

use crate::base::streams::Streams;
use crate::base::units::{Bytes, GpuId, SimTime};
use crate::execution::Scope;
use crate::execution::blame::Reason;
use crate::execution::calendar::Calendar;
use crate::execution::cost::{
    CollectiveTimes, Factors, KernelTimes, LayerCost, Overheads, PerturbedKernels, Uncertainty,
    drawn,
};
use crate::execution::lowering::{
    AllToAll, Drawn, Forward, Grid, ParallelGrid, Rebalancing, Replicas, SampledSteps, StepPlanner,
    TrainingStep, draws_of,
};
use crate::execution::machine::{Finished, Machine, Observer, Pace};
use crate::execution::outcome::{Outcome, Sample, TooLong};
use crate::execution::program::{Contention, Program};
use crate::execution::provenance::stands_on;
use crate::gate::Gate;
use crate::network::collective::Algorithm;
use crate::network::fluid::Engine;
use crate::network::{
    ClosedForm, ExchangeBasis, FlowNetwork, Network, NetworkChoice, NetworkReport, Rates,
};
use crate::topology::Topology;
use crate::workload::{Overlap, Phase, Workload};

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
    pub rates: Rates,
    /// SMs that dispatch and combine hold, where the library takes such a number.
    pub exchange_sms: Option<u32>,
    /// What dispatch and combine stand on; none where links are taken at their data sheets.
    pub phases: Option<&'a [ExchangeBasis; 2]>,
    /// How tokens are moved to their experts and back.
    pub all_to_all: Algorithm,
    /// Which engine shares links.
    pub network: NetworkChoice,
    /// What is counted.
    pub counted: Scope,
    /// Standard deviation of the logarithm of what kernels take, from one to the next; 0 for none.
    pub jitter: f64,
    /// Kernels that take no time, for what a run would gain without them.
    pub without: Option<Reason>,
    /// What calibration leaves open: each seed draws one sample of it. None, and every seed takes
    /// predictions as they are.
    pub uncertainty: Option<&'a Uncertainty>,
    /// Steps of a forward pass to simulate in place of all: the outcome is that of these alone ([`Outcome::sample`]).
    /// None, and all are.
    pub steps: Option<&'a SampledSteps>,
    /// What runs of this workload under this seed have drawn before, by the same way of an all-to-all. None, and a
    /// run draws for itself alone.
    pub drawn: Option<&'a Drawn>,
}

/// Why not even one replica of a workload fits into a topology, if none does.
///
/// GPUs that a last, incomplete replica would have idle ([`crate::workload::Layout::in_use`]).
#[must_use]
pub fn misfit(topology: &Topology, workload: &Workload) -> Option<String> {
    let (gpus, layout) = (topology.gpus(), &workload.layout);
    if layout.in_use(gpus) > 0 {
        return None;
    }
    let (experts, stages) = (layout.expert_group(), layout.pipeline_parallel);
    let shared = layout.tensor_parallel * layout.context_parallel;
    let groups = if shared > 1 {
        format!("groups of {experts} for experts and {shared} for tensors and contexts")
    } else {
        format!("groups of {experts}")
    };
    let (replica, s) = (layout.replica(), if stages == 1 { "" } else { "s" });
    Some(format!(
        "not even one replica fits: {stages} pipeline stage{s} of {groups} take {replica} GPUs, and there are {gpus}"
    ))
}

/// GPUs that a run uses: those of whole replicas.
fn in_use(inputs: &Inputs<'_>) -> u32 {
    inputs.workload.layout.in_use(inputs.topology.gpus())
}

/// Runs `inputs` under `seed`: a function of its arguments and nothing else.
///
/// Where the engine is to be chosen, the run is made with the closed form, and made again with flows
/// that share links if the closed form is neither certified nor measured to be within ε (given up after a few
/// exchanges where that is plain by then), unless there
/// are more than [`engine::MOST_FLOWS`]: then the outcome says what was measured.
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
    let perturbation =
        inputs.uncertainty.map_or(Factors::ONE, |open| open.draw(open.streams(seed)));
    let kernels = PerturbedKernels::new(inputs.kernels, perturbation);
    let rates = match inputs.uncertainty {
        Some(open) => drawn(inputs.rates, inputs.phases, &perturbation, open.streams(seed)),
        None => inputs.rates,
    };
    // What flaps is up or down for the whole run.
    let flapped =
        (!inputs.topology.flapping().is_empty()).then(|| inputs.topology.drawn(Streams::new(seed)));
    let topology = flapped.as_ref().unwrap_or(inputs.topology);
    let kernels = ReservedKernels::new(&kernels, topology.gpu().sms, reserved_sms(inputs));
    let drawn = Inputs { topology, kernels: &kernels, rates, ..*inputs };
    // An observer that lives longer than the drawn kernels is lent for as long as they live.
    simulate_perturbed(&drawn, seed, observer.map(|observer| observer as &mut dyn Observer))
}

/// SMs that an exchange library keeps from kernels for the whole step. Products of decode are bound by memory.
fn reserved_sms(inputs: &Inputs<'_>) -> u32 {
    let stack = &inputs.workload.stack;
    let reserved = stack.reserved && inputs.workload.phase() != Phase::Decode;
    if reserved { stack.sms.unwrap_or_default() } else { 0 }
}

/// A run whose kernels and rates are those of one calibration sample, with the engine asked for or chosen.
fn simulate_perturbed<'a>(
    inputs: &'a Inputs<'a>,
    seed: u64,
    observer: Option<&'a mut dyn Observer>,
) -> Result<Outcome, TooLong> {
    if let Some(engine) = inputs.network.engine {
        return run_with(engine, inputs, seed, observer);
    }
    // The second run draws what the first did. There is none where nothing is sent.
    let (own, sends) = (Drawn::default(), inputs.counted != Scope::Experts);
    let inputs = &Inputs { drawn: inputs.drawn.or(sends.then_some(&own)), ..*inputs };
    // An observer receives one run only, so the choice is made without it.
    let tolerated = inputs.network.on_average;
    let flows = Flows::of(inputs);
    let early = |so_far: &NetworkReport| flows.better_engine_early(so_far);
    let tried = run_watched(Engine::ClosedForm, inputs, seed, (None, &early))?;
    let better = match &tried {
        Tried::Whole(outcome) => flows.better_engine(&outcome.network_report, tolerated),
        Tried::GivenUp(engine) => Some(*engine),
    };
    match (tried, better, observer) {
        (Tried::Whole(outcome), None, None) => Ok(*outcome),
        (_, better, observer) => {
            let observer = observer.map(|observer| observer as &mut dyn Observer);
            run_with(better.unwrap_or(Engine::ClosedForm), inputs, seed, observer)
        }
    }
}

/// What became of a run that was tried under the closed form.
enum Tried {
    Whole(Box<Outcome>),
    /// It was given up, since flows will have to be shared by this engine.
    GivenUp(Engine),
}

fn run_with<'a>(
    engine: Engine,
    inputs: &'a Inputs<'a>,
    seed: u64,
    observer: Option<&'a mut dyn Observer>,
) -> Result<Outcome, TooLong> {
    match run_watched(engine, inputs, seed, (observer, &|_| None))? {
        Tried::Whole(outcome) => Ok(*outcome),
        Tried::GivenUp(_) => unreachable!("a run that nobody watches is not given up"),
    }
}

fn run_watched<'a>(
    engine: Engine,
    inputs: &'a Inputs<'a>,
    seed: u64,
    (observer, give_up): (Option<&'a mut dyn Observer>, GiveUp<'_>),
) -> Result<Tried, TooLong> {
    let (workload, network) = (inputs.workload, network(engine, inputs));
    let misfit = misfit(inputs.topology, workload);
    assert!(misfit.is_none(), "{misfit:?}");
    let paces = paces(inputs, seed);
    let executed = if inputs.counted.has_backward() {
        let program = training_step(inputs, planner(inputs, workload, seed));
        let executed = execute(program, paces, (network, observer), give_up)?;
        executed.map(|(finished, program)| (finished, program.totals()))
    } else {
        let part = workload.batch_part();
        let program = forward(inputs, planner(inputs, &part, seed));
        let executed = execute(program, paces, (network, observer), give_up)?;
        executed.map(|(finished, program)| (finished, program.totals()))
    };
    let finished = match executed {
        Ok(finished) => finished,
        Err(engine) => return Ok(Tried::GivenUp(engine)),
    };
    let sample = sample(inputs, &finished.0);
    let outcome = Outcome::of(finished, inputs.counted, tokens(inputs), seed)?;
    let (part, of) = (workload.batch_part(), (inputs.counted, inputs.phases));
    let stands_on = stands_on(&part, inputs.kernels, of, &outcome.blame);
    let whole = inputs.counted == Scope::TrainingStep;
    let gate_draws = if whole { draws_of(inputs.topology, workload) } else { None };
    Ok(Tried::Whole(Box::new(Outcome { stands_on, gate_draws, sample, ..outcome })))
}

/// What each unit took, where a sample of the run was simulated.
fn sample(inputs: &Inputs<'_>, finished: &Finished) -> Option<Sample> {
    let group = inputs.workload.layout.expert_group();
    inputs.steps.map(|steps| Sample::of(finished, inputs.counted, (steps, group)))
}

/// The pace of each GPU that is used; none where all take what is planned.
fn paces(inputs: &Inputs<'_>, seed: u64) -> Vec<Pace> {
    let slow = inputs.topology.slow_gpus();
    if inputs.jitter <= 0.0 && slow.is_empty() && inputs.without.is_none() {
        return Vec::new();
    }
    let gpus = (0..in_use(inputs)).map(GpuId);
    let health = |gpu: GpuId| slow.get(&gpu).copied().unwrap_or(1.0);
    let pace = |gpu| Pace::of(gpu, health(gpu), inputs.jitter, Streams::new(seed));
    gpus.map(|gpu| pace(gpu).without(inputs.without)).collect()
}

/// What plans each layer's steps.
fn planner<'a>(inputs: &'a Inputs<'a>, workload: &'a Workload, seed: u64) -> StepPlanner<'a> {
    let (algorithm, gpus_per_node) = (inputs.all_to_all, inputs.topology.gpus_per_node());
    let gate = move |of: &Workload| {
        let gate = Gate::new(of, Streams::new(seed));
        if algorithm == Algorithm::Direct { gate } else { gate.keeping_tokens() }
    };
    let rebalancing =
        Rebalancing::new(inputs.workload, inputs.topology, inputs.rates.other, inputs.kernels);
    let planner = StepPlanner::new(
        workload,
        inputs.counted,
        // Plans of places go by the loads of all tokens.
        move || gate(inputs.workload),
        LayerCost::new(workload, inputs.kernels, inputs.overheads),
        AllToAll { algorithm, gpus_per_node },
        inputs.kernels,
    )
    .with_drawn(inputs.drawn)
    .with_rebalancing(rebalancing)
    .with_shared_products(&collectives(inputs))
    .with_split_experts(collectives(inputs));
    match inputs.workload.stack.overlap {
        Overlap::None | Overlap::SingleBatch => planner,
        overlap => {
            let chunks = matches!(overlap, Overlap::Chunks(_));
            planner.in_parts(gate(&inputs.workload.exchanged_part()), overlap.parts(), chunks)
        }
    }
}

fn collectives<'a>(inputs: &'a Inputs<'a>) -> CollectiveTimes<'a> {
    CollectiveTimes::new(inputs.kernels, inputs.topology, inputs.rates.other)
}

/// A training step as a program.
fn training_step<'a>(inputs: &'a Inputs<'a>, planner: StepPlanner<'a>) -> TrainingStep<'a> {
    let (workload, topology) = (inputs.workload, inputs.topology);
    let grid = Grid {
        gpus: in_use(inputs),
        group: workload.layout.expert_group(),
        split: workload.layout.expert_tensor_parallel,
        stages: workload.layout.pipeline_parallel,
    };
    let whole = inputs.counted == Scope::TrainingStep;
    let replicas = Replicas::new(
        workload,
        (inputs.kernels, collectives(inputs)),
        (grid.gpus / grid.stages, whole),
        |bytes, time| contention::of_collective(topology, bytes, time),
    );
    let draws = if whole { draws_of(topology, workload) } else { None };
    let cut_contention = contention::of_cut(inputs, collectives(inputs));
    TrainingStep::new(grid, workload, planner, replicas, (contention::of_run(inputs), draws))
        .with_cut_contention(cut_contention)
}

/// A forward pass as a program.
fn forward<'a>(inputs: &'a Inputs<'a>, planner: StepPlanner<'a>) -> Forward<'a> {
    let workload = inputs.workload;
    let contention = match workload.stack.overlap {
        Overlap::None => [Contention::NONE; 2],
        _ => contention::of_run(inputs),
    };
    let single = workload.stack.overlap == Overlap::SingleBatch;
    let last_product = single.then(|| if workload.model.gated { 1.0 / 3.0 } else { 0.5 });
    Forward::new(grid(inputs), planner, contention)
        .with_last_product(last_product)
        .with_cut_contention(contention::of_cut(inputs, collectives(inputs)))
        .of_steps(inputs.steps)
}

/// Executes a program to its end, or until `give_up` names the engine to take instead.
fn execute<'a, P: Program>(
    program: P,
    paces: Vec<Pace>,
    (network, observer): (Box<dyn Network + 'a>, Option<&'a mut dyn Observer>),
    give_up: GiveUp<'_>,
) -> Result<Result<(Finished, P), Engine>, TooLong> {
    let mut calendar = Calendar::new();
    let mut machine = Machine::new(program, network, observer);
    if !paces.is_empty() {
        machine = machine.with_paces(paces);
    }
    if machine.run_in_lockstep() {
        return Ok(Ok(machine.finish()));
    }
    machine.start(calendar.schedule());
    let mut events = 0_u64;
    while let Some(event) = calendar.next() {
        if calendar.now() == SimTime::MAX {
            return Err(TooLong);
        }
        machine.handle(event, calendar.schedule());
        events += 1;
        if events.is_multiple_of(ASKED_AFTER)
            && let Some(engine) = give_up(&machine.network_report())
        {
            return Ok(Err(engine));
        }
    }
    Ok(Ok(machine.finish()))
}

/// Tokens that a run yields: those of the first stage's GPUs, without drafts that are not accepted.
fn tokens(inputs: &Inputs<'_>) -> f64 {
    let (batch, layout) = (&inputs.workload.batch, &inputs.workload.layout);
    let first_stage = u64::from(in_use(inputs) / layout.pipeline_parallel);
    let computed = first_stage * u64::from(batch.tokens_per_gpu) * u64::from(batch.micro_batches);
    computed as f64 * inputs.workload.yielded_share()
}

fn grid(inputs: &Inputs<'_>) -> ParallelGrid {
    let workload = inputs.workload;
    let stages = workload.layout.pipeline_parallel;
    let micro_batch_bytes =
        Bytes(u64::from(workload.batch.tokens_per_gpu) * workload.token_bytes().0);
    let waits = stages > 1 && inputs.counted == Scope::ModelForward;
    let whole =
        [workload.layers_per_gpu() * workload.gating.scheme.rounds(), workload.batch.micro_batches];
    let [layers, micro_batches] =
        inputs.steps.map_or(whole, |sample| [sample.in_unit, sample.simulated()]);
    ParallelGrid {
        gpus: in_use(inputs),
        group: workload.layout.expert_group(),
        split: workload.layout.expert_tensor_parallel,
        stages,
        layers,
        micro_batches,
        overlap: workload.stack.overlap,
        dispatches: inputs.counted != Scope::Experts,
        handover: waits.then_some(micro_batch_bytes),
    }
}

fn network<'a>(engine: Engine, inputs: &Inputs<'a>) -> Box<dyn Network + 'a> {
    let (topology, rates) = (inputs.topology, inputs.rates);
    match engine {
        Engine::ClosedForm => {
            let of = |steps: &SampledSteps| f64::from(steps.simulated()) / f64::from(steps.units);
            Box::new(ClosedForm::new(topology, rates).of_share(inputs.steps.map_or(1.0, of)))
        }
        Engine::Exact => Box::new(FlowNetwork::new(topology, rates)),
        Engine::Quantised => {
            Box::new(FlowNetwork::new(topology, rates).quantised(inputs.network.epsilon))
        }
    }
}
