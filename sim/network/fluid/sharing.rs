//! Flows in flight, for callers who learn of them as time goes on.
//!
//! Rates hold until a flow starts or ends or a capacity changes. Such an event concerns the flows
//! and links that are connected to it through shared links, its *component*; only their rates are
//! computed anew, `O(F·h + L·log L)` for the component's `F` flows of `h` links over `L` links. A
//! component's next end is found on the way, and a heap holds one entry for each component.
//!
//! Told an ε, ends are gathered: after a filling at `t`, rates hold for `κ·ε·(t − t₀)`, where `t₀` is
//! the latest time in the component from which a flow's duration counts (its start, or the time when what it is part
//! of began to start up), or until the next end if that is later. Flows that end within that
//! time end when they should under these rates; what they leave unused until the next filling makes
//! the others late by a share of about `κ·ε`. Starts and changes of capacity are never gathered.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::SAME_INSTANT;
use super::water::{Full, STALE};
use crate::base::units::LinkId;

/// `κ` above.
pub(in crate::network) const HELD: f64 = 0.3;

#[derive(Clone, Debug, Default)]
struct Flow {
    name: u32,
    running: bool,
    /// The component it was last put into, and that component's version then.
    component: Option<(u32, u32)>,
    seen: u32,
    bytes: f64,
    /// Bytes left at `since_s`.
    left: f64,
    since_s: f64,
    start_s: f64,
    rate: f64,
    weight: f64,
    ceiling: f64,
    route: Vec<u32>,
}

#[derive(Clone, Debug, Default)]
struct Link {
    seen: u32,
    /// Slots of flows, ended ones included until the next filling.
    flows: Vec<u32>,
    free: f64,
    pull: f64,
    rising: u32,
}

/// Flows whose rates depend on each other.
#[derive(Clone, Debug, Default)]
struct Component {
    version: u32,
    /// Ends before the next filling, the last first: when, and whose.
    ends: Vec<(f64, u32)>,
    /// Slots of flows that have ended since the last filling.
    ended: Vec<u32>,
}

/// Flows in flight and the time up to which they have been carried.
#[derive(Clone, Debug)]
pub struct Sharing {
    now_s: f64,
    held: f64,
    capacity: Vec<f64>,
    links: Vec<Link>,
    flows: Vec<Flow>,
    free_slots: Vec<u32>,
    running: usize,
    components: Vec<Component>,
    free_components: Vec<u32>,
    /// The next end of each component, as the bits of a time, with the component's version.
    next: BinaryHeap<Reverse<(u64, u32, u32)>>,
    touched: Vec<u32>,
    fresh: Vec<u32>,
    now_filled: u32,
    fillings: u64,
    heap: BinaryHeap<Full>,
}

impl Sharing {
    /// Idle links of these capacities, in bytes per second, at time zero.
    #[must_use]
    pub fn new(capacity: Vec<f64>) -> Self {
        Self {
            now_s: 0.0,
            held: 0.0,
            links: vec![Link::default(); capacity.len()],
            capacity,
            flows: Vec::new(),
            free_slots: Vec::new(),
            running: 0,
            components: Vec::new(),
            free_components: Vec::new(),
            next: BinaryHeap::new(),
            touched: Vec::new(),
            fresh: Vec::new(),
            now_filled: 0,
            fillings: 0,
            heap: BinaryHeap::new(),
        }
    }

    /// The same with ends gathered to a relative error of about `epsilon`.
    #[must_use]
    pub fn quantised(mut self, epsilon: f64) -> Self {
        self.held = HELD * epsilon;
        self
    }

    /// The time up to which flows have been carried, in seconds.
    #[must_use]
    pub const fn now_s(&self) -> f64 {
        self.now_s
    }

    /// How many flows are in flight.
    #[must_use]
    pub const fn in_flight(&self) -> usize {
        self.running
    }

    /// How often the rates of some component were computed.
    pub(super) const fn fillings(&self) -> u64 {
        self.fillings
    }

    /// Starts a flow of these bytes, weight and ceiling now; `name` is told when it ends. Its duration, of which ε is a
    /// share, counts from `from_s`.
    pub fn start(&mut self, name: u32, route: &[LinkId], load: (f64, f64, f64), from_s: f64) {
        let (bytes, weight, ceiling) = load;
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.flows.push(Flow::default());
            self.flows.len() as u32 - 1
        });
        let flow = &mut self.flows[slot as usize];
        let mut links = std::mem::take(&mut flow.route);
        links.clear();
        links.extend(route.iter().map(|link| link.0));
        for &link in &links {
            self.links[link as usize].flows.push(slot);
        }
        *flow = Flow {
            name,
            running: true,
            bytes,
            left: bytes,
            since_s: self.now_s,
            start_s: from_s,
            weight,
            ceiling,
            route: links,
            ..Flow::default()
        };
        self.running += 1;
        self.fresh.push(slot);
    }

    /// Changes the capacity of a link from now on.
    pub fn set_capacity(&mut self, link: LinkId, capacity: f64) {
        if self.capacity[link.index()] != capacity {
            self.capacity[link.index()] = capacity;
            self.touched.push(link.0);
        }
    }

    /// When the next flow ends if nothing starts or changes before, in seconds.
    pub fn next_end_s(&mut self) -> Option<f64> {
        self.refresh();
        while let Some(&Reverse((time, component, version))) = self.next.peek() {
            if self.components[component as usize].version == version {
                return Some(f64::from_bits(time));
            }
            self.next.pop();
        }
        None
    }

    /// Carries all flows up to `to_s`, which is no later than the next end, and names those that
    /// have ended then.
    pub fn carry(&mut self, to_s: f64, ended: &mut Vec<u32>) {
        while let Some(next) = self.next_end_s().filter(|&next| next <= to_s) {
            self.now_s = next.max(self.now_s);
            let Some(Reverse((_, number, version))) = self.next.pop() else { return };
            let component = &mut self.components[number as usize];
            while let Some(&(end, slot)) = component.ends.last()
                && end <= to_s
            {
                component.ends.pop();
                component.ended.push(slot);
                let flow = &mut self.flows[slot as usize];
                (flow.running, flow.left) = (false, 0.0);
                self.running -= 1;
                ended.push(flow.name);
            }
            match component.ends.last() {
                Some(&(end, _)) => self.next.push(Reverse((end.to_bits(), number, version))),
                None => self.retire(number),
            }
        }
        self.now_s = to_s.max(self.now_s);
    }

    /// Dissolves a component, whose links are to be filled anew.
    fn retire(&mut self, number: u32) {
        let component = &mut self.components[number as usize];
        component.version += 1;
        for &slot in &component.ended {
            self.touched.extend(&self.flows[slot as usize].route);
        }
        // A component without ended flows is reached through what touched it.
        component.ends.clear();
        let ended = std::mem::take(&mut component.ended);
        self.fresh.extend(&ended);
        self.free_components.push(number);
    }

    /// Computes the rates of all components that something has happened to.
    fn refresh(&mut self) {
        if self.touched.is_empty() && self.fresh.is_empty() {
            return;
        }
        self.now_filled += 1;
        let (mut flows, mut links, mut over) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            // Retiring a component may add to both lists.
            if let Some(slot) = self.fresh.pop() {
                if self.flows[slot as usize].running {
                    self.reach_flow(slot, &mut flows, &mut links);
                } else {
                    over.push(slot);
                }
            } else if let Some(link) = self.touched.pop() {
                self.reach_link(link, &mut links);
            } else {
                break;
            }
            self.reach_rest(&mut flows, &mut links);
            if !flows.is_empty() {
                self.fill(&flows, &links);
                self.form(&flows);
            }
            flows.clear();
            links.clear();
        }
        // Only now does no link know them.
        self.free_slots.append(&mut over);
    }

    fn reach_link(&mut self, link: u32, links: &mut Vec<u32>) {
        let state = &mut self.links[link as usize];
        if state.seen != self.now_filled {
            state.seen = self.now_filled;
            let flows = &self.flows;
            state.flows.retain(|&slot| flows[slot as usize].running);
            links.push(link);
        }
    }

    fn reach_flow(&mut self, slot: u32, flows: &mut Vec<u32>, links: &mut Vec<u32>) {
        let now = self.now_s;
        let flow = &mut self.flows[slot as usize];
        if flow.seen == self.now_filled {
            return;
        }
        flow.seen = self.now_filled;
        flow.left = (flow.left - flow.rate * (now - flow.since_s)).max(0.0);
        flow.since_s = now;
        flows.push(slot);
        let component = flow.component.take();
        let route = std::mem::take(&mut flow.route);
        route.iter().for_each(|&link| self.reach_link(link, links));
        self.flows[slot as usize].route = route;
        if let Some((number, version)) = component
            && self.components[number as usize].version == version
        {
            self.retire(number);
        }
    }

    fn reach_rest(&mut self, flows: &mut Vec<u32>, links: &mut Vec<u32>) {
        let mut at = 0;
        while at < links.len() {
            let here = std::mem::take(&mut self.links[links[at] as usize].flows);
            here.iter().for_each(|&slot| self.reach_flow(slot, flows, links));
            self.links[links[at] as usize].flows = here;
            at += 1;
        }
    }

    /// Water-filling within one component, as in [`super::water`].
    fn fill(&mut self, flows: &[u32], links: &[u32]) {
        self.fillings += 1;
        for &link in links {
            let state = &mut self.links[link as usize];
            (state.free, state.pull) = (self.capacity[link as usize], 0.0);
            state.rising = state.flows.len() as u32;
        }
        let beyond = self.links.len() as u32;
        self.heap.clear();
        for &slot in flows {
            let flow = &mut self.flows[slot as usize];
            flow.rate = -1.0;
            for &link in &flow.route {
                self.links[link as usize].pull += flow.weight;
            }
            if flow.ceiling < f64::INFINITY || flow.route.is_empty() {
                let level = flow.ceiling / flow.weight;
                self.heap.push(Full { level, link: beyond + slot });
            }
        }
        for &link in links {
            let Link { free, pull, rising, .. } = self.links[link as usize];
            if rising > 0 {
                self.heap.push(Full { level: free / pull, link });
            }
        }
        while let Some(Full { level: expected, link }) = self.heap.pop() {
            if link >= beyond {
                self.settle(link - beyond, expected);
                continue;
            }
            let state = &mut self.links[link as usize];
            if state.rising == 0 {
                continue;
            }
            let level = (state.free / state.pull).max(0.0);
            if level > expected * STALE {
                self.heap.push(Full { level, link });
                continue;
            }
            let here = std::mem::take(&mut state.flows);
            here.iter().for_each(|&slot| self.settle(slot, level));
            self.links[link as usize].flows = here;
        }
    }

    /// Freezes a flow at a level, unless it is frozen already.
    fn settle(&mut self, slot: u32, level: f64) {
        let flow = &mut self.flows[slot as usize];
        if flow.rate >= 0.0 {
            return;
        }
        flow.rate = level * flow.weight;
        for &link in &flow.route {
            let state = &mut self.links[link as usize];
            state.free -= flow.rate;
            state.pull -= flow.weight;
            state.rising -= 1;
        }
    }

    /// Makes a component of these flows, with the ends until it is to be filled again.
    fn form(&mut self, flows: &[u32]) {
        let now = self.now_s;
        let end_of = |flow: &Flow| {
            // A few last bytes are rounding.
            if flow.left <= flow.bytes * 1e-15 || flow.rate == f64::INFINITY {
                now
            } else if flow.rate > 0.0 {
                now + flow.left / flow.rate
            } else {
                f64::INFINITY
            }
        };
        let (mut soonest, mut latest_start) = (f64::INFINITY, 0.0_f64);
        for &slot in flows {
            let flow = &self.flows[slot as usize];
            soonest = soonest.min(end_of(flow));
            latest_start = latest_start.max(flow.start_s);
        }
        if soonest == f64::INFINITY {
            // Nothing ends here until something happens, so nobody need know the component.
            return;
        }
        let together = soonest * (1.0 + SAME_INSTANT);
        let horizon = together.max(now + self.held * (now - latest_start));
        let number = self.free_components.pop().unwrap_or_else(|| {
            self.components.push(Component::default());
            self.components.len() as u32 - 1
        });
        let version = self.components[number as usize].version;
        let mut ends = std::mem::take(&mut self.components[number as usize].ends);
        for &slot in flows {
            let flow = &mut self.flows[slot as usize];
            flow.component = Some((number, version));
            let end = end_of(flow);
            if end <= horizon {
                ends.push((if end <= together { soonest } else { end }, slot));
            }
        }
        let all = &self.flows;
        ends.sort_unstable_by(|a, b| {
            let names = |slot: u32| all[slot as usize].name;
            b.0.total_cmp(&a.0).then_with(|| names(b.1).cmp(&names(a.1)))
        });
        let component = &mut self.components[number as usize];
        component.ends = ends;
        if let Some(&(end, _)) = component.ends.last() {
            self.next.push(Reverse((end.to_bits(), number, component.version)));
        }
    }

    /// A flow in flight, with a link of its route that carries nothing, if there is one.
    pub(super) fn waiting(&self) -> Option<(u32, u32)> {
        let flow = self.flows.iter().filter(|flow| flow.running).min_by_key(|flow| flow.name)?;
        let down = flow.route.iter().find(|&&link| self.capacity[link as usize] <= 0.0);
        Some((flow.name, *down.or(flow.route.first())?))
    }
}
