//! Everything that changes during a run, and the one place that changes it.
//!
//! GPUs form groups that share one copy of the FFN experts. A GPU works alone up to its next
//! exchange — a plain sum of times, no calendar — and joins it; the network says when the GPU has
//! what it waits for. For each micro-batch and layer:
//!
//! ```text
//!  gate, permute ─ join ┄┄┄┄ dispatch ┄┄┄┄ FFN experts ─ join ┄┄ combine ┄┄ mix ─ next layer
//!                    └─ zero-computation experts ─┘ (what sticks out runs before the FFN experts)
//! ```
//!
//! With pipeline stages, a GPU that has finished a micro-batch hands its tokens to the GPU of the
//! same rank in the next stage and goes on; that one waits for them.

use std::collections::BTreeMap;

use crate::base::units::{Bytes, GpuId, SimDuration, SimTime};
use crate::execution::blame::{Blame, Op, Reason, run_to_barrier};
use crate::execution::calendar::Schedule;
use crate::network::fluid::Engine;
use crate::network::{Delivery, Exchange, ExchangeId, Network};

mod dispatch;
mod exchange_tracker;
mod fact;
mod finished;
mod parallel_grid;
mod rebalance;
mod step;

pub use dispatch::AllToAll;
use exchange_tracker::ExchangeTracker;
pub use fact::{Fact, Moved, Observer};
pub use finished::Finished;
pub use parallel_grid::ParallelGrid;
pub use rebalance::Rebalancing;
pub use step::{ExchangePhase, Scope, Step, StepPlanner, Totals};

/// Everything that can happen. Events name things; an event may turn out to be stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A GPU has done its own work and joins its next exchange.
    Ready {
        /// Which GPU.
        gpu: GpuId,
    },
    /// The network, as it was at this epoch, has something to deliver.
    NetworkDue {
        /// Counts changes of the network; a later one makes this event stale.
        epoch: u64,
    },
}

/// What a GPU is at.
#[derive(Clone, Debug)]
struct Gpu {
    /// Which step, counting layers and micro-batches together.
    step: u32,
    /// Which exchange of the step comes next or is under way.
    exchange_phase: ExchangePhase,
    /// Up to when its time is accounted for.
    clock: SimTime,
    /// Micro-batches handed over by the stage before.
    handed: u32,
    /// Whether it waits for the stage before.
    starved: bool,
    blame: Blame,
    /// Zero-computation work that an exchange hid.
    hidden: SimDuration,
}

/// A step of a group under way: its plan and its two exchanges.
#[derive(Debug)]
struct StepInFlight {
    number: u32,
    plan: Step,
    exchanges: [Option<OpenExchange>; 2],
    left: usize,
}

#[derive(Clone, Copy, Debug)]
struct OpenExchange {
    id: ExchangeId,
    joined: usize,
    last_join: SimTime,
}

/// What an exchange in flight is for.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    ExchangePhase { group: usize, number: u32, exchange_phase: ExchangePhase },
    Handover { to: GpuId },
}

/// All state of a run. [`Machine::handle`] alone changes it.
pub struct Machine<'a> {
    grid: ParallelGrid,
    planner: StepPlanner<'a>,
    network: Box<dyn Network + 'a>,
    observer: Option<&'a mut dyn Observer>,
    gpus: Vec<Gpu>,
    /// For each group, the steps that some member is at: at most two, as a member can be ahead of
    /// another by the part of a step between two exchanges.
    in_flight: Vec<Vec<StepInFlight>>,
    purposes: BTreeMap<ExchangeId, Purpose>,
    exchange_tracker: ExchangeTracker,
    next_exchange: u32,
    epoch: u64,
    due: Option<SimTime>,
    delivered: Vec<Delivery>,
    ops: Vec<Op>,
}

impl<'a> Machine<'a> {
    /// A machine at rest.
    #[must_use]
    pub fn new(
        grid: ParallelGrid,
        planner: StepPlanner<'a>,
        network: Box<dyn Network + 'a>,
        observer: Option<&'a mut dyn Observer>,
    ) -> Self {
        let gpu = Gpu {
            step: 0,
            exchange_phase: ExchangePhase::Dispatch,
            clock: SimTime::ZERO,
            handed: 0,
            starved: false,
            blame: Blame::default(),
            hidden: SimDuration::ZERO,
        };
        Self {
            grid,
            planner,
            network,
            observer,
            gpus: vec![gpu; grid.gpus as usize],
            in_flight: (0..grid.gpus / grid.group).map(|_| Vec::new()).collect(),
            purposes: BTreeMap::new(),
            exchange_tracker: ExchangeTracker::default(),
            next_exchange: 0,
            epoch: 0,
            due: None,
            delivered: Vec::new(),
            ops: Vec::new(),
        }
    }

    /// Sets every GPU going at time zero.
    pub fn start(&mut self, mut schedule: Schedule<'_, Event>) {
        for gpu in 0..self.grid.gpus {
            self.begin_step(GpuId(gpu), &mut schedule);
        }
    }

    /// Applies one event and schedules what follows from it.
    pub fn handle(&mut self, event: Event, mut schedule: Schedule<'_, Event>) {
        match event {
            Event::Ready { gpu } => {
                self.join(gpu, schedule.now());
                self.reschedule_network(&mut schedule);
            }
            Event::NetworkDue { epoch } if epoch != self.epoch => {}
            Event::NetworkDue { .. } => {
                self.due = None;
                let mut delivered = std::mem::take(&mut self.delivered);
                self.network.deliver(schedule.now(), &mut delivered);
                for delivery in delivered.drain(..) {
                    self.receive(delivery, &mut schedule);
                }
                self.delivered = delivered;
                self.reschedule_network(&mut schedule);
            }
        }
    }

    /// Ends the run: blames what is left of each GPU's time and hands out the accounts.
    ///
    /// # Panics
    /// If a GPU has not finished: it waits for something that will never come.
    #[must_use]
    pub fn finish(mut self) -> Finished {
        let makespan = self.gpus.iter().map(|gpu| gpu.clock).max().unwrap_or(SimTime::ZERO);
        for at in 0..self.gpus.len() {
            let gpu = &self.gpus[at];
            let (step, steps) = (gpu.step, self.grid.steps());
            assert!(step == steps, "GPU {at} waits in step {step} of {steps} for ever");
            self.pass(GpuId(at as u32), Reason::Done, makespan);
        }
        Finished {
            makespan: makespan.since_start(),
            blame: self.gpus.iter().map(|gpu| gpu.blame.clone()).collect(),
            hidden: self.gpus.iter().map(|gpu| gpu.hidden).collect(),
            network_report: self.network.network_report(),
            link_bytes: self.network.link_bytes().to_vec(),
            totals: self.planner.totals(),
        }
    }

    /// Lets a GPU do its own work up to the first exchange of its next step.
    fn begin_step(&mut self, gpu: GpuId, schedule: &mut Schedule<'_, Event>) {
        let at = &mut self.gpus[gpu.index()];
        if at.step == self.grid.steps() {
            let fact = Fact::Finished { gpu, at: at.clock };
            self.tell(fact);
            return;
        }
        let (micro_batch, layer) = (at.step / self.grid.layers, at.step % self.grid.layers);
        let waits = self.grid.handover.is_some() && self.grid.stage(gpu) > 0;
        if waits && layer == 0 && at.handed <= micro_batch {
            at.starved = true;
            return;
        }
        let dispatches = self.grid.dispatches;
        at.exchange_phase =
            if dispatches { ExchangePhase::Dispatch } else { ExchangePhase::Combine };
        let step = at.step;
        let (group, rank) = self.grid.group_and_rank(gpu);
        let mut ops = std::mem::take(&mut self.ops);
        let in_flight = self.step_in_flight(group, step);
        ops.extend_from_slice(in_flight.plan.before(rank));
        if !dispatches {
            ops.extend_from_slice(in_flight.plan.experts(rank));
        }
        self.work(gpu, &ops);
        ops.clear();
        self.ops = ops;
        schedule.at(self.gpus[gpu.index()].clock, Event::Ready { gpu });
    }

    /// The step of a group, planned when its first member comes to it.
    fn step_in_flight(&mut self, group: usize, number: u32) -> &mut StepInFlight {
        let found = self.in_flight[group].iter().position(|step| step.number == number);
        let at = found.unwrap_or_else(|| {
            let first_gpu = self.grid.gpu(group, 0);
            let stage = self.grid.stage(first_gpu);
            let layer = stage * self.grid.layers + number % self.grid.layers;
            let groups_per_stage = self.grid.gpus_per_stage() / self.grid.group;
            let group_in_stage = group as u32 % groups_per_stage;
            let micro_batch = number / self.grid.layers;
            let plan = self.planner.plan(layer, micro_batch, group_in_stage, first_gpu);
            let left = self.grid.group as usize;
            self.in_flight[group].push(StepInFlight { number, plan, exchanges: [None; 2], left });
            self.in_flight[group].len() - 1
        });
        &mut self.in_flight[group][at]
    }

    /// A GPU joins the exchange it has come to.
    fn join(&mut self, gpu: GpuId, now: SimTime) {
        let (step, exchange_phase) =
            (self.gpus[gpu.index()].step, self.gpus[gpu.index()].exchange_phase);
        let (group, rank) = self.grid.group_and_rank(gpu);
        let grid = self.grid;
        let fresh = ExchangeId(self.next_exchange);
        let in_flight = self.step_in_flight(group, step);
        let mut opened = None;
        let open = in_flight.exchanges[exchange_phase as usize].get_or_insert_with(|| {
            let members = (0..grid.group as usize).map(|rank| grid.gpu(group, rank)).collect();
            opened = Some(in_flight.plan.exchange(exchange_phase, members));
            OpenExchange { id: fresh, joined: 0, last_join: now }
        });
        open.joined += 1;
        open.last_join = now;
        let id = open.id;
        if let Some(exchange) = opened {
            self.next_exchange += 1;
            self.purposes
                .insert(id, Purpose::ExchangePhase { group, number: step, exchange_phase });
            self.open(id, exchange);
        }
        self.join_exchange(now, id, rank);
        self.tell(Fact::Joined { gpu, exchange_phase, at: now });
    }

    /// Announces an exchange to the network.
    fn open(&mut self, id: ExchangeId, exchange: Exchange) {
        if self.observer.is_some() {
            self.exchange_tracker.open(id, &exchange);
        }
        self.network.open(id, exchange);
    }

    /// A member joins an exchange that has been announced.
    fn join_exchange(&mut self, now: SimTime, id: ExchangeId, rank: usize) {
        if self.observer.is_some() {
            let waits_for_all = self.network.network_report().engine == Engine::ClosedForm;
            self.exchange_tracker.join(now, id, waits_for_all);
        }
        self.network.join(now, id, rank);
    }

    /// A member of an exchange has all it waits for.
    fn receive(&mut self, delivery: Delivery, schedule: &mut Schedule<'_, Event>) {
        let Delivery { at, exchange, rank } = delivery;
        if let (Some(moved), Some(observer)) =
            (self.exchange_tracker.deliver(exchange, at), &mut self.observer)
        {
            observer.exchanged(&moved);
        }
        match self.purposes[&exchange] {
            Purpose::ExchangePhase { group, number, exchange_phase: ExchangePhase::Dispatch } => {
                self.after_dispatch(group, rank, number, at, schedule);
            }
            Purpose::ExchangePhase { group, number, exchange_phase: ExchangePhase::Combine } => {
                self.after_combine(group, rank, number, at, schedule);
            }
            Purpose::Handover { to } => {
                if rank == 1 {
                    self.purposes.remove(&exchange);
                    self.take_over(to, at, schedule);
                }
            }
        }
    }

    /// Tokens are here: finish what the dispatch did not hide, then run the FFN experts.
    fn after_dispatch(
        &mut self,
        group: usize,
        rank: usize,
        number: u32,
        at: SimTime,
        schedule: &mut Schedule<'_, Event>,
    ) {
        let gpu = self.grid.gpu(group, rank);
        let room = at - self.gpus[gpu.index()].clock;
        self.wait_out(gpu, group, number, ExchangePhase::Dispatch, at);
        let mut ops = std::mem::take(&mut self.ops);
        let plan = &self.step_in_flight(group, number).plan;
        let hidden = plan.local(rank).hide_under(room, &mut ops);
        ops.extend_from_slice(plan.experts(rank));
        self.gpus[gpu.index()].hidden += hidden;
        self.work(gpu, &ops);
        ops.clear();
        self.ops = ops;
        let state = &mut self.gpus[gpu.index()];
        state.exchange_phase = ExchangePhase::Combine;
        schedule.at(state.clock, Event::Ready { gpu });
    }

    /// Results are back: mix them and go on to the next layer or micro-batch.
    fn after_combine(
        &mut self,
        group: usize,
        rank: usize,
        number: u32,
        at: SimTime,
        schedule: &mut Schedule<'_, Event>,
    ) {
        let gpu = self.grid.gpu(group, rank);
        self.wait_out(gpu, group, number, ExchangePhase::Combine, at);
        let mut ops = std::mem::take(&mut self.ops);
        let in_flight = self.step_in_flight(group, number);
        ops.extend_from_slice(in_flight.plan.after(rank));
        in_flight.left -= 1;
        if in_flight.left == 0 {
            self.retire(group, number);
        }
        self.work(gpu, &ops);
        ops.clear();
        self.ops = ops;
        self.gpus[gpu.index()].step += 1;
        if self.gpus[gpu.index()].step.is_multiple_of(self.grid.layers) {
            self.hand_over(gpu);
        }
        self.begin_step(gpu, schedule);
    }

    /// Forgets a step that all members have left.
    fn retire(&mut self, group: usize, number: u32) {
        let steps = &mut self.in_flight[group];
        let at = steps.iter().position(|step| step.number == number);
        let step = steps.swap_remove(at.expect("a step that is left was under way"));
        for open in step.exchanges.into_iter().flatten() {
            self.purposes.remove(&open.id);
        }
        self.planner.recycle(step.plan);
    }

    /// Sends a finished micro-batch on to the next stage, if there is one that waits for it.
    fn hand_over(&mut self, gpu: GpuId) {
        let Some(bytes) = self.grid.handover else { return };
        if self.grid.stage(gpu) + 1 == self.grid.stages {
            return;
        }
        let to = GpuId(gpu.0 + self.grid.gpus_per_stage());
        let id = ExchangeId(self.next_exchange);
        self.next_exchange += 1;
        self.purposes.insert(id, Purpose::Handover { to });
        let cells = vec![Bytes(0), bytes, Bytes(0), Bytes(0)];
        self.open(id, Exchange::new(vec![gpu, to], cells));
        let now = self.gpus[gpu.index()].clock;
        self.join_exchange(now, id, 0);
        self.join_exchange(now, id, 1);
    }

    /// A micro-batch has come from the stage before.
    fn take_over(&mut self, gpu: GpuId, at: SimTime, schedule: &mut Schedule<'_, Event>) {
        let state = &mut self.gpus[gpu.index()];
        state.handed += 1;
        if std::mem::take(&mut state.starved) {
            self.pass(gpu, Reason::PipelineWait, at);
            self.begin_step(gpu, schedule);
        }
    }

    /// Blames the time until a delivery on waiting for the last member, then on the transfer.
    fn wait_out(
        &mut self,
        gpu: GpuId,
        group: usize,
        number: u32,
        exchange_phase: ExchangePhase,
        at: SimTime,
    ) {
        let open = self.step_in_flight(group, number).exchanges[exchange_phase as usize];
        let last_join = open.expect("a delivery is of an open exchange").last_join.min(at);
        let (wait, transfer) = match exchange_phase {
            ExchangePhase::Dispatch => (Reason::DispatchWait, Reason::Dispatch),
            ExchangePhase::Combine => (Reason::CombineWait, Reason::Combine),
        };
        self.pass(gpu, wait, last_join);
        self.pass(gpu, transfer, at);
    }

    /// A GPU's own work: a run to the next barrier.
    fn work(&mut self, gpu: GpuId, ops: &[Op]) {
        let state = &mut self.gpus[gpu.index()];
        let start = state.clock;
        state.clock = run_to_barrier(start, ops, &mut state.blame);
        if let Some(observer) = &mut self.observer {
            let mut from = start;
            for op in ops.iter().filter(|op| op.time > SimDuration::ZERO) {
                let to = from + op.time;
                observer.observe(Fact::Spent { gpu, reason: op.reason, from, to });
                from = to;
            }
        }
    }

    /// A GPU's time up to `until` passes for one reason.
    fn pass(&mut self, gpu: GpuId, reason: Reason, until: SimTime) {
        let state = &mut self.gpus[gpu.index()];
        if until <= state.clock {
            return;
        }
        let from = state.clock;
        state.blame.add(reason, until - from);
        state.clock = until;
        self.tell(Fact::Spent { gpu, reason, from, to: until });
    }

    fn tell(&mut self, fact: Fact) {
        if let Some(observer) = &mut self.observer {
            observer.observe(fact);
        }
    }

    /// Makes sure that the next delivery, if it has moved, has its event.
    fn reschedule_network(&mut self, schedule: &mut Schedule<'_, Event>) {
        let due = self.network.next_delivery();
        if due != self.due {
            self.due = due;
            self.epoch += 1;
            if let Some(at) = due {
                schedule.at(at, Event::NetworkDue { epoch: self.epoch });
            }
        }
    }
}
