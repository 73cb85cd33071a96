//! One GPU: its streams, the work that runs, and its account of time.

use std::collections::VecDeque;

use super::hold::{Hold, factor};
use super::pace::Pace;
use crate::base::units::{SimDuration, SimTime};
use crate::execution::blame::{Blame, Op, Reason, hide_under};
use crate::execution::program::{After, Command, Fill, MeetingId, Slowdown, Stream, Work};

/// Why a stream waited: before and after the last member had joined.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cause {
    pub reasons: [Reason; 2],
    pub last_join: SimTime,
}

/// Own work that runs.
#[derive(Debug)]
pub(super) struct Running {
    ops: Vec<Op>,
    /// The op that runs, and what is left of it if it had the GPU for itself.
    at: usize,
    left: SimDuration,
    /// Commands that end with it.
    commands: u32,
    speed: Slowdown,
}

impl Running {
    /// What an op of this reason takes beside what slows it down.
    pub fn stretched(&self, reason: Reason, alone: SimDuration) -> SimDuration {
        let factor = factor(self.speed, reason);
        if factor == 1.0 { alone } else { alone.scaled(factor) }
    }

    /// When all is done, from `now` on.
    fn end(&self, now: SimTime) -> SimTime {
        let Some(op) = self.ops.get(self.at) else { return now };
        let rest = self.ops[self.at + 1..].iter();
        let rest = rest.map(|op| self.stretched(op.reason, op.time));
        rest.fold(now + self.stretched(op.reason, self.left), |end, time| end + time)
    }
}

impl Running {
    /// What is left of it, piece by piece, as long as each takes now.
    pub fn pieces(&self) -> impl Iterator<Item = (Reason, SimDuration)> {
        let running = self.ops.get(self.at).map(|op| (op.reason, self.left));
        let rest = self.ops.iter().skip(self.at + 1).map(|op| (op.reason, op.time));
        let all = running.into_iter().chain(rest);
        all.map(|(reason, alone)| (reason, self.stretched(reason, alone)))
    }
}

/// One GPU.
#[derive(Debug, Default)]
pub(super) struct Gpu {
    queues: [VecDeque<Command>; Stream::COUNT],
    pushed: [u32; Stream::COUNT],
    ended: [u32; Stream::COUNT],
    busy: [bool; Stream::COUNT],
    pub(super) running: Option<Running>,
    epoch: u32,
    covered: Vec<Op>,
    pub(super) holds: Vec<(MeetingId, Hold)>,
    cause: Option<Cause>,
    spare: Vec<Vec<Op>>,
    /// The message that a stream waits for.
    pub awaited: Option<(Stream, u64)>,
    /// Up to when its compute stream is accounted for.
    pub clock: SimTime,
    pub blame: Blame,
    /// Work that exchanges hid.
    pub hidden: SimDuration,
    /// Whether the program has nothing more for it.
    pub exhausted: bool,
    /// Whether it has done everything.
    pub finished: bool,
    /// What its kernels take against what was planned; none where that is the same.
    pub pace: Option<Pace>,
}

impl Gpu {
    fn has_ended(&self, after: Option<After>) -> bool {
        after.is_none_or(|After { stream, count }| self.ended[stream as usize] >= count)
    }

    fn is_ready(&self, stream: Stream) -> bool {
        self.queues[stream as usize].front().is_some_and(|command| self.has_ended(command.after))
    }

    /// The next command of a stream other than compute, if it can start.
    pub fn take(&mut self, stream: Stream) -> Option<Work> {
        let at = stream as usize;
        if stream == Stream::Compute || self.busy[at] || !self.is_ready(stream) {
            return None;
        }
        self.busy[at] = true;
        self.queues[at].pop_front().map(|command| command.work)
    }

    /// A stream's command has ended, for this cause if anything waited for it.
    pub fn end(&mut self, stream: Stream, cause: Option<Cause>) {
        self.busy[stream as usize] = false;
        self.ended[stream as usize] += 1;
        self.cause = cause.or(self.cause);
    }

    /// Whether its next phase is wanted: when the last of its own work can start, so that what follows
    /// it without waiting runs together with it.
    pub fn wants_more(&self) -> bool {
        let queue = &self.queues[Stream::Compute as usize];
        let last = queue.len() == 1 && self.is_ready(Stream::Compute) && !queue[0].awaited;
        !self.exhausted && self.running.is_none() && (queue.is_empty() || last)
    }

    /// Whether all streams are empty and nothing runs.
    pub fn is_idle(&self) -> bool {
        let streams = self.queues.iter().all(VecDeque::is_empty) && !self.busy.contains(&true);
        streams && self.running.is_none() && self.covered.is_empty()
    }

    /// Whether own work can start; if it had to wait, why.
    pub fn next_work(&mut self) -> Option<Option<Cause>> {
        if self.running.is_some() {
            return None;
        }
        let queue = Stream::Compute as usize;
        while self.is_ready(Stream::Compute) {
            let command = self.queues[queue].pop_front()?;
            if let Work::Covered(mut ops) = command.work {
                self.covered.append(&mut ops);
                self.spare.push(ops);
                self.ended[queue] += 1;
            } else {
                self.queues[queue].push_front(command);
                return Some(self.cause.take());
            }
        }
        None
    }

    /// Starts the next own work, with what is left of covered work after `room`; says when it ends.
    pub fn begin(&mut self, now: SimTime, room: SimDuration) -> (SimTime, u32) {
        let mut ops = self.ops();
        self.hidden += hide_under(&self.covered, room, &mut ops);
        self.covered.clear();
        let mut commands = 0;
        let mut together = true;
        while together && self.is_ready(Stream::Compute) {
            let queue = &mut self.queues[Stream::Compute as usize];
            if !matches!(queue[0].work, Work::Compute(_)) {
                break;
            }
            let Some(command) = queue.pop_front() else { break };
            if let Work::Compute(mut own) = command.work {
                ops.append(&mut own);
                self.spare.push(own);
            }
            together = !command.awaited;
            commands += 1;
        }
        let left = ops.first().map_or(SimDuration::ZERO, |op| op.time);
        let speed = self.slowdown();
        self.running = Some(Running { ops, at: 0, left, commands, speed });
        self.run_on(now)
    }

    /// Goes on with its work at the speed that it has now; says when it ends.
    pub fn run_on(&mut self, now: SimTime) -> (SimTime, u32) {
        let speed = self.slowdown();
        self.epoch = self.epoch.wrapping_add(1);
        let end = self.running.as_mut().map_or(now, |running| {
            running.speed = speed;
            running.end(now)
        });
        (end, self.epoch)
    }

    /// Blames its work up to `now`, telling of each piece.
    pub fn account(&mut self, now: SimTime, mut tell: impl FnMut(Reason, SimTime, SimTime)) {
        let Some(running) = &mut self.running else { return };
        while let Some(&Op { reason, .. }) = running.ops.get(running.at) {
            let whole = running.stretched(reason, running.left);
            let from = self.clock;
            let to = (from + whole).min(now);
            if to > from {
                self.blame.add(reason, to - from);
                self.clock = to;
                self.holds.iter_mut().for_each(|(_, hold)| hold.lose(reason, to - from));
                tell(reason, from, to);
            }
            if from + whole > now {
                let done = (now - from).scaled(1.0 / factor(running.speed, reason));
                running.left = running.left.saturating_sub(done);
                return;
            }
            running.at += 1;
            running.left = running.ops.get(running.at).map_or(SimDuration::ZERO, |op| op.time);
        }
    }

    /// Its own work is done.
    pub fn end_of_work(&mut self) {
        if let Some(Running { mut ops, commands, .. }) = self.running.take() {
            self.ended[Stream::Compute as usize] += commands;
            ops.clear();
            self.spare.push(ops);
        }
    }

    /// Whether an event of this epoch still holds.
    pub const fn is_of(&self, epoch: u32) -> bool {
        self.epoch == epoch && self.running.is_some()
    }

    /// Notes that a meeting has been joined.
    pub fn hold(&mut self, meeting: MeetingId, hold: Hold) {
        self.holds.push((meeting, hold));
    }

    /// Notes that a meeting has been left.
    ///
    /// # Panics
    /// If it was never joined.
    pub fn release(&mut self, meeting: MeetingId) -> Hold {
        let at = self.holds.iter().position(|(held, _)| *held == meeting);
        self.holds.swap_remove(at.expect("a member leaves what it has joined")).1
    }

    /// What slows its kernels down now: the meetings under way multiply.
    fn slowdown(&self) -> Slowdown {
        self.holds.iter().fold(Slowdown::NONE, |all, (_, hold)| Slowdown {
            arithmetic: all.arithmetic * hold.kernels().arithmetic,
            memory: all.memory * hold.kernels().memory,
        })
    }

    /// Whether its running work, if there is any, is priced with what slows it down now.
    pub fn runs_at_its_speed(&self) -> bool {
        self.running.as_ref().is_none_or(|running| running.speed == self.slowdown())
    }
}

impl Fill for Gpu {
    fn push(&mut self, stream: Stream, mut command: Command) -> After {
        if let (Some(pace), Work::Compute(ops) | Work::Covered(ops)) =
            (&mut self.pace, &mut command.work)
        {
            pace.stretch(ops);
        }
        let at = stream as usize;
        self.queues[at].push_back(command);
        self.pushed[at] += 1;
        After { stream, count: self.pushed[at] }
    }

    fn ops(&mut self) -> Vec<Op> {
        self.spare.pop().unwrap_or_default()
    }
}
