//! The sequences of a workload: the law of `law` with loadings drawn, domains and drift.
//!
//! Where no recording was fitted, the loadings of (1) in `law` are drawn once a run: the deviations of
//! a sequence have variance σ², a share of which lies in [`RANK`] dimensions that layers have in
//! common. Domain m, drawn for each sequence, adds a deviation δ_mli ~ N(0, σ_m²) that is fixed for the
//! run. A share of the common latents drifts with all sequences of a micro-batch b together:
//!
//! ```text
//!   h_s = √(1−a) g_s + √a m(b),   m(b) = cos(πf/2) g_k + sin(πf/2) g_{k+1},   b/τ = k + f          (1)
//! ```
//!
//! m has mean 0 and variance 1 at every b and forgets within about τ micro-batches, and any b can
//! be drawn without those before it. The gating residual of [moepp, eq. 6] mixes a layer's scores with
//! those of the layer before: half of what a layer had for itself becomes common, and the deviations'
//! spread shrinks by [`RESIDUAL_SPREAD`], the ratio of the standard deviations of top scores with and
//! without it [moepp, fig. 6]; popularity, the mean, stays. The half is a guess.

use std::f64::consts::FRAC_PI_2;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::inclusion;
use super::law::{Law, LayerLaw, SEQUENCE_BITS};
use super::layer::Layer;
use crate::streams::Streams;
use crate::workload::{Persistence, Spread, Workload};

/// Dimensions of drawn latents: what recordings of gpt-oss-20b need.
const RANK: usize = 8;
/// Sequences over which drawn laws are centred: popularity is met to about σ/√64.
const CENTRE_SAMPLES: usize = 64;
/// Spread of top scores with gating residuals over that without: 0.105 / 0.12 [moepp, fig. 6].
const RESIDUAL_SPREAD: f64 = 0.875;

/// How sequences of a workload differ.
#[derive(Clone, Debug)]
pub(super) struct Sequences {
    law: Law,
    /// `[domain][layer × expert]`: δ.
    domains: Vec<Vec<f64>>,
    drift: f64,
    drift_micro_batches: f64,
    sequence_tokens: u32,
    per_gpu: usize,
}

impl Sequences {
    /// The sequences of a workload, or nothing where all are alike.
    pub(super) fn of(workload: &Workload, layers: &[Layer], streams: Streams) -> Option<Self> {
        let spread = workload.gating.spread;
        if spread.sequence_sd <= 0.0 && spread.domain_sd <= 0.0 {
            return None;
        }
        let slots = f64::from(workload.model.experts.top_k)
            * super::ffn_share(&workload.model.experts, &workload.gating);
        let law = drawn_law(spread, slots, layers, workload.model.gating_residual, streams);
        let experts = workload.model.experts.ffn as usize;
        let domain = |domain: u32| {
            let mut rng = streams.named(&format!("gate/domain={domain}"));
            let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
            (0..layers.len() * experts).map(|_| spread.domain_sd * normal()).collect()
        };
        let mut sequences = Self::of_law(workload, &law, vec![]);
        sequences.law = law;
        if spread.domain_sd > 0.0 {
            sequences.domains = (0..spread.domains).map(domain).collect();
        }
        Some(sequences)
    }

    /// The sequences of a workload under a fitted law with these layers.
    pub(super) fn of_law(workload: &Workload, law: &Law, layers: Vec<LayerLaw>) -> Self {
        let spread = workload.gating.spread;
        Self {
            law: Law { layers, recorded: law.recorded.clone(), ..*law },
            domains: vec![],
            drift: spread.drift,
            drift_micro_batches: spread.drift_micro_batches,
            sequence_tokens: workload.batch.sequence_tokens,
            per_gpu: workload.sequences_per_gpu() as usize,
        }
    }

    /// A place to draw sequences of one layer and micro-batch from.
    pub(super) fn cursor(&self, streams: Streams, layer: u32, micro_batch: u32) -> Cursor<'_> {
        // With one token of each sequence a micro-batch is a step of decoding: sequences go on.
        let of = if self.sequence_tokens == 1 { 0 } else { micro_batch };
        Cursor {
            of: self,
            layer: layer as usize,
            shared: streams.named(&format!("gate/latents/micro_batch={of}")),
            own: streams.named(&format!("gate/own/layer={layer}/micro_batch={of}")),
            drifted: self.drifted(streams, micro_batch),
        }
    }

    /// √a m(b) of (1).
    fn drifted(&self, streams: Streams, micro_batch: u32) -> Vec<f64> {
        if self.drift <= 0.0 {
            return vec![0.0; self.law.rank];
        }
        let at = f64::from(micro_batch) / self.drift_micro_batches;
        let (knot, along) = (at.floor(), at.fract() * FRAC_PI_2);
        let knots = [knot, knot + 1.0].map(|knot| {
            let mut rng = streams.named(&format!("gate/drift/knot={knot}"));
            (0..self.law.rank).map(|_| StandardNormal.sample(&mut rng)).collect::<Vec<f64>>()
        });
        let between =
            |(a, b): (&f64, &f64)| self.drift.sqrt() * (along.cos() * a + along.sin() * b);
        knots[0].iter().zip(&knots[1]).map(between).collect()
    }
}

/// The sequences of one layer and micro-batch.
pub(super) struct Cursor<'a> {
    of: &'a Sequences,
    layer: usize,
    shared: ChaCha8Rng,
    own: ChaCha8Rng,
    drifted: Vec<f64>,
}

impl Cursor<'_> {
    /// The sequences of one GPU with their tokens; the last may be cut short.
    pub(super) fn lengths(&self, gpu: usize, tokens: u32) -> impl Iterator<Item = (usize, u32)> {
        let (per_gpu, whole) = (self.of.per_gpu, self.of.sequence_tokens);
        (0..per_gpu).map(move |at| {
            let before = at as u32 * whole;
            (gpu * per_gpu + at, whole.min(tokens - before))
        })
    }

    /// The rates at which a sequence chooses FFN experts.
    pub(super) fn rates(&mut self, sequence: usize, out: &mut Vec<f64>) {
        let window = (sequence as u128) << SEQUENCE_BITS;
        self.shared.set_word_pos(window);
        self.own.set_word_pos(window);
        let mut latents = self.of.law.latents(&mut self.shared);
        for (h, drifted) in latents.iter_mut().zip(&self.drifted) {
            *h = (1.0 - self.of.drift).sqrt() * *h + drifted;
        }
        self.of.law.layers[self.layer].rates(&latents, &mut self.own, out);
        if !self.of.domains.is_empty() {
            let domain = self.shared.random_range(0..self.of.domains.len());
            let deviations = &self.of.domains[domain][self.layer * out.len()..];
            for (rate, deviation) in out.iter_mut().zip(deviations) {
                *rate *= deviation.exp();
            }
        }
    }
}

/// A law with drawn loadings whose mean is the layers' popularity.
fn drawn_law(
    spread: Spread,
    slots: f64,
    layers: &[Layer],
    residual: bool,
    streams: Streams,
) -> Law {
    let (sd, common) = if residual {
        (RESIDUAL_SPREAD * spread.sequence_sd, 1.0 - 0.5 * (1.0 - spread.common))
    } else {
        (spread.sequence_sd, spread.common)
    };
    let mut rng = streams.named("gate/centre");
    let samples: Vec<Vec<f64>> = (0..CENTRE_SAMPLES)
        .map(|_| (0..RANK).map(|_| StandardNormal.sample(&mut rng)).collect())
        .collect();
    let each = sd * (common / RANK as f64).sqrt();
    let laws = layers.iter().enumerate().map(|(layer, of)| {
        let mut rng = streams.named(&format!("gate/loadings/layer={layer}"));
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        let experts = of.ffn_shares.len();
        let mut target = vec![];
        inclusion::capped(&of.ffn_shares, slots.min(experts as f64), &mut target);
        let mut law = LayerLaw {
            log_weights: inclusion::weights_for(&target).iter().map(|w| w.ln()).collect(),
            loadings: (0..experts * RANK).map(|_| each * normal()).collect(),
            own: vec![sd * (1.0 - common).sqrt(); experts],
        };
        if sd > 0.0 {
            law.centre(&target, &samples, streams, layer);
        }
        law
    });
    let (layers, recorded) = (laws.collect(), vec![]);
    Law { rank: RANK, slots, layers, recorded, persistence: Persistence::default() }
}
