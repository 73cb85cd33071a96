//! Rows of a step: those of each part of the experts, and of the rank that is given most.

use super::member::{rounded, rows_of};
use super::{At, Step, StepPlanner};
use crate::gate::Counts;
use crate::placement::Placement;

impl StepPlanner<'_> {
    /// Rows of each part of the experts, and what they take to gather and scatter where experts are cut.
    pub(super) fn rows_in(
        &mut self,
        at: At,
        placement: &Placement,
        counts: &Counts,
        (rows, step): (&mut Vec<Vec<u32>>, &mut Step),
    ) {
        rows_of(placement, counts, self.workload.model.experts.ffn as usize, rows);
        if [at.micro_batch, at.group] == [0; 2] && self.parts.is_none() {
            self.hottest.see(at.round, rows);
        }
        step.split.clear();
        if let Some(split) = &self.split {
            let slots = |rows: &Vec<u32>| rows.iter().map(|&rows| u64::from(rows)).sum();
            step.split.extend(rows.iter().map(|rows| split.times(slots(rows))));
        }
        if let Some(tile) = self.workload.stack.round_rows {
            rows.iter_mut().flatten().for_each(|rows| *rows = rounded(*rows, tile));
        }
    }
}

/// The most rows that a rank of the first group receives in any round of its first micro-batch, padding included: as far
/// as a run has planned it, which need not plan all of it.
pub(super) struct HottestRows {
    /// By round, of those that were planned.
    of_rounds: Vec<Option<u64>>,
}

impl HottestRows {
    /// Of so many rounds of gates, none of which is planned yet.
    pub fn of_rounds(rounds: u32) -> Self {
        Self { of_rounds: vec![None; rounds as usize] }
    }

    /// Takes in the rows of each rank in a round, by expert.
    pub fn see(&mut self, round: u32, rows: &[Vec<u32>]) {
        let of_rank = |rows: &Vec<u32>| rows.iter().map(|&rows| u64::from(rows)).sum();
        if let Some(most) = self.of_rounds.get_mut(round as usize) {
            *most = rows.iter().map(of_rank).max();
        }
    }

    /// The most of all rounds; none where a round was not planned.
    pub fn most(&self) -> Option<u64> {
        let all: Option<Vec<u64>> = self.of_rounds.iter().copied().collect();
        all?.into_iter().max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_rows_are_known_once_all_rounds_are() {
        let mut hottest = HottestRows::of_rounds(2);
        hottest.see(1, &[vec![3, 4], vec![1, 5]]);
        assert_eq!(hottest.most(), None);
        hottest.see(0, &[vec![2], vec![6]]);
        assert_eq!(hottest.most(), Some(7));
    }
}
