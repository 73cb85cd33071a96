//! The sequences of a workload: the law of `law` with loadings fitted or drawn, domains and drift.
//!
//! Where no recording was fitted, the loadings of (1) in `law` are drawn once a run: the deviations of
//! a sequence have variance σ², a share of which lies in `law::DRAWN_RANK` dimensions that layers have in
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
//!
//! Zero-computation experts have loadings too, so a sequence likes some of them, and them together,
//! more than others do. With F_s and Z_s the masses Σ w of a sequence's FFN and other experts, its
//! tokens choose between the classes with the offset
//!
//! ```text
//!   b_s = b + ln Z_s − ln F_s                                                                 (2)
//! ```
//!
//! in place of b (see `classes`), and b is such that the mean FFN share over sequences is φ'.
//! Where tokens choose two experts, what a class has left after one of its own was picked is the sequence's; where they
//! choose more, it is the layer's.

use std::f64::consts::FRAC_PI_2;
use std::sync::OnceLock;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::classes::{left_after_one, offset_of_two};
use super::inclusion;
use super::law::{Latents, Law, LayerLaw, SEQUENCE_BITS};
use super::layer::Layer;
use crate::base::streams::Streams;
use crate::workload::Workload;

mod drawn;
mod pool;

use drawn::FfnLaws;
use pool::MEMBERS;
pub(super) use pool::{Pool, RatePool};

/// Sequences, and as many opposite to them, over which b of (2) is centred.
const CENTRE_PAIRS: usize = 128;

/// How sequences of a workload differ.
#[derive(Clone, Debug)]
pub(super) struct Sequences {
    /// What the laws of all layers' FFN experts have in common; no layer of its own.
    law: Law,
    /// That of FFN experts, by layer; where it is drawn, it is when the layer is first asked for.
    ffn: Vec<OnceLock<LayerLaw>>,
    drawn: Option<FfnLaws>,
    /// That of the other experts, by layer, with the same latents; empty where there are none.
    others: Vec<LayerLaw>,
    /// b, by layer.
    offsets: Vec<f64>,
    /// `[domain][layer × expert]`: e^δ, FFN experts first in each layer.
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
        let experts = workload.experts_of_round();
        let slots =
            |layer| f64::from(experts.top_k) * super::ffn_share(&experts, &workload.gating, layer);
        let slots: Vec<f64> = (0..layers.len()).map(slots).collect();
        let residual = workload.model.gating_residual;
        let laws = FfnLaws::new(spread, &slots, layers, residual, streams);
        let mut others = vec![];
        if experts.zero_computation.total() > 0 {
            others = drawn::other_laws(spread, layers, residual, streams);
        }
        let (ffn, rest) = (experts.ffn as usize, experts.zero_computation.total() as usize);
        let domain = |domain: u32| {
            let mut rng = streams.named(&format!("gate/domain={domain}"));
            let mut more = streams.named(&format!("gate/domain={domain}/others"));
            let one = |rng: &mut ChaCha8Rng| -> f64 {
                let z: f64 = StandardNormal.sample(rng);
                (spread.domain_sd * z).exp()
            };
            let mut factors = Vec::with_capacity(layers.len() * (ffn + rest));
            for _ in layers {
                factors.extend((0..ffn).map(|_| one(&mut rng)));
                factors.extend((0..rest).map(|_| one(&mut more)));
            }
            factors
        };
        let mut sequences = Self::with(workload, FfnLaws::in_common(slots[0]), others);
        sequences.ffn = vec![OnceLock::new(); layers.len()];
        sequences.drawn = Some(laws);
        if spread.domain_sd > 0.0 {
            sequences.domains = (0..spread.domains).map(domain).collect();
        }
        sequences.centre(workload, layers, streams);
        Some(sequences)
    }

    /// The sequences of a workload under a fitted law, of its FFN experts or of all, whose layers are
    /// used again from the first where the workload has more.
    pub(super) fn of_law(
        workload: &Workload,
        law: &Law,
        layers: &mut [Layer],
        streams: Streams,
    ) -> Self {
        let ffn = workload.model.experts.ffn as usize;
        let cycle = || law.layers.iter().cycle().take(layers.len());
        let others = if workload.model.experts.zero_computation.total() == 0 {
            vec![]
        } else if law.experts() > ffn {
            cycle().map(|layer| layer.part(law.rank, ffn..law.experts())).collect()
        } else {
            let weights = |of: &Layer| of.other_weights.iter().map(|w| w.ln()).collect();
            layers.iter().map(|of| LayerLaw::even(weights(of), law.rank)).collect()
        };
        let in_common = Law { layers: vec![], latents: law.latents.clone(), ..*law };
        let mut sequences = Self::with(workload, in_common, others);
        sequences.ffn = cycle().map(|layer| layer.part(law.rank, 0..ffn).into()).collect();
        if law.experts() > ffn {
            for (number, layer) in layers.iter_mut().enumerate() {
                layer.share = sequences.mean_share(number, law.slots);
            }
        }
        sequences.centre(workload, layers, streams);
        sequences
    }

    fn with(workload: &Workload, law: Law, others: Vec<LayerLaw>) -> Self {
        let spread = workload.gating.spread;
        Self {
            law,
            ffn: vec![],
            drawn: None,
            offsets: vec![0.0; others.len()],
            others,
            domains: vec![],
            drift: spread.drift,
            drift_micro_batches: spread.drift_micro_batches,
            sequence_tokens: workload.batch.sequence_tokens,
            per_gpu: workload.sequences_per_gpu() as usize,
        }
    }

    /// The law of a layer's FFN experts.
    fn ffn_of(&self, layer: usize) -> &LayerLaw {
        let drawn = || self.drawn.as_ref().map(|laws| laws.of_layer(layer));
        self.ffn[layer].get_or_init(|| drawn().expect("a layer without a law has it drawn"))
    }

    /// Solves b of (2) for each layer.
    fn centre(&mut self, workload: &Workload, layers: &[Layer], streams: Streams) {
        let difficulty_sd = workload.gating.difficulty_sd;
        let two = workload.experts_of_round().top_k == 2;
        for (layer, of) in layers.iter().enumerate().take(self.others.len()) {
            let mut sequences = vec![];
            self.sample(layer, streams, |classes| {
                let [ffn, others] = classes.map(|rates| rates.iter().sum::<f64>().ln());
                sequences.push((others - ffn, classes.map(left_after_one)));
            });
            self.offsets[layer] = if two {
                offset_of_two(difficulty_sd, of.share, &sequences)
            } else {
                let ratios: Vec<f64> = sequences.iter().map(|(ratio, _)| *ratio).collect();
                of.slots_table.offset_for(of.share, &ratios)
            };
        }
    }

    /// The mean share of a token's `slots` that go to FFN experts in one layer.
    fn mean_share(&self, layer: usize, slots: f64) -> f64 {
        let (mut sum, mut pi) = (0.0, vec![]);
        self.sample(layer, Streams::new(0), |[ffn, others]| {
            let rates: Vec<f64> = ffn.iter().chain(others).copied().collect();
            inclusion::from_rates(&rates, slots, &mut pi);
            sum += pi[..ffn.len()].iter().sum::<f64>() / slots;
        });
        sum / (2 * CENTRE_PAIRS) as f64
    }

    /// The rates of FFN and other experts of some sequences of one layer, each with its opposite.
    fn sample(&self, layer: usize, streams: Streams, mut told: impl FnMut([&[f64]; 2])) {
        let mut rng = streams.named(&format!("gate/centre/others/layer={layer}"));
        let laws = [self.ffn_of(layer), &self.others[layer]];
        let (ffn, all) = (laws[0].own.len(), laws[0].own.len() + laws[1].own.len());

        let (mut deviations, mut rates) = ([vec![], vec![]], [vec![], vec![]]);
        // Recorded sequences have no opposites: their deviations are not symmetric.
        let normal = matches!(self.law.latents, Latents::Normal);
        let signs: &[f64] = if normal { &[1.0, -1.0] } else { &[1.0] };
        let number = 2 * CENTRE_PAIRS / signs.len();
        for pair in 0..number {
            let latents = self.law.latents_at((pair as f64 + 0.5) / number as f64, &mut rng);
            for (law, out) in laws.iter().zip(&mut deviations) {
                law.deviations(&latents, &mut rng, out);
            }
            let domain = (!self.domains.is_empty())
                .then(|| &self.domains[pair % self.domains.len()][layer * all..][..all]);
            for sign in signs {
                for (class, first) in [(0, 0), (1, ffn)] {
                    let logits = laws[class].log_weights.iter().zip(&deviations[class]);
                    rates[class].clear();
                    rates[class].extend(logits.enumerate().map(|(i, (mu, z))| {
                        (mu + sign * z).exp() * domain.map_or(1.0, |domain| domain[first + i])
                    }));
                }
                told([&rates[0], &rates[1]]);
            }
        }
    }

    /// A place to draw sequences of one layer and micro-batch from.
    pub(super) fn cursor(&self, streams: Streams, layer: u32, micro_batch: u32) -> Cursor<'_> {
        // With one token of each sequence a micro-batch is a step of decoding: sequences go on.
        let of = if self.sequence_tokens == 1 { 0 } else { micro_batch };
        Cursor {
            of: self,
            layer: layer as usize,
            micro_batch: of,
            shared: streams.named(&format!("gate/latents/micro_batch={of}")),
            own: streams.named(&format!("gate/own/layer={layer}/micro_batch={of}")),
            drifted: self.drifted(streams, micro_batch),
            of_pool: false,
        }
    }

    /// The same for the members of a pool of sequences.
    pub(super) fn cursor_of_pool(&self, streams: Streams, layer: u32) -> Cursor<'_> {
        Cursor {
            of: self,
            layer: layer as usize,
            micro_batch: 0,
            shared: streams.named("gate/latents/pool"),
            own: streams.named(&format!("gate/own/layer={layer}/pool")),
            drifted: vec![],
            of_pool: true,
        }
    }

    /// Whether a pool can stand for these sequences of a group: they are more than its members, have up to `most`
    /// tokens each, and do not drift.
    pub(super) fn can_be_pooled(&self, number: usize, most: u32) -> bool {
        number > MEMBERS && self.sequence_tokens <= most && self.drift <= 0.0
    }

    /// √a m(b) of (1).
    fn drifted(&self, streams: Streams, micro_batch: u32) -> Vec<f64> {
        if self.drift <= 0.0 {
            return vec![];
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
    micro_batch: u32,
    shared: ChaCha8Rng,
    own: ChaCha8Rng,
    drifted: Vec<f64>,
    of_pool: bool,
}

/// How likely one sequence is to choose each expert.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates {
    /// Of each FFN expert; only ratios matter.
    pub(super) ffn: Vec<f64>,
    /// Of each other expert; only ratios matter.
    pub(super) others: Vec<f64>,
    /// b_s of (2).
    pub(super) offset: f64,
}

impl Cursor<'_> {
    /// Whether sequences like other experts in another micro-batch.
    pub(super) const fn drifts(&self) -> bool {
        self.of.drift > 0.0
    }

    /// Tokens of a sequence in the batch.
    pub(super) const fn tokens_of_sequence(&self) -> u32 {
        self.of.sequence_tokens
    }

    /// The sequences of one GPU with their tokens; the last may be cut short.
    pub(super) fn lengths(
        &self,
        gpu: usize,
        tokens: u32,
    ) -> impl Iterator<Item = (usize, u32)> + use<> {
        let (per_gpu, whole) = (self.of.per_gpu, self.of.sequence_tokens);
        (0..per_gpu).map(move |at| {
            let before = at as u32 * whole;
            (gpu * per_gpu + at, whole.min(tokens - before))
        })
    }

    /// The members of the pool that stand for the sequences of one GPU.
    pub(super) fn members(&self, streams: Streams, gpu: usize) -> impl Iterator<Item = usize> {
        pool::members(streams, self.micro_batch, gpu, self.of.per_gpu)
    }

    /// The rates at which a sequence chooses experts.
    pub(super) fn rates(&mut self, sequence: usize, out: &mut Rates) {
        let window = (sequence as u128) << SEQUENCE_BITS;
        self.shared.set_word_pos(window);
        self.own.set_word_pos(window);
        let mut latents = if self.of_pool {
            // Members stand for recorded sequences as evenly as they can.
            let share = (sequence as f64 + 0.5) / MEMBERS as f64;
            self.of.law.latents_at(share, &mut self.shared)
        } else {
            self.of.law.latents(&mut self.shared)
        };
        if self.of.drift > 0.0 {
            latents = latents.drifted(self.of.drift, &self.drifted);
        }
        let law = self.of.ffn_of(self.layer);
        let ffn_scale = law.rates(&latents, &mut self.own, &mut out.ffn);
        let others = self.of.others.get(self.layer);
        let other_scale = others.map(|law| law.rates(&latents, &mut self.own, &mut out.others));
        if !self.of.domains.is_empty() {
            let domain = self.shared.random_range(0..self.of.domains.len());
            let all = out.ffn.len() + out.others.len();
            let factors = &self.of.domains[domain][self.layer * all..][..all];
            let (ffn, others) = factors.split_at(out.ffn.len());
            out.ffn.iter_mut().zip(ffn).for_each(|(rate, factor)| *rate *= factor);
            out.others.iter_mut().zip(others).for_each(|(rate, factor)| *rate *= factor);
        }
        if let Some(other_scale) = other_scale {
            let log_mass = |rates: &[f64], scale: f64| rates.iter().sum::<f64>().ln() + scale;
            out.offset = self.of.offsets[self.layer] + log_mass(&out.others, other_scale)
                - log_mass(&out.ffn, ffn_scale);
        }
    }
}
