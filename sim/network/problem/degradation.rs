//! Links in less than full health: what share of its capacity each has left, and when.
//!
//! A share is of what the link carries in full health. Where several hold at one time, the least does, the cluster's
//! own `h_l` (`[health]`) among them:
//!
//! ```text
//!   share_l(t) = min( h_l, min { left_d : d on l, from_d ≤ t < until_d } )            (1)
//! ```
//!
//! So what ends first gives back no more than what still holds allows, and nothing depends on the order in which
//! degradations are named.

use std::collections::BTreeMap;

use crate::base::units::LinkId;
use crate::network::fluid::{CapacityChange, Problem};
use crate::topology::Topology;

/// A link in less than full health, between two instants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkDegradation {
    /// Which link.
    pub link: LinkId,
    /// Share that is left of its capacity in full health: zero is down.
    pub left: f64,
    /// From when, in seconds.
    pub from_s: f64,
    /// Until when, in seconds; absent for good.
    pub until_s: Option<f64>,
}

impl LinkDegradation {
    /// Whether it holds from the first instant on, for good.
    #[must_use]
    pub fn lasts(&self) -> bool {
        self.from_s <= 0.0 && self.until_s.is_none()
    }

    fn holds(&self, at_s: f64) -> bool {
        self.from_s <= at_s && self.until_s.is_none_or(|until| at_s < until)
    }
}

/// The problem over links of a cluster that are degraded.
///
/// Capacities at time zero are what lasts: they are the most that a link ever has, which bounds from below what any
/// schedule takes. A window that begins at zero is a change at zero.
pub(super) fn degraded(
    topology: &Topology,
    problem: Problem,
    degradations: &[LinkDegradation],
) -> Problem {
    let mut on: BTreeMap<LinkId, Vec<LinkDegradation>> = BTreeMap::new();
    for one in degradations {
        on.entry(one.link).or_default().push(*one);
    }
    let mut capacity = problem.capacities().to_vec();
    let mut changes = Vec::new();
    for (link, all) in on {
        let own = topology.links()[link.index()].health;
        // Nothing crosses a NIC that is down, and nothing brings it up.
        if own == 0.0 {
            continue;
        }
        let known = capacity[link.index()];
        let at = |share: f64| if share == own { known } else { known * (share / own) };
        let lasting = all.iter().filter(|one| one.lasts()).map(|one| one.left).fold(own, f64::min);
        capacity[link.index()] = at(lasting);
        let mut share = lasting;
        for at_s in instants(&all) {
            let held = all.iter().filter(|one| one.holds(at_s)).map(|one| one.left);
            let left = held.fold(own, f64::min);
            if left != share {
                changes.push(CapacityChange { at_s, link, capacity: at(left) });
                share = left;
            }
        }
    }
    let mut problem = problem.with_capacities(capacity);
    changes.into_iter().for_each(|change| problem.change(change));
    problem
}

/// When some of these begin or end, in order.
fn instants(all: &[LinkDegradation]) -> Vec<f64> {
    let ends = all.iter().filter_map(|one| one.until_s);
    let mut instants: Vec<f64> = all.iter().map(|one| one.from_s.max(0.0)).chain(ends).collect();
    instants.sort_by(f64::total_cmp);
    instants.dedup();
    instants
}
