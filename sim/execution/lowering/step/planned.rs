//! One group's step as it was planned: each member's work and the bytes of its exchanges.

use super::super::dispatch::Dispatch;
use super::super::totals::Totals;
use super::member::MemberWork;
use crate::base::units::GpuId;
use crate::execution::blame::Op;
use crate::network::Exchange;

/// The two exchanges of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangePhase {
    /// Tokens to their experts.
    Dispatch,
    /// Results back.
    Combine,
}

/// One group's step: each member's work, and the bytes of the dispatch.
#[derive(Clone, Debug, Default)]
pub struct Step {
    pub(super) parts: Vec<MemberWork>,
    pub(super) dispatch: Dispatch,
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

    /// One of the two exchanges, among these members.
    #[must_use]
    pub fn exchange(&self, exchange_phase: ExchangePhase, members: Vec<GpuId>) -> Exchange {
        match exchange_phase {
            ExchangePhase::Dispatch => self.dispatch.dispatch_exchange(members),
            ExchangePhase::Combine => self.dispatch.combine_exchange(members),
        }
    }
}
