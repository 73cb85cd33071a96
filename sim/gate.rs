//! The gate: tokens → experts. Draws, for a layer and a micro-batch, the count matrix
//! [source GPU × expert], and how many tokens have 0, 1, …, K FFN slots.
//!
//! Timing needs only counts. A token of difficulty θ ~ N(0, σ_θ²) chooses K of the layer's experts
//! without replacement, expert i with weight
//!
//! ```text
//!   w_i ∝ FFN: w(r_i)      zero, copy, constant: u_i · e^{b−θ}                                 (1)
//! ```
//!
//! * r_i is the popularity of FFN expert i in this layer, log-normal or Dirichlet, mean one; the
//!   weights are such that loads, not weights, are in proportion to r (see `inclusion`).
//! * u_i is the relative popularity of its kind: zero, copy and constant experts are not chosen
//!   alike in MoE++ 7B [moepp, fig. 4].
//! * b is such that the mean FFN share of all slots is φ' = σ(logit φ(τ) + λ) (see `classes`).
//!   φ(τ) = τN_FFN/(τN_FFN + N_ZC) is the equilibrium of the balance loss [moepp, eq. 7]; λ is how far
//!   the language loss pulls towards FFN experts: 0.12 in layer 12 of the published 7B model.
//!
//! Two ways to draw. *Exact*: token by token; slow. *Counts*: the number of tokens with f FFN slots is
//! multinomial over P(f), which fixes the numbers of slots of either class; within a class, counts
//! have the mean and variance of K of N without replacement and sum to the class's slots (see
//! `sample`). Means agree to 3 %, and the distribution of the maximum as far as the tests of
//! `tests/gate_property.rs` say.
//!
//! Streams: popularity is drawn by layer, FFN choices and class choices by layer and micro-batch,
//! each GPU in a window of its own. So a vanilla model and an MoE++ model of the same seed see the
//! same popular experts, an MoE++ model without zero-computation experts draws what vanilla draws,
//! and nothing depends on the order in which counts are asked for.
//!
//! What it leaves out: sequences, domains and depth. All tokens of all layers are alike here, so
//! loads of small batches are too even (17 % in max/mean on a trace of gpt-oss-20b).

use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Gamma, StandardNormal};

use crate::streams::Streams;
use crate::workload::{Batch, Experts, Gating, Popularity, Sampling, Workload};

mod classes;
mod counts;
mod inclusion;
mod limit;
mod sample;

use classes::Classes;
pub use counts::Counts;

/// Up to this many tokens a GPU, `Sampling::Auto` draws token by token.
const EXACT_UP_TO: u32 = 64;

/// Slots of a class, of K, below which its experts' weights no longer depend on their number.
const LEAST_SLOTS: f64 = 1e-6;

/// Words of random numbers that one GPU may use of a stream: 2³² draws and more.
const WINDOW_BITS: u32 = 36;

/// Draws what the gates of all layers decide.
#[derive(Clone, Debug)]
pub struct Gate {
    streams: Streams,
    experts: Experts,
    tokens_per_gpu: u32,
    exact: bool,
    difficulty_sd: f64,
    layers: Vec<Layer>,
    limits: Option<(Vec<u32>, bool)>,
}

/// What is the same for all tokens of a layer.
#[derive(Clone, Debug)]
struct Layer {
    /// Share of the FFN slots that each FFN expert gets.
    ffn_shares: Vec<f64>,
    /// Share of the other slots that each other expert gets.
    other_shares: Vec<f64>,
    /// Weights of a token of mean difficulty [(1)], as mean times of arrival 1/w_i.
    mean_times: Vec<f64>,
    /// P(0), …, P(K) FFN slots of a token.
    ffn_slots: Vec<f64>,
}

impl Gate {
    /// The gates of a workload's layers, with popularities drawn from `streams`.
    #[must_use]
    pub fn new(workload: &Workload, streams: Streams) -> Self {
        let (experts, gating, batch) = (workload.model.experts, &workload.gating, &workload.batch);
        let layers = (0..workload.model.layers)
            .map(|layer| Layer::new(&experts, gating, popularity(&experts, gating, streams, layer)))
            .collect();
        Self {
            streams,
            experts,
            tokens_per_gpu: batch.tokens_per_gpu,
            exact: is_exact(gating, batch),
            difficulty_sd: gating.difficulty_sd,
            layers,
            limits: limit::slots_of(&experts, batch, workload.capacity)
                .map(|slots| (slots, limit::pads(workload.capacity))),
        }
    }

    /// What the gate of `layer` decides for a micro-batch on each of some GPUs of a stage.
    ///
    /// # Panics
    /// If the model has no such layer.
    #[must_use]
    pub fn counts(&self, layer: u32, micro_batch: u32, gpus: Range<usize>) -> Counts {
        let total = self.experts.total() as usize;
        let mut counts = Counts::empty(gpus.len(), total, self.experts.top_k as usize);
        let place = format!("layer={layer}/micro_batch={micro_batch}");
        let mut draw = Draw {
            ffn: self.streams.named(&format!("gate/ffn/{place}")),
            others: self.streams.named(&format!("gate/others/{place}")),
            inclusion: Vec::with_capacity(total),
        };
        let layer = &self.layers[layer as usize];
        for (at, gpu) in gpus.enumerate() {
            draw.seek(gpu);
            let chosen = &mut counts.kept[at * total..][..total];
            let tokens = &mut counts.tokens[at * (self.experts.top_k as usize + 1)..]
                [..=self.experts.top_k as usize];
            if self.exact {
                self.draw_tokens(layer, &mut draw, chosen, tokens);
            } else {
                self.draw_counts(layer, &mut draw, chosen, tokens);
            }
        }
        if let Some((slots, pads)) = &self.limits {
            limit::apply(&mut counts, slots);
            counts.padded = pads.then(|| slots.clone());
        }
        counts
    }

    /// Token by token.
    fn draw_tokens(&self, layer: &Layer, draw: &mut Draw, chosen: &mut [u32], tokens: &mut [u32]) {
        let ffn = self.experts.ffn as usize;
        let mut race = sample::Race::new(self.experts.top_k as usize);
        for _ in 0..self.tokens_per_gpu {
            let difficulty: f64 = if ffn < chosen.len() {
                let z: f64 = StandardNormal.sample(&mut draw.others);
                self.difficulty_sd * z
            } else {
                0.0
            };
            // A token that is hard (θ > 0) waits longer for experts that do not compute.
            let slower = difficulty.exp();
            let times = layer.mean_times.iter().enumerate();
            let times = times.map(|(i, time)| if i < ffn { *time } else { time * slower });
            let mut ffn_slots = 0;
            race.run(&mut draw.ffn, times);
            for expert in race.winners() {
                chosen[expert] += 1;
                ffn_slots += usize::from(expert < ffn);
            }
            tokens[ffn_slots] += 1;
        }
    }

    /// Counts alone: first the classes, then the experts within each.
    fn draw_counts(&self, layer: &Layer, draw: &mut Draw, chosen: &mut [u32], tokens: &mut [u32]) {
        let (all, top_k) = (self.tokens_per_gpu, self.experts.top_k);
        let (ffn, others) = chosen.split_at_mut(self.experts.ffn as usize);
        if others.is_empty() {
            tokens[top_k as usize] = all;
        } else {
            sample::multinomial(&mut draw.others, all, &layer.ffn_slots, tokens);
        }
        let ffn_slots: u64 = tokens.iter().zip(0u64..).map(|(&n, f)| u64::from(n) * f).sum();
        let with_ffn = all - tokens[0];
        let with_others = all - tokens[top_k as usize];
        draw.ffn_class(&layer.ffn_shares, with_ffn, ffn_slots, ffn);
        let other_slots = u64::from(all) * u64::from(top_k) - ffn_slots;
        draw.other_class(&layer.other_shares, with_others, other_slots, others);
    }
}

/// The streams and scratch space of one layer and micro-batch.
struct Draw {
    ffn: ChaCha8Rng,
    others: ChaCha8Rng,
    inclusion: Vec<f64>,
}

impl Draw {
    /// Moves to the window of one GPU.
    fn seek(&mut self, gpu: usize) {
        let window = (gpu as u128) << WINDOW_BITS;
        self.ffn.set_word_pos(window);
        self.others.set_word_pos(window);
    }

    fn ffn_class(&mut self, shares: &[f64], tokens: u32, slots: u64, out: &mut [u32]) {
        if slots > 0 {
            inclusion::capped(shares, slots as f64 / f64::from(tokens), &mut self.inclusion);
            sample::counts_with_sum(&mut self.ffn, tokens, slots, &self.inclusion, out);
        }
    }

    fn other_class(&mut self, shares: &[f64], tokens: u32, slots: u64, out: &mut [u32]) {
        if slots > 0 {
            inclusion::capped(shares, slots as f64 / f64::from(tokens), &mut self.inclusion);
            sample::counts_with_sum(&mut self.others, tokens, slots, &self.inclusion, out);
        }
    }
}

impl Layer {
    fn new(experts: &Experts, gating: &Gating, ffn_shares: Vec<f64>) -> Self {
        let top_k = f64::from(experts.top_k);
        let other_shares = other_shares(experts, gating.zero_computation_weights);
        let share = ffn_share(experts, gating);
        let mut scratch = vec![];
        let mut weights = |shares: &[f64], slots: f64| {
            // A class that is never chosen still has weights within it.
            let slots = slots.clamp(LEAST_SLOTS, shares.len() as f64);
            inclusion::capped(shares, slots, &mut scratch);
            inclusion::weights_for(&scratch)
        };
        let ffn = weights(&ffn_shares, share * top_k);
        if other_shares.is_empty() {
            let mean_times = ffn.iter().map(|w| 1.0 / w).collect();
            return Self { ffn_shares, other_shares, mean_times, ffn_slots: vec![] };
        }
        let others = weights(&other_shares, (1.0 - share) * top_k);
        let classes = Classes::new(&ffn, &others, experts.top_k as usize, gating.difficulty_sd);
        let offset = classes.offset_for(share);
        let tilted = others.iter().map(|u| u * offset.exp());
        let mean_times = ffn.iter().copied().chain(tilted).map(|w| 1.0 / w).collect();
        Self { mean_times, ffn_slots: classes.distribution(offset), ffn_shares, other_shares }
    }
}

fn is_exact(gating: &Gating, batch: &Batch) -> bool {
    match gating.sampling {
        Sampling::Exact => true,
        Sampling::Counts => false,
        Sampling::Auto => batch.tokens_per_gpu <= EXACT_UP_TO,
    }
}

/// φ' of the module's documentation: the mean share of slots that go to FFN experts.
#[must_use]
pub fn ffn_share(experts: &Experts, gating: &Gating) -> f64 {
    if experts.zero_computation.total() == 0 {
        return 1.0;
    }
    gating.ffn_share.unwrap_or_else(|| {
        let share = experts.ffn_share_at_balance();
        let odds_against = (1.0 - share) / share * (-gating.ffn_logit_shift).exp();
        1.0 / (1.0 + odds_against)
    })
}

/// Shares of the FFN slots of one layer, by expert.
fn popularity(experts: &Experts, gating: &Gating, streams: Streams, layer: u32) -> Vec<f64> {
    let mut rng = streams.named(&format!("gate/popularity/layer={layer}"));
    let mut draw = || match gating.popularity {
        Popularity::LogNormal { sd } => {
            let z: f64 = StandardNormal.sample(&mut rng);
            (sd * z).exp()
        }
        // Gamma variables in proportion are Dirichlet; the floor keeps a dead expert above zero.
        Popularity::Dirichlet { concentration } => {
            Gamma::new(concentration, 1.0).map_or(1.0, |law| law.sample(&mut rng)).max(1e-30)
        }
    };
    let loads: Vec<f64> = (0..experts.ffn).map(|_| draw()).collect();
    let total: f64 = loads.iter().sum();
    loads.iter().map(|load| load / total).collect()
}

/// Shares of the other slots: zero, copy, constant.
fn other_shares(experts: &Experts, weights: [f64; 3]) -> Vec<f64> {
    let kinds = experts.zero_computation;
    let numbers = [kinds.zero, kinds.copy, kinds.constant];
    let each: Vec<f64> =
        numbers.iter().zip(weights).flat_map(|(&n, w)| vec![w; n as usize]).collect();
    let total: f64 = each.iter().sum();
    each.iter().map(|w| w / total).collect()
}
