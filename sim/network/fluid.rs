//! How concurrent flows share the links: weighted max–min fairness, in three engines.
//!
//! A flow `f` crosses the links of its route at one rate `x_f`. The rates must fit every link, and
//! among all rates that fit we take the max–min fair ones: no flow can be given more without
//! taking from a flow that has, for its weight `w_f`, no more than it.
//!
//! ```text
//!   Σ_{f ∋ l} x_f ≤ c_l   for every link l          (1)  capacity
//!   x_f ≤ u_f             for every flow f          (2)  ceiling
//! ```
//!
//! *Bottleneck condition* [bertsekas92, §6.5.2]: feasible rates are max–min fair exactly when
//! every flow either sits at its ceiling or crosses a saturated link on which no other flow has a
//! larger `x_f / w_f`. Between two events (a flow starts or ends, a capacity changes) rates are
//! constant, so a flow of `S_f` bytes that starts at `t_f` ends when `∫ x_f dt = S_f`.
//!
//! | engine | what it does | error of a finish time |
//! |---|---|---|
//! | exact | all rates solved again at every event | rounding, 1e-9 relative |
//! | quantised | events gathered into steps of `ε·t`, unused capacity given back | about `ε` |
//! | closed form | every link drains its bytes at its full capacity | none guaranteed; see [`drain`] |
//!
//! [`solve`] first drops links that can never bind ([`reduce`]), cuts the rest into independent
//! parts, and solves each part by itself, on as many threads as given; equal parts are solved
//! once. The result does not depend on the number of threads.
//!
//! What fluid flows leave out: packets, queues, and the time a transport takes to find its rate.
//! With a good transport packets take 3–9 % longer for messages of 1 MiB.
//!
//! This module knows no topology and no clock: links are numbers with capacities, time is seconds
//! from the start of the problem.

use std::fmt;

use crate::base::units::{FlowId, LinkId};

mod choice;
mod drain;
mod engines;
mod latest;
mod parts;
mod reduce;
mod sharing;
mod solution;
mod starts;
mod water;

pub use choice::{Certificate, Choice, Engine, KnownError, ROUNDING, certificate};
pub use drain::{Drained, drain};
pub(super) use sharing::HELD;
pub use sharing::Sharing;
pub use solution::{Solution, solve};
use starts::Starts;

/// Flows that end within this relative distance of each other end together.
const SAME_INSTANT: f64 = 1e-12;

/// The capacity of a link from an instant on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CapacityChange {
    /// When, in seconds.
    pub at_s: f64,
    /// Which link.
    pub link: LinkId,
    /// Bytes per second from then on; zero while the link is down.
    pub capacity: f64,
}

/// A flow that never ends, because a link of its route stays down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// The flow.
    pub flow: FlowId,
    /// The link that it waits for.
    pub link: LinkId,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flow {} waits for link {}, which stays down", self.flow.0, self.link.0)
    }
}

impl std::error::Error for Stuck {}

/// Flows over links: what is to be solved.
#[derive(Clone, Debug, Default)]
pub struct Problem {
    capacity: Vec<f64>,
    /// Links of each route while all have as many.
    hops: usize,
    /// Ends of the flows' routes in `route_links`, behind a leading zero; empty while all have as many links.
    route_ends: Vec<u32>,
    route_links: Vec<LinkId>,
    bytes: Vec<f64>,
    starts: Starts,
    /// Empty while all weights are one.
    weight: Vec<f64>,
    /// Empty while no flow has a ceiling.
    ceiling: Vec<f64>,
    changes: Vec<CapacityChange>,
}

impl Problem {
    /// A problem without flows over links of these capacities, in bytes per second.
    ///
    /// # Panics
    /// If a capacity is negative or not finite.
    #[must_use]
    pub fn new(capacity: Vec<f64>) -> Self {
        for (l, c) in capacity.iter().enumerate() {
            assert!(*c >= 0.0 && c.is_finite(), "link {l} has a capacity of {c} B/s");
        }
        Self { capacity, ..Self::default() }
    }

    /// Makes room for this many flows over this many links in all.
    pub fn reserve(&mut self, flows: usize, links: usize) {
        self.bytes.reserve_exact(flows);
        self.starts.reserve(flows);
        self.route_links.reserve_exact(links);
    }

    /// Adds a flow of weight one without ceiling.
    ///
    /// `start_s` is when its first byte may enter the links: latency is the caller's business.
    ///
    /// # Panics
    /// If bytes or start are negative or not finite, or the route has more than 4 billion links.
    #[inline]
    pub fn add(&mut self, route: &[LinkId], bytes: f64, start_s: f64) -> FlowId {
        let id = FlowId(self.bytes.len() as u32);
        assert!(bytes >= 0.0 && bytes.is_finite(), "flow {} has {bytes} bytes", id.0);
        assert!(start_s >= 0.0 && start_s.is_finite(), "flow {} starts at {start_s} s", id.0);
        self.route_links.extend_from_slice(route);
        assert!(self.route_links.len() <= u32::MAX as usize, "too many links in all routes");
        if self.bytes.is_empty() {
            self.hops = route.len();
        } else if self.route_ends.is_empty() && route.len() != self.hops {
            self.list_route_ends();
        }
        if !self.route_ends.is_empty() {
            self.route_ends.push(self.route_links.len() as u32);
        }
        self.bytes.push(bytes);
        self.starts.push(start_s);
        if !self.weight.is_empty() {
            self.weight.push(1.0);
        }
        if !self.ceiling.is_empty() {
            self.ceiling.push(f64::INFINITY);
        }
        id
    }

    #[cold]
    fn list_route_ends(&mut self) {
        self.route_ends.reserve_exact(self.bytes.capacity() + 1);
        self.route_ends.extend((0..=self.bytes.len()).map(|flow| (flow * self.hops) as u32));
    }

    /// Gives a flow a weight `w_f`.
    ///
    /// # Panics
    /// If it is not positive and finite.
    pub fn set_weight(&mut self, flow: FlowId, weight: f64) {
        assert!(weight > 0.0 && weight.is_finite(), "flow {} has weight {weight}", flow.0);
        self.weight.resize(self.bytes.len(), 1.0);
        self.weight[flow.index()] = weight;
    }

    /// Gives a flow a ceiling `u_f` in bytes per second.
    ///
    /// # Panics
    /// If it is not positive.
    pub fn set_ceiling(&mut self, flow: FlowId, ceiling: f64) {
        assert!(ceiling > 0.0, "flow {} has a ceiling of {ceiling} B/s", flow.0);
        self.ceiling.resize(self.bytes.len(), f64::INFINITY);
        self.ceiling[flow.index()] = ceiling;
    }

    /// Adds a change of a link's capacity.
    ///
    /// # Panics
    /// If its time or capacity is negative or not finite.
    pub fn change(&mut self, change: CapacityChange) {
        let CapacityChange { at_s, capacity, .. } = change;
        assert!(at_s >= 0.0 && at_s.is_finite(), "a change at {at_s} s");
        assert!(capacity >= 0.0 && capacity.is_finite(), "a change to {capacity} B/s");
        self.changes.push(change);
    }

    /// How many flows there are.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.bytes.len()
    }

    /// Capacities of all links at time zero, in bytes per second.
    #[must_use]
    pub fn capacities(&self) -> &[f64] {
        &self.capacity
    }

    /// The links that a flow crosses.
    #[must_use]
    #[inline]
    pub fn route(&self, flow: usize) -> &[LinkId] {
        if self.route_ends.is_empty() {
            return &self.route_links[flow * self.hops..(flow + 1) * self.hops];
        }
        &self.route_links[self.route_ends[flow] as usize..self.route_ends[flow + 1] as usize]
    }

    /// Bytes of a flow.
    #[must_use]
    #[inline]
    pub fn bytes(&self, flow: usize) -> f64 {
        self.bytes[flow]
    }

    /// When a flow starts, in seconds.
    #[must_use]
    #[inline]
    pub fn start_s(&self, flow: usize) -> f64 {
        self.starts.of(flow)
    }

    /// The weight of a flow.
    #[must_use]
    #[inline]
    pub fn weight(&self, flow: usize) -> f64 {
        self.weight.get(flow).copied().unwrap_or(1.0)
    }

    /// The ceiling of a flow in bytes per second, perhaps infinite.
    #[must_use]
    #[inline]
    pub fn ceiling(&self, flow: usize) -> f64 {
        self.ceiling.get(flow).copied().unwrap_or(f64::INFINITY)
    }

    /// The changes of capacities.
    #[must_use]
    pub fn changes(&self) -> &[CapacityChange] {
        &self.changes
    }

    /// The same problem with other capacities at time zero.
    ///
    /// # Panics
    /// If there are not as many as links.
    #[must_use]
    pub fn with_capacities(mut self, capacity: Vec<f64>) -> Self {
        let (new, old) = (capacity.len(), self.capacity.len());
        assert!(new == old, "{new} capacities for {old} links");
        self.capacity = capacity;
        self
    }

    /// The same problem with every capacity, now and after changes, times its link's factor.
    ///
    /// # Panics
    /// If there are not as many factors as links.
    #[must_use]
    pub fn scaled(mut self, factors: &[f64]) -> Self {
        let (new, old) = (factors.len(), self.capacity.len());
        assert!(new == old, "{new} factors for {old} links");
        self.capacity.iter_mut().zip(factors).for_each(|(capacity, factor)| *capacity *= factor);
        for change in &mut self.changes {
            change.capacity *= factors[change.link.index()];
        }
        self
    }

    /// What a link can carry on average until `until_s`, changes counted, in bytes per second.
    #[must_use]
    pub fn mean_capacity(&self, link: LinkId, until_s: f64) -> f64 {
        let mut own: Vec<&CapacityChange> =
            self.changes.iter().filter(|change| change.link == link).collect();
        let nominal = self.capacity[link.index()];
        if own.is_empty() || until_s <= 0.0 {
            return nominal;
        }
        own.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
        let (mut from_s, mut capacity, mut bytes) = (0.0, nominal, 0.0);
        for change in own {
            let at_s = change.at_s.clamp(from_s, until_s);
            bytes += capacity * (at_s - from_s);
            (from_s, capacity) = (at_s, change.capacity);
        }
        (bytes + capacity * (until_s - from_s)) / until_s
    }
}
