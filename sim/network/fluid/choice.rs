//! Which engine solves a problem, and what may be said of its error.
//!
//! A part of a few flows is solved exactly; a large one in steps; the closed form is taken by itself
//! only where nothing but the makespan is asked for and its error is known to be within ε. It never
//! ends late; how early it may end is known in two ways, for flows without ceilings and weights of
//! their own over links that do not change. With `n_l` the flows over link `l`:
//!
//! 1. *Proven.* A flow always gets the fair share `c_l / n_l` of the scarcest link of its route, so
//!
//! ```text
//!   makespan ≤ max_f ( t_f + S_f · max_{l ∈ f} n_l / c_l )                        (1)
//! ```
//!
//!    which is the closed form itself where all flows are alike;
//!
//! 2. *Measured.* Where all flows start within 1 % of the makespan and only ports bind (no link between
//!    the first and the last of any route, after those that cannot bind are dropped, is loaded more
//!    than [`MOST_INNER_LOAD`] of the makespan), it ends early by at most [`ONE_FLOW`] times the share
//!    that the largest flow has of the deciding link's bytes: as if that one flow were out of
//!    place. Of 18,000 random exchanges of 3 to 94 GPUs, the worst was 1.07 times that share early.
//!
//! Elsewhere nothing is known of it: it was seen up to 19 % early with links that hold (docs/engine-error.md), and over
//! links that change, which it takes as they are at first, it means nothing.

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

/// The relative error of a solution, as far as anything is known of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KnownError {
    /// At most this: nothing but rounding, or a proof.
    Proven(f64),
    /// At most this wherever it was measured; nothing proves it.
    Measured(f64),
    /// What steps aim at; nothing proves that they meet it.
    Aimed(f64),
    /// Anything.
    Unknown,
}

impl KnownError {
    /// The figure, where there is one.
    #[must_use]
    pub const fn bound(self) -> Option<f64> {
        match self {
            Self::Proven(error) | Self::Measured(error) | Self::Aimed(error) => Some(error),
            Self::Unknown => None,
        }
    }

    /// Whether it is known to be no more than this.
    #[must_use]
    pub fn within(self, epsilon: f64) -> bool {
        self.bound().is_some_and(|error| error <= epsilon)
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
/// An error that is known to be within this certifies the closed form.
const CERTIFIED: f64 = 0.01;
/// How early it may be, in the share of the largest flow.
const ONE_FLOW: f64 = 1.25;
/// Parts of up to this many flows are solved exactly.
pub(super) const SMALL: usize = 512;
/// How much a link between ports may be loaded, as a share of the makespan. At 0.7 the closed form
/// was seen 9 % early.
const MOST_INNER_LOAD: f64 = 0.4;
/// Last start less first, over the makespan, up to which flows start together.
const TOGETHER: f64 = 0.01;

/// Why the closed form may or may not be trusted with a makespan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Certificate {
    /// Last start less first, over the makespan.
    pub start_spread: f64,
    /// The greatest load of a link between ports, over the makespan.
    pub inner_load: f64,
    /// The share that the largest flow has of the bytes over the deciding link.
    pub largest: f64,
    /// By how much equation (1) exceeds the closed form, over the makespan.
    pub even: f64,
    /// Whether no flow has a ceiling or weight and no capacity changes.
    pub plain: bool,
}

impl Certificate {
    /// Whether the makespan is known to be within 1 %.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.known_error().within(CERTIFIED)
    }

    /// By how much the makespan exceeds the closed form at most, over that, and what says so.
    #[must_use]
    pub fn known_error(&self) -> KnownError {
        let ports = self.start_spread <= TOGETHER && self.inner_load <= MOST_INNER_LOAD;
        let measured = if ports { ONE_FLOW * self.largest } else { f64::INFINITY };
        // Rounding is never quite nothing.
        let error = measured.min(self.even).max(ROUNDING);
        if !self.plain || !error.is_finite() {
            KnownError::Unknown
        } else if self.even <= error {
            KnownError::Proven(error)
        } else {
            KnownError::Measured(error)
        }
    }
}

/// How many flows with bytes cross each link, for its capacity: `n_l / c_l` of equation (1).
pub(super) fn scarcity(problem: &Problem) -> Vec<f64> {
    let mut flows_on = vec![0_u32; problem.capacities().len()];
    for flow in (0..problem.flows()).filter(|&flow| problem.bytes(flow) > 0.0) {
        problem.route(flow).iter().for_each(|link| flows_on[link.index()] += 1);
    }
    flows_on.iter().zip(problem.capacities()).map(|(&flows, c)| f64::from(flows) / c).collect()
}

/// Looks at the link that decides the closed form's makespan.
#[must_use]
pub fn certificate(problem: &Problem, drained: &Drained) -> Certificate {
    let kept = binding_links(problem);
    let binding = (0..kept.len()).filter(|&link| kept[link]);
    let deciding = binding.max_by(|&a, &b| drained.link_s[a].total_cmp(&drained.link_s[b]));
    let flows = (0..problem.flows()).filter(|&flow| problem.bytes(flow) > 0.0);
    let part = Drain { drained, kept: &kept, makespan_s: drained.makespan_s, deciding };
    certificate_of(problem, &part, &scarcity(problem), flows)
}

/// What drains some flows, or all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain<'a> {
    pub drained: &'a Drained,
    /// Links that may bind.
    pub kept: &'a [bool],
    /// When they have drained, in seconds.
    pub makespan_s: f64,
    /// The link among them that drains last.
    pub deciding: Option<usize>,
}

/// The same of some flows, all with bytes, that share no link with others.
pub(super) fn certificate_of(
    problem: &Problem,
    part: &Drain,
    scarcity: &[f64],
    flows: impl Iterator<Item = usize>,
) -> Certificate {
    let (makespan, kept, deciding) = (part.makespan_s, part.kept, part.deciding);
    let share = |part: f64| if makespan > 0.0 { part / makespan } else { 0.0 };
    let (mut first, mut last, mut latest) = (f64::INFINITY, 0.0_f64, makespan);
    let (mut inner, mut largest, mut plain) = (0.0_f64, 0.0_f64, problem.changes().is_empty());
    for flow in flows {
        let (bytes, start, route) =
            (problem.bytes(flow), problem.start_s(flow), problem.route(flow));
        (first, last) = (first.min(start), last.max(start));
        plain &= problem.weight(flow) == 1.0 && problem.ceiling(flow) == f64::INFINITY;
        let scarcest = route.iter().map(|link| scarcity[link.index()]).fold(0.0, f64::max);
        latest = latest.max(start + bytes * scarcest);
        if route.iter().any(|link| Some(link.index()) == deciding) {
            largest = largest.max(bytes);
        }
        if route.len() > 2 {
            let binding = || route.iter().map(|link| link.index()).filter(|&link| kept[link]);
            let hops = binding().count();
            for (hop, link) in binding().enumerate() {
                if hop > 0 && hop + 1 < hops {
                    inner = inner.max(part.drained.link_s[link]);
                }
            }
        }
    }
    let load = deciding.map_or(0.0, |link| part.drained.load[link]);
    Certificate {
        start_spread: share((last - first).max(0.0)),
        inner_load: share(inner),
        largest: if load > 0.0 { largest / load } else { 1.0 },
        even: share(latest) - 1.0,
        plain,
    }
}
