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

use super::counts::Counts;
use super::law::Walk;
use crate::base::streams::Streams;
use crate::workload::{Batch, Capacity, DropBy, Experts, Gating, Persistence, ShareOf};

use super::layer::Layer;

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
    /// `[layer][expert]`: sums of the least 0, 1, … mixing weights of the sample.
    weights: Vec<Vec<Vec<f64>>>,
}

impl Limits {
    /// The limits of a model with these layers, or nothing where nothing is dropped.
    pub(super) fn of(
        experts: &Experts,
        batch: &Batch,
        capacity: Capacity,
        gating: &Gating,
        layers: &[Layer],
        streams: Streams,
    ) -> Option<Self> {
        let (factor, of, by, pads) = match capacity {
            Capacity::Dropless => return None,
            Capacity::Drop { factor, of, by } => (factor, of, by, false),
            Capacity::DropAndPad { factor, of, by } => (factor, of, by, true),
        };
        let weights = layers.iter().enumerate().map(|(number, layer)| {
            let name = format!("gate/mixing/layer={number}");
            mixing_weights(layer, experts, gating, streams, &name)
        });
        Some(Self {
            slots: slots_of(experts, batch, factor, of),
            pads,
            by,
            weights: weights.collect(),
        })
    }

    /// Moves slots beyond the limits from kept to dropped.
    pub(super) fn apply(&self, counts: &mut Counts, layer: u32) {
        let experts = counts.experts;
        for (cell, kept) in counts.kept.iter_mut().enumerate() {
            let chosen = *kept;
            counts.dropped[cell] = chosen.saturating_sub(self.slots[cell % experts]);
            *kept -= counts.dropped[cell];
            let dropped = counts.dropped[cell];
            if dropped > 0 {
                let sums = &self.weights[layer as usize][cell % experts];
                counts.lost_weight += self.lost(sums, chosen, dropped);
            }
        }
        counts.padded = self.pads.then(|| self.slots.clone());
    }

    /// Mixing weight of `dropped` of `chosen` slots, from the sample's sums.
    fn lost(&self, sums: &[f64], chosen: u32, dropped: u32) -> f64 {
        let number = sums.len() - 1;
        if number == 0 {
            return f64::from(dropped);
        }
        let share = f64::from(dropped) / f64::from(chosen);
        let below = match self.by {
            DropBy::Position => share * sums[number],
            DropBy::Probability => {
                let at = share * number as f64;
                let low = (at as usize).min(number - 1);
                sums[low] + (at - low as f64) * (sums[low + 1] - sums[low])
            }
        };
        below / number as f64 * f64::from(chosen)
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

/// Sums of the least 0, 1, … mixing weights that tokens of a layer give to each expert.
fn mixing_weights(
    layer: &Layer,
    experts: &Experts,
    gating: &Gating,
    streams: Streams,
    name: &str,
) -> Vec<Vec<f64>> {
    let rngs = [streams.named(name), streams.named(&format!("{name}/unused"))];
    let (times, top_k) = (layer.mean_times.clone(), experts.top_k as usize);
    let mut walk = Walk::new(times, top_k, Persistence::default(), vec![], rngs);
    let mut weights = vec![vec![]; experts.total() as usize];
    for _ in 0..SAMPLE {
        walk.next().for_each(drop);
        walk.weights(gating.scoring).for_each(|(expert, weight)| weights[expert].push(weight));
    }
    let cumulated = |mut weights: Vec<f64>| {
        weights.sort_by(f64::total_cmp);
        let sums = weights.iter().scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        std::iter::once(0.0).chain(sums).collect()
    };
    weights.into_iter().map(cumulated).collect()
}
