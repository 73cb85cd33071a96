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

mod course;
mod dispatch;
mod fact;
mod finished;
mod rebalance;
mod step;
mod watch;

pub use course::Course;
pub use dispatch::AllToAll;
pub use fact::{Fact, Moved, Observer};
pub use finished::Finished;
pub use rebalance::Rebalancing;
pub use step::{Counted, Leg, Step, StepPlanner, Totals};
use watch::Watch;

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
    leg: Leg,
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
struct Underway {
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
    Leg { group: usize, number: u32, leg: Leg },
    Handover { to: GpuId },
}

/// All state of a run. [`Machine::handle`] alone changes it.
pub struct Machine<'a> {
    course: Course,
    planner: StepPlanner<'a>,
    network: Box<dyn Network + 'a>,
    observer: Option<&'a mut dyn Observer>,
    gpus: Vec<Gpu>,
    /// For each group, the steps that some member is at: at most two, as a member can be ahead of
    /// another by the part of a step between two exchanges.
    underway: Vec<Vec<Underway>>,
    purposes: BTreeMap<ExchangeId, Purpose>,
    watch: Watch,
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
        course: Course,
        planner: StepPlanner<'a>,
        network: Box<dyn Network + 'a>,
        observer: Option<&'a mut dyn Observer>,
    ) -> Self {
        let gpu = Gpu {
            step: 0,
            leg: Leg::Dispatch,
            clock: SimTime::ZERO,
            handed: 0,
            starved: false,
            blame: Blame::default(),
            hidden: SimDuration::ZERO,
        };
        Self {
            course,
            planner,
            network,
            observer,
            gpus: vec![gpu; course.gpus as usize],
            underway: (0..course.gpus / course.group).map(|_| Vec::new()).collect(),
            purposes: BTreeMap::new(),
            watch: Watch::default(),
            next_exchange: 0,
            epoch: 0,
            due: None,
            delivered: Vec::new(),
            ops: Vec::new(),
        }
    }

    /// Sets every GPU going at time zero.
    pub fn start(&mut self, mut schedule: Schedule<'_, Event>) {
        for gpu in 0..self.course.gpus {
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
            let (step, steps) = (gpu.step, self.course.steps());
            assert!(step == steps, "GPU {at} waits in step {step} of {steps} for ever");
            self.pass(GpuId(at as u32), Reason::Done, makespan);
        }
        Finished {
            makespan: makespan.since_start(),
            blame: self.gpus.iter().map(|gpu| gpu.blame.clone()).collect(),
            hidden: self.gpus.iter().map(|gpu| gpu.hidden).collect(),
            carried: self.network.carried(),
            link_bytes: self.network.link_bytes().to_vec(),
            totals: self.planner.totals(),
        }
    }

    /// Lets a GPU do its own work up to the first exchange of its next step.
    fn begin_step(&mut self, gpu: GpuId, schedule: &mut Schedule<'_, Event>) {
        let at = &mut self.gpus[gpu.index()];
        if at.step == self.course.steps() {
            let fact = Fact::Finished { gpu, at: at.clock };
            self.tell(fact);
            return;
        }
        let (micro_batch, layer) = (at.step / self.course.layers, at.step % self.course.layers);
        let waits = self.course.handover.is_some() && self.course.stage(gpu) > 0;
        if waits && layer == 0 && at.handed <= micro_batch {
            at.starved = true;
            return;
        }
        let dispatches = self.course.dispatches;
        at.leg = if dispatches { Leg::Dispatch } else { Leg::Combine };
        let step = at.step;
        let (group, rank) = self.course.seat(gpu);
        let mut ops = std::mem::take(&mut self.ops);
        let underway = self.underway_step(group, step);
        ops.extend_from_slice(underway.plan.before(rank));
        if !dispatches {
            ops.extend_from_slice(underway.plan.experts(rank));
        }
        self.work(gpu, &ops);
        ops.clear();
        self.ops = ops;
        schedule.at(self.gpus[gpu.index()].clock, Event::Ready { gpu });
    }

    /// The step of a group, planned when its first member comes to it.
    fn underway_step(&mut self, group: usize, number: u32) -> &mut Underway {
        let found = self.underway[group].iter().position(|step| step.number == number);
        let at = found.unwrap_or_else(|| {
            let first_gpu = self.course.gpu(group, 0);
            let stage = self.course.stage(first_gpu);
            let layer = stage * self.course.layers + number % self.course.layers;
            let groups_per_stage = self.course.gpus_per_stage() / self.course.group;
            let group_in_stage = group as u32 % groups_per_stage;
            let micro_batch = number / self.course.layers;
            let plan = self.planner.plan(layer, micro_batch, group_in_stage, first_gpu);
            let left = self.course.group as usize;
            self.underway[group].push(Underway { number, plan, exchanges: [None; 2], left });
            self.underway[group].len() - 1
        });
        &mut self.underway[group][at]
    }

    /// A GPU joins the exchange it has come to.
    fn join(&mut self, gpu: GpuId, now: SimTime) {
        let (step, leg) = (self.gpus[gpu.index()].step, self.gpus[gpu.index()].leg);
        let (group, rank) = self.course.seat(gpu);
        let course = self.course;
        let fresh = ExchangeId(self.next_exchange);
        let underway = self.underway_step(group, step);
        let mut opened = None;
        let open = underway.exchanges[leg as usize].get_or_insert_with(|| {
            let members = (0..course.group as usize).map(|rank| course.gpu(group, rank)).collect();
            opened = Some(underway.plan.exchange(leg, members));
            OpenExchange { id: fresh, joined: 0, last_join: now }
        });
        open.joined += 1;
        open.last_join = now;
        let id = open.id;
        if let Some(exchange) = opened {
            self.next_exchange += 1;
            self.purposes.insert(id, Purpose::Leg { group, number: step, leg });
            self.open(id, exchange);
        }
        self.join_exchange(now, id, rank);
        self.tell(Fact::Joined { gpu, leg, at: now });
    }

    /// Announces an exchange to the network.
    fn open(&mut self, id: ExchangeId, exchange: Exchange) {
        if self.observer.is_some() {
            self.watch.open(id, &exchange);
        }
        self.network.open(id, exchange);
    }

    /// A member joins an exchange that has been announced.
    fn join_exchange(&mut self, now: SimTime, id: ExchangeId, rank: usize) {
        if self.observer.is_some() {
            let waits_for_all = self.network.carried().engine == Engine::ClosedForm;
            self.watch.join(now, id, waits_for_all);
        }
        self.network.join(now, id, rank);
    }

    /// A member of an exchange has all it waits for.
    fn receive(&mut self, delivery: Delivery, schedule: &mut Schedule<'_, Event>) {
        let Delivery { at, exchange, rank } = delivery;
        if let (Some(moved), Some(observer)) =
            (self.watch.deliver(exchange, at), &mut self.observer)
        {
            observer.exchanged(&moved);
        }
        match self.purposes[&exchange] {
            Purpose::Leg { group, number, leg: Leg::Dispatch } => {
                self.after_dispatch(group, rank, number, at, schedule);
            }
            Purpose::Leg { group, number, leg: Leg::Combine } => {
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
        let gpu = self.course.gpu(group, rank);
        let room = at - self.gpus[gpu.index()].clock;
        self.wait_out(gpu, group, number, Leg::Dispatch, at);
        let mut ops = std::mem::take(&mut self.ops);
        let plan = &self.underway_step(group, number).plan;
        let hidden = plan.local(rank).hide_under(room, &mut ops);
        ops.extend_from_slice(plan.experts(rank));
        self.gpus[gpu.index()].hidden += hidden;
        self.work(gpu, &ops);
        ops.clear();
        self.ops = ops;
        let state = &mut self.gpus[gpu.index()];
        state.leg = Leg::Combine;
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
        let gpu = self.course.gpu(group, rank);
        self.wait_out(gpu, group, number, Leg::Combine, at);
        let mut ops = std::mem::take(&mut self.ops);
        let underway = self.underway_step(group, number);
        ops.extend_from_slice(underway.plan.after(rank));
        underway.left -= 1;
        if underway.left == 0 {
            self.retire(group, number);
        }
        self.work(gpu, &ops);
        ops.clear();
        self.ops = ops;
        self.gpus[gpu.index()].step += 1;
        if self.gpus[gpu.index()].step.is_multiple_of(self.course.layers) {
            self.hand_over(gpu);
        }
        self.begin_step(gpu, schedule);
    }

    /// Forgets a step that all members have left.
    fn retire(&mut self, group: usize, number: u32) {
        let steps = &mut self.underway[group];
        let at = steps.iter().position(|step| step.number == number);
        let step = steps.swap_remove(at.expect("a step that is left was under way"));
        for open in step.exchanges.into_iter().flatten() {
            self.purposes.remove(&open.id);
        }
        self.planner.recycle(step.plan);
    }

    /// Sends a finished micro-batch on to the next stage, if there is one that waits for it.
    fn hand_over(&mut self, gpu: GpuId) {
        let Some(bytes) = self.course.handover else { return };
        if self.course.stage(gpu) + 1 == self.course.stages {
            return;
        }
        let to = GpuId(gpu.0 + self.course.gpus_per_stage());
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
    fn wait_out(&mut self, gpu: GpuId, group: usize, number: u32, leg: Leg, at: SimTime) {
        let open = self.underway_step(group, number).exchanges[leg as usize];
        let last_join = open.expect("a delivery is of an open exchange").last_join.min(at);
        let (wait, transfer) = match leg {
            Leg::Dispatch => (Reason::DispatchWait, Reason::Dispatch),
            Leg::Combine => (Reason::CombineWait, Reason::Combine),
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
