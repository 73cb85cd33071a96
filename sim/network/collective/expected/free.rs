//! Gates that may choose any experts: up to eight GPUs side by side, one in each lane, from their slots to the weights
//! that explain them to copies.
//!
//! Each lane is done to as it would be alone, in the same order; one that is solved keeps its weights while others go on.

use pulp::NullaryFnOnce;

use super::side::{Row, SIDE, set_one, times, times_one_plus};
use super::weights::ROUNDS;
use super::{Chosen, Grouping};

/// Solves for the weights of up to eight GPUs, and counts copies: `[GPU][grouping][group]`.
pub(super) struct Free<'a> {
    pub(super) chosen: &'a [&'a Chosen<'a>],
    pub(super) groupings: &'a [Grouping],
}

impl NullaryFnOnce for Free<'_> {
    type Output = Vec<Vec<Vec<f64>>>;

    #[inline(always)]
    fn call(self) -> Vec<Vec<Vec<f64>>> {
        let Self { chosen, groupings } = self;
        let eight = Eight::solved(chosen);
        let mut copies = vec![Vec::with_capacity(groupings.len()); chosen.len()];
        for grouping in groupings {
            let of_groups = eight.copies(grouping);
            for (lane, copies) in copies.iter_mut().enumerate() {
                copies.push(of_groups.iter().map(|row| row[lane]).collect());
            }
        }
        copies
    }
}

/// What up to eight GPUs chose, with the weights that explain it.
struct Eight {
    /// By number of slots.
    tokens: Vec<Row>,
    /// By expert.
    weights: Vec<Row>,
    /// By expert, where any slot was dropped.
    dropped: Option<Vec<Row>>,
    /// Π (1 + w z) over all experts.
    all: Vec<Row>,
}

impl Eight {
    /// Solves for the weights.
    #[inline(always)]
    fn solved(chosen: &[&Chosen<'_>]) -> Self {
        let experts = chosen[0].slots.len();
        let slots = rows(experts, chosen, |of| of.slots);
        let dropped = rows(experts, chosen, |of| of.dropped);
        let tokens = rows(chosen[0].tokens.len(), chosen, |of| of.tokens);
        let (total, mut weights) = (sum_of(&slots), slots.clone());
        // Scaled to a sum of one, which (2) does not depend on.
        divide(&mut weights, &total.map(|total| if total > 0.0 { total } else { 1.0 }));
        let all = vec![[0.0; SIDE]; tokens.len().max(1)];
        let dropped = dropped.iter().flatten().any(|share| *share > 0.0).then_some(dropped);
        let mut eight = Self { tokens, weights, dropped, all };
        let mut goes_on = total.map(|total| total > 0.0);
        for _ in 0..ROUNDS {
            if goes_on == [false; SIDE] {
                break;
            }
            eight.multiply();
            let off = eight.round(&slots, goes_on);
            let mut sum = sum_of(&eight.weights);
            for lane in 0..SIDE {
                sum[lane] = if goes_on[lane] { sum[lane] } else { 1.0 };
                goes_on[lane] &= off[lane] >= 1e-6;
            }
            divide(&mut eight.weights, &sum);
        }
        eight.multiply();
        eight
    }

    /// Multiplies the experts' factors.
    #[inline(always)]
    fn multiply(&mut self) {
        set_one(&mut self.all);
        self.weights.iter().for_each(|row| times_one_plus(row, &mut self.all));
    }

    /// Corrects each weight of lanes that go on by what its expert's slots are over what they are expected to be; says
    /// how far off they were.
    #[inline(always)]
    fn round(&mut self, slots: &[Row], goes_on: [bool; SIDE]) -> Row {
        // Tokens over all ways to choose as many slots.
        let mut tails = vec![[0.0; SIDE]; self.all.len()];
        for ((tail, tokens), ways) in tails.iter_mut().zip(&self.tokens).zip(&self.all) {
            for lane in 0..SIDE {
                let some = tokens[lane] > 0.0 && ways[lane] > 0.0;
                tail[lane] = if some { tokens[lane] / ways[lane] } else { 0.0 };
            }
        }
        let mut off = [0.0_f64; SIDE];
        for (weights, slots) in self.weights.iter_mut().zip(slots) {
            // All without the expert, from the bottom: Π = (1 + w z)·(Π without it).
            let (mut without, mut expected) = ([1.0; SIDE], [0.0; SIDE]);
            for (tail, term) in tails.iter().zip(&self.all).skip(1) {
                for lane in 0..SIDE {
                    expected[lane] += tail[lane] * weights[lane] * without[lane];
                    without[lane] = (term[lane] - weights[lane] * without[lane]).max(0.0);
                }
            }
            for lane in 0..SIDE {
                let some = goes_on[lane] && expected[lane] > 0.0;
                let right = if some { slots[lane] / expected[lane] } else { 1.0 };
                off[lane] = off[lane].max((right - 1.0).abs());
                weights[lane] *= right;
            }
        }
        off
    }

    /// Copies to each group, equation (3).
    #[inline(always)]
    fn copies(&self, Grouping { group_of, groups }: &Grouping) -> Vec<Row> {
        let terms = self.all.len();
        let mut here = group_of.clone();
        here.sort_unstable();
        here.dedup();
        // Π (1 + w z) over the experts of each group, and the same with w·d.
        let mut chosen = vec![[0.0; SIDE]; here.len() * terms];
        chosen.chunks_exact_mut(terms).for_each(set_one);
        let mut lost = self.dropped.as_ref().map(|_| chosen.clone());
        for (expert, group) in group_of.iter().enumerate() {
            let at = here.partition_point(|here| here < group) * terms;
            let weights = &self.weights[expert];
            times_one_plus(weights, &mut chosen[at..][..terms]);
            if let (Some(lost), Some(dropped)) = (&mut lost, &self.dropped) {
                let mut both = dropped[expert];
                (0..SIDE).for_each(|lane| both[lane] *= weights[lane]);
                times_one_plus(&both, &mut lost[at..][..terms]);
            }
        }
        let mut left = chosen.clone();
        leave_out(terms, &chosen, lost.as_deref(), &mut left);
        let mut copies = vec![self.hits(&self.all); *groups];
        for (left, &group) in left.chunks_exact(terms).zip(&here) {
            copies[group] = self.hits(left);
        }
        copies
    }

    /// [(3)] of one group, with these ways to miss it.
    #[inline(always)]
    fn hits(&self, left: &[Row]) -> Row {
        let mut sum = [0.0; SIDE];
        for ((tokens, all), left) in self.tokens.iter().zip(&self.all).zip(left).skip(1) {
            for lane in 0..SIDE {
                let hit = (1.0 - left[lane] / all[lane]).clamp(0.0, 1.0);
                sum[lane] += tokens[lane] * if all[lane] > 0.0 { hit } else { 0.0 };
            }
        }
        sum
    }
}

/// A row for each of some numbers of each GPU; zero in lanes without one.
fn rows<'a>(
    number: usize,
    of: &[&'a Chosen<'a>],
    told: fn(&'a Chosen<'a>) -> &'a [f64],
) -> Vec<Row> {
    let mut rows = vec![[0.0; SIDE]; number];
    for (lane, chosen) in of.iter().enumerate() {
        let numbers = told(chosen);
        assert_eq!(numbers.len(), number, "GPUs side by side have as many experts and slots");
        rows.iter_mut().zip(numbers).for_each(|(row, number)| row[lane] = *number);
    }
    rows
}

#[inline(always)]
fn sum_of(rows: &[Row]) -> Row {
    let mut sum = [0.0; SIDE];
    rows.iter().for_each(|row| (0..SIDE).for_each(|lane| sum[lane] += row[lane]));
    sum
}

#[inline(always)]
fn divide(rows: &mut [Row], by: &Row) {
    rows.iter_mut().for_each(|row| (0..SIDE).for_each(|lane| row[lane] /= by[lane]));
}

/// Products of all groups' series but one's, times what the one lost if anything was, for each of them.
#[inline(always)]
pub(super) fn leave_out(terms: usize, chosen: &[Row], lost: Option<&[Row]>, out: &mut [Row]) {
    // Products of all groups after each.
    let mut after = vec![[0.0; SIDE]; chosen.len() + terms];
    set_one(&mut after[chosen.len()..]);
    for at in (0..chosen.len()).step_by(terms).rev() {
        let (these, later) = after[at..].split_at_mut(terms);
        times(&later[..terms], &chosen[at..][..terms], these);
    }
    let mut before = vec![[0.0; SIDE]; terms];
    set_one(&mut before);
    let mut product = before.clone();
    for at in (0..chosen.len()).step_by(terms) {
        let others = &after[at + terms..][..terms];
        match lost {
            Some(lost) => {
                times(&before, others, &mut product);
                times(&product, &lost[at..][..terms], &mut out[at..][..terms]);
            }
            // What lost nothing is times one.
            None => times(&before, others, &mut out[at..][..terms]),
        }
        times(&before, &chosen[at..][..terms], &mut product);
        std::mem::swap(&mut before, &mut product);
    }
}
