//! What a GPU holds for a meeting that it has joined, and what the meeting has lost there: (1) and (2) of `contended`.

use crate::base::units::{SimDuration, SimTime};
use crate::execution::blame::Reason;
use crate::execution::program::{Contention, Slowdown, Stream};

/// The factor on work of this reason; what the host does takes no longer beside meetings.
pub(super) const fn factor(speed: Slowdown, reason: Reason) -> f64 {
    match reason {
        Reason::Launch => 1.0,
        _ if reason.is_bound_by_memory() => speed.memory,
        _ => speed.arithmetic,
    }
}

/// What a GPU does for a meeting that it has joined.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold {
    pub stream: Stream,
    pub reasons: [Reason; 2],
    pub contention: Contention,
    /// Whether the last member has joined.
    moves: bool,
    /// (1) so far, in picoseconds.
    lost: f64,
    /// t_d, once it is past.
    due: Option<SimTime>,
    epoch: u32,
}

impl Hold {
    pub const fn new(stream: Stream, reasons: [Reason; 2], contention: Contention) -> Self {
        Self { stream, reasons, contention, moves: false, lost: 0.0, due: None, epoch: 0 }
    }

    pub const fn is_of(&self, epoch: u32) -> bool {
        self.epoch == epoch
    }

    /// The last member has joined.
    pub const fn begins_to_move(&mut self) {
        self.moves = true;
    }

    /// It would have all that it waits for now, had it lost nothing.
    pub const fn is_due(&mut self, now: SimTime) {
        self.due = Some(now);
    }

    /// Makes earlier expectations of its end stale; says which is the new one.
    pub const fn expected_anew(&mut self) -> u32 {
        self.epoch = self.epoch.wrapping_add(1);
        self.epoch
    }

    /// How much slower kernels run beside it now.
    pub const fn kernels(&self) -> Slowdown {
        if self.moves { self.contention.kernels } else { self.contention.waiting }
    }

    /// Whether anything changes once it moves bytes.
    pub fn changes_once_moving(&self) -> bool {
        self.contends() || self.contention.kernels != self.contention.waiting
    }

    pub fn contends(&self) -> bool {
        self.contention.meeting != Slowdown::NONE
    }

    /// A kernel of this reason has run beside it for a time.
    pub fn lose(&mut self, reason: Reason, time: SimDuration) {
        if self.moves {
            self.lost += time.ps() as f64 * self.share_lost(reason);
        }
    }

    fn share_lost(&self, reason: Reason) -> f64 {
        1.0 - 1.0 / factor(self.contention.meeting, reason)
    }

    /// What it still lacks now, in picoseconds at its own rate; nothing before it is due.
    pub fn lacks(&self, now: SimTime) -> Option<f64> {
        let late = (now - self.due?).ps() as f64;
        Some(self.lost - late)
    }

    /// When (2) holds if these pieces run from now on and nothing more begins.
    pub fn end(
        &self,
        now: SimTime,
        pieces: impl Iterator<Item = (Reason, SimDuration)>,
    ) -> Option<SimTime> {
        let mut lacks = self.lacks(now)?;
        let mut at = now.ps() as f64;
        for (reason, time) in pieces {
            let (time, left) = (time.ps() as f64, 1.0 - self.share_lost(reason));
            if lacks <= time * left {
                return Some(SimTime::from_ps((at + (lacks / left).max(0.0)).ceil() as u64));
            }
            lacks -= time * left;
            at += time;
        }
        Some(SimTime::from_ps((at + lacks.max(0.0)).ceil() as u64))
    }
}
