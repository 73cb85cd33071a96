//! Tokens that choose among groups of experts, drawn by arrivals, a block of them at once.
//!
//! Experts of rates w arrive at exponential times. Of a group whose rates sum to S the first comes at t₁ = E/S, is
//! expert i with probability w_i/S, and the next comes after a wait E'/(S − w_i). These two decide the score of the
//! group, 1/(1 + t₁) + 1/(1 + t₂). Of the M best groups the K soonest experts are taken; who an expert is, is drawn when
//! it is taken, among those of its group that have not come, in proportion to their rates.
//!
//! What every token needs is done in loops over a block, compiled for the widest vectors that the machine has. They
//! compute in single precision, so chances are right to 2⁻²⁴, and reorder or fuse nothing, so results are the same on
//! every machine. Random words come from a generator as quick as the rest, which the caller's stream sets going.

use pulp::{Arch, Simd, WithSimd, bytemuck};
use rand_chacha::rand_core::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::super::exponentials::exponential;
use super::{GroupRule, USUAL, USUAL_GROUP};
use lines::Lines;

mod lines;

/// Tokens drawn together: their rates stay in the nearest cache.
const BLOCK: usize = 32;
/// Stands for the rates of a group that are used up but for rounding: whoever is left comes very late.
const NEXT_TO_NOTHING: f32 = 1e-30;

/// What drawing tokens needs room for, kept from block to block.
#[derive(Debug, Default)]
pub(in crate::gate) struct TokenSpace {
    cells: Cells,
    lines: Lines,
}

/// What is drawn of each token and group, and of each token and slot.
#[derive(Debug, Default)]
struct Cells {
    /// Random words: who comes first in each cell, when the first and the second do, and for each slot when the next of
    /// a group comes and who it is.
    words: Vec<u32>,
    /// Waits by the words that say when.
    waits: Vec<f32>,
    /// Who comes first, the rates of the group, and of its others.
    first: Vec<u32>,
    whole: Vec<f32>,
    left: Vec<f32>,
    /// When the first and the second come, and the score that makes.
    times: [Vec<f32>; 2],
    scores: Vec<f32>,
    /// Groups of the token with a better score.
    better: Vec<u32>,
}

impl GroupRule {
    /// Adds what tokens choose to `out`. `sums` has rows of rates added up within each group, each row in units in which
    /// all its rates sum to one; a token is of the sequence with the row of this number.
    pub(in crate::gate) fn draw_tokens(
        &self,
        (sums, tokens): (&[f32], &[usize]),
        rng: &mut Xoshiro256PlusPlus,
        space: &mut TokenSpace,
        out: &mut [u32],
    ) {
        for tokens in tokens.chunks(BLOCK) {
            Arch::new().dispatch(Block { rule: self, sums, tokens, rng, space, out });
        }
    }
}

/// Tokens that are drawn together.
struct Block<'a> {
    rule: &'a GroupRule,
    sums: &'a [f32],
    tokens: &'a [usize],
    rng: &'a mut Xoshiro256PlusPlus,
    space: &'a mut TokenSpace,
    out: &'a mut [u32],
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { rule, sums, tokens, rng, space: TokenSpace { cells, lines }, out } = self;
        let (experts, groups) = (out.len(), rule.groups as usize);
        let slots = rule.slots.round() as usize;
        cells.draw([tokens.len(), groups, slots], rng);
        for (at, &token) in tokens.iter().enumerate() {
            let row = &sums[token * experts..][..experts];
            cells.draw_first(simd, at * groups, row, experts / groups);
        }
        cells.score(groups);
        lines.begin(cells, [tokens.len(), groups, rule.most as usize], experts / groups);
        // Slot by slot: what one token does need not wait for what another does.
        for slot in 0..slots {
            for (at, &token) in tokens.iter().enumerate() {
                let drawn = cells.of_slot(at * slots + slot);
                let row = &sums[token * experts..][..experts];
                lines.take((simd, at), drawn, row, rng, out);
            }
        }
    }
}

impl Cells {
    /// Draws random words and waits.
    #[inline(always)]
    fn draw(&mut self, [tokens, groups, slots]: [usize; 3], rng: &mut Xoshiro256PlusPlus) {
        let cells = tokens * groups;
        self.words.resize((3 * cells + 2 * tokens * slots).next_multiple_of(2), 0);
        let pairs = self.words.as_chunks_mut::<2>().0;
        for pair in pairs {
            let both = rng.next_u64();
            *pair = [both as u32, (both >> 32) as u32];
        }
        self.waits.resize(2 * cells + tokens * slots, 0.0);
        for (wait, &word) in self.waits.iter_mut().zip(&self.words[cells..]) {
            *wait = exponential(word);
        }
        self.first.resize(cells, 0);
        self.better.resize(cells, 0);
        let [first, second] = &mut self.times;
        for of_cells in [&mut self.whole, &mut self.left, first, second, &mut self.scores] {
            of_cells.resize(cells, 0.0);
        }
    }

    /// What was drawn of a slot: a wait, and a word that says who.
    #[inline(always)]
    fn of_slot(&self, slot: usize) -> (f32, u32) {
        let (cells, waits) = (self.first.len(), self.waits.len());
        (self.waits[2 * cells + slot], self.words[cells + waits + slot])
    }

    /// Draws who comes first in each group of the token whose cells begin here.
    #[inline(always)]
    fn draw_first<S: Simd>(&mut self, simd: S, begin: usize, row: &[f32], per_group: usize) {
        for (cell, sums) in (begin..).zip(row.chunks_exact(per_group)) {
            let whole = sums[per_group - 1];
            let expert = place_of(simd, whole * uniform(self.words[cell]), sums);
            self.first[cell] = expert as u32;
            self.whole[cell] = whole;
            self.left[cell] = whole - rate_of(expert, sums);
        }
    }

    /// When the first two of each group come; its score, the sigmoids of −ln(time) of both; and how many are better.
    #[inline(always)]
    fn score(&mut self, groups: usize) {
        let cells = self.scores.len();
        let [first, second] = &mut self.times;
        let (soon, then) = (&self.waits[..cells], &self.waits[cells..][..cells]);
        let (first, second, scores) =
            (&mut first[..cells], &mut second[..cells], &mut self.scores[..cells]);
        let (whole, left) = (&self.whole[..cells], &self.left[..cells]);
        for cell in 0..cells {
            first[cell] = soon[cell] / whole[cell].max(NEXT_TO_NOTHING);
            second[cell] = first[cell] + then[cell] / left[cell].max(NEXT_TO_NOTHING);
            scores[cell] = 1.0 / (1.0 + first[cell]) + 1.0 / (1.0 + second[cell]);
        }
        let tokens = scores.chunks_exact(groups).zip(self.better.chunks_exact_mut(groups));
        for (scores, better) in tokens {
            match (<&[f32; USUAL]>::try_from(scores), <&mut [u32; USUAL]>::try_from(&mut *better)) {
                // A number of groups that the compiler knows takes half the time.
                (Ok(scores), Ok(better)) => count_better(scores, better),
                _ => count_better(scores, better),
            }
        }
    }
}

/// How many groups have a better score than each; of equals, the lower number is better.
#[inline(always)]
fn count_better(scores: &[f32], better: &mut [u32]) {
    let groups = scores.len();
    better.fill(0);
    for other in 0..groups {
        let score = scores[other];
        for group in 0..groups {
            let is = if other < group { score >= scores[group] } else { score > scores[group] };
            better[group] += u32::from(is);
        }
    }
}

/// Whose share of a group's rates this mass lies in. Compared with all at once, which is sooner than to search.
#[inline(always)]
fn place_of<S: Simd>(simd: S, mass: f32, sums: &[f32]) -> usize {
    let below = match <&[f32; USUAL_GROUP]>::try_from(sums) {
        Ok(sums) => number_up_to(simd, mass, sums),
        Err(_) => number_up_to(simd, mass, sums),
    };
    below.min(sums.len() - 1)
}

/// How many of these are no more than a mass.
#[inline(always)]
fn number_up_to<S: Simd>(simd: S, mass: f32, sums: &[f32]) -> usize {
    let (many, rest) = S::as_simd_f32s(sums);
    let mass_of_all = simd.splat_f32s(mass);
    let mut number = rest.iter().filter(|sum| **sum <= mass).count();
    if size_of::<S::m32s>() == size_of::<u16>() {
        // AVX-512 compares into bits of a register.
        for &sums in many {
            let bits: u16 = bytemuck::cast(simd.less_than_or_equal_f32s(sums, mass_of_all));
            number += bits.count_ones() as usize;
        }
        return number;
    }
    let (one, mut below) = (simd.splat_f32s(1.0), simd.splat_f32s(0.0));
    for &sums in many {
        let is_below = simd.less_than_or_equal_f32s(sums, mass_of_all);
        below = simd.add_f32s(below, simd.select_f32s(is_below, one, simd.splat_f32s(0.0)));
    }
    number + simd.reduce_sum_f32s(below) as usize
}

#[inline(always)]
fn rate_of(expert: usize, sums: &[f32]) -> f32 {
    sums[expert] - if expert == 0 { 0.0 } else { sums[expert - 1] }
}

/// One of 2²⁴ parts of the way from 0 to 1.
#[inline(always)]
fn uniform(word: u32) -> f32 {
    const PART: f32 = 1.0 / 16_777_216.0;
    (word >> 8).cast_signed() as f32 * PART
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    struct Placed<'a>(f32, &'a [f32]);

    impl WithSimd for Placed<'_> {
        type Output = usize;

        fn with_simd<S: Simd>(self, simd: S) -> usize {
            place_of(simd, self.0, self.1)
        }
    }

    /// However many experts a group has, and whatever vectors compare them.
    #[test]
    fn a_mass_lies_in_the_share_that_a_search_finds() {
        for experts in [1, 7, 16, 20, 32, 64] {
            let sums: Vec<f32> = (1..=experts).map(|e| (e * e / 3) as f32).collect();
            for mass in (0..=experts * experts / 3).map(|mass| mass as f32 - 0.5) {
                let found = sums.partition_point(|sum| *sum <= mass).min(experts - 1);
                assert_eq!(Arch::new().dispatch(Placed(mass, &sums)), found);
                assert_eq!(Placed(mass, &sums).with_simd(pulp::Scalar::new()), found);
            }
        }
    }

    /// Experts are used up and rates lost to rounding: every token has all its slots nevertheless.
    #[test]
    fn a_token_has_all_its_slots_whatever_the_rates() {
        let rule = GroupRule { groups: 4, most: 2, slots: 4.0 };
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let sums = [1.0, 1.0, 0.0, 0.0, 0.0, 1e-12, 0.0, 0.0];
        let mut space = TokenSpace::default();
        for _ in 0..1_000 {
            let mut out = [0; 8];
            rule.draw_tokens((&sums, &[0]), &mut rng, &mut space, &mut out);
            assert!(out.iter().all(|n| *n < 2) && out.iter().sum::<u32>() == 4, "{out:?}");
        }
    }
}
