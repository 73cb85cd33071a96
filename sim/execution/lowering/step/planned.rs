//! One group's step as it was planned: each member's work and the bytes of its exchanges.

use super::super::dispatch::Dispatch;
use super::super::totals::Totals;
use super::member::MemberWork;
use crate::base::units::{GpuId, SimDuration};
use crate::execution::blame::Op;
use crate::execution::program::Meeting;
use crate::network::Exchange;

/// The two exchanges of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangePhase {
    /// Tokens to their experts.
    Dispatch,
    /// Results back.
    Combine,
}

/// What members of a group meet for in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepMeeting {
    /// All of them.
    Exchange(ExchangePhase),
    /// The GPUs of the cut of this number, which gather tokens.
    Gather(u32),
    /// The same, which scatter results.
    Scatter(u32),
}

impl StepMeeting {
    /// Its number among the meetings of a step.
    pub(in crate::execution::lowering) const fn number(self) -> u64 {
        match self {
            Self::Exchange(ExchangePhase::Dispatch) => 0,
            Self::Exchange(ExchangePhase::Combine) => 1,
            Self::Gather(cut) => 2 + 2 * cut as u64,
            Self::Scatter(cut) => 3 + 2 * cut as u64,
        }
    }

    /// The meeting of this number.
    pub(in crate::execution::lowering) const fn numbered(number: u64) -> Self {
        let cut = (number / 2).saturating_sub(1) as u32;
        match number {
            0 => Self::Exchange(ExchangePhase::Dispatch),
            1 => Self::Exchange(ExchangePhase::Combine),
            _ if number.is_multiple_of(2) => Self::Gather(cut),
            _ => Self::Scatter(cut),
        }
    }
}

/// One group's step: each member's work, and the bytes of the dispatch.
#[derive(Clone, Debug, Default)]
pub struct Step {
    pub(super) parts: Vec<MemberWork>,
    pub(super) dispatch: Dispatch,
    /// What gathers and scatters of each cut take, where experts are cut over GPUs.
    pub(super) split: Vec<[SimDuration; 2]>,
    /// What the gate decided in it; nothing in a backward step.
    pub(super) totals: Totals,
}

impl Step {
    /// What the member does before the dispatch.
    #[must_use]
    pub fn before(&self, rank: usize) -> &[Op] {
        &self.parts[rank].before
    }

    /// What the member can do while the dispatch is under way.
    #[must_use]
    pub fn local(&self, rank: usize) -> &[Op] {
        &self.parts[rank].local
    }

    /// What the member does for the slots that reached it.
    #[must_use]
    pub fn experts(&self, rank: usize) -> &[Op] {
        &self.parts[rank].experts
    }

    /// What the member does once results are back.
    #[must_use]
    pub fn after(&self, rank: usize) -> &[Op] {
        &self.parts[rank].after
    }

    /// Weight gradients of the member's experts and of everything else, in a backward step.
    #[must_use]
    pub fn weights(&self, rank: usize) -> &[Vec<Op>; 2] {
        &self.parts[rank].weights
    }

    /// Meetings of the step.
    #[must_use]
    pub const fn meetings(&self) -> usize {
        2 + 2 * self.split.len()
    }

    /// One of its meetings, the group's first member being this one.
    #[must_use]
    pub fn meeting(&self, of: StepMeeting, first: GpuId) -> Meeting {
        let ranks = self.parts.len() as u32;
        let cut = ranks / (self.split.len() as u32).max(1);
        let members = |from: u32, to: u32| (first.0 + from..first.0 + to).map(GpuId).collect();
        let (at, leg) = match of {
            StepMeeting::Exchange(phase) => {
                return Meeting::Exchange(self.exchange(phase, members(0, ranks)));
            }
            StepMeeting::Gather(at) => (at, 0),
            StepMeeting::Scatter(at) => (at, 1),
        };
        let members = members(at * cut, (at + 1) * cut);
        Meeting::Collective { members, time: self.split[at as usize][leg] }
    }

    /// One of the two exchanges, among these members.
    #[must_use]
    pub fn exchange(&self, exchange_phase: ExchangePhase, members: Vec<GpuId>) -> Exchange {
        match exchange_phase {
            ExchangePhase::Dispatch => self.dispatch.dispatch_exchange(members),
            ExchangePhase::Combine => self.dispatch.combine_exchange(members),
        }
    }
}
