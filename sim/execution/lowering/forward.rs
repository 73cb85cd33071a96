//! A forward pass: every micro-batch through every layer, one after another.
//!
//! GPUs form groups that share one copy of the FFN experts. For each micro-batch and layer:
//!
//! ```text
//!  gate, permute ─ join ┄┄┄┄ dispatch ┄┄┄┄ FFN experts ─ join ┄┄ combine ┄┄ mix ─ next layer
//!                    └─ zero-computation experts ─┘ (what sticks out runs before the FFN experts)
//! ```
//!
//! With pipeline stages, a GPU that has finished a micro-batch sends its tokens to the GPU of the
//! same rank in the next stage and goes on; that one waits for them.

use super::{At, ExchangePhase, ParallelGrid, Step, StepPlanner, Totals};
use crate::base::units::GpuId;
use crate::execution::blame::{Op, Reason};
use crate::execution::program::{
    After, Command, Fill, Meeting, MeetingId, Program, Slowdown, Stream, Work,
};

/// A forward pass as a program.
pub struct Forward<'a> {
    grid: ParallelGrid,
    planner: StepPlanner<'a>,
    /// Which step each GPU comes to next, counting layers and micro-batches together.
    next: Vec<u32>,
    /// For each group, the steps that some member is at.
    in_flight: Vec<Vec<InFlight>>,
}

/// A step of a group under way.
struct InFlight {
    number: u32,
    plan: Step,
    /// Meetings that have not been adjourned.
    left: u8,
}

impl<'a> Forward<'a> {
    /// The forward pass that a planner plans on these GPUs.
    #[must_use]
    pub fn new(grid: ParallelGrid, planner: StepPlanner<'a>) -> Self {
        let groups = (0..grid.gpus / grid.group).map(|_| Vec::new()).collect();
        Self { grid, planner, next: vec![0; grid.gpus as usize], in_flight: groups }
    }

    /// What the gate has decided.
    #[must_use]
    pub fn totals(self) -> Totals {
        self.planner.totals()
    }

    /// The step of a group, planned when its first member comes to it.
    fn in_flight(&mut self, group: usize, number: u32) -> &mut InFlight {
        let found = self.in_flight[group].iter().position(|step| step.number == number);
        let at = found.unwrap_or_else(|| {
            let first_gpu = self.grid.gpu(group, 0);
            let stage = self.grid.stage(first_gpu);
            let layer = stage * self.grid.layers + number % self.grid.layers;
            let groups_per_stage = self.grid.gpus_per_stage() / self.grid.group;
            let group_in_stage = group as u32 % groups_per_stage;
            let micro_batch = number / self.grid.layers;
            let opens = micro_batch == 0;
            let at =
                At { round: layer, micro_batch, group: group_in_stage, backward: false, opens };
            let plan = self.planner.plan(at, first_gpu);
            let left = if self.grid.dispatches { 2 } else { 1 };
            self.in_flight[group].push(InFlight { number, plan, left });
            self.in_flight[group].len() - 1
        });
        &mut self.in_flight[group][at]
    }

    /// The exchange of a step, joined on the exchange stream after own work.
    fn join(
        &self,
        (group, rank): (usize, usize),
        (number, phase): (u32, ExchangePhase),
        after: After,
        streams: &mut dyn Fill,
    ) -> After {
        let reasons = match phase {
            ExchangePhase::Dispatch => [Reason::DispatchWait, Reason::Dispatch],
            ExchangePhase::Combine => [Reason::CombineWait, Reason::Combine],
        };
        let meeting = self.meeting_of(group, number, phase);
        let work = Work::Join { meeting, rank, reasons, slowdown: Slowdown::NONE };
        streams.push(Stream::Exchange, Command { work, after: Some(after), awaited: true })
    }

    fn meeting_of(&self, group: usize, number: u32, phase: ExchangePhase) -> MeetingId {
        let step = group as u64 * u64::from(self.grid.steps()) + u64::from(number);
        MeetingId(2 * step + phase as u64)
    }

    fn of_meeting(&self, MeetingId(id): MeetingId) -> (usize, u32, ExchangePhase) {
        let steps = u64::from(self.grid.steps());
        let (group, number) = (id / 2 / steps, id / 2 % steps);
        let both = [ExchangePhase::Dispatch, ExchangePhase::Combine];
        (group as usize, number as u32, both[(id % 2) as usize])
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

    /// Whether a step is the last of a micro-batch that another stage waits for.
    fn hands_over(&self, gpu: GpuId, number: u32) -> bool {
        let last = (number + 1).is_multiple_of(self.grid.layers);
        last && self.grid.handover.is_some() && self.grid.stage(gpu) + 1 < self.grid.stages
    }
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
        let (group, rank) = self.grid.group_and_rank(gpu);
        let dispatches = self.grid.dispatches;
        let received = self.receive(gpu, number, streams);
        let hands_over = self.hands_over(gpu, number);
        let plan = &self.in_flight(group, number).plan;
        let [mut before, mut local, mut experts, mut after] =
            std::array::from_fn(|_| streams.ops());
        before.extend_from_slice(plan.before(rank));
        local.extend_from_slice(plan.local(rank));
        experts.extend_from_slice(plan.experts(rank));
        after.extend_from_slice(plan.after(rank));
        let own = |work: Vec<Op>, after: Option<After>, awaited: bool| Command {
            work: Work::Compute(work),
            after,
            awaited,
        };
        let computed = if dispatches {
            let ready = streams.push(Stream::Compute, own(before, received, true));
            let at = (number, ExchangePhase::Dispatch);
            let arrived = self.join((group, rank), at, ready, streams);
            let covered = Command { work: Work::Covered(local), after: None, awaited: false };
            streams.push(Stream::Compute, covered);
            streams.push(Stream::Compute, own(experts, Some(arrived), true))
        } else {
            before.append(&mut experts);
            streams.push(Stream::Compute, own(before, received, true))
        };
        let back = self.join((group, rank), (number, ExchangePhase::Combine), computed, streams);
        let mixed = streams.push(Stream::Compute, own(after, Some(back), hands_over));
        self.send(gpu, number, mixed, streams);
        true
    }

    fn meeting(&mut self, meeting: MeetingId) -> Meeting {
        let (group, number, phase) = self.of_meeting(meeting);
        let grid = self.grid;
        let members = (0..grid.group as usize).map(|rank| grid.gpu(group, rank)).collect();
        Meeting::Exchange(self.in_flight(group, number).plan.exchange(phase, members))
    }

    fn adjourned(&mut self, meeting: MeetingId) {
        let (group, number, _) = self.of_meeting(meeting);
        let step = self.in_flight(group, number);
        step.left -= 1;
        if step.left > 0 {
            return;
        }
        let steps = &mut self.in_flight[group];
        if let Some(at) = steps.iter().position(|step| step.number == number) {
            let step = steps.swap_remove(at);
            self.planner.recycle(step.plan);
        }
    }
}
