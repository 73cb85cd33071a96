//! The experts of one class on eight GPUs: what each GPU expects of them, and counts of that mean and variance.
//!
//! Cells are `[expert × GPU]` in one row, which compilers take as many at once as vectors hold.

use rand_xoshiro::Xoshiro256PlusPlus;

use super::lanes::{LANES, Lanes, between, corrected, lowest_bits, rounded};
use crate::gate::sample::{NORMAL_FROM, small_binomial};

/// What is given beyond a share of a correction, so that a half is rounded away from zero whatever its last bits are.
const BEYOND: f64 = 1e-9;

/// What each GPU asks of a class: tokens that have an expert of it, and their slots of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    pub(super) tokens: Lanes,
    pub(super) slots: Lanes,
}

/// Of each expert of a class: its share of the slots, and c of `sample`, (1), over its variance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shares<'a> {
    pub(super) of_slots: &'a [f64],
    pub(super) widening: &'a [f64],
}

/// One class, by expert and GPU.
#[derive(Debug, Default)]
pub(super) struct Class {
    /// Tokens asked for, by GPU for every expert.
    tokens: Vec<f64>,
    /// How likely a token has an expert, its mean, and its c of `sample`, (1).
    chance: Vec<f64>,
    mean: Vec<f64>,
    spread: Vec<f64>,
    counts: Vec<f64>,
    /// The same as whole numbers.
    whole: Vec<u32>,
    /// What experts before each, and those up to the last, are due of a correction.
    due: Vec<f64>,
    /// The largest chance that a token has one expert.
    most: Lanes,
}

impl Class {
    /// Draws counts that sum to the slots asked for.
    #[inline(always)]
    pub(super) fn draw(
        &mut self,
        shares: Shares<'_>,
        asked: &Asked,
        normals: &[f32],
        rngs: &mut [Xoshiro256PlusPlus],
    ) {
        let cells = shares.of_slots.len() * LANES;
        for row in [&mut self.tokens, &mut self.chance, &mut self.mean, &mut self.spread] {
            row.resize(cells, 0.0);
        }
        self.counts.resize(cells, 0.0);
        self.due.resize(cells + LANES, 0.0);
        self.expect(shares, asked);
        self.draw_alone(normals);
        self.draw_small(rngs);
        self.correct(asked, rngs.len());
        self.whole.resize(cells, 0);
        for (whole, count) in self.whole.iter_mut().zip(&self.counts) {
            *whole = lowest_bits(*count);
        }
    }

    /// Writes the counts of one GPU, by expert; says whether they hold: no expert has more tokens than there are.
    #[inline(always)]
    pub(super) fn write(&self, lane: usize, row: &mut [u32]) -> bool {
        for (count, cells) in row.iter_mut().zip(self.whole.as_chunks::<LANES>().0) {
            *count = cells[lane];
        }
        self.most[lane] <= 1.0
    }

    /// Means and c, of experts that tokens have with chances in proportion to their shares.
    #[inline(always)]
    fn expect(&mut self, shares: Shares<'_>, asked: &Asked) {
        let total: f64 = shares.of_slots.iter().sum();
        let scale: Lanes = std::array::from_fn(|lane| {
            let tokens = asked.tokens[lane];
            asked.slots[lane] / (if tokens > 1.0 { tokens } else { 1.0 }) / total
        });
        let mut largest = 0.0;
        for row in self.tokens.as_chunks_mut().0 {
            *row = asked.tokens;
        }
        for (row, share) in self.chance.as_chunks_mut::<LANES>().0.iter_mut().zip(shares.of_slots) {
            for lane in 0..LANES {
                row[lane] = share * scale[lane];
            }
            largest = if *share > largest { *share } else { largest };
        }
        for (mean, (p, tokens)) in self.mean.iter_mut().zip(self.chance.iter().zip(&self.tokens)) {
            *mean = p * tokens;
        }
        let rows = self.spread.as_chunks_mut::<LANES>().0.iter_mut();
        for (row, widening) in rows.zip(shares.widening) {
            *row = [*widening; LANES];
        }
        let laws = self.chance.iter().zip(&self.mean);
        for (c, (p, mean)) in self.spread.iter_mut().zip(laws) {
            *c *= mean * (1.0 - p);
        }
        self.most = scale.map(|scale| largest * scale);
    }

    /// Draws each count alone.
    #[inline(always)]
    fn draw_alone(&mut self, normals: &[f32]) {
        let laws = self.mean.iter().zip(&self.spread).zip(&self.chance).zip(&self.tokens);
        for ((count, (((mean, c), p), tokens)), z) in self.counts.iter_mut().zip(laws).zip(normals)
        {
            *count = corrected(*mean, c.sqrt(), *p, f64::from(*z), *tokens);
        }
    }

    /// The same where too few are expected for a normal variable.
    #[inline(always)]
    fn draw_small(&mut self, rngs: &mut [Xoshiro256PlusPlus]) {
        let mut small = 0;
        for c in &self.spread {
            small |= u64::from(*c < NORMAL_FROM);
        }
        if small == 0 {
            return;
        }
        for begin in (0..self.counts.len()).step_by(LANES) {
            for (at, rng) in (begin..).zip(rngs.iter_mut()) {
                if self.spread[at] < NORMAL_FROM {
                    let (trials, p) = (self.tokens[at] as u32, self.chance[at].min(1.0));
                    self.counts[at] = small_binomial(rng, trials, p).into();
                }
            }
        }
    }

    /// Spreads what sums lack over the counts in proportion to their c, each staying within the tokens.
    #[inline(always)]
    fn correct(&mut self, asked: &Asked, gpus: usize) {
        let (summed, spread) = (sums(&self.counts), sums(&self.spread));
        let (mut each, mut along) = ([0.0; LANES], [0.0; LANES]);
        for lane in 0..LANES {
            let excess = (asked.slots[lane] - summed[lane]) * (1.0 + BEYOND);
            each[lane] = if spread[lane] > 0.0 { excess / spread[lane] } else { 0.0 };
        }
        let rows = self.due.as_chunks_mut::<LANES>().0;
        rows[0] = along;
        for (due, spread) in rows[1..].iter_mut().zip(self.spread.as_chunks::<LANES>().0) {
            for lane in 0..LANES {
                along[lane] += each[lane] * spread[lane];
            }
            *due = along;
        }
        for due in &mut self.due {
            *due = rounded(*due);
        }
        let due = self.due.iter().zip(&self.due[LANES..]);
        for ((count, (before, due)), tokens) in self.counts.iter_mut().zip(due).zip(&self.tokens) {
            *count = between(*count + (due - before), *tokens);
        }
        // What hit a bound goes wherever there is room, in order; rare and small.
        let summed = sums(&self.counts);
        for (lane, summed) in summed.into_iter().enumerate().take(gpus) {
            let excess = asked.slots[lane] - summed;
            if excess != 0.0 && self.most[lane] <= 1.0 {
                self.make_room(lane, excess, asked.tokens[lane]);
            }
        }
    }

    /// Adds to the counts of one GPU, in order, until nothing is left.
    #[cold]
    fn make_room(&mut self, lane: usize, mut excess: f64, tokens: f64) {
        for counts in self.counts.as_chunks_mut::<LANES>().0 {
            let new = between(counts[lane] + excess, tokens);
            excess -= new - counts[lane];
            counts[lane] = new;
        }
        assert!(excess == 0.0, "{excess} slots found no room");
    }
}

/// Sums over experts.
#[inline(always)]
fn sums(cells: &[f64]) -> Lanes {
    let mut sum = [0.0; LANES];
    for cells in cells.as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            sum[lane] += cells[lane];
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::super::lanes::draw_normals;
    use super::*;
    use crate::gate::sample;

    /// Means and variances of 20,000 draws on each of eight GPUs, which ask for as much as each other or more, within
    /// five standard errors, and rounding; sums are what was asked for.
    #[test]
    fn counts_have_the_mean_and_variance_of_choosing_without_replacement() {
        const DRAWS: usize = 20_000;
        let shares = [0.22, 0.17, 0.14, 0.13, 0.11, 0.1, 0.08, 0.05];
        let tokens = [1_000.0, 1_010.0, 1_020.0, 1_030.0, 1_040.0, 1_050.0, 1_060.0, 400.0];
        let asked = Asked { tokens, slots: tokens.map(|tokens| 2.0 * tokens) };
        let widening = sample::widening(&shares, 2.0);
        let mut rngs: [_; LANES] =
            std::array::from_fn(|seed| Xoshiro256PlusPlus::seed_from_u64(seed as u64));
        let (mut class, mut sums) = (Class::default(), vec![[0.0; 2]; shares.len() * LANES]);
        let (mut words, mut normals) = (vec![], vec![]);
        for _ in 0..DRAWS {
            draw_normals(&mut rngs, shares.len(), &mut words, &mut normals);
            let shares = Shares { of_slots: &shares, widening: &widening };
            class.draw(shares, &asked, &normals, &mut rngs);
            assert_eq!(super::sums(&class.counts), asked.slots);
            for (sums, n) in sums.iter_mut().zip(&class.counts) {
                *sums = [sums[0] + n, sums[1] + n * n];
            }
        }
        let draws = DRAWS as f64;
        for (cell, sums) in sums.iter().enumerate() {
            let p = 2.0 * shares[cell / LANES];
            let (want, variance) = (p * tokens[cell % LANES], p * (1.0 - p) * tokens[cell % LANES]);
            let mean = sums[0] / draws;
            let got = sums[1] / draws - mean * mean;
            assert!((mean - want).abs() < 5.0 * (variance / draws).sqrt() + 0.02, "{mean} {want}");
            // √(2/draws) is 1 %; rounding adds a twelfth or two.
            assert!((got / variance - 1.0).abs() < 0.05 + 0.2 / variance, "{got} {variance}");
        }
    }
}
