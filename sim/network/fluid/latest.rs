//! Which parts of a problem may end last, where nothing but the makespan is wanted.
//!
//! No part ends before its links have drained, and where its [`super::Certificate`] says how early that is, it
//! ends within that share after. So parts whose latest end lies before one that is known need not be solved.

use super::Problem;
use super::choice::{Drain, certificate_of, scarcity};
use super::drain::Drained;
use super::parts::Parts;

/// Between which times a part ends, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ends {
    pub earliest_s: f64,
    /// Infinite where it is not known.
    pub latest_s: f64,
}

/// Between which times each part ends.
pub(super) fn ends(
    problem: &Problem,
    kept: &[bool],
    parts: &Parts,
    drained: &Drained,
) -> Vec<Ends> {
    let scarcity = scarcity(problem);
    let of_part = |part: usize| {
        let flows = parts.flows(part).iter().map(|&flow| flow as usize);
        let (mut makespan_s, mut deciding, mut last) = (0.0_f64, None, 0.0);
        for flow in flows.clone() {
            makespan_s = makespan_s.max(problem.start_s(flow));
            for link in problem.route(flow).iter().map(|link| link.index()) {
                let at = drained.link_s[link];
                makespan_s = makespan_s.max(at);
                if kept[link] && at > last {
                    (last, deciding) = (at, Some(link));
                }
            }
        }
        let part = Drain { drained, kept, makespan_s, deciding };
        let after = certificate_of(problem, &part, &scarcity, flows).known_error().bound();
        let latest_s = after.map_or(f64::INFINITY, |after| makespan_s * (1.0 + after));
        Ends { earliest_s: makespan_s, latest_s }
    };
    (0..parts.len()).map(of_part).collect()
}
