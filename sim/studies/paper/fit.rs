//! Fits the overheads of a loop over experts to published expert forward times.
//!
//! A *structure* says what grows with an expert's slots beyond products and one touch of each operand, and how far
//! host and device overlap; three numbers are free, for all sizes and τ, by least squares of relative errors:
//!
//! ```text
//! minimise  Σ_rows (t(x, v, l) / t_published − 1)²,   x = κ ≥ 1 or s ≥ 0,  v ≥ 0, l ≥ 0           (1)
//! ```
//!
//! `t` follows from the [`Parts`] of each row, by Gauss–Newton with finite differences [nocedal06, §10.3]; a bound
//! that binds is held, and the others are solved for again. Structures, and micro-batches, which the paper does
//! not state, are judged by leaving models out. The published rows have one hidden size, so they cannot tell a cost of
//! a slot from memory traffic. A cost of each slot is taken, since 5 times the traffic of an expert has no
//! physical reading, while selecting, sorting and scaling slots by index has; what others would predict is
//! the range that results print.

use super::parts::Parts;
use crate::base::statistics::linear::solve;
use crate::base::units::{Bytes, SimDuration};
use crate::execution::cost::Overheads;

/// Rounds of Gauss–Newton; later ones change nothing that is written.
const ROUNDS: usize = 12;

/// How far finite differences step, of each number's start.
const STEP: f64 = 1e-3;

/// Overlaps of host and device that are tried: none, and two that hide more.
pub const OVERLAPS: [f64; 3] = [1.0, 1.5, 2.0];

/// Tokens of a GPU's micro-batch that are tried.
pub const TOKENS_PER_GPU: [u32; 5] = [2_048, 4_096, 8_192, 16_384, 32_768];

/// What grows with the slots of an expert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PerSlot {
    /// A cost of each slot, s.
    Cost,
    /// Memory traffic, κ.
    Traffic,
}

/// What is fitted: see above.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Structure {
    /// What grows with slots.
    pub per_slot: PerSlot,
    /// How far host and device overlap.
    pub overlap: f64,
}

impl Structure {
    /// All that are tried.
    pub fn all() -> impl Iterator<Item = Self> {
        let of = |per_slot| OVERLAPS.map(|overlap| Self { per_slot, overlap });
        [PerSlot::Cost, PerSlot::Traffic].into_iter().flat_map(of)
    }

    /// Of fitted overheads.
    #[must_use]
    pub fn of(overheads: &Overheads) -> Self {
        let per_slot =
            if overheads.slot_traffic > Bytes(0) { PerSlot::Cost } else { PerSlot::Traffic };
        Self { per_slot, overlap: overheads.overlap }
    }

    /// Where the search starts, s in kilobytes, v and l in microseconds.
    const fn start(self) -> [f64; 3] {
        match self.per_slot {
            PerSlot::Cost => [120.0, 20.0, 40.0],
            PerSlot::Traffic => [4.0, 20.0, 40.0],
        }
    }

    const fn least(self) -> [f64; 3] {
        match self.per_slot {
            PerSlot::Cost => [0.0, 0.0, 0.0],
            PerSlot::Traffic => [1.0, 0.0, 0.0],
        }
    }

    fn overheads(self, [grows, visit_us, layer_us]: [f64; 3]) -> Overheads {
        let (traffic_factor, slot_traffic) = match self.per_slot {
            PerSlot::Cost => (1.0, Bytes((1e3 * grows).round() as u64)),
            PerSlot::Traffic => (grows, Bytes(0)),
        };
        Overheads {
            traffic_factor,
            slot_traffic,
            expert_visit: SimDuration::from_us(visit_us),
            layer: SimDuration::from_us(layer_us),
            overlap: self.overlap,
        }
    }
}

/// A published time, in milliseconds, and what it is made of.
pub type Row = (f64, Parts);

/// The overheads of a structure that fit these rows best.
#[must_use]
pub fn fit(rows: &[Row], structure: Structure) -> Overheads {
    let errors = |at: [f64; 3]| errors(rows, &structure.overheads(at));
    let mut at = structure.start();
    for _ in 0..ROUNDS {
        let here = errors(at);
        let slopes = (0..3).map(|i| {
            let step = STEP * structure.start()[i];
            let mut there = at;
            there[i] += step;
            errors(there).iter().zip(&here).map(|(b, a)| (b - a) / step).collect()
        });
        let next = bounded_step(at, structure.least(), &here, &slopes.collect::<Vec<Vec<f64>>>());
        // Rows that cannot tell the numbers apart leave no step.
        if next.iter().any(|number| !number.is_finite()) {
            break;
        }
        at = next;
    }
    structure.overheads(at)
}

/// Relative errors of the rows' times under these overheads.
#[must_use]
pub fn errors(rows: &[Row], overheads: &Overheads) -> Vec<f64> {
    rows.iter().map(|(published, parts)| parts.time_ms(overheads) / published - 1.0).collect()
}

/// The least-squares step from `at`, with parameters that would leave their bounds held at them.
fn bounded_step(at: [f64; 3], least: [f64; 3], residuals: &[f64], slopes: &[Vec<f64>]) -> [f64; 3] {
    let mut held = [false; 3];
    loop {
        let free: Vec<usize> = (0..3).filter(|&i| !held[i]).collect();
        // Held parameters move to their bounds; their share of the residuals is known.
        let mut left = residuals.to_vec();
        for i in (0..3).filter(|&i| held[i]) {
            let by = least[i] - at[i];
            for (residual, slope) in left.iter_mut().zip(&slopes[i]) {
                *residual += slope * by;
            }
        }
        let steps = least_squares(&free, &left, slopes);
        let mut next = least;
        for (&i, step) in free.iter().zip(&steps) {
            next[i] = at[i] + step;
        }
        match free.iter().find(|&&i| next[i] < least[i]) {
            Some(&i) => held[i] = true,
            None => return next,
        }
    }
}

/// The free parameters' steps, by the normal equations.
fn least_squares(free: &[usize], residuals: &[f64], slopes: &[Vec<f64>]) -> Vec<f64> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let row = |&i: &usize| free.iter().map(|&j| dot(&slopes[i], &slopes[j])).collect();
    let right = free.iter().map(|&i| -dot(&slopes[i], residuals)).collect();
    solve(free.iter().map(row).collect(), right)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: [f64; 3] = [1.0, 0.0, 0.0];

    #[test]
    fn a_linear_problem_is_solved_in_one_step() {
        let slopes = [vec![1.0, 0.0, 1.0, 2.0], vec![0.0, 1.0, 1.0, 0.5], vec![1.0, 1.0, 0.0, 3.0]];
        let (at, truth) = ([2.0, 2.0, 2.0], [5.0, 3.0, 1.0]);
        let residuals: Vec<f64> =
            (0..4).map(|r| (0..3).map(|i| slopes[i][r] * (at[i] - truth[i])).sum()).collect();
        let found = bounded_step(at, LEAST, &residuals, &slopes);
        for i in 0..3 {
            assert!((found[i] - truth[i]).abs() < 1e-9, "{found:?}");
        }
    }

    #[test]
    fn a_parameter_that_would_leave_its_bound_is_held_there() {
        // One residual, one parameter wants to be −3; the second then makes up for it.
        let slopes = [vec![0.0, 0.0], vec![1.0, 0.0], vec![1.0, 1.0]];
        let found = bounded_step([1.0, 1.0, 1.0], LEAST, &[4.0, -1.0], &slopes);
        assert!(found[1] >= 0.0, "{found:?}");
        assert_eq!(found[0], 1.0);
    }
}
