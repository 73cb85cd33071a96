//! What the machine asks of a network: carry the bytes of collectives, and report when each member is done.
//!
//! The machine opens an exchange, lets each member join when it is ready, and receives each
//! delivery. How bytes share links in between is the implementation's business: the closed form
//! waits for the last member and drains ports; a flow engine starts each flow when both ends are
//! there and shares links among all exchanges in flight. Neither changes a caller.

use crate::base::units::SimTime;

mod carrier;
mod closed_form;
pub mod collective;
mod ecmp;
mod exchange;
mod flow_network;
pub mod fluid;
mod measured;
mod network_report;
mod problem;
mod rates;
pub mod traffic;

pub use carrier::{Balanced, Carrier, DEFAULT_SMS, ExchangeBasis, Unavailable};
pub use closed_form::ClosedForm;
pub use ecmp::ecmp_efficiency;
pub use exchange::{Exchange, Forwarding, Relayed};
pub use flow_network::FlowNetwork;
pub use network_report::{NetworkChoice, NetworkReport};
pub use problem::{BYTES_PER_FLOW, BYTES_PER_HOP, LinkDegradation, Transport, build_problem};
pub use rates::{Carries, NetworkRates, Rates, Startup, TableScale};

/// Names one exchange among those in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(pub u32);

/// A member of an exchange has received all its bytes and sent all its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Delivery {
    /// When.
    pub at: SimTime,
    /// Of which exchange.
    pub exchange: ExchangeId,
    /// The member's rank in the exchange.
    pub rank: usize,
}

/// Carries exchanges. Time never runs backwards: each `now` is at or after the one before.
pub trait Network {
    /// Announces an exchange; nothing moves until members join.
    fn open(&mut self, id: ExchangeId, exchange: Exchange);

    /// The member of this rank is ready to send and receive from `now` on.
    fn join(&mut self, now: SimTime, id: ExchangeId, rank: usize);

    /// The next instant at which something may be delivered if nobody joins before, if any: ask for
    /// deliveries then, even if some implementation turns out to have none yet.
    fn next_delivery(&mut self) -> Option<SimTime>;

    /// Takes out all deliveries up to and including `now`, in order of time, exchange and rank.
    fn deliver(&mut self, now: SimTime, delivered: &mut Vec<Delivery>);

    /// Which engine has carried what so far, and what is known of its error.
    fn network_report(&self) -> NetworkReport;

    /// Bytes over each link so far, those of relays on every link they cross; bytes count once their
    /// exchange has begun.
    fn link_bytes(&self) -> &[u64];
}
