//! What a GPU is told to do, and in which order: commands on streams.
//!
//! A program knows models, layouts and schedules, and no time. It fills the streams of each GPU phase by phase,
//! when the GPU comes to them, so a run never holds more of it than is in flight. The machine knows time and
//! none of the above: it takes the commands of a stream one after another, as CUDA does, and starts
//! each when the commands that it waits for have ended.
//!
//! ```text
//!   Compute   ─ own work ─┬──────────── covered work ┬─ own work ─┬───────────────
//!   Exchange              └─ join ┄┄┄┄ dispatch ┄┄┄┄─┘            └─ join ┄ combine ┄─
//!   Reduction                                             join ┄ gradients ┄
//!   Receive   ─ receive ┄┄┄ from the stage before
//! ```

use std::ops::Range;

use crate::base::units::{Bytes, GpuId, SimDuration};
use crate::execution::blame::{Op, Reason};
use crate::network::Exchange;

/// A queue of commands on one GPU; those of one stream run one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// Kernels. Every instant of it is blamed on one reason.
    Compute,
    /// Dispatch and combine.
    Exchange,
    /// Gradients and parameters between replicas.
    Reduction,
    /// What goes to other pipeline stages.
    Send,
    /// What comes from other pipeline stages.
    Receive,
}

impl Stream {
    /// Streams of a GPU.
    pub const COUNT: usize = 5;
    /// All of them.
    pub const ALL: [Self; Self::COUNT] =
        [Self::Compute, Self::Exchange, Self::Reduction, Self::Send, Self::Receive];
}

/// The end of a stream's command of this number, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct After {
    /// The stream.
    pub stream: Stream,
    /// How many of its commands have ended then.
    pub count: u32,
}

/// Names a rendezvous of several GPUs, as the program numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MeetingId(pub u64);

/// How much slower kernels run beside what holds SMs or memory bandwidth: factors of at least 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slowdown {
    /// On kernels bound by tiles on SMs.
    pub arithmetic: f64,
    /// On kernels bound by memory.
    pub memory: f64,
}

impl Slowdown {
    /// None.
    pub const NONE: Self = Self { arithmetic: 1.0, memory: 1.0 };
}

/// What a meeting and the kernels that run beside it on a GPU take of each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contention {
    /// How much slower kernels run while it waits for members, and moves nothing.
    pub waiting: Slowdown,
    /// How much slower kernels run while it moves bytes.
    pub kernels: Slowdown,
    /// How much slower the meeting's bytes move beside kernels bound by tiles, and by memory.
    pub meeting: Slowdown,
}

impl Contention {
    /// Nothing.
    pub const NONE: Self =
        Self { waiting: Slowdown::NONE, kernels: Slowdown::NONE, meeting: Slowdown::NONE };
}

/// What a command does.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Own work, one piece after another.
    Compute(Vec<Op>),
    /// Own work that may hide under the exchange that the next command of its stream waits for: what
    /// does not fit before the delivery runs before that command.
    Covered(Vec<Op>),
    /// Takes part in a meeting as the member of this rank; ends when this member has all it waits for.
    Join {
        /// Which.
        meeting: MeetingId,
        /// As which member.
        rank: usize,
        /// Blamed while the meeting has not begun, and while it is under way.
        reasons: [Reason; 2],
        /// What it and kernels beside it take of each other.
        contention: Contention,
    },
    /// Sends bytes to another GPU, under a number that its receiver knows; ends at once.
    Send {
        /// To whom.
        to: GpuId,
        /// How much.
        bytes: Bytes,
        /// Which of all messages to that GPU.
        number: u64,
    },
    /// Ends when the message of this number is here.
    Receive {
        /// Which of all messages to this GPU.
        number: u64,
    },
}

/// One command of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// What it does.
    pub work: Work,
    /// What must have ended before it starts, beside the commands before it on its stream.
    pub after: Option<After>,
    /// Whether a command of another stream waits for its end. Others may be run together with the next.
    pub awaited: bool,
}

/// What a meeting is, asked once, when its first member joins.
#[derive(Clone, Debug, PartialEq)]
pub enum Meeting {
    /// Bytes over the network.
    Exchange(Exchange),
    /// A collective that takes this long once all members are there.
    Collective {
        /// Who takes part, by rank.
        members: Vec<GpuId>,
        /// How long it takes.
        time: SimDuration,
    },
}

/// The empty streams of one GPU, to be filled with its next phase.
pub trait Fill {
    /// Adds a command to a stream; returns its end, for others to wait for.
    fn push(&mut self, stream: Stream, command: Command) -> After;

    /// Memory of earlier commands, for their successors.
    fn ops(&mut self) -> Vec<Op>;
}

/// The accounts of GPUs that only work and wait for each other.
pub trait Lockstep {
    /// A GPU's own work, behind all that it has done.
    fn work(&mut self, gpu: GpuId, ops: &[Op]);

    /// The GPUs of these numbers wait for the last of them, blamed on `reason`; `ends` is the group one of whose sampled
    /// units of work ends with it, where one does.
    fn meet(&mut self, gpus: Range<u32>, reason: Reason, ends: Option<usize>);
}

/// What GPUs do, phase by phase.
pub trait Program {
    /// GPUs that take part.
    fn gpus(&self) -> u32;

    /// Adds what a GPU does in its next phase to its streams; false if it has done everything.
    fn next(&mut self, gpu: GpuId, streams: &mut dyn Fill) -> bool;

    /// What a meeting is.
    fn meeting(&mut self, meeting: MeetingId) -> Meeting;

    /// All members have left a meeting.
    fn adjourned(&mut self, _meeting: MeetingId) {}

    /// The group one of whose sampled units of work ends with a meeting, where one does.
    fn ends_unit(&self, _meeting: MeetingId) -> Option<usize> {
        None
    }

    /// Groups of GPUs, where all that GPUs do is to work and to wait for their whole group: they need no calendar.
    fn in_lockstep(&self) -> Option<usize> {
        None
    }

    /// Takes a group in lockstep through its next phase; false if it has done everything.
    fn next_in_lockstep(&mut self, _group: usize, _gpus: &mut dyn Lockstep) -> bool {
        false
    }
}
