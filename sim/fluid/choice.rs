//! Which engine solves a problem, and what may be said of its error.
//!
//! A part of a few flows is solved exactly; a large one in steps; the closed form is taken by itself
//! only where nothing but the makespan is asked for and its certificate holds:
//!
//! 1. all flows start within 1 % of the makespan;
//! 2. only ports bind: no link between the first and the last of any route, after those that cannot
//!    bind are dropped, is loaded more than [`MOST_INNER_LOAD`] of the makespan;
//! 3. at least [`LEAST_SHARERS`] flows share it, so that none of them decides alone;
//! 4. no flow has a ceiling or a weight of its own, and no capacity changes.
//!
//! Where it held, the closed form's makespan was within 0.5 % of the exact one on all problems
//! measured (see docs/engine-error.md); without it, up to 16 % early.

use super::Problem;
use super::drain::Drained;
use super::reduce::binding_links;

/// How rates are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    /// Every link drains its bytes at its full capacity.
    ClosedForm,
    /// Every event in its turn.
    Exact,
    /// Events gathered into steps.
    Quantised,
}

impl Engine {
    /// The name in files and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClosedForm => "closed-form",
            Self::Exact => "exact",
            Self::Quantised => "quantised",
        }
    }
}

/// What is asked of a solution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// The engine to use; chosen by size and certificate if absent.
    pub engine: Option<Engine>,
    /// The relative error that finish times may have.
    pub epsilon: f64,
    /// Threads to use; the result does not depend on it.
    pub threads: usize,
    /// Whether only the makespan matters.
    pub makespan_only: bool,
}

impl Default for Choice {
    /// By size, to 1 %, on one thread, with a finish time for every flow.
    fn default() -> Self {
        Self { engine: None, epsilon: 0.01, threads: 1, makespan_only: false }
    }
}

/// Relative error of the exact engine: rounding.
pub const ROUNDING: f64 = 1e-9;
/// The closed form's measured error under its certificate, and without.
pub(super) const CERTIFIED: f64 = 0.005;
const UNCERTIFIED: f64 = 0.16;
/// Parts of up to so many flows are solved exactly.
pub(super) const SMALL: usize = 512;
/// How much a link between ports may be loaded, as a share of the makespan. At 0.7 the closed form
/// was seen 9 % early.
const MOST_INNER_LOAD: f64 = 0.4;
/// Flows that must share the most loaded link.
const LEAST_SHARERS: usize = 4;

/// Why the closed form may or may not be trusted with a makespan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Certificate {
    /// Last start less first, over the makespan.
    pub start_spread: f64,
    /// The greatest load of a link between ports, over the makespan.
    pub inner_load: f64,
    /// Flows over the deciding link.
    pub sharers: usize,
    /// Whether no flow has a ceiling or weight and no capacity changes.
    pub plain: bool,
}

impl Certificate {
    /// Whether all conditions hold.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.plain
            && self.start_spread <= 0.01
            && self.inner_load <= MOST_INNER_LOAD
            && self.sharers >= LEAST_SHARERS
    }

    /// What may be said of the closed form's makespan.
    #[must_use]
    pub fn error_bound(&self) -> f64 {
        if self.holds() { CERTIFIED } else { UNCERTIFIED }
    }
}

/// Looks at the link that decides the closed form's makespan.
#[must_use]
pub fn certificate(problem: &Problem, drained: &Drained) -> Certificate {
    let makespan = drained.makespan_s;
    let kept = binding_links(problem);
    let binding = (0..kept.len()).filter(|&link| kept[link]);
    let deciding = binding.max_by(|&a, &b| drained.link_s[a].total_cmp(&drained.link_s[b]));
    let (mut first, mut last) = (f64::INFINITY, 0.0_f64);
    let (mut inner, mut sharers, mut plain) = (0.0_f64, 0, problem.changes().is_empty());
    for flow in (0..problem.flows()).filter(|&flow| problem.bytes(flow) > 0.0) {
        first = first.min(problem.start_s(flow));
        last = last.max(problem.start_s(flow));
        plain &= problem.weight(flow) == 1.0 && problem.ceiling(flow) == f64::INFINITY;
        let route = problem.route(flow);
        sharers += usize::from(route.iter().any(|link| Some(link.index()) == deciding));
        let binding = || route.iter().map(|link| link.index()).filter(|&link| kept[link]);
        let hops = binding().count();
        for (hop, link) in binding().enumerate() {
            if hop > 0 && hop + 1 < hops {
                inner = inner.max(drained.link_s[link]);
            }
        }
    }
    let spread = (last - first).max(0.0);
    let share = |part: f64| if makespan > 0.0 { part / makespan } else { 0.0 };
    Certificate { start_spread: share(spread), inner_load: share(inner), sharers, plain }
}
