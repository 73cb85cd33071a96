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

mod components;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::water::Full;
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

    /// A flow in flight, with a link of its route that carries nothing, if there is one.
    pub(super) fn waiting(&self) -> Option<(u32, u32)> {
        let flow = self.flows.iter().filter(|flow| flow.running).min_by_key(|flow| flow.name)?;
        let down = flow.route.iter().find(|&&link| self.capacity[link as usize] <= 0.0);
        Some((flow.name, *down.or(flow.route.first())?))
    }
}
