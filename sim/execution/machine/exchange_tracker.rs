//! Exchanges in flight, kept for an observer: it receives each when its last member has its bytes.

use std::collections::BTreeMap;

use super::Moved;
use crate::base::units::SimTime;
use crate::network::{Exchange, ExchangeId};

/// An exchange in flight, and since when its bytes move.
#[derive(Debug)]
struct TrackedExchange {
    exchange: Exchange,
    joined: usize,
    from: SimTime,
    left: usize,
}

/// The exchanges in flight.
#[derive(Debug, Default)]
pub(super) struct ExchangeTracker {
    in_flight: BTreeMap<ExchangeId, TrackedExchange>,
}

impl ExchangeTracker {
    /// An exchange has been announced.
    pub fn open(&mut self, id: ExchangeId, exchange: &Exchange) {
        let (exchange, left) = (exchange.clone(), exchange.members().len());
        self.in_flight
            .insert(id, TrackedExchange { exchange, joined: 0, from: SimTime::ZERO, left });
    }

    /// A member has joined; an exchange that waits for all of them begins with the last, any other
    /// with the second.
    pub fn join(&mut self, now: SimTime, id: ExchangeId, waits_for_all: bool) {
        let Some(tracked) = self.in_flight.get_mut(&id) else { return };
        tracked.joined += 1;
        if waits_for_all || tracked.joined <= 2 {
            tracked.from = now;
        }
    }

    /// A member has its bytes; says what was moved if it was the last.
    pub fn deliver(&mut self, id: ExchangeId, at: SimTime) -> Option<Moved> {
        let tracked = self.in_flight.get_mut(&id)?;
        tracked.left -= 1;
        if tracked.left > 0 {
            return None;
        }
        let TrackedExchange { exchange, from, .. } = self.in_flight.remove(&id)?;
        Some(Moved { exchange, from, to: at })
    }
}
