//! Flows that share links, directly or over others: found anew where something happened, filled, and made into components.

use std::cmp::Reverse;

use super::{Component, Flow, Link, Sharing};
use crate::network::fluid::SAME_INSTANT;
use crate::network::fluid::water::{Full, STALE};

impl Sharing {
    /// Computes the rates of all components that something has happened to.
    pub(super) fn refresh(&mut self) {
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
}
