//! Cuts a problem into parts that share no link, and finds parts that are equal.
//!
//! Two flows belong to the same part if they cross a common link that may bind, or a chain of
//! flows joins them so. Parts do not influence each other, so solving them apart is exact. EP
//! groups on a non-blocking fabric are parts, and so is each node's NVLink traffic.

use std::collections::BTreeMap;

use super::Problem;
use crate::base::hashes::{FNV_START, fnv1a_word};
use crate::base::units::LinkId;

/// One part: some flows of a problem, by their numbers within the part, over links that may bind.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub problem: &'a Problem,
    pub flows: &'a [u32],
    pub kept: &'a [bool],
}

impl<'a> Part<'a> {
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// The number that a flow has in the whole problem.
    pub fn global(&self, flow: u32) -> usize {
        self.flows[flow as usize] as usize
    }

    pub fn bytes(&self, flow: u32) -> f64 {
        self.problem.bytes(self.global(flow))
    }

    pub fn start_s(&self, flow: u32) -> f64 {
        self.problem.start_s(self.global(flow))
    }

    pub fn weight(&self, flow: u32) -> f64 {
        self.problem.weight(self.global(flow))
    }

    pub fn ceiling(&self, flow: u32) -> f64 {
        self.problem.ceiling(self.global(flow))
    }

    /// The links of a flow that may bind.
    pub fn route(&self, flow: u32) -> impl Iterator<Item = LinkId> + use<'a> {
        let kept = self.kept;
        self.problem.route(self.global(flow)).iter().copied().filter(|link| kept[link.index()])
    }

    /// All flows in the order in which they start.
    pub fn by_start(&self) -> Vec<u32> {
        let mut flows: Vec<u32> = (0..self.len() as u32).collect();
        flows.sort_by(|&a, &b| self.start_s(a).total_cmp(&self.start_s(b)).then(a.cmp(&b)));
        flows
    }
}

/// The flows of a problem by part.
pub(super) struct Parts {
    flows: Vec<u32>,
    ends: Vec<usize>,
}

impl Parts {
    /// Cuts a problem at links that cannot bind. Flows without bytes belong to no part.
    pub fn of(problem: &Problem, kept: &[bool]) -> Self {
        let mut sets = Sets::new(kept.len());
        for flow in 0..problem.flows() {
            let mut links = problem.route(flow).iter().filter(|link| kept[link.index()]);
            if let Some(first) = links.next() {
                links.for_each(|link| sets.join(first.0, link.0));
            }
        }
        // Parts in the order of their first flows; flows on no link are a part each.
        let mut part_of_set = vec![u32::MAX; kept.len()];
        let mut part_of_flow = Vec::with_capacity(problem.flows());
        let mut sizes: Vec<usize> = Vec::new();
        for flow in 0..problem.flows() {
            if problem.bytes(flow) <= 0.0 {
                part_of_flow.push(u32::MAX);
                continue;
            }
            let set = problem.route(flow).iter().find(|link| kept[link.index()]);
            let known = set.map(|link| &mut part_of_set[sets.root(link.0) as usize]);
            let part = match known {
                Some(part) if *part != u32::MAX => *part,
                fresh => {
                    let part = sizes.len() as u32;
                    sizes.push(0);
                    if let Some(slot) = fresh {
                        *slot = part;
                    }
                    part
                }
            };
            sizes[part as usize] += 1;
            part_of_flow.push(part);
        }
        let mut ends = sizes;
        let mut total = 0;
        for end in &mut ends {
            (*end, total) = (total, total + *end);
        }
        let mut flows = vec![0; total];
        for (flow, &part) in (0..).zip(&part_of_flow) {
            if part != u32::MAX {
                flows[ends[part as usize]] = flow;
                ends[part as usize] += 1;
            }
        }
        Self { flows, ends }
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The flows of a part, in order of their numbers.
    pub fn flows(&self, part: usize) -> &[u32] {
        let start = if part == 0 { 0 } else { self.ends[part - 1] };
        &self.flows[start..self.ends[part]]
    }

    /// For every part the first part that equals it but for the numbers of flows and links.
    pub fn representatives(&self, problem: &Problem, kept: &[bool]) -> Vec<usize> {
        let mut seen: BTreeMap<(usize, u64), Vec<usize>> = BTreeMap::new();
        let mut scratch = Matching::new(kept.len());
        (0..self.len())
            .map(|part| {
                let flows = self.flows(part);
                let alike = seen.entry((flows.len(), digest(problem, flows))).or_default();
                let equal = alike
                    .iter()
                    .find(|&&other| scratch.equal(problem, kept, self.flows(other), flows));
                equal.copied().unwrap_or_else(|| {
                    alike.push(part);
                    part
                })
            })
            .collect()
    }
}

/// A number that equal parts share.
fn digest(problem: &Problem, flows: &[u32]) -> u64 {
    flows.iter().fold(FNV_START, |hash, &flow| {
        let flow = flow as usize;
        let facts = problem.bytes(flow).to_bits() ^ problem.start_s(flow).to_bits().rotate_left(17);
        fnv1a_word(hash, facts)
    })
}

/// Matches the links of one part with those of another while both are walked.
struct Matching {
    other: Vec<u32>,
    back: Vec<u32>,
    touched: Vec<(u32, u32)>,
}

impl Matching {
    fn new(links: usize) -> Self {
        let unmatched = vec![u32::MAX; links];
        Self { other: unmatched.clone(), back: unmatched, touched: Vec::new() }
    }

    fn equal(&mut self, problem: &Problem, kept: &[bool], a: &[u32], b: &[u32]) -> bool {
        let equal = problem.changes().is_empty()
            && a.iter().zip(b).all(|(&f, &g)| self.extend(problem, kept, f as usize, g as usize));
        for (x, y) in self.touched.drain(..) {
            self.other[x as usize] = u32::MAX;
            self.back[y as usize] = u32::MAX;
        }
        equal
    }

    fn extend(&mut self, problem: &Problem, kept: &[bool], f: usize, g: usize) -> bool {
        let facts = |f| {
            [problem.bytes(f), problem.start_s(f), problem.weight(f), problem.ceiling(f)]
                .map(f64::to_bits)
        };
        let binding = |f| problem.route(f).iter().filter(|link| kept[link.index()]);
        facts(f) == facts(g)
            && binding(f).count() == binding(g).count()
            && binding(f).zip(binding(g)).all(|(&x, &y)| {
                let (there, here) = (self.other[x.index()], self.back[y.index()]);
                if (there, here) == (u32::MAX, u32::MAX) {
                    self.other[x.index()] = y.0;
                    self.back[y.index()] = x.0;
                    self.touched.push((x.0, y.0));
                    let capacity = |l: usize| problem.capacities()[l].to_bits();
                    return capacity(x.index()) == capacity(y.index());
                }
                (there, here) == (y.0, x.0)
            })
    }
}

/// Disjoint sets of links.
struct Sets {
    parent: Vec<u32>,
}

impl Sets {
    fn new(links: usize) -> Self {
        Self { parent: (0..links as u32).collect() }
    }

    fn root(&mut self, mut link: u32) -> u32 {
        while self.parent[link as usize] != link {
            let grandparent = self.parent[self.parent[link as usize] as usize];
            self.parent[link as usize] = grandparent;
            link = grandparent;
        }
        link
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        // The smaller number becomes the root, so sets do not depend on the order of joining.
        let (low, high) = (a.min(b), a.max(b));
        self.parent[high as usize] = low;
    }
}
