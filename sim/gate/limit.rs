//! How many slots an expert takes, and what becomes of the rest.
//!
//! ```text
//!   C_FFN = ⌈γ·τ·T / (τ·N_FFN + N_ZC)⌉      C_ZC = ⌈γ·T / (τ·N_FFN + N_ZC)⌉           (1)
//! ```
//!
//! [moepp, eq. 8]. T counts chosen slots, K a token, by default; read literally it counts tokens,
//! and then 1 − γ/K of all slots are dropped at best (45 % at K = 2, γ = 1.1), which cannot be
//! meant. As in Megatron, each GPU applies (1) to its own tokens before anything is sent, so one
//! expert takes at most `gpus × C` slots.
//!
//! Which of an expert's slots are dropped, those of the last tokens by position or those with the
//! smallest mixing weights by probability, changes no count, but how much of the layer's output is
//! lost: the share of all mixing weight, one a token, that was dropped. Token by token it is summed;
//! where only counts are drawn it is read off weights that [`SAMPLE`] tokens of the layer gave to each
//! expert: the mean of all of them by position, of the least by probability.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::counts::Counts;
use super::layer::Layer;
use super::pick::Picker;
use super::sample::Race;
use crate::base::streams::Streams;
use crate::workload::{Batch, Capacity, DropBy, Experts, Gating, Scoring, ShareOf};

/// Tokens whose mixing weights stand for those of all.
const SAMPLE: usize = 1024;

/// What experts take and how the rest is dropped.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// Slots of each expert on one GPU [(1)].
    pub(super) slots: Vec<u32>,
    /// Whether unused slots are computed.
    pads: bool,
    by: DropBy,
    /// By layer and expert, sums of the least 0, 1, … mixing weights of the sample; drawn when a layer first drops
    /// something.
    weights: Vec<OnceLock<Arc<Sums>>>,
    streams: Streams,
    top_k: usize,
    scoring: Scoring,
}

/// Of an expert, mixing weights of a sample.
#[derive(Clone, Debug, Default)]
struct Weights {
    number: usize,
    sum: f64,
    /// Sums of the least 0, 1, … of them, where the least are dropped.
    least: Vec<f64>,
}

impl Weights {
    /// That of a slot; of experts that no token of the sample chose, a token's whole weight.
    fn mean(&self) -> f64 {
        if self.number == 0 { 1.0 } else { self.sum / self.number as f64 }
    }

    /// The least of those slots that were dropped beside `kept`.
    fn least_of(&self, kept: u32, dropped: u32) -> f64 {
        let chosen = f64::from(kept) + f64::from(dropped);
        if self.number == 0 || dropped == 0 {
            return f64::from(dropped);
        }
        let at = f64::from(dropped) / chosen * self.number as f64;
        let low = (at as usize).min(self.number - 1);
        let below = self.least[low] + (at - low as f64) * (self.least[low + 1] - self.least[low]);
        below / self.number as f64 * chosen
    }
}

/// The same of each expert.
type Sums = Vec<Weights>;

impl Limits {
    /// The limits of a model with these layers, or nothing where nothing is dropped.
    pub(super) fn of(
        experts: &Experts,
        batch: &Batch,
        capacity: Capacity,
        gating: &Gating,
        layers: usize,
        streams: Streams,
    ) -> Option<Self> {
        let (factor, of, by, pads) = match capacity {
            Capacity::Dropless => return None,
            Capacity::Drop { factor, of, by } => (factor, of, by, false),
            Capacity::DropAndPad { factor, of, by } => (factor, of, by, true),
        };
        Some(Self {
            slots: slots_of(experts, batch, factor, of),
            pads,
            by,
            weights: vec![OnceLock::new(); layers],
            streams,
            top_k: experts.top_k as usize,
            scoring: gating.scoring,
        })
    }

    /// Moves slots beyond the limits from kept to dropped, of the layer of this number.
    pub(super) fn apply(&self, counts: &mut Counts, (number, layer): (u32, &Layer)) {
        let (experts, mut any) = (counts.experts, 0);
        let rows = counts.dropped.chunks_exact_mut(experts);
        for (kept, dropped) in counts.kept.chunks_exact_mut(experts).zip(rows) {
            for ((kept, dropped), limit) in kept.iter_mut().zip(dropped).zip(&self.slots) {
                *dropped = kept.saturating_sub(*limit);
                *kept -= *dropped;
                any |= *dropped;
            }
        }
        if any > 0 {
            let sums = self.weights[number as usize].get_or_init(|| self.sums(number, layer));
            counts.lost_weight += self.lost_by(counts, sums);
        }
        counts.padded = self.pads.then(|| self.slots.clone());
    }

    /// The mixing weight of all slots that were dropped, from those of the sample.
    fn lost_by(&self, counts: &Counts, sums: &Sums) -> f64 {
        let of_expert = |(expert, sums): (usize, &Weights)| -> f64 {
            let dropped = counts.dropped[expert..].iter().step_by(counts.experts);
            match self.by {
                DropBy::Position => {
                    sums.mean() * dropped.map(|&slots| u64::from(slots)).sum::<u64>() as f64
                }
                DropBy::Probability => {
                    let kept = counts.kept[expert..].iter().step_by(counts.experts);
                    kept.zip(dropped).map(|(kept, dropped)| sums.least_of(*kept, *dropped)).sum()
                }
            }
        };
        sums.iter().enumerate().map(of_expert).sum()
    }

    /// Those of a layer, which do not depend on how many tokens there are: runs of other batches share them.
    fn sums(&self, number: u32, layer: &Layer) -> Arc<Sums> {
        let times: Vec<u64> = layer.mean_times.iter().map(|time| time.to_bits()).collect();
        let words = [self.scoring == Scoring::Softmax, self.by == DropBy::Probability];
        let key = (self.streams, number, self.top_k, words, times);
        // A thread that panicked has not left a sample half drawn.
        let held = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = held().get(&key) {
            return Arc::clone(known);
        }
        let drawn = Arc::new(self.mixing_weights(layer, number));
        let mut known = held();
        if known.len() >= MOST_KNOWN {
            known.pop_first();
        }
        known.insert(key, Arc::clone(&drawn));
        drawn
    }

    /// Mixing weights that tokens of a layer give to each expert.
    fn mixing_weights(&self, layer: &Layer, number: u32) -> Sums {
        let rng = self.streams.named(&format!("gate/mixing/layer={number}"));
        let (times, ffn) = (layer.mean_times.clone(), layer.ffn_shares.len());
        let mut sums = vec![Weights::default(); times.len()];
        let mut picker = Picker::new(times, ffn, self.top_k, rng);
        let mut race = Race::new(self.top_k);
        for _ in 0..SAMPLE {
            picker.next_in_time(self.top_k, &mut race);
            for (expert, weight) in race.weights(self.scoring) {
                let own = &mut sums[expert];
                own.number += 1;
                own.sum += weight;
                if self.by == DropBy::Probability {
                    own.least.push(weight);
                }
            }
        }
        for Weights { least, .. } in &mut sums {
            least.sort_unstable_by(f64::total_cmp);
            let mut sum = 0.0;
            least.iter_mut().for_each(|weight| sum += std::mem::replace(weight, sum));
            least.push(sum);
        }
        sums
    }

    /// The mixing weight that one GPU loses, given that of each slot of each expert in order.
    pub(super) fn lost_of(&self, weights: &mut [Vec<f64>]) -> f64 {
        let mut lost = 0.0;
        for (weights, &limit) in weights.iter_mut().zip(&self.slots) {
            let beyond = weights.len().saturating_sub(limit as usize);
            if self.by == DropBy::Probability {
                weights.sort_by(|a, b| b.total_cmp(a));
            }
            lost += weights[weights.len() - beyond..].iter().sum::<f64>();
        }
        lost
    }
}

/// The slots of each expert on one GPU [(1)].
fn slots_of(experts: &Experts, batch: &Batch, factor: f64, of: ShareOf) -> Vec<u32> {
    let per_token = match of {
        ShareOf::Slots => experts.top_k,
        ShareOf::Tokens => 1,
    };
    let slots = factor * f64::from(per_token) * f64::from(batch.tokens_per_gpu);
    let (ffn, others) = (experts.ffn, experts.zero_computation.total());
    let share = slots / (experts.balance() * f64::from(ffn) + f64::from(others));
    // No expert can be chosen twice by a token, so more slots than tokens are never filled. The
    // small subtraction keeps a share that is whole on paper from being rounded up by its last bit.
    let whole = |share: f64| ((share - 1e-9).ceil()).clamp(0.0, batch.tokens_per_gpu.into()) as u32;
    let mut limits = vec![whole(experts.balance() * share); ffn as usize];
    limits.resize((ffn + others) as usize, whole(share));
    limits
}

/// Samples that were drawn, by all that decides them: seed, layer, slots of a token, whether scores are a softmax and the
/// least dropped, and weights of experts. A few megabytes.
static KNOWN: Mutex<BTreeMap<Key, Arc<Sums>>> = Mutex::new(BTreeMap::new());
type Key = (Streams, u32, usize, [bool; 2], Vec<u64>);
/// Samples kept at most.
const MOST_KNOWN: usize = 1024;
