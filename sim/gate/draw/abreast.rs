//! Counts of several GPUs abreast, where all sequences are alike and zero-computation experts make each GPU expect
//! something else: what each expects is reckoned for eight at once.
//!
//! Counts are those that each GPU draws alone, bit by bit: nothing is reordered or fused.

use std::ops::Range;

use pulp::{Arch, NullaryFnOnce};
use rand_chacha::ChaCha8Rng;

use super::{Draw, WINDOW_BITS, slots_of};
use crate::gate::Counts;
use crate::gate::sample::{self, ROUNDS};

/// GPUs abreast: as many numbers as the widest vectors hold.
const LANES: usize = 8;

type Lanes = [f64; LANES];

/// What each GPU expects of a class: by expert, the mean, the variance, and the c of `sample`, (1), of each.
#[derive(Debug, Default)]
struct Abreast {
    mean: Vec<Lanes>,
    variance: Vec<Lanes>,
    spread: Vec<Lanes>,
    /// `[GPU][expert]`: the means, and the c.
    by_gpu: [Vec<f64>; 2],
}

impl Abreast {
    /// Expects so many tokens with so many slots each, of experts with these shares of them; says whether no expert is
    /// one that every token of a GPU has.
    fn expect(&mut self, shares: &[f64], [tokens, slots]: [&Lanes; 2]) -> bool {
        for cells in [&mut self.mean, &mut self.variance, &mut self.spread] {
            cells.resize(shares.len(), [0.0; LANES]);
        }
        self.by_gpu.iter_mut().for_each(|cells| cells.resize(LANES * shares.len(), 0.0));
        Arch::new().dispatch(Expecting { shares, tokens, slots, out: self })
    }

    /// The means of one GPU, and their c.
    fn of(&self, lane: usize) -> (&[f64], &[f64]) {
        let experts = self.mean.len();
        let [mean, spread] =
            self.by_gpu.each_ref().map(|cells| &cells[lane * experts..][..experts]);
        (mean, spread)
    }
}

struct Expecting<'a> {
    shares: &'a [f64],
    tokens: &'a Lanes,
    slots: &'a Lanes,
    out: &'a mut Abreast,
}

impl NullaryFnOnce for Expecting<'_> {
    type Output = bool;

    #[inline(always)]
    fn call(self) -> bool {
        let Self { shares, tokens, slots, out: Abreast { mean, variance, spread, by_gpu } } = self;
        let total: f64 = shares.iter().sum();
        let (mut scale, mut most) = ([0.0; LANES], [0.0; LANES]);
        for lane in 0..LANES {
            scale[lane] = slots[lane] / tokens[lane] / total;
        }
        let rows = mean.iter_mut().zip(variance.iter_mut()).zip(spread.iter_mut());
        for (((mean, variance), spread), share) in rows.zip(shares) {
            for lane in 0..LANES {
                let p = share * scale[lane];
                most[lane] = if p > most[lane] { p } else { most[lane] };
                mean[lane] = tokens[lane] * p;
                variance[lane] = tokens[lane] * p * (1.0 - p);
            }
            *spread = *variance;
        }
        solve(variance, spread);
        for (by_gpu, cells) in by_gpu.iter_mut().zip([&*mean, &*spread]) {
            for (lane, by_gpu) in by_gpu.chunks_exact_mut(shares.len()).enumerate() {
                for (out, cell) in by_gpu.iter_mut().zip(cells) {
                    *out = cell[lane];
                }
            }
        }
        let mut free = true;
        for most in most {
            free &= most <= 1.0;
        }
        free
    }
}

/// Replaces variances by the c of `sample`, (1), that leaves them: as `sample` solves for it.
#[inline(always)]
fn solve(variance: &[Lanes], spread: &mut [Lanes]) {
    for _ in 0..ROUNDS {
        let mut sum = [0.0; LANES];
        for spread in spread.iter() {
            for lane in 0..LANES {
                sum[lane] += spread[lane];
            }
        }
        for (spread, variance) in spread.iter_mut().zip(variance) {
            for lane in 0..LANES {
                let left = 1.0 - spread[lane] / sum[lane];
                let left = if left > 0.5 { left } else { 0.5 };
                // Nothing varies where there is no sum.
                let wider = variance[lane] / left;
                spread[lane] = if sum[lane] > 0.0 { wider } else { spread[lane] };
            }
        }
    }
}

impl Draw<'_> {
    /// What tokens of these GPUs choose, as [`Self::counts`] draws each; says whether that was done, as it is where counts
    /// are drawn without tokens, each GPU asks for something else, and all sequences have one law.
    pub(in crate::gate) fn counts_abreast(
        &mut self,
        gpus: Range<usize>,
        counts: &mut Counts,
    ) -> bool {
        let gate = self.gate;
        let by_counts = !gate.exact && gate.replay.is_none() && gate.is_top_k();
        if !by_counts || self.sequences.is_some() || self.layer.other_shares.is_empty() {
            return false;
        }
        let (all, most) = (counts.experts(), counts.most_slots());
        let mut space = <[Abreast; 2]>::default();
        let begins = gpus.clone().step_by(LANES);
        let rows = counts.kept.chunks_mut(LANES * all);
        let rows = rows.zip(counts.tokens.chunks_mut(LANES * (most + 1)));
        for (first, (chosen, tokens)) in begins.zip(rows) {
            if self.some_abreast(first, (chosen, tokens), &mut space) {
                continue;
            }
            let rows = chosen.chunks_exact_mut(all).zip(tokens.chunks_exact_mut(most + 1));
            for (gpu, (chosen, tokens)) in (first..).zip(rows) {
                self.seek(gpu);
                self.counts(chosen, tokens);
            }
        }
        true
    }

    /// The same of up to eight GPUs, with rows of counts for each; says whether they could be drawn so.
    fn some_abreast(
        &mut self,
        first: usize,
        (chosen, tokens): (&mut [u32], &mut [u32]),
        [of_ffn, of_others]: &mut [Abreast; 2],
    ) -> bool {
        let (gate, layer) = (self.gate, self.layer);
        let top_k = gate.experts.top_k as usize;
        let (asks, rngs) = self.asks(first, tokens);
        let [ffn, others] = &asks;
        if !of_ffn.expect(&layer.ffn_shares, ffn.each_ref())
            || !of_others.expect(&layer.other_shares, others.each_ref())
        {
            return false;
        }
        let rows = chosen.chunks_exact_mut(gate.experts.total() as usize).zip(rngs);
        let rows = rows.zip(tokens.chunks_exact(top_k + 1));
        for (lane, ((chosen, mut rng), tokens)) in rows.enumerate() {
            let (ffn, others) = chosen.split_at_mut(gate.experts.ffn as usize);
            let [of_class, of_rest] = self.asked(tokens);
            if of_class.1 > 0 {
                self.ffn.set_word_pos(((first + lane) as u128) << WINDOW_BITS);
                let (tokens, slots) = of_class;
                sample::counts_of(&mut self.ffn, tokens, slots, of_ffn.of(lane), ffn);
            }
            if of_rest.1 > 0 {
                let (tokens, slots) = of_rest;
                sample::counts_of(&mut rng, tokens, slots, of_others.of(lane), others);
            }
        }
        true
    }

    /// Draws how many tokens of each GPU have 0, 1, …, K FFN slots. Of FFN and other experts, for each GPU: the tokens
    /// that have an expert of the class and their slots of it, one of each where there are none; and the stream behind.
    fn asks(&mut self, first: usize, tokens: &mut [u32]) -> ([[Lanes; 2]; 2], Vec<ChaCha8Rng>) {
        let (all, top_k) = (self.gate.tokens_per_gpu, self.gate.experts.top_k as usize);
        let mut asks = [[[1.0; LANES]; 2]; 2];
        let mut rngs = Vec::with_capacity(LANES);
        for (lane, tokens) in tokens.chunks_exact_mut(top_k + 1).enumerate() {
            self.others.ahead = Some(((first + lane) as u128) << WINDOW_BITS);
            let rng = self.others.here();
            sample::multinomial(rng, all, &self.layer.ffn_slots, tokens);
            rngs.push(rng.clone());
            for (ask, asked) in asks.iter_mut().zip(self.asked(tokens)) {
                if asked.1 > 0 {
                    [ask[0][lane], ask[1][lane]] = [f64::from(asked.0), asked.1 as f64];
                }
            }
        }
        (asks, rngs)
    }

    /// Tokens of a GPU that have experts of either class, and their slots of it.
    fn asked(&self, tokens: &[u32]) -> [(u32, u64); 2] {
        let (all, top_k) = (self.gate.tokens_per_gpu, self.gate.experts.top_k);
        let slots = slots_of(tokens);
        let others = u64::from(all) * u64::from(top_k) - slots;
        [(all - tokens[0], slots), (all - tokens[top_k as usize], others)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::inclusion;

    /// Bit by bit, whatever the number of experts; where an expert is full, that is said.
    #[test]
    fn gpus_abreast_expect_what_each_expects_alone() {
        for experts in [2, 4, 7, 16, 33] {
            let shares: Vec<f64> = (1..=experts).map(|e| f64::from(e) / 100.0 + 0.3).collect();
            let sum: f64 = shares.iter().sum();
            let shares: Vec<f64> = shares.iter().map(|share| share / sum).collect();
            let tokens: Lanes = std::array::from_fn(|lane| 1_000.0 + 37.0 * lane as f64);
            let slots: Lanes = std::array::from_fn(|lane| tokens[lane] + 11.0 * lane as f64);
            let mut abreast = Abreast::default();
            assert!(abreast.expect(&shares, [&tokens, &slots]));
            let (mut chances, mut alone) = (vec![], sample::Expected::default());
            for lane in 0..LANES {
                inclusion::capped(&shares, slots[lane] / tokens[lane], &mut chances);
                alone.set(tokens[lane], &chances);
                assert_eq!(abreast.of(lane), alone.mean_and_spread(), "{experts} experts");
            }
            let full: Lanes = std::array::from_fn(|lane| {
                if lane == 5 { f64::from(experts) * tokens[lane] } else { slots[lane] }
            });
            assert!(!abreast.expect(&shares, [&tokens, &full]));
        }
    }
}
