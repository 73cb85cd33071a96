//! Vanilla runs that several points of a sweep share.
//!
//! An axis over τ, or over keys behind `moepp.`, changes one side of a comparison alone: the vanilla run
//! of a case and seed is the same at all its steps. It is made once and kept for the tasks that come
//! soon after. A run is a function of its inputs, so results are the same bytes with and without.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::SweepPlan;
use crate::execution::outcome::{Outcome, TooLong};

/// Runs kept at most; beyond, those of the earliest points are forgotten.
const MOST: usize = 512;

/// A point without what changes MoE++ alone, a case, and a seed.
type Key = (usize, usize, u64);

/// Vanilla runs by what decides them.
pub(super) struct Shared {
    /// For each axis, its number of steps and whether it changes MoE++ alone.
    axes: Vec<(usize, bool)>,
    runs: Mutex<BTreeMap<Key, Arc<Outcome>>>,
}

impl Shared {
    pub fn of(plan: &SweepPlan) -> Self {
        let one_side = |key: &String| key == "tau" || key.starts_with("moepp.");
        let axes = plan.axes.iter().map(|axis| (axis.steps.len(), axis.keys.iter().all(one_side)));
        Self { axes: axes.collect(), runs: Mutex::default() }
    }

    /// The first point that has the same vanilla runs.
    fn base(&self, point: usize) -> usize {
        let (mut left, mut stride, mut base) = (point, 1, 0);
        for &(steps, one_side) in self.axes.iter().rev() {
            let step = left % steps;
            left /= steps;
            base += if one_side { 0 } else { step * stride };
            stride *= steps;
        }
        base
    }

    /// The vanilla run of a case under a seed at a point, made by `run` if it is not there.
    pub fn get(
        &self,
        (point, case, seed): (usize, usize, u64),
        run: impl FnOnce() -> Result<Outcome, TooLong>,
    ) -> Result<Arc<Outcome>, TooLong> {
        if !self.axes.iter().any(|(_, one_side)| *one_side) {
            return Ok(Arc::new(run()?));
        }
        let key = (self.base(point), case, seed);
        // A thread that panicked has not left a run half made.
        let held = || self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = held().get(&key) {
            return Ok(Arc::clone(found));
        }
        let made = Arc::new(run()?);
        let mut runs = held();
        if runs.len() >= MOST {
            runs.pop_first();
        }
        runs.insert(key, Arc::clone(&made));
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_that_differ_on_one_side_alone_have_one_base() {
        let shared =
            Shared { axes: vec![(2, false), (3, true), (2, false)], runs: Mutex::default() };
        let bases: Vec<usize> = (0..12).map(|point| shared.base(point)).collect();
        assert_eq!(bases, [0, 1, 0, 1, 0, 1, 6, 7, 6, 7, 6, 7]);
    }
}
