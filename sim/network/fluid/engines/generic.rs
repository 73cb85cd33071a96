//! The exact engine for any routes, starts, weights, ceilings and changing capacities.
//!
//! Event driven: rates hold until a flow starts or ends or a capacity changes; then all events of
//! that instant are applied at once, and the rates of what is connected to them are computed anew by
//! [`Sharing`]. With `E` events over `F` connected flows of `h` links that is `O(E·F·h)`: for parts of
//! a few thousand flows, and as the judge of the faster engines.

use crate::base::units::{FlowId, LinkId};
use crate::network::fluid::parts::Part;
use crate::network::fluid::sharing::Sharing;
use crate::network::fluid::{CapacityChange, Problem, SAME_INSTANT, Stuck};

/// Solves one part; `finish` is told each flow's finish time. Returns how often rates were computed.
pub(in crate::network::fluid) fn solve_exactly(
    part: &Part,
    links: &LocalLinks,
    finish: &mut dyn FnMut(u32, f64),
) -> Result<u64, Stuck> {
    let (starts, changes) = (part.by_start(), links.changes(part.problem));
    let mut sharing = Sharing::new(links.capacities(part.problem));
    let (mut started, mut changed) = (0, 0);
    let (mut route, mut ended) = (Vec::new(), Vec::new());
    loop {
        let start = starts.get(started).map_or(f64::INFINITY, |&flow| part.start_s(flow));
        let change = changes.get(changed).map_or(f64::INFINITY, |change| change.at_s);
        let end = sharing.next_end_s().unwrap_or(f64::INFINITY);
        let next = start.min(change).min(end);
        if next == f64::INFINITY {
            return sharing.waiting().map_or(Ok(sharing.fillings()), |(flow, link)| {
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
            sharing.start(flow, &route, (part.bytes(flow), weight, ceiling), sharing.now_s());
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
pub(in crate::network::fluid) struct LocalLinks<'a> {
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
