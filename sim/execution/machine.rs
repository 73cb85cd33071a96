//! Executes a program: everything that changes during a run, and the one place that changes it.
//!
//! A machine knows time, streams, meetings in flight and how they slow kernels down; what the commands are
//! for, only the program knows. A GPU works alone from one command that others wait for to the next — a
//! plain sum of times, no calendar — and only what several GPUs share is events:
//!
//! ```text
//!   stream done ─▶ next command of it, and of those that waited for it
//!   join ─▶ network, or a collective's clock ─▶ delivery ─▶ the stream's command is done
//! ```
//!
//! Every instant of a compute stream has one reason: its own work, or what the next command waits
//! for, divided at the moment when the last member joined. Covered work that fits before a delivery
//! is hidden: the exchange is blamed. While a meeting slows kernels down, what is left of the
//! running kernel takes longer by its factor, from the moment the meeting is joined to its delivery. Kernels slow
//! the meeting in turn (`contended`): a member leaves it later by what its bytes have lost beside them.
//!
//! Where GPUs do nothing but work and wait for their group, and nobody observes them, there are no events (`lockstep`).

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::base::threads;
use crate::base::units::{GpuId, SimDuration, SimTime};
use crate::execution::blame::Reason;
use crate::execution::calendar::Schedule;
use crate::execution::program::{MeetingId, Program, Stream, Work};
use crate::network::{Delivery, ExchangeId, Network};

mod contended;
mod exchange_tracker;
mod fact;
mod finished;
mod gpu;
mod hold;
mod lockstep;
mod meetings;
mod pace;

use exchange_tracker::ExchangeTracker;
pub use fact::{Fact, Moved, Observer, Released};
pub use finished::{Finished, UnitEnd};
use gpu::Gpu;
use hold::Hold;
pub use pace::Pace;

/// Everything that can happen. Events name things; an event may turn out to be stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A GPU's own work has come to its end, if it is still the work of this epoch.
    Worked {
        /// Which GPU.
        gpu: GpuId,
        /// Counts changes of its work; a later one makes this event stale.
        epoch: u32,
    },
    /// The network, as it was at this epoch, has something to deliver.
    NetworkDue {
        /// Counts changes of the network; a later one makes this event stale.
        epoch: u64,
    },
    /// A collective ends.
    CollectiveDue {
        /// Which.
        meeting: MeetingId,
    },
    /// A meeting has made up on a GPU what it had lost to kernels there, if nothing has changed since.
    MadeUp {
        /// Which GPU.
        gpu: GpuId,
        /// Which meeting.
        meeting: MeetingId,
        /// Counts what has changed; a later one makes this event stale.
        epoch: u32,
    },
}

/// A meeting that its first member has joined.
#[derive(Debug)]
struct OpenMeeting {
    members: Rc<[GpuId]>,
    joined: usize,
    left: usize,
    last_join: SimTime,
    /// Who did.
    last_joiner: GpuId,
    carried: Carried,
}

#[derive(Clone, Copy, Debug)]
enum Carried {
    Network(ExchangeId),
    Clock(SimDuration),
}

/// What an exchange of the network is for.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    Meeting(MeetingId),
    Message { from: GpuId, sent: SimTime, to: GpuId, number: u64 },
}

/// All state of a run. [`Machine::handle`] alone changes it.
pub struct Machine<'a, P> {
    program: P,
    network: Box<dyn Network + 'a>,
    observer: Option<&'a mut dyn Observer>,
    gpus: Vec<Gpu>,
    meetings: BTreeMap<MeetingId, OpenMeeting>,
    purposes: BTreeMap<ExchangeId, Purpose>,
    /// Messages that are here before their receivers ask.
    arrived: BTreeSet<(GpuId, u64)>,
    exchange_tracker: ExchangeTracker,
    next_exchange: u32,
    epoch: u64,
    due: Option<SimTime>,
    delivered: Vec<Delivery>,
    unit_ends: Vec<UnitEnd>,
}

impl<'a, P: Program> Machine<'a, P> {
    /// A machine at rest.
    #[must_use]
    pub fn new(
        program: P,
        network: Box<dyn Network + 'a>,
        observer: Option<&'a mut dyn Observer>,
    ) -> Self {
        let gpus = (0..program.gpus()).map(|_| Gpu::default()).collect();
        Self {
            program,
            network,
            observer,
            gpus,
            meetings: BTreeMap::new(),
            purposes: BTreeMap::new(),
            arrived: BTreeSet::new(),
            exchange_tracker: ExchangeTracker::default(),
            next_exchange: 0,
            epoch: 0,
            due: None,
            delivered: Vec::new(),
            unit_ends: Vec::new(),
        }
    }

    /// The same whose GPUs have a pace of their own.
    ///
    /// # Panics
    /// Unless there is one for each GPU.
    #[must_use]
    pub fn with_paces(mut self, paces: Vec<Pace>) -> Self {
        assert_eq!(paces.len(), self.gpus.len(), "a pace for each GPU");
        for (gpu, pace) in self.gpus.iter_mut().zip(paces) {
            gpu.pace = Some(pace);
        }
        self
    }

    /// Sets every GPU going at time zero.
    pub fn start(&mut self, mut schedule: Schedule<'_, Event>) {
        for gpu in 0..self.gpus.len() {
            self.advance(GpuId(gpu as u32), &mut schedule);
        }
        self.reschedule_network(&mut schedule);
    }

    /// Applies one event and schedules what follows from it.
    pub fn handle(&mut self, event: Event, mut schedule: Schedule<'_, Event>) {
        match event {
            Event::Worked { gpu, epoch } => {
                if self.gpus[gpu.index()].is_of(epoch) {
                    self.worked(gpu, schedule.now());
                    self.advance(gpu, &mut schedule);
                    self.reschedule_network(&mut schedule);
                }
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
            Event::CollectiveDue { meeting } => {
                let members = Rc::clone(&self.meetings[&meeting].members);
                for &gpu in members.iter() {
                    self.delivered_to(meeting, gpu, &mut schedule);
                }
                self.reschedule_network(&mut schedule);
            }
            Event::MadeUp { gpu, meeting, epoch } => {
                self.made_up(gpu, meeting, epoch, &mut schedule);
                self.reschedule_network(&mut schedule);
            }
        }
    }

    /// Ends the run: blames what is left of each GPU's time; hands out the accounts and the program.
    ///
    /// # Panics
    /// If a GPU has not finished: it waits for something that will never come.
    #[must_use]
    pub fn finish(mut self) -> (Finished, P) {
        let makespan = self.gpus.iter().map(|gpu| gpu.clock).max().unwrap_or(SimTime::ZERO);
        for at in 0..self.gpus.len() {
            assert!(self.gpus[at].finished, "GPU {at} waits for ever: {:?}", self.gpus[at]);
            self.pass(GpuId(at as u32), Reason::Done, makespan);
        }
        let finished = Finished {
            makespan: makespan.since_start(),
            blame: self.gpus.iter().map(|gpu| gpu.blame.clone()).collect(),
            hidden: self.gpus.iter().map(|gpu| gpu.hidden).collect(),
            network_report: self.network.network_report(),
            link_bytes: self.network.link_bytes().to_vec(),
            unit_ends: self.unit_ends,
        };
        (finished, self.program)
    }

    /// Starts whatever can start on a GPU; asks the program for its next phase when all has started.
    fn advance(&mut self, gpu: GpuId, schedule: &mut Schedule<'_, Event>) {
        loop {
            let mut again = false;
            for stream in Stream::ALL {
                while let Some(work) = self.gpus[gpu.index()].take(stream) {
                    again = true;
                    self.start_work(gpu, stream, work, schedule);
                }
            }
            let state = &mut self.gpus[gpu.index()];
            if state.wants_more() {
                threads::go_on();
                again = self.program.next(gpu, state);
                state.exhausted = !again;
            }
            if !again {
                break;
            }
        }
        self.start_computing(gpu, schedule);
        let state = &mut self.gpus[gpu.index()];
        if state.exhausted && !state.finished && state.is_idle() {
            state.finished = true;
            let fact = Fact::Finished { gpu, at: state.clock };
            self.tell(fact);
        }
    }

    /// Starts a command of any stream but compute.
    fn start_work(
        &mut self,
        gpu: GpuId,
        stream: Stream,
        work: Work,
        schedule: &mut Schedule<'_, Event>,
    ) {
        let now = schedule.now();
        match work {
            Work::Join { meeting, rank, reasons, contention } => {
                let hold = Hold::new(stream, reasons, contention);
                self.gpus[gpu.index()].hold(meeting, hold);
                self.reprice(gpu, schedule);
                self.join(meeting, gpu, rank, schedule);
                self.tell(Fact::Joined { gpu, reason: reasons[1], at: now });
            }
            Work::Send { to, bytes, number } => {
                self.send(gpu, to, bytes, number, now);
                self.gpus[gpu.index()].end(stream, None);
            }
            Work::Receive { number } => {
                if self.arrived.remove(&(gpu, number)) {
                    self.gpus[gpu.index()].end(stream, None);
                } else {
                    self.gpus[gpu.index()].awaited = Some((stream, number));
                }
            }
            Work::Compute(_) | Work::Covered(_) => {
                unreachable!("own work is taken by `start_computing`")
            }
        }
    }

    /// Starts the next own work of a GPU, if it can start: what it waited for is blamed first.
    fn start_computing(&mut self, gpu: GpuId, schedule: &mut Schedule<'_, Event>) {
        let now = schedule.now();
        let Some(cause) = self.gpus[gpu.index()].next_work() else { return };
        let room = now - self.gpus[gpu.index()].clock;
        if let Some(cause) = cause {
            self.pass(gpu, cause.reasons[0], cause.last_join.min(now));
            self.pass(gpu, cause.reasons[1], now);
        }
        let (end, epoch) = self.gpus[gpu.index()].begin(now, room);
        schedule.at(end, Event::Worked { gpu, epoch });
        self.expect_made_up(gpu, schedule);
    }

    /// A GPU's own work has come to its end.
    fn worked(&mut self, gpu: GpuId, now: SimTime) {
        self.account(gpu, now);
        self.gpus[gpu.index()].end_of_work();
    }

    /// Blames a GPU's own work up to `now`.
    fn account(&mut self, gpu: GpuId, now: SimTime) {
        let state = &mut self.gpus[gpu.index()];
        let observer = &mut self.observer;
        state.account(now, |reason, from, to| {
            if let Some(observer) = observer {
                observer.observe(Fact::Spent { gpu, reason, from, to });
            }
        });
    }

    /// What slows a GPU's kernels down has changed: moves the end of its running work accordingly.
    fn reprice(&mut self, gpu: GpuId, schedule: &mut Schedule<'_, Event>) {
        if self.gpus[gpu.index()].runs_at_its_speed() {
            return;
        }
        let now = schedule.now();
        self.account(gpu, now);
        let (end, epoch) = self.gpus[gpu.index()].run_on(now);
        schedule.at(end, Event::Worked { gpu, epoch });
        self.expect_made_up(gpu, schedule);
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
