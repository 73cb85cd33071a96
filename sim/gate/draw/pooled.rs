//! Counts of a GPU whose sequences are members of a pool: the layer's pool, and what its members expect.

use std::iter::repeat_n;

use rand_chacha::rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::Draw;
use crate::gate::Gate;
use crate::gate::choosing::groups::{GroupRule, push_sums};
use crate::gate::sequences::{Pool, RatePool};
use crate::workload::Scheme;

impl Draw<'_> {
    /// The pool of this layer, where sequences are members of one.
    fn pool(&self) -> Option<&Pool> {
        let pools = &self.gate.pools;
        let pool = pools.get(self.layer_number as usize)?;
        Some(pool.get_or_init(|| pool_of(self.gate, self.layer_number)))
    }

    /// Expects what this GPU's sequences choose, of both classes, for each of their tokens, and says how likely a
    /// token has 0, 1, …, K FFN slots; nothing where sequences are no members of a pool.
    pub(super) fn expect_pooled(&mut self) -> Option<Vec<f64>> {
        let pool = self.pool()?;
        let members = self.sequences.as_ref()?.members(self.gate.streams, self.gpu);
        let mut mean = pool.mean(members);
        let variances: Vec<f64> =
            mean.iter().zip(pool.variances()).map(|(mean, of_mean)| mean * of_mean).collect();
        let (ffn, all) = (self.gate.experts.ffn as usize, self.gate.experts.total() as usize);
        let slots = mean.split_off(all);
        let tokens = f64::from(self.gate.tokens_per_gpu);
        let classes = [0..ffn, ffn..all];
        for (expected, class) in self.expected.iter_mut().zip(classes) {
            expected.set_each(tokens, &mean[class.clone()], &variances[class]);
        }
        Some(slots)
    }

    /// The pool of this layer's rates, where sequences are members of one and tokens choose among groups of experts.
    fn rate_pool(&self) -> Option<&RatePool> {
        let pool = self.gate.rate_pools.get(self.layer_number as usize)?;
        Some(pool.get_or_init(|| rate_pool_of(self.gate, self.layer_number)))
    }

    /// The rates of all members of that pool, added up within each group, and who stands for this GPU's sequences.
    pub(super) fn pooled_rates(&self) -> Option<(&[f32], Vec<usize>)> {
        let sequences = self.sequences.as_ref()?;
        let pool = self.rate_pool()?;
        Some((pool.sums(), sequences.members(self.gate.streams, self.gpu).collect()))
    }

    /// Adds what the tokens of this GPU choose by a rule, drawn one by one, to `out`; says whether sequences are
    /// members of a pool, and so whether that was done.
    pub(super) fn draw_pooled(&mut self, rule: &GroupRule, out: &mut [u32]) -> bool {
        let pools = &self.gate.rate_pools;
        let Some(pool) = pools.get(self.layer_number as usize) else { return false };
        let pool = pool.get_or_init(|| rate_pool_of(self.gate, self.layer_number));
        let Some(sequences) = &self.sequences else { return false };
        let members = sequences.members(self.gate.streams, self.gpu);
        let lengths = self.sequences().into_iter().map(|(_, length)| length as usize);
        let of = members.zip(lengths).flat_map(|(member, length)| repeat_n(member, length));
        let tokens: Vec<usize> = of.collect();
        let mut rng = Xoshiro256PlusPlus::from_rng(self.ffn.here());
        rule.draw_tokens((pool.sums(), &tokens), &mut rng, &mut self.space, out);
        true
    }
}

/// Draws the rates of the pool of one layer.
fn rate_pool_of(gate: &Gate, layer: u32) -> RatePool {
    let mut draw = Draw::of_pool(gate, layer);
    let groups = match gate.scheme {
        Scheme::GroupLimited { groups, .. } => groups as usize,
        _ => 1,
    };
    RatePool::of(gate.experts.ffn as usize, |member, sums| {
        push_sums(&draw.rates_of(member).ffn, groups, sums);
    })
}

/// Draws the pool of one layer.
fn pool_of(gate: &Gate, layer: u32) -> Pool {
    let mut draw = Draw::of_pool(gate, layer);
    let (all, top_k) = (gate.experts.total() as usize, gate.experts.top_k as usize);
    let classes = [gate.experts.ffn as usize, gate.experts.zero_computation.total() as usize];
    let mut slots = vec![0.0; top_k + 1];
    Pool::of(all + top_k + 1, |member, [means, variances]| {
        for (expected, experts) in draw.expected.iter_mut().zip(classes) {
            expected.clear(experts);
        }
        slots.fill(0.0);
        if classes[1] == 0 {
            draw.expect_ffn(member, 1, top_k as f64, 1.0);
        } else {
            draw.expect_mixed(member, 1.0, &mut slots);
        }
        for expected in &draw.expected {
            means.extend_from_slice(expected.mean());
            variances.extend_from_slice(expected.variance());
        }
        means.extend_from_slice(&slots);
        variances.resize(means.len(), 0.0);
    })
}
