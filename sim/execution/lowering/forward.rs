//! A forward pass: every micro-batch through every layer, one after another.
//!
//! GPUs form groups that share one copy of the FFN experts. For each micro-batch and layer:
//!
//! ```text
//!  gate, permute ─ join ┄┄┄┄ dispatch ┄┄┄┄ FFN experts ─ join ┄┄ combine ┄┄ mix ─ next layer
//!                    └─ zero-computation experts ─┘ (what sticks out runs before the FFN experts)
//! ```
//!
//! Where exchanges overlap (`workload::Overlap`), the parts of a micro-batch take turns, and what exchanges hold of a GPU
//! slows its kernels down. The halves A and B of a micro-batch, and the chunks 1 and 2 of a layer's slots:
//!
//! ```text
//!  two-batch   mix A₋₁, attention … permute A │ mix B₋₁, attention … permute B │ experts A │ experts B │ mix A …
//!                                             └┄┄┄┄┄┄┄┄┄┄ dispatch A ┄┄┄┄┄┄┄┄┄┘└ dispatch B ┘└ combine A ┘└ combine B ┄
//!  chunks      attention … permute │            experts 1 │ experts 2 │            mix
//!                                  └ dispatch 1 ┘└ dispatch 2 ┘└ combine 1 ┘└ combine 2 ┘
//!  single-batch  … permute │            first products │ last product │ mix
//!                          └ dispatch ┘                └┄┄┄ combine ┄┄┘
//! ```
//!
//! Single-batch overlap lets the first block of rows set out when the last product begins, and takes no notice that the
//! last one sets out only when it ends: a bound from below, by what one block of rows takes to travel. The last product is
//! one of three of equal size where experts are gated, else one of two.
//!
//! Where experts are cut over GPUs (`step::split`), a dispatch is followed by the cut's gather, a combine by none: it
//! follows the cut's scatter.
//!
//! The exchanges of a GPU run one after another. Between two micro-batches nothing overlaps.
//!
//! With pipeline stages, a GPU that has finished a micro-batch sends its tokens to the GPU of the
//! same rank in the next stage and goes on; that one waits for them.

mod lockstep;
mod meetings;

use super::{
    At, ExchangePhase, ParallelGrid, SampledSteps, Step, StepMeeting, StepPlanner, Totals,
};
use crate::base::units::{GpuId, SimDuration};
use crate::execution::blame::{Op, Reason};
use crate::execution::program::{
    After, Command, Contention, Fill, Lockstep, Meeting, MeetingId, Program, Stream, Work,
};
use crate::workload::Overlap;

/// A forward pass as a program.
pub struct Forward<'a> {
    grid: ParallelGrid,
    planner: StepPlanner<'a>,
    /// Which step each GPU comes to next, counting layers and micro-batches together.
    next: Vec<u32>,
    /// For each group, the steps that some member is at.
    in_flight: Vec<Vec<InFlight>>,
    /// Of each GPU, the parts whose results are on their way back, and what follows on them.
    returning: Vec<Vec<Returning>>,
    /// What dispatch and combine and kernels beside them take of each other.
    contention: [Contention; 2],
    /// The same of gathers and scatters of cuts.
    cut_contention: Contention,
    /// The share of the time of experts' products that the last takes, where results travel beside it.
    last_product: Option<f64>,
    /// Steps that are simulated in place of all.
    sample: Option<&'a SampledSteps>,
    /// Memory of a step: after what each part's experts run.
    arrived: Vec<[Option<After>; 2]>,
}

/// What a GPU does once the results of a part are back.
struct Returning {
    part: u32,
    /// The end of the scatter before the combine, if there is one, and of the combine.
    back: [Option<After>; 2],
    after: Vec<Op>,
}

/// A part of a step of a group under way.
struct InFlight {
    number: u32,
    part: u32,
    plan: Step,
    /// Meetings that have not been adjourned.
    left: usize,
}

impl<'a> Forward<'a> {
    /// The forward pass that a planner plans on these GPUs, whose dispatch and combine contend so with kernels beside them.
    #[must_use]
    pub fn new(grid: ParallelGrid, planner: StepPlanner<'a>, contention: [Contention; 2]) -> Self {
        let in_flight = (0..grid.gpus / grid.group).map(|_| Vec::new()).collect();
        let returning = (0..grid.gpus).map(|_| Vec::new()).collect();
        let next = vec![0; grid.gpus as usize];
        Self {
            grid,
            planner,
            next,
            in_flight,
            returning,
            contention,
            cut_contention: Contention::NONE,
            last_product: None,
            sample: None,
            arrived: Vec::new(),
        }
    }

    /// The same whose results travel back while experts compute their last product, which takes this share.
    #[must_use]
    pub const fn with_last_product(mut self, share: Option<f64>) -> Self {
        self.last_product = share;
        self
    }

    /// The same whose experts are cut over GPUs that gather and scatter with this contention.
    #[must_use]
    pub const fn with_cut_contention(mut self, contention: Contention) -> Self {
        self.cut_contention = contention;
        self
    }

    /// The same of these steps alone, where they are given: the grid has their units for micro-batches.
    #[must_use]
    pub const fn of_steps(mut self, sample: Option<&'a SampledSteps>) -> Self {
        self.sample = sample;
        self
    }

    /// What the gate has decided.
    #[must_use]
    pub fn totals(self) -> Totals {
        self.planner.totals()
    }

    /// A part of a step of a group, planned when its first member comes to it.
    fn in_flight(&mut self, group: usize, (number, part): (u32, u32)) -> &mut InFlight {
        let steps = &self.in_flight[group];
        let found = steps.iter().position(|step| step.number == number && step.part == part);
        let at = found.unwrap_or_else(|| {
            let plan = self.plan(group, (number, part));
            let left = if self.grid.dispatches { plan.meetings() } else { 1 };
            self.in_flight[group].push(InFlight { number, part, plan, left });
            self.in_flight[group].len() - 1
        });
        &mut self.in_flight[group][at]
    }

    fn plan(&mut self, group: usize, (number, part): (u32, u32)) -> Step {
        let first_gpu = self.grid.gpu(group, 0);
        let stage = self.grid.stage(first_gpu);
        let (micro_batch, round) = self.micro_batch_and_round(number, stage);
        let groups_per_stage = self.grid.gpus_per_stage() / self.grid.group;
        let group = group as u32 % groups_per_stage;
        let at = At { round, micro_batch, group, part, backward: false, opens: micro_batch == 0 };
        self.planner.plan(at, first_gpu)
    }

    /// Which micro-batch a step is of, and which round of the whole model on a stage.
    fn micro_batch_and_round(&self, number: u32, stage: u32) -> (u32, u32) {
        let layers = self.grid.layers;
        let Some(sample) = self.sample else {
            return (number / layers, stage * layers + number % layers);
        };
        let [micro_batch, round] = sample.steps[number as usize];
        (micro_batch, stage * sample.rounds + round)
    }

    /// Waits for a micro-batch of the stage before, at its first layer.
    fn receive(&self, gpu: GpuId, number: u32, streams: &mut dyn Fill) -> Option<After> {
        let waits = self.grid.handover.is_some() && self.grid.stage(gpu) > 0;
        if !waits || !number.is_multiple_of(self.grid.layers) {
            return None;
        }
        let work = Work::Receive { number: u64::from(number / self.grid.layers) };
        Some(streams.push(Stream::Receive, Command { work, after: None, awaited: true }))
    }

    /// Sends a finished micro-batch on to the next stage, if there is one that waits for it.
    fn send(&self, gpu: GpuId, number: u32, after: After, streams: &mut dyn Fill) {
        let Some(bytes) = self.grid.handover.filter(|_| self.hands_over(gpu, number)) else {
            return;
        };
        let to = GpuId(gpu.0 + self.grid.gpus_per_stage());
        let work = Work::Send { to, bytes, number: u64::from(number / self.grid.layers) };
        streams.push(Stream::Send, Command { work, after: Some(after), awaited: false });
    }

    /// Whether a step is the last of a micro-batch on this stage.
    const fn ends(&self, number: u32) -> bool {
        (number + 1).is_multiple_of(self.grid.layers)
    }

    /// Whether a step is the last of a micro-batch that another stage waits for.
    fn hands_over(&self, gpu: GpuId, number: u32) -> bool {
        let waits = self.grid.handover.is_some() && self.grid.stage(gpu) + 1 < self.grid.stages;
        self.ends(number) && waits
    }

    /// What a GPU does before a part's tokens leave, and their dispatch; or its experts, where nothing is sent.
    /// Says after what the part's experts run: the dispatch, and the gather behind it where experts are cut.
    fn open(
        &mut self,
        gpu: GpuId,
        (number, part): (u32, u32),
        after: Option<After>,
        streams: &mut dyn Fill,
    ) -> [Option<After>; 2] {
        let (group, rank) = self.grid.group_and_rank(gpu);
        let mut before = streams.ops();
        before.extend_from_slice(self.in_flight(group, (number, part)).plan.before(rank));
        if !self.grid.dispatches {
            let experts = self.in_flight(group, (number, part)).plan.experts(rank);
            before.extend_from_slice(experts);
        }
        let ready = streams.push(Stream::Compute, own(before, after, true));
        if !self.grid.dispatches {
            return [None, Some(ready)];
        }
        self.send_out(gpu, (number, part), ready, streams)
    }

    /// What a GPU does for the slots of a part that reached it, and their combine.
    fn work(
        &mut self,
        gpu: GpuId,
        (number, part): (u32, u32),
        [dispatched, arrived]: [Option<After>; 2],
        streams: &mut dyn Fill,
    ) {
        let (group, rank) = self.grid.group_and_rank(gpu);
        let dispatches = self.grid.dispatches;
        let plan = &self.in_flight(group, (number, part)).plan;
        let [mut local, mut experts, mut after] = std::array::from_fn(|_| streams.ops());
        after.extend_from_slice(plan.after(rank));
        let computed = if dispatches {
            local.extend_from_slice(plan.local(rank));
            experts.extend_from_slice(plan.experts(rank));
            let covered = Command { work: Work::Covered(local), after: None, awaited: false };
            streams.push(Stream::Compute, covered);
            await_each(dispatched, streams);
            let last = self.last_product.map(|share| last_product(&mut experts, share));
            let sends = streams.push(Stream::Compute, own(experts, arrived, true));
            if let Some(last) = last {
                streams.push(Stream::Compute, own(last, None, false));
            }
            Some(sends)
        } else {
            arrived
        };
        let Some(computed) = computed else { return };
        let back = if dispatches {
            self.send_back(gpu, (number, part), computed, streams)
        } else {
            let of = StepMeeting::Exchange(ExchangePhase::Combine);
            [None, Some(self.join(gpu, (number, part, of), computed, streams))]
        };
        self.returning[gpu.index()].push(Returning { part, back, after });
    }

    /// What a GPU does once a part's results are back; its end.
    fn close(
        &mut self,
        gpu: GpuId,
        part: u32,
        awaited: bool,
        streams: &mut dyn Fill,
    ) -> Option<After> {
        let returning = &mut self.returning[gpu.index()];
        let at = returning.iter().position(|one| one.part == part)?;
        let Returning { back: [scattered, back], after, .. } = returning.swap_remove(at);
        await_each(scattered, streams);
        Some(streams.push(Stream::Compute, own(after, back, awaited)))
    }
}

/// Takes the last product's share of experts' products out of their work.
fn last_product(experts: &mut [Op], share: f64) -> Vec<Op> {
    let products = experts.iter_mut().filter(|op| op.reason == Reason::FfnGemm);
    let taken = products.map(|op| {
        let time = op.time.scaled(share);
        op.time = op.time.saturating_sub(time);
        Op { time, ..*op }
    });
    taken.collect()
}

/// Waits on the compute stream for the first of two meetings in turn, so that each is blamed for its own time.
fn await_each(first: Option<After>, streams: &mut dyn Fill) {
    if first.is_some() {
        streams.push(Stream::Compute, own(Vec::new(), first, false));
    }
}

const fn own(work: Vec<Op>, after: Option<After>, awaited: bool) -> Command {
    Command { work: Work::Compute(work), after, awaited }
}

impl Program for Forward<'_> {
    fn gpus(&self) -> u32 {
        self.grid.gpus
    }

    fn next(&mut self, gpu: GpuId, streams: &mut dyn Fill) -> bool {
        let number = self.next[gpu.index()];
        if number == self.grid.steps() {
            return false;
        }
        self.next[gpu.index()] += 1;
        let parts = self.grid.overlap.parts();
        let takes_turns = self.grid.overlap == Overlap::TwoBatch;
        let mut received = self.receive(gpu, number, streams);
        let mut arrived = std::mem::take(&mut self.arrived);
        for part in 0..parts {
            self.close(gpu, part, false, streams);
            arrived.push(self.open(gpu, (number, part), received.take(), streams));
        }
        for (part, arrived) in (0..parts).zip(arrived.drain(..)) {
            self.work(gpu, (number, part), arrived, streams);
        }
        self.arrived = arrived;
        if takes_turns && !self.ends(number) {
            return true;
        }
        let hands_over = self.hands_over(gpu, number);
        let mut mixed = None;
        for part in 0..parts {
            let last = part + 1 == parts;
            mixed = self.close(gpu, part, last && hands_over, streams);
        }
        if let Some(mixed) = mixed {
            self.send(gpu, number, mixed, streams);
        }
        true
    }

    fn meeting(&mut self, meeting: MeetingId) -> Meeting {
        let (group, part_of_step, of) = self.of_meeting(meeting);
        let first = self.grid.gpu(group, 0);
        if !self.grid.dispatches {
            // Nothing is sent: members wait for each other alone.
            let members = (first.0..first.0 + self.grid.group).map(GpuId).collect();
            return Meeting::Collective { members, time: SimDuration::ZERO };
        }
        self.in_flight(group, part_of_step).plan.meeting(of, first)
    }

    fn ends_unit(&self, meeting: MeetingId) -> Option<usize> {
        self.sample?;
        let (group, (number, part), of) = self.of_meeting(meeting);
        let last = self.ends(number) && part + 1 == self.grid.overlap.parts();
        (last && of == StepMeeting::Exchange(ExchangePhase::Combine)).then_some(group)
    }

    fn adjourned(&mut self, meeting: MeetingId) {
        let (group, (number, part), _) = self.of_meeting(meeting);
        let step = self.in_flight(group, (number, part));
        step.left -= 1;
        if step.left > 0 {
            return;
        }
        let steps = &mut self.in_flight[group];
        if let Some(at) = steps.iter().position(|step| (step.number, step.part) == (number, part)) {
            let step = steps.swap_remove(at);
            self.planner.recycle(step.plan);
        }
    }

    fn in_lockstep(&self) -> Option<usize> {
        self.goes_in_lockstep().then_some(self.in_flight.len())
    }

    fn next_in_lockstep(&mut self, group: usize, gpus: &mut dyn Lockstep) -> bool {
        self.step_in_lockstep(group, gpus)
    }
}
