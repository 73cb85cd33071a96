//! Drops links that can never bind, so that what is left is small and of a simple shape.
//!
//! Link `l` is *implied* by a set `P` of other links if every flow over `l` crosses a link of
//! `P` and `Σ_{p ∈ P} c_p ≤ c_l`: whatever fits `P` fits `l`. Looked for are the links just
//! before `l` on the routes, and those just after. A non-blocking leaf's uplink is implied by the
//! NICs below it, a PCIe slot by the slower NIC behind it; so the routes of a non-blocking fabric
//! shrink to one port out and one port in.
//!
//! Links are examined in the order of their numbers, only kept links may imply, and the routes
//! are looked at again without the dropped links until nothing changes. A dropped link is implied
//! by links that were kept then; if one of those is dropped later, what implies it implies both.
//! Links whose capacity changes stay, and count with their largest capacity.

use super::Problem;
use crate::base::units::LinkId;

/// Which links of a problem may bind.
pub(super) fn binding_links(problem: &Problem) -> Vec<bool> {
    let links = problem.capacity.len();
    let mut kept = vec![true; links];
    if problem.route_links.len() <= 2 * problem.flows() {
        return kept;
    }
    let mut most = problem.capacity.clone();
    let mut changes = vec![false; links];
    for change in &problem.changes {
        let l = change.link.index();
        most[l] = most[l].max(change.capacity);
        changes[l] = true;
    }
    loop {
        let before = Neighbours::of(problem, &kept, Side::Before);
        let after = Neighbours::of(problem, &kept, Side::After);
        let mut mark = vec![u64::MAX; links];
        let mut dropped = false;
        for l in 0..links {
            if !kept[l] || changes[l] {
                continue;
            }
            let implied = [&before, &after].iter().enumerate().any(|(nth, side)| {
                let stamp = 2 * l as u64 + nth as u64;
                side.imply(l, stamp, problem.capacity[l], &most, &kept, &mut mark)
            });
            if implied {
                kept[l] = false;
                dropped = true;
            }
        }
        if !dropped {
            return kept;
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Before,
    After,
}

const NONE: u32 = u32::MAX;

/// For every link the kept neighbours on its flows' routes, one entry a flow.
struct Neighbours {
    ends: Vec<u32>,
    entries: Vec<u32>,
}

impl Neighbours {
    fn of(problem: &Problem, kept: &[bool], side: Side) -> Self {
        let mut ends = vec![0; kept.len() + 1];
        let pairs = |visit: &mut dyn FnMut(LinkId, u32)| {
            for flow in 0..problem.flows() {
                let mut last = NONE;
                let mut step = |&link: &LinkId| {
                    if kept[link.index()] {
                        visit(link, last);
                        last = link.0;
                    }
                };
                match side {
                    Side::Before => problem.route(flow).iter().for_each(&mut step),
                    Side::After => problem.route(flow).iter().rev().for_each(&mut step),
                }
            }
        };
        pairs(&mut |link, _| ends[link.index() + 1] += 1);
        for l in 0..kept.len() {
            ends[l + 1] += ends[l];
        }
        let mut entries = vec![NONE; ends[kept.len()] as usize];
        let mut next = ends.clone();
        pairs(&mut |link, neighbour| {
            entries[next[link.index()] as usize] = neighbour;
            next[link.index()] += 1;
        });
        Self { ends, entries }
    }

    /// Whether the neighbours of `l` imply it. No neighbour may be missing or dropped.
    fn imply(
        &self,
        l: usize,
        stamp: u64,
        capacity: f64,
        most: &[f64],
        kept: &[bool],
        mark: &mut [u64],
    ) -> bool {
        let entries = &self.entries[self.ends[l] as usize..self.ends[l + 1] as usize];
        let mut sum = 0.0;
        for &neighbour in entries {
            if neighbour == NONE || !kept[neighbour as usize] {
                return false;
            }
            if mark[neighbour as usize] != stamp {
                mark[neighbour as usize] = stamp;
                sum += most[neighbour as usize];
                if sum > capacity * (1.0 + 1e-12) {
                    return false;
                }
            }
        }
        !entries.is_empty()
    }
}
