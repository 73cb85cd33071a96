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
//! Sequences: where the workload says that they differ, the FFN weights of a sequence follow the law
//! of `law`; a GPU's counts then have the summed means and variances of its sequences. Where all
//! sequences are alike, loads of small batches are too even (31 % in max/mean at 512 tokens, on a
//! recording of gpt-oss-20b).
//!
//! What it leaves out: difficulty and the choice among zero-computation experts do not depend on
//! the sequence; counts drawn without tokens are as if tokens did not persist.

use std::ops::Range;

use rand_distr::{Distribution, StandardNormal};

use crate::streams::Streams;
use crate::workload::{Batch, Experts, Gating, Persistence, Sampling, Workload};

mod classes;
mod counts;
mod draw;
pub mod fit;
mod inclusion;
pub mod judge;
pub mod law;
mod layer;
mod limit;
pub mod recording;
mod replay;
mod sample;
pub mod scheme;
mod sequences;
pub mod statistics;

pub use counts::Counts;
use draw::Draw;
use law::Law;
use layer::Layer;
pub use layer::ffn_share;
use recording::Recording;
use replay::Replay;
use sequences::Sequences;

/// Up to this many tokens a GPU, `Sampling::Auto` draws token by token.
const EXACT_UP_TO: u32 = 64;

/// Draws what the gates of all layers decide.
#[derive(Clone, Debug)]
pub struct Gate {
    streams: Streams,
    experts: Experts,
    tokens_per_gpu: u32,
    exact: bool,
    difficulty_sd: f64,
    persistence: Persistence,
    layers: Vec<Layer>,
    sequences: Option<Sequences>,
    limits: Option<(Vec<u32>, bool)>,
    replay: Option<Replay>,
    keeps_tokens: bool,
}

impl Gate {
    /// The gates of a workload's layers, with popularities drawn from `streams`.
    #[must_use]
    pub fn new(workload: &Workload, streams: Streams) -> Self {
        let (experts, gating) = (workload.model.experts, &workload.gating);
        let layers: Vec<Layer> = (0..workload.model.layers)
            .map(|layer| Layer::new(&experts, gating, streams, layer))
            .collect();
        let sequences = Sequences::of(workload, &layers, streams);
        Self::with(workload, streams, layers, sequences)
    }

    /// The gates of a workload whose sequences follow a law that was fitted to a recording.
    ///
    /// The workload's own popularity and spread of sequences are not used.
    ///
    /// # Panics
    /// If the law has other FFN experts than the workload. Layers may differ in number: the law's are
    /// used again from the first.
    #[must_use]
    pub fn with_law(workload: &Workload, law: &Law, streams: Streams) -> Self {
        let (experts, gating) = (workload.model.experts, &workload.gating);
        let (have, want) = (law.layers[0].log_weights.len(), experts.ffn as usize);
        assert!(have == want, "a law of {have} experts for {want}");
        let cycle = law.layers.iter().cycle().take(workload.model.layers as usize);
        let layers = cycle.clone().map(|law| Layer::of_shares(&experts, gating, law.shares()));
        let layers = layers.collect();
        let sequences = Sequences::of_law(workload, law, cycle.cloned().collect());
        let mut gate = Self::with(workload, streams, layers, Some(sequences));
        gate.persistence = law.persistence;
        gate
    }

    fn with(
        workload: &Workload,
        streams: Streams,
        layers: Vec<Layer>,
        sequences: Option<Sequences>,
    ) -> Self {
        let (experts, gating, batch) = (workload.model.experts, &workload.gating, &workload.batch);
        Self {
            streams,
            experts,
            tokens_per_gpu: batch.tokens_per_gpu,
            exact: is_exact(gating, batch),
            difficulty_sd: gating.difficulty_sd,
            persistence: gating.spread.persistence,
            layers,
            sequences,
            limits: limit::slots_of(&experts, batch, workload.capacity)
                .map(|slots| (slots, limit::pads(workload.capacity))),
            replay: None,
            keeps_tokens: false,
        }
    }

    /// Gates that decide what recorded gates decided, for sequences drawn from the recording.
    ///
    /// # Panics
    /// If the recording is of a model with other choices a token, or more experts, than the workload.
    #[must_use]
    pub fn replaying(workload: &Workload, recording: Recording, streams: Streams) -> Self {
        let replay = Replay::new(workload, recording);
        Self { replay: Some(replay), ..Self::new(workload, streams) }
    }

    /// The same gates, which also say what each token chose wherever they draw token by token.
    #[must_use]
    pub const fn keeping_tokens(mut self) -> Self {
        self.keeps_tokens = true;
        self
    }

    /// What the gate of `layer` decides for a micro-batch on each of some GPUs of a stage.
    ///
    /// # Panics
    /// If the model has no such layer.
    #[must_use]
    pub fn counts(&self, layer: u32, micro_batch: u32, gpus: Range<usize>) -> Counts {
        let total = self.experts.total() as usize;
        let top_k = self.experts.top_k as usize;
        let mut counts = Counts::empty(gpus.len(), total, top_k);
        let mut draw = Draw::new(self, layer, micro_batch);
        let drawn = self.keeps_tokens && (self.exact || self.replay.is_some());
        let mut drawn = drawn.then(Vec::new);
        for (at, gpu) in gpus.enumerate() {
            draw.seek(gpu);
            let chosen = &mut counts.kept[at * total..][..total];
            let tokens = &mut counts.tokens[at * (top_k + 1)..][..=top_k];
            if let Some(replay) = &self.replay {
                replay.counts(self.streams, [layer, micro_batch], gpu, chosen, tokens, &mut drawn);
            } else if self.exact {
                self.draw_tokens(&mut draw, chosen, tokens, &mut drawn);
            } else {
                self.draw_counts(&mut draw, chosen, tokens);
            }
        }
        counts.drawn = drawn;
        if let Some((slots, pads)) = &self.limits {
            limit::apply(&mut counts, slots);
            counts.padded = pads.then(|| slots.clone());
        }
        counts
    }

    /// Token by token, sequence by sequence.
    fn draw_tokens(
        &self,
        draw: &mut Draw,
        chosen: &mut [u32],
        tokens: &mut [u32],
        drawn: &mut Option<Vec<u16>>,
    ) {
        let ffn = self.experts.ffn as usize;
        let mixed = ffn < chosen.len();
        for (sequence, length) in draw.sequences(self.tokens_per_gpu) {
            let mut walk = draw.walk(sequence, self.experts.top_k as usize, self.persistence);
            for _ in 0..length {
                let difficulty: f64 =
                    if mixed { StandardNormal.sample(&mut draw.others) } else { 0.0 };
                // A token that is hard (θ > 0) waits longer for experts that do not compute.
                let slower = (self.difficulty_sd * difficulty).exp();
                let mut ffn_slots = 0;
                for expert in walk.next_with(ffn, slower) {
                    chosen[expert] += 1;
                    if let Some(drawn) = drawn {
                        drawn.push(expert as u16);
                    }
                    ffn_slots += usize::from(expert < ffn);
                }
                tokens[ffn_slots] += 1;
            }
        }
    }

    /// Counts alone: first the classes, then the experts within each.
    fn draw_counts(&self, draw: &mut Draw, chosen: &mut [u32], tokens: &mut [u32]) {
        let (all, top_k) = (self.tokens_per_gpu, self.experts.top_k);
        let (ffn, others) = chosen.split_at_mut(self.experts.ffn as usize);
        if others.is_empty() {
            tokens[top_k as usize] = all;
        } else {
            sample::multinomial(&mut draw.others, all, &draw.layer.ffn_slots, tokens);
        }
        let ffn_slots: u64 = tokens.iter().zip(0u64..).map(|(&n, f)| u64::from(n) * f).sum();
        let with_ffn = all - tokens[0];
        let with_others = all - tokens[top_k as usize];
        draw.ffn_class(all, with_ffn, ffn_slots, ffn);
        draw.other_class(with_others, u64::from(all) * u64::from(top_k) - ffn_slots, others);
    }
}

fn is_exact(gating: &Gating, batch: &Batch) -> bool {
    match gating.sampling {
        Sampling::Exact => true,
        Sampling::Counts => false,
        Sampling::Auto => batch.tokens_per_gpu <= EXACT_UP_TO,
    }
}
