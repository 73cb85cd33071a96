//! Fits the overheads of a loop over experts to published expert forward times.
//!
//! Three numbers for all sizes and τ, by least squares of relative errors:
//!
//! ```text
//! minimise  Σ_rows (t(κ, v, l) / t_published − 1)²   over κ ≥ 1, v ≥ 0, l ≥ 0            (1)
//! ```
//!
//! `t` is the simulator itself. It is very nearly linear in the three numbers (only which GPU is the
//! slowest depends on them otherwise), so Gauss–Newton with finite differences needs few rounds
//! [nocedal06, §10.3]. A bound that binds is held, and the others are solved for again.

use std::fmt::Write as _;

use super::PaperRow;
use super::predictor::Predictor;
use crate::base::statistics::linear::solve;
use crate::base::units::SimDuration;
use crate::execution::cost::Overheads;
use crate::execution::outcome::TooLong;

/// Rounds of Gauss–Newton; a third changes nothing that is printed.
const ROUNDS: usize = 2;

/// Finite-difference steps for κ, `v` and `l` (the latter two in microseconds).
const STEPS: [f64; 3] = [0.5, 5.0, 20.0];

/// Where the search starts; the problem is so nearly linear that it matters little.
const START: [f64; 3] = [4.0, 10.0, 50.0];

/// Lower bounds of the same.
const LEAST: [f64; 3] = [1.0, 0.0, 0.0];

/// Overheads, and how well they reproduce what they were fitted to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// The overheads.
    pub overheads: Overheads,
    /// Mean |relative error| over the rows fitted to.
    pub residual: f64,
    /// Rows fitted to.
    pub rows: usize,
}

/// Fits to `rows`, those of unknown models left out.
///
/// # Errors
/// If a run exceeds representable time.
pub fn fit(predictor: &Predictor, rows: &[PaperRow]) -> Result<Fit, TooLong> {
    let known: Vec<PaperRow> =
        rows.iter().filter(|row| predictor.workload_of(row).is_some()).cloned().collect();
    let relative = |at: [f64; 3]| -> Result<Vec<f64>, TooLong> {
        let times = predictor.times_ms(&known, overheads(at))?;
        let pairs = known.iter().zip(times);
        Ok(pairs.filter_map(|(row, time)| Some(time? / row.expert_forward_ms - 1.0)).collect())
    };
    let mut at = START;
    for _ in 0..ROUNDS {
        let here = relative(at)?;
        let mut slopes = Vec::with_capacity(at.len());
        for (i, step) in STEPS.iter().enumerate() {
            let mut there = at;
            there[i] += step;
            let moved = relative(there)?;
            slopes.push(moved.iter().zip(&here).map(|(b, a)| (b - a) / step).collect::<Vec<_>>());
        }
        at = bounded_step(at, &here, &slopes);
    }
    let errors = relative(at)?;
    let residual = errors.iter().map(|e| e.abs()).sum::<f64>() / errors.len().max(1) as f64;
    Ok(Fit { overheads: overheads(at), residual, rows: known.len() })
}

/// The overheads file of a fit, as `config::overheads` reads it.
#[must_use]
pub fn file_text(name: &str, fit: &Fit, fitted_to: &str) -> String {
    let Overheads { traffic_factor, expert_visit, layer } = fit.overheads;
    let mut text = String::new();
    let _ = write!(
        text,
        "# Written by `moesim fit-overheads`. Do not edit: fit again.\n\
         #\n\
         # What a loop over experts costs beyond its kernels (see sim/execution/cost.rs, eq. 4-6):\n\
         # memory traffic as a multiple of touching each operand once, launching and synchronising for\n\
         # each expert visited, and once for each layer.\n\
         schema         = 1\n\
         name           = \"{name}\"\n\
         traffic_factor = {traffic_factor:.3}\n\
         expert_visit   = \"{:.2} us\"\n\
         layer          = \"{:.2} us\"\n\
         \n\
         [fitted]\n\
         to   = \"{fitted_to}\"\n\
         rows = {}\n\
         mean_absolute_relative_error = {:.4}\n",
        expert_visit.us(),
        layer.us(),
        fit.rows,
        fit.residual,
    );
    text
}

fn overheads([factor, visit_us, layer_us]: [f64; 3]) -> Overheads {
    Overheads {
        traffic_factor: factor,
        expert_visit: SimDuration::from_us(visit_us),
        layer: SimDuration::from_us(layer_us),
    }
}

/// The least-squares step from `at`, with parameters that would leave their bounds held at them.
fn bounded_step(at: [f64; 3], residuals: &[f64], slopes: &[Vec<f64>]) -> [f64; 3] {
    let mut held = [false; 3];
    loop {
        let free: Vec<usize> = (0..3).filter(|&i| !held[i]).collect();
        // Held parameters move to their bounds; their share of the residuals is known.
        let mut left = residuals.to_vec();
        for i in (0..3).filter(|&i| held[i]) {
            let by = LEAST[i] - at[i];
            for (residual, slope) in left.iter_mut().zip(&slopes[i]) {
                *residual += slope * by;
            }
        }
        let steps = least_squares(&free, &left, slopes);
        let mut next = LEAST;
        for (&i, step) in free.iter().zip(&steps) {
            next[i] = at[i] + step;
        }
        match free.iter().find(|&&i| next[i] < LEAST[i]) {
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

    #[test]
    fn a_linear_problem_is_solved_in_one_step() {
        let slopes = [vec![1.0, 0.0, 1.0, 2.0], vec![0.0, 1.0, 1.0, 0.5], vec![1.0, 1.0, 0.0, 3.0]];
        let (at, truth) = ([2.0, 2.0, 2.0], [5.0, 3.0, 1.0]);
        let residuals: Vec<f64> =
            (0..4).map(|r| (0..3).map(|i| slopes[i][r] * (at[i] - truth[i])).sum()).collect();
        let found = bounded_step(at, &residuals, &slopes);
        for i in 0..3 {
            assert!((found[i] - truth[i]).abs() < 1e-9, "{found:?}");
        }
    }

    #[test]
    fn a_parameter_that_would_leave_its_bound_is_held_there() {
        // One residual, one parameter wants to be −3; the second then makes up for it.
        let slopes = [vec![0.0, 0.0], vec![1.0, 0.0], vec![1.0, 1.0]];
        let found = bounded_step([1.0, 1.0, 1.0], &[4.0, -1.0], &slopes);
        assert!(found[1] >= 0.0, "{found:?}");
        assert_eq!(found[0], 1.0);
    }
}
