//! What observers of a run are told.

use crate::base::units::{GpuId, SimTime};
use crate::execution::blame::Reason;
use crate::network::Exchange;

/// What an observer is told. Unlike an [`Event`], a fact did happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A GPU's time from one instant to another passed for one reason.
    Spent {
        /// Which GPU.
        gpu: GpuId,
        /// On what.
        reason: Reason,
        /// From when.
        from: SimTime,
        /// Until when.
        to: SimTime,
    },
    /// A GPU joined a meeting.
    Joined {
        /// Which GPU.
        gpu: GpuId,
        /// What the meeting is for: what is blamed while it is under way.
        reason: Reason,
        /// When.
        at: SimTime,
    },
    /// A GPU has finished all its micro-batches.
    Finished {
        /// Which GPU.
        gpu: GpuId,
        /// When.
        at: SimTime,
    },
}

/// Told of facts in the order they become known; can change nothing.
pub trait Observer {
    /// `fact` happened.
    fn observe(&mut self, fact: Fact);

    /// The last member of an exchange has all it waits for.
    fn exchanged(&mut self, _moved: &Moved) {}

    /// A GPU has sent a message.
    fn sent(&mut self, _gpu: GpuId, _at: SimTime) {}

    /// A GPU has what it waited for of another.
    fn released(&mut self, _released: &Released) {}
}

/// The end of what a GPU takes part in with others: of a meeting, or a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Released {
    /// Which GPU.
    pub gpu: GpuId,
    /// Who joined last, or sent.
    pub decided_by: GpuId,
    /// When it did.
    pub since: SimTime,
    /// What is blamed from then on.
    pub reason: Reason,
    /// When the GPU had all it waits for.
    pub at: SimTime,
}

/// An exchange that has been delivered to all its members, for observers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Who sent how much to whom.
    pub exchange: Exchange,
    /// From when on bytes could move: in the closed form, which waits for all members, when the last
    /// had joined, else when the second had.
    pub from: SimTime,
    /// When the last member had its bytes.
    pub to: SimTime,
}
