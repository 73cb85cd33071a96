//! The exact engine for any routes, starts, weights, ceilings and changing capacities.
//!
//! Event driven: rates hold until a flow starts or ends or a capacity changes; then all events of
//! that instant are applied at once and the rates are computed anew. With `E` events over `F`
//! flows of `h` links that is `O(E·F·h)`: for parts of a few thousand flows, and as the judge of
//! the faster engines.
//!
//! [`Sharing`] is the engine's state by itself, for callers who learn of flows as time goes on.

use super::parts::Part;
use super::solution::Stuck;
use super::water::{Incidence, Levels};
use super::{CapacityChange, Problem};
use crate::units::{FlowId, LinkId};

/// Flows that end within this relative distance of each other end together.
pub(super) const SAME_INSTANT: f64 = 1e-12;

/// Flows in flight and the time up to which they have been carried.
#[derive(Clone, Debug)]
pub struct Sharing {
    now_s: f64,
    capacity: Vec<f64>,
    /// Callers' names of the flows in flight.
    names: Vec<u32>,
    bytes: Vec<f64>,
    left: Vec<f64>,
    on: Incidence,
    levels: Levels,
    /// Whether rates must be computed anew; and whether the lists of flows by link too.
    stale: bool,
    unlisted: bool,
    ended: usize,
}

impl Sharing {
    /// Idle links of these capacities, in bytes per second, at time zero.
    #[must_use]
    pub fn new(capacity: Vec<f64>) -> Self {
        Self {
            now_s: 0.0,
            capacity,
            names: Vec::new(),
            bytes: Vec::new(),
            left: Vec::new(),
            on: Incidence::default(),
            levels: Levels::default(),
            stale: false,
            unlisted: false,
            ended: 0,
        }
    }

    /// The time up to which flows have been carried, in seconds.
    #[must_use]
    pub const fn now_s(&self) -> f64 {
        self.now_s
    }

    /// Starts a flow now; `name` is told when it ends.
    pub fn start(&mut self, name: u32, route: &[LinkId], bytes: f64, weight: f64, ceiling: f64) {
        self.names.push(name);
        self.bytes.push(bytes);
        self.left.push(bytes);
        self.on.add(route.iter().map(|link| link.0), weight, ceiling);
        (self.stale, self.unlisted) = (true, true);
    }

    /// Changes the capacity of a link from now on.
    pub fn set_capacity(&mut self, link: LinkId, capacity: f64) {
        self.capacity[link.index()] = capacity;
        self.stale = true;
    }

    /// How many flows are in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.names.len() - self.ended
    }

    fn refresh(&mut self) {
        if !self.stale {
            return;
        }
        if self.ended * 8 > self.names.len() {
            self.drop_ended();
        }
        if self.unlisted {
            self.on.list_flows_of_links(self.capacity.len());
            self.unlisted = false;
        }
        let left = &self.left;
        self.levels.fill(&self.capacity, &self.on, |flow| left[flow] > 0.0);
        self.stale = false;
    }

    fn drop_ended(&mut self) {
        let left = &self.left;
        self.on.retain(|flow| left[flow] > 0.0);
        let mut kept = 0;
        for flow in 0..self.left.len() {
            if self.left[flow] > 0.0 {
                self.names[kept] = self.names[flow];
                self.bytes[kept] = self.bytes[flow];
                self.left[kept] = self.left[flow];
                kept += 1;
            }
        }
        self.names.truncate(kept);
        self.bytes.truncate(kept);
        self.left.truncate(kept);
        self.ended = 0;
        self.unlisted = true;
    }

    /// When the next flow ends if nothing starts or changes before, in seconds.
    pub fn next_end_s(&mut self) -> Option<f64> {
        self.refresh();
        let rates = self.levels.rate.iter();
        let soonest = self
            .left
            .iter()
            .zip(rates)
            .filter(|&(&left, &rate)| left > 0.0 && rate > 0.0)
            .map(|(&left, &rate)| left / rate)
            .fold(f64::INFINITY, f64::min);
        (soonest < f64::INFINITY).then_some(self.now_s + soonest)
    }

    /// Carries all flows up to `to_s`, which is no later than the next end, and names those that
    /// have ended then.
    pub fn carry(&mut self, to_s: f64, ended: &mut Vec<u32>) {
        self.refresh();
        let span = (to_s - self.now_s).max(0.0);
        let slack = SAME_INSTANT * to_s;
        self.now_s = to_s;
        for flow in 0..self.left.len() {
            let (left, rate) = (self.left[flow], self.levels.rate[flow]);
            if left <= 0.0 {
                continue;
            }
            let after = left - rate * span;
            if after <= rate * slack || after <= self.bytes[flow] * 1e-15 {
                self.left[flow] = 0.0;
                self.ended += 1;
                self.stale = true;
                ended.push(self.names[flow]);
            } else {
                self.left[flow] = after;
            }
        }
    }

    /// A flow in flight, with a link of its route that carries nothing, if there is one.
    fn waiting(&self) -> Option<(u32, u32)> {
        let flow = (0..self.left.len()).find(|&flow| self.left[flow] > 0.0)?;
        let links = self.on.links_of(flow);
        let down = links.iter().find(|&&link| self.capacity[link as usize] <= 0.0);
        Some((self.names[flow], *down.or(links.first())?))
    }
}

/// Solves one part; `finish` is told each flow's finish time. Returns how often rates were computed.
pub(super) fn solve_exactly(
    part: &Part,
    links: &LocalLinks,
    finish: &mut dyn FnMut(u32, f64),
) -> Result<u64, Stuck> {
    let (starts, changes) = (part.by_start(), links.changes(part.problem));
    let mut sharing = Sharing::new(links.capacities(part.problem));
    let (mut started, mut changed, mut steps) = (0, 0, 0);
    let (mut route, mut ended) = (Vec::new(), Vec::new());
    loop {
        let start = starts.get(started).map_or(f64::INFINITY, |&flow| part.start_s(flow));
        let change = changes.get(changed).map_or(f64::INFINITY, |change| change.at_s);
        let end = sharing.next_end_s().unwrap_or(f64::INFINITY);
        steps += 1;
        let next = start.min(change).min(end);
        if next == f64::INFINITY {
            return sharing.waiting().map_or(Ok(steps), |(flow, link)| {
                let flow = FlowId(part.flows[flow as usize]);
                Err(Stuck { flow, link: links.global(link as usize) })
            });
        }
        sharing.carry(next, &mut ended);
        for flow in ended.drain(..) {
            finish(flow, next);
        }
        while let Some(&flow) = starts.get(started)
            && part.start_s(flow) <= next * (1.0 + SAME_INSTANT)
        {
            links.route(part, flow, &mut route);
            let (weight, ceiling) = (part.weight(flow), part.ceiling(flow));
            sharing.start(flow, &route, part.bytes(flow), weight, ceiling);
            started += 1;
        }
        while let Some(change) = changes.get(changed)
            && change.at_s <= next * (1.0 + SAME_INSTANT)
        {
            sharing.set_capacity(change.link, change.capacity);
            changed += 1;
        }
    }
}

/// The links of one part, numbered from zero.
pub(super) struct LocalLinks<'a> {
    /// The number within the part of every link of the problem.
    local: &'a [u32],
    globals: Vec<LinkId>,
}

impl<'a> LocalLinks<'a> {
    /// Numbers the links of a part; `local` is space for every link of the problem, whatever it
    /// holds, and is overwritten when the next part is numbered.
    pub fn number(part: &Part, local: &'a mut [u32]) -> Self {
        let mut globals = Vec::new();
        for flow in 0..part.len() as u32 {
            for link in part.route(flow) {
                let known = local[link.index()] as usize;
                if globals.get(known) != Some(&link) {
                    local[link.index()] = globals.len() as u32;
                    globals.push(link);
                }
            }
        }
        Self { local, globals }
    }

    pub const fn len(&self) -> usize {
        self.globals.len()
    }

    pub fn global(&self, local: usize) -> LinkId {
        self.globals[local]
    }

    pub fn capacities(&self, problem: &Problem) -> Vec<f64> {
        self.globals.iter().map(|link| problem.capacities()[link.index()]).collect()
    }

    /// The changes of this part's links, in order of time.
    pub fn changes(&self, problem: &Problem) -> Vec<CapacityChange> {
        let here = |change: &CapacityChange| {
            let local = self.local[change.link.index()];
            let known = self.globals.get(local as usize) == Some(&change.link);
            known.then_some(CapacityChange { link: LinkId(local), ..*change })
        };
        let mut changes: Vec<CapacityChange> = problem.changes().iter().filter_map(here).collect();
        changes.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
        changes
    }

    /// The links of a flow that may bind, by their numbers in the part.
    pub fn route(&self, part: &Part, flow: u32, route: &mut Vec<LinkId>) {
        route.clear();
        route.extend(part.route(flow).map(|link| LinkId(self.local[link.index()])));
    }
}
