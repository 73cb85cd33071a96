//! What a loop over experts costs beyond its kernels' products and zero-computation experts.
//!
//! The device works through the queue that the host fills; the host launches, and waits where it needs indices. In a
//! stretch without an exchange in between, the two overlap in part:
//!
//! ```text
//! device = Σ_e products_e + (κ·b·(7D + 5H) + s)·m_e / BW  +  zero-computation experts         (8)
//! host   = l + v·(FFN experts + kinds of zero-computation experts)                            (9)
//! time   = (device^p + host^p)^(1/p)                                                          (10)
//! ```
//!
//! p = 1: one waits for the other; p → ∞: the longer hides the shorter. What the host adds is charged as launches.
//! Rows of one hidden size cannot tell κ from s (`studies::paper`). s is written as traffic, so that a GPU with faster
//! memory indexes faster in proportion; how it really changes from GPU to GPU was not measured.

use super::LayerCost;
use crate::base::units::{Bytes, SimDuration};
use crate::execution::blame::{Op, Reason};
use crate::workload::Execution;

/// What a loop over experts costs beyond its kernels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overheads {
    /// κ: memory traffic as a multiple of touching each operand once.
    pub traffic_factor: f64,
    /// s: what finding, indexing and sorting each slot of an FFN expert costs, whatever the hidden size, as traffic.
    pub slot_traffic: Bytes,
    /// v: launching and synchronising for one FFN expert, or for one kind of zero-computation expert.
    pub expert_visit: SimDuration,
    /// l: launching and synchronising once for each layer.
    pub layer: SimDuration,
    /// p ≥ 1: how far host and device overlap.
    pub overlap: f64,
}

impl Overheads {
    /// None: every operand is touched once and launches are free.
    pub const NONE: Self = Self {
        traffic_factor: 1.0,
        slot_traffic: Bytes(0),
        expert_visit: SimDuration::ZERO,
        layer: SimDuration::ZERO,
        overlap: 1.0,
    };

    /// Equation (10) less the device's own time.
    fn added_by_host(&self, host: SimDuration, device: SimDuration) -> SimDuration {
        let longer = host.max(device);
        if self.overlap == 1.0 || longer == SimDuration::ZERO {
            return host;
        }
        // Scaled by the longer, so that no power overflows, and only one has to be raised.
        let shorter = raised(host.min(device).secs() / longer.secs(), self.overlap);
        let time = longer.secs() * rooted(1.0 + shorter, self.overlap);
        SimDuration::from_secs(time).saturating_sub(device)
    }
}

/// x^p: by a root where 2p is a small whole number, which is quicker.
fn raised(x: f64, p: f64) -> f64 {
    let halves = 2.0 * p;
    if halves == halves.trunc() && halves <= 8.0 { x.sqrt().powi(halves as i32) } else { x.powf(p) }
}

/// x^(1/p) for x from 1 to 2, in the same way.
fn rooted(x: f64, p: f64) -> f64 {
    if p == 1.5 { cube_root(x).powi(2) } else { x.powf(p.recip()) }
}

/// ∛x for x from 1 to 2: Halley's iteration, twice, from a straight line. The line is off by 0.8 % at most, e after an
/// iteration by ⅔e³: after two by less than a rounding.
fn cube_root(x: f64) -> f64 {
    let closer = |y: f64| {
        let cube = y * y * y;
        y * (cube + 2.0 * x) / (2.0 * cube + x)
    };
    closer(closer(0.746 + 0.26 * x))
}

/// What the host launches in a stretch of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Launches {
    /// Layers begun.
    pub layers: u64,
    /// FFN experts and kinds of zero-computation experts visited.
    pub visits: u64,
}

impl LayerCost<'_> {
    /// What launching adds to a stretch in which the device works this long; nothing where experts run grouped.
    #[must_use]
    pub fn launches(&self, launches: Launches, device: SimDuration) -> Op {
        let Launches { layers, visits } = launches;
        let time = match self.workload.execution {
            Execution::Sequential => {
                let host =
                    self.overheads.layer.times(layers) + self.overheads.expert_visit.times(visits);
                self.overheads.added_by_host(host, device)
            }
            Execution::Grouped => SimDuration::ZERO,
        };
        Op { reason: Reason::Launch, time }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlapping(overlap: f64) -> Overheads {
        Overheads { overlap, ..Overheads::NONE }
    }

    #[test]
    fn without_overlap_the_host_adds_all_its_time() {
        let [host, device] = [3.0, 4.0].map(SimDuration::from_us);
        assert_eq!(overlapping(1.0).added_by_host(host, device), host);
    }

    #[test]
    fn at_two_the_times_add_as_the_sides_of_a_right_angle() {
        let [host, device, added] = [3.0, 4.0, 1.0].map(SimDuration::from_us);
        assert_eq!(overlapping(2.0).added_by_host(host, device), added);
        // The device's own time is charged apart, so the longer host adds what is left.
        assert_eq!(overlapping(2.0).added_by_host(device, host), SimDuration::from_us(2.0));
    }

    #[test]
    fn cube_roots_are_those_of_the_library() {
        for step in 0..=10_000 {
            let x = 1.0 + f64::from(step) / 10_000.0;
            assert!((cube_root(x) / x.cbrt() - 1.0).abs() < 3.0 * f64::EPSILON, "{x}");
        }
    }

    #[test]
    fn more_overlap_never_adds_more_and_the_longer_never_vanishes() {
        let [host, device] = [90.0, 70.0].map(SimDuration::from_us);
        let added: Vec<SimDuration> =
            [1.0, 1.5, 2.0, 8.0, 1000.0].map(|p| overlapping(p).added_by_host(host, device)).into();
        assert!(added.windows(2).all(|pair| pair[1] <= pair[0]), "{added:?}");
        assert!(added.iter().all(|&added| device + added >= host), "{added:?}");
        assert_eq!(overlapping(1.5).added_by_host(SimDuration::ZERO, device), SimDuration::ZERO);
    }
}
