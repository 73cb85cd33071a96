//! What a library and its links really deliver: the profile's side of the network.
//!
//! A topology gives data-sheet peaks; a profile says which share of them an all-to-all gets, and
//! what starting one costs. For a rank that exchanges `S` bytes with `p` peers,
//!
//! ```text
//!   startup = α + γ·p + c·(1 − e^{−S/S0})                                         (1)
//! ```
//!
//! The last term is the ramp of NCCL's protocols and channels [nccl]: three parameters fit its
//! all-to-all from 0.5 KB to 1 GB within 6 % in the median, where `α + S/B` alone misses by 20 %.

use crate::base::units::{Bandwidth, Bytes, SimDuration};
use crate::topology::{ByClass, LinkClass};

/// What starting an exchange costs a rank, equation (1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Startup {
    /// `α` as measured, latency of the route included; absent, the route's own latency is taken.
    pub alpha: Option<SimDuration>,
    /// `γ`: more for every peer that bytes go to or come from.
    pub per_peer: SimDuration,
    /// `c`: what the ramp adds to large messages.
    pub ramp: SimDuration,
    /// `S0`: the bytes over which the ramp rises.
    pub ramp_bytes: Bytes,
    /// The most that one pair of ranks can exchange (channels per peer), if that binds.
    pub pair_ceiling: Option<Bandwidth>,
}

impl Startup {
    /// Nothing but the latency of the route.
    pub const LATENCY_ONLY: Self = Self {
        alpha: None,
        per_peer: SimDuration::ZERO,
        ramp: SimDuration::ZERO,
        ramp_bytes: Bytes(1),
        pair_ceiling: None,
    };

    /// A fixed cost.
    #[must_use]
    pub const fn fixed(alpha: SimDuration) -> Self {
        Self { alpha: Some(alpha), ..Self::LATENCY_ONLY }
    }

    /// Equation (1) for a rank that exchanges `bytes` with `peers` over routes of `latency`.
    #[must_use]
    pub fn time_of(&self, bytes: Bytes, peers: u64, latency: SimDuration) -> SimDuration {
        let risen = -(-(bytes.0 as f64) / (self.ramp_bytes.0.max(1) as f64)).exp_m1();
        self.alpha.unwrap_or(latency)
            + self.per_peer.times(peers)
            + SimDuration::from_secs(self.ramp.secs() * risen)
    }
}

impl Startup {
    /// `factor` times as long, and a ceiling as much lower.
    fn slower(self, factor: f64) -> Self {
        let ceiling =
            |rate: Bandwidth| Bandwidth::from_bytes_per_sec(rate.bytes_per_sec() / factor);
        Self {
            alpha: self.alpha.map(|alpha| alpha.scaled(factor)),
            per_peer: self.per_peer.scaled(factor),
            ramp: self.ramp.scaled(factor),
            ramp_bytes: self.ramp_bytes,
            pair_ceiling: self.pair_ceiling.map(ceiling),
        }
    }
}

/// How a cluster differs from the one that a profile's tables of collectives within a node were measured on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TableScale {
    /// Bandwidth of the links within a node, over that of the device measured.
    pub links: f64,
    /// Start-up over that measured.
    pub startup: f64,
}

impl TableScale {
    /// As measured.
    pub const SAME: Self = Self { links: 1.0, startup: 1.0 };
}

/// What links and library deliver, measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetworkRates {
    /// Share of the data-sheet bandwidth that an all-to-all gets from each class of link.
    pub efficiency: ByClass<f64>,
    /// Startup of an exchange whose members share a node.
    pub within_node: Startup,
    /// Startup of an exchange that leaves the node.
    pub across_nodes: Startup,
    /// What tables of collectives within a node are scaled by.
    pub table: TableScale,
}

impl NetworkRates {
    /// Links deliver what their data sheets say, at once.
    pub const IDEAL: Self = Self {
        efficiency: ByClass::all(1.0),
        within_node: Startup::LATENCY_ONLY,
        across_nodes: Startup::LATENCY_ONLY,
        table: TableScale::SAME,
    };

    /// These rates with the efficiency of one class replaced.
    #[must_use]
    pub const fn with_efficiency(mut self, class: LinkClass, share: f64) -> Self {
        self.efficiency = self.efficiency.with(class, share);
        self
    }

    /// Rates at which exchanges take `within` times as long in a node and `across` times as long
    /// between nodes; latencies of routes, where no startup was measured, stay.
    #[must_use]
    pub fn slower(mut self, within: f64, across: f64) -> Self {
        for class in LinkClass::ALL {
            let factor = match class {
                LinkClass::Nvlink | LinkClass::Xgmi | LinkClass::Pcie | LinkClass::Socket => within,
                LinkClass::Nic
                | LinkClass::LeafSpine
                | LinkClass::SpineCore
                | LinkClass::Direct => across,
            };
            self = self.with_efficiency(class, self.efficiency.of(class) / factor);
        }
        self.within_node = self.within_node.slower(within);
        self.across_nodes = self.across_nodes.slower(across);
        self
    }
}

/// What an exchange carries: libraries deliver different rates for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carries {
    /// Tokens to their experts.
    Dispatch,
    /// Results back.
    Combine,
    /// Anything else: activations of a pipeline, parameters that move.
    #[default]
    Other,
}

/// Rates for each kind of exchange.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Of dispatches.
    pub dispatch: NetworkRates,
    /// Of combines.
    pub combine: NetworkRates,
    /// Of everything else.
    pub other: NetworkRates,
}

impl From<NetworkRates> for Rates {
    fn from(all: NetworkRates) -> Self {
        Self { dispatch: all, combine: all, other: all }
    }
}

impl Rates {
    /// Those of one kind of exchange.
    #[must_use]
    pub const fn of(&self, carries: Carries) -> &NetworkRates {
        match carries {
            Carries::Dispatch => &self.dispatch,
            Carries::Combine => &self.combine,
            Carries::Other => &self.other,
        }
    }

    /// The highest efficiency of each class of link, over kinds of exchange.
    #[must_use]
    pub fn best_efficiency(&self) -> ByClass<f64> {
        let mut best = self.other.efficiency;
        for class in LinkClass::ALL {
            let others = [&self.dispatch, &self.combine].map(|rates| rates.efficiency.of(class));
            let most = others.into_iter().fold(best.of(class), f64::max);
            best = best.with(class, most);
        }
        best
    }

    /// Every kind's rates changed in the same way.
    #[must_use]
    pub fn map(self, mut change: impl FnMut(NetworkRates) -> NetworkRates) -> Self {
        Self {
            dispatch: change(self.dispatch),
            combine: change(self.combine),
            other: change(self.other),
        }
    }
}
