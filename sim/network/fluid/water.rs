//! Water-filling: the max–min fair rates of one instant.
//!
//! One water level `x_f / w_f` rises for all flows together. The link that is full at the lowest
//! level freezes its flows there and takes their rates off the other links they cross; a heap
//! hands out the links in order of the level at which they would be full. Levels only rise as
//! flows freeze, so an entry that is out of date is put back with its present level. A flow's
//! ceiling is a link of its own.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A link waiting to be full, lowest level first, then lowest number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Full {
    pub level: f64,
    pub link: u32,
}

impl Eq for Full {}

impl PartialOrd for Full {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Full {
    /// The greatest is the lowest level, because heaps hand out the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.level.total_cmp(&self.level).then_with(|| other.link.cmp(&self.link))
    }
}

/// An entry is out of date if its link's level has risen by more than rounding.
pub(super) const STALE: f64 = 1.0 + 1e-12;

/// Flows and the links they cross, both ways round, as lists cut at ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Incidence {
    flow_ends: Vec<u32>,
    flow_links: Vec<u32>,
    pub weight: Vec<f64>,
    pub ceiling: Vec<f64>,
    link_ends: Vec<u32>,
    link_flows: Vec<u32>,
}

impl Incidence {
    pub fn links_of(&self, flow: usize) -> &[u32] {
        let start = if flow == 0 { 0 } else { self.flow_ends[flow - 1] };
        &self.flow_links[start as usize..self.flow_ends[flow] as usize]
    }

    pub fn flows(&self) -> usize {
        self.flow_ends.len()
    }

    pub fn add(&mut self, links: impl IntoIterator<Item = u32>, weight: f64, ceiling: f64) {
        self.flow_links.extend(links);
        self.flow_ends.push(self.flow_links.len() as u32);
        self.weight.push(weight);
        self.ceiling.push(ceiling);
    }

    /// Keeps the flows marked, in order.
    pub fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        let (mut kept, mut at, mut start) = (0, 0, 0);
        for flow in 0..self.flow_ends.len() {
            let end = self.flow_ends[flow] as usize;
            if keep(flow) {
                self.flow_links.copy_within(start..end, at);
                at += end - start;
                self.flow_ends[kept] = at as u32;
                self.weight[kept] = self.weight[flow];
                self.ceiling[kept] = self.ceiling[flow];
                kept += 1;
            }
            start = end;
        }
        self.flow_links.truncate(at);
        self.flow_ends.truncate(kept);
        self.weight.truncate(kept);
        self.ceiling.truncate(kept);
    }

    /// Lists the flows of each link anew.
    pub fn list_flows_of_links(&mut self, links: usize) {
        self.link_ends.clear();
        self.link_ends.resize(links + 1, 0);
        for &link in &self.flow_links {
            self.link_ends[link as usize + 1] += 1;
        }
        for link in 0..links {
            self.link_ends[link + 1] += self.link_ends[link];
        }
        self.link_flows.resize(self.flow_links.len(), 0);
        let mut next = self.link_ends.clone();
        for flow in 0..self.flows() {
            let start = if flow == 0 { 0 } else { self.flow_ends[flow - 1] };
            for at in start..self.flow_ends[flow] {
                let slot = &mut next[self.flow_links[at as usize] as usize];
                self.link_flows[*slot as usize] = flow as u32;
                *slot += 1;
            }
        }
    }

    fn flows_of(&self, link: u32) -> &[u32] {
        let ends = &self.link_ends[link as usize..link as usize + 2];
        &self.link_flows[ends[0] as usize..ends[1] as usize]
    }
}

/// Levels of links and rates of flows, with the space to compute them.
#[derive(Clone, Debug, Default)]
pub(super) struct Levels {
    /// Where each link is full; infinite where it is not.
    pub level: Vec<f64>,
    /// `x_f` of each flow; zero for those that do not run.
    pub rate: Vec<f64>,
    /// Weight that froze at each link's level.
    pub frozen: Vec<f64>,
    free: Vec<f64>,
    pull: Vec<f64>,
    /// Flows on each link that are still rising.
    rising: Vec<u32>,
    settled: Vec<bool>,
    heap: BinaryHeap<Full>,
}

impl Levels {
    /// Computes the rates of the flows that `runs` admits over links of these capacities.
    pub fn fill(&mut self, capacity: &[f64], on: &Incidence, runs: impl Fn(usize) -> bool) {
        let links = capacity.len();
        self.free.clear();
        self.free.extend_from_slice(capacity);
        for list in [&mut self.pull, &mut self.frozen] {
            list.clear();
            list.resize(links, 0.0);
        }
        self.rising.clear();
        self.rising.resize(links, 0);
        self.level.clear();
        self.level.resize(links, f64::INFINITY);
        self.rate.clear();
        self.rate.resize(on.flows(), 0.0);
        self.settled.clear();
        self.settled.resize(on.flows(), true);
        for flow in (0..on.flows()).filter(|&flow| runs(flow)) {
            self.settled[flow] = false;
            for &link in on.links_of(flow) {
                self.pull[link as usize] += on.weight[flow];
                self.rising[link as usize] += 1;
            }
        }
        self.heap.clear();
        for (link, &capacity) in capacity.iter().enumerate() {
            if self.rising[link] > 0 {
                let level = capacity / self.pull[link];
                self.heap.push(Full { level, link: link as u32 });
            }
        }
        for flow in (0..on.flows()).filter(|&flow| on.ceiling[flow] < f64::INFINITY) {
            if !self.settled[flow] {
                let level = on.ceiling[flow] / on.weight[flow];
                self.heap.push(Full { level, link: (links + flow) as u32 });
            }
        }
        self.freeze_in_order(on);
    }

    fn freeze_in_order(&mut self, on: &Incidence) {
        let links = self.free.len();
        while let Some(Full { level: expected, link }) = self.heap.pop() {
            let l = link as usize;
            if l >= links {
                // A flow at its ceiling, as a link of its own.
                self.settle(l - links, expected, on);
                continue;
            }
            if self.rising[l] == 0 {
                continue;
            }
            // Subtractions may leave rounding instead of nothing.
            let level = (self.free[l] / self.pull[l]).max(0.0);
            if level > expected * STALE {
                self.heap.push(Full { level, link });
                continue;
            }
            self.level[l] = level;
            for &flow in on.flows_of(link) {
                if self.settle(flow as usize, level, on) {
                    self.frozen[l] += on.weight[flow as usize];
                }
            }
        }
    }

    /// Freezes a flow at a level, unless it is frozen already.
    fn settle(&mut self, flow: usize, level: f64, on: &Incidence) -> bool {
        if self.settled[flow] {
            return false;
        }
        self.settled[flow] = true;
        let (weight, rate) = (on.weight[flow], level * on.weight[flow]);
        self.rate[flow] = rate;
        for &other in on.links_of(flow) {
            self.free[other as usize] -= rate;
            self.pull[other as usize] -= weight;
            self.rising[other as usize] -= 1;
        }
        true
    }
}
