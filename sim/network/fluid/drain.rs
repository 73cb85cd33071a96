//! The closed form: every link drains its bytes at its full capacity.
//!
//! With `a_l` the first start of a flow over link `l` and `D_l` the bytes over it,
//!
//! ```text
//!   drained_l = a_l + D_l / c_l                                                   (1)
//!   finish_f  = max( t_f + S_f / min(u_f, min_{l ∈ f} c_l), max_{l ∈ f} drained_l )   (2)
//!   makespan  = max_f finish_f ≥ max_l drained_l                                  (3)
//! ```
//!
//! No link can drain sooner than (1), so (3) never exceeds the true makespan while capacities hold.
//! It equals it where the most loaded link is busy to the end, which max–min fairness almost always
//! achieves when many flows start together over ports alone ([`super::Certificate`] says how nearly);
//! up to 16 % early behind oversubscribed leaves (docs/engine-error.md). Finish times of single flows are late rather than
//! early: a flow may well end before the links it shares have drained, so a GPU's last arrival was seen
//! up to 170 % late on skewed traffic. Use an engine that shares where single flows matter.

use super::Problem;

/// What the closed form says of a problem.
#[derive(Clone, Debug, PartialEq)]
pub struct Drained {
    /// Bytes over each link, `D_l`.
    pub load: Vec<f64>,
    /// First start over each link, `a_l`, in seconds; infinite where nothing flows.
    pub first_s: Vec<f64>,
    /// When each link has drained, equation (1), in seconds; zero where nothing flows.
    pub link_s: Vec<f64>,
    /// When everything has ended, equation (3), in seconds.
    pub makespan_s: f64,
}

/// Drains every link of a problem. Infinite where a link has bytes but no capacity.
#[must_use]
pub fn drain(problem: &Problem) -> Drained {
    let links = problem.capacities().len();
    let mut load = vec![0.0; links];
    let mut first_s = vec![f64::INFINITY; links];
    let mut makespan_s: f64 = 0.0;
    for flow in 0..problem.flows() {
        let (bytes, start) = (problem.bytes(flow), problem.start_s(flow));
        if bytes > 0.0 {
            for link in problem.route(flow) {
                load[link.index()] += bytes;
                first_s[link.index()] = first_s[link.index()].min(start);
            }
        }
        makespan_s = makespan_s.max(start);
    }
    let drained = |link: usize| {
        if load[link] > 0.0 { first_s[link] + load[link] / problem.capacities()[link] } else { 0.0 }
    };
    let link_s: Vec<f64> = (0..links).map(drained).collect();
    makespan_s = link_s.iter().copied().fold(makespan_s, f64::max);
    Drained { load, first_s, link_s, makespan_s }
}

impl Drained {
    /// When a flow ends, equation (2), in seconds.
    #[must_use]
    pub fn finish_s(&self, problem: &Problem, flow: usize) -> f64 {
        let (bytes, start) = (problem.bytes(flow), problem.start_s(flow));
        if bytes <= 0.0 {
            return start;
        }
        let route = problem.route(flow);
        let narrowest = route.iter().map(|link| problem.capacities()[link.index()]);
        let alone = start + bytes / narrowest.fold(problem.ceiling(flow), f64::min);
        route.iter().map(|link| self.link_s[link.index()]).fold(alone, f64::max)
    }
}
