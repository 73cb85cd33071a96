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
//!   the language loss pulls towards FFN experts: 0.12 in layer 12 of the published 7B model. It may differ by layer:
//!   from −0.06 in the first to 0.48 in a later one of two small models.
//!
//! Two ways to draw. *Exact*: token by token; slow. *Counts*: the number of tokens with f FFN slots is
//! multinomial over P(f), which fixes the numbers of slots of either class; within a class, counts
//! have the mean and variance of K of N without replacement and sum to the class's slots (see
//! `sample`). Means agree to 3 %, and the distribution of the maximum as far as the tests of
//! `tests/property/gate_property.rs` say.
//!
//! Streams: popularity is drawn by layer, FFN choices and class choices by layer and micro-batch,
//! each GPU in a window of its own. So a vanilla model and an MoE++ model of the same seed see the
//! same popular experts, an MoE++ model without zero-computation experts draws what vanilla draws,
//! and nothing depends on the order in which counts are asked for.
//!
//! Sequences: where the workload says that they differ, the weights of a sequence follow the law of
//! `law`; a GPU's counts then have the summed means and variances of its sequences. Where all
//! sequences are alike, loads of small batches are too even (31 % in max/mean at 512 tokens, on a
//! recording of gpt-oss-20b).
//!
//! Other schemes: token by token a scheme decides itself (see `scheme`), from scores −ln(time of
//! arrival); without tokens, as `rules` says. A chain of experts has a gate for each round.
//!
//! Steps of decoding: where tokens are drawn one by one and persist, scores go on from step to step, and all tokens of
//! a GPU are drawn at once (`law::steps`).
//!
//! What it leaves out: counts drawn without tokens are as if tokens did not persist.

use std::ops::Range;
use std::sync::OnceLock;

use crate::base::streams::Streams;
use crate::workload::{
    Batch, Experts, Gating, Origin, Persistence, Sampling, Scheme, Scoring, Workload,
};

mod choosing;
mod classes;
mod counts;
mod draw;
mod fitting;
pub mod law;
mod layer;
mod limit;
mod replay;
mod rules;
pub mod scheme;
mod sequences;

use choosing::{exponentials, groups, inclusion, pick, sample};
pub use counts::Counts;
use draw::{Counting, Draw, Space};
pub use fitting::{domains, fit, judge, statistics, summary};
use law::{Kept, Law, Walk};
use layer::Layer;
pub use layer::ffn_share;
use limit::Limits;
use replay::Replay;
use scheme::{Choices, Scores};
use sequences::{Pool, RatePool, Sequences};

/// Up to this many tokens per GPU, `Sampling::Auto` draws token by token.
const EXACT_UP_TO: u32 = 64;

/// Memory that draws of one gate leave for the next.
#[derive(Debug, Default)]
pub struct Memory {
    /// Counts that are done with.
    pub spare: Option<Counts>,
    space: Space,
}

/// Draws what the gates of all layers decide.
#[derive(Clone, Debug)]
pub struct Gate {
    streams: Streams,
    /// As one round of a layer sees them.
    experts: Experts,
    scheme: Scheme,
    scoring: Scoring,
    tokens_per_gpu: u32,
    exact: bool,
    difficulty_sd: f64,
    /// Of each round of each layer, or one for all.
    persistence: Vec<Persistence>,
    /// Whether a micro-batch is a step of decoding: one token of each sequence.
    steps: bool,
    /// One for each round of each layer.
    layers: Vec<Layer>,
    sequences: Option<Sequences>,
    /// By layer, where a pool stands for the sequences; drawn when it is first asked for.
    pools: Vec<OnceLock<Pool>>,
    /// The same where tokens are drawn one by one.
    rate_pools: Vec<OnceLock<RatePool>>,
    limits: Option<Limits>,
    replay: Option<Replay>,
    keeps_tokens: bool,
    /// Of steps of decoding, where scores are carried from one to the next: scores that layers have in common, and
    /// mean times of arrival.
    kept: [Kept; 2],
}

impl Gate {
    /// The gates of a workload's layers, with what is random drawn from `streams`.
    #[must_use]
    pub fn new(workload: &Workload, streams: Streams) -> Self {
        let (experts, gating) = (workload.experts_of_round(), &workload.gating);
        if let Origin::Law(law) = &gating.origin {
            return Self::with_law(workload, law, streams);
        }
        let layers: Vec<Layer> = (0..workload.gates())
            .map(|layer| Layer::new(&experts, gating, streams, layer))
            .collect();
        let sequences = Sequences::of(workload, &layers, streams);
        let mut gate = Self::with(workload, streams, layers, sequences);
        if let Origin::Recording(recording) = &gating.origin {
            gate.replay = Some(Replay::new(workload, recording.clone()));
        }
        gate
    }

    /// The gates of a workload whose sequences follow a law that was fitted to a recording.
    fn with_law(workload: &Workload, law: &Law, streams: Streams) -> Self {
        let (experts, gating) = (workload.experts_of_round(), &workload.gating);
        let (have, ffn) = (law.experts(), experts.ffn as usize);
        let known = have == ffn || have == experts.total() as usize;
        assert!(known, "a law of {have} experts for {ffn}");
        let cycle = law.layers.iter().cycle().take(workload.gates() as usize);
        let mut layers: Vec<Layer> =
            cycle.zip(0..).map(|of| Layer::of_law(&experts, gating, of, law.slots)).collect();
        let sequences = Sequences::of_law(workload, law, &mut layers, streams);
        let mut gate = Self::with(workload, streams, layers, Some(sequences));
        gate.persistence =
            (0..gate.layers.len()).map(|at| law.persistence_of(at % law.layers.len())).collect();
        gate
    }

    fn with(
        workload: &Workload,
        streams: Streams,
        layers: Vec<Layer>,
        sequences: Option<Sequences>,
    ) -> Self {
        let (experts, gating) = (workload.experts_of_round(), &workload.gating);
        let batch = &workload.batch;
        let limits = Limits::of(&experts, batch, workload.capacity, gating, layers.len(), streams);
        let [pools, rate_pools] = pooled_layers(workload, sequences.as_ref(), layers.len());
        let mut gate = Self {
            streams,
            pools: vec![OnceLock::new(); pools],
            rate_pools: vec![OnceLock::new(); rate_pools],
            experts,
            scheme: gating.scheme,
            scoring: gating.scoring,
            tokens_per_gpu: batch.tokens_per_gpu,
            exact: is_exact(gating, batch),
            difficulty_sd: gating.difficulty_sd,
            persistence: vec![gating.spread.persistence],
            steps: batch.sequence_tokens == 1,
            layers,
            sequences,
            limits,
            replay: None,
            keeps_tokens: false,
            kept: Default::default(),
        };
        if matches!(gate.scheme, Scheme::TopP { .. }) {
            for layer in 0..gate.layers.len() {
                let slots = rules::top_p_slots(&gate, layer as u32, experts.top_k as usize);
                gate.layers[layer].ffn_slots = slots;
            }
        }
        gate
    }

    /// The same gates, which also say what each token chose wherever they draw token by token.
    #[must_use]
    pub const fn keeping_tokens(mut self) -> Self {
        self.keeps_tokens = true;
        self
    }

    /// What the gate of a round of a layer decides for a micro-batch on each of some GPUs of a stage.
    ///
    /// Rounds are counted through all layers. Under expert choice these GPUs' tokens are the batch
    /// that experts choose from.
    ///
    /// # Panics
    /// If the model has no such round.
    #[must_use]
    pub fn counts(&self, round: u32, micro_batch: u32, gpus: Range<usize>) -> Counts {
        self.counts_in(&mut Memory::default(), [round, micro_batch], gpus)
    }

    /// The same in memory of earlier draws of this gate.
    #[must_use]
    pub fn counts_in(
        &self,
        memory: &mut Memory,
        [round, micro_batch]: [u32; 2],
        gpus: Range<usize>,
    ) -> Counts {
        let mut counts = self.empty(memory.spare.take(), gpus.len());
        let (total, most) = (counts.experts(), counts.most_slots());
        let (mut draw, mut lost) = (Draw::new(self, round, micro_batch), None);
        if self.scheme == Scheme::ExpertChoice {
            let by =
                if self.exact { rules::expert_choice_tokens } else { rules::expert_choice_counts };
            by(&mut draw, gpus.start, &mut counts);
            return counts;
        }
        // Where tokens have different numbers of slots, counts alone are kept.
        let keeps = self.keeps_tokens && !matches!(self.scheme, Scheme::TopP { .. });
        let mut drawn = (keeps && (self.exact || self.replay.is_some())).then(Vec::new);
        let abreast = draw.counts_abreast(gpus.clone(), &mut counts, &mut memory.space);
        for (at, gpu) in gpus.filter(|_| !abreast).enumerate() {
            draw.seek(gpu);
            let chosen = &mut counts.kept[at * total..][..total];
            let tokens = &mut counts.tokens[at * (most + 1)..][..=most];
            if let Some(replay) = &self.replay {
                replay.counts(self.streams, [round, micro_batch], gpu, chosen, tokens, &mut drawn);
            } else if self.exact {
                let weight = self.draw_tokens(&mut draw, chosen, tokens, &mut drawn);
                lost = weight.map(|weight| weight + lost.unwrap_or(0.0));
            } else {
                draw.counts(chosen, tokens);
            }
        }
        counts.drawn = drawn;
        if let Some(limits) = &self.limits {
            limits.apply(&mut counts, (round, &self.layers[round as usize]));
            counts.lost_weight = lost.unwrap_or(counts.lost_weight);
        }
        counts
    }

    /// Counts of so many GPUs without a slot in them, in memory that is done with where there is some.
    fn empty(&self, spare: Option<Counts>, gpus: usize) -> Counts {
        let slots = self.experts.top_k * self.scheme.rounds();
        let most = self.scheme.most_slots(slots, self.experts.ffn) as usize;
        let total = self.experts.total() as usize;
        let empty = || Counts::empty(gpus, total, most, self.scheme);
        spare.map_or_else(empty, |spare| spare.emptied(gpus))
    }

    /// Token by token, sequence by sequence; the mixing weight that is lost with what is dropped,
    /// where it is known.
    fn draw_tokens(
        &self,
        draw: &mut Draw<'_>,
        chosen: &mut [u32],
        tokens: &mut [u32],
        drawn: &mut Option<Vec<u16>>,
    ) -> Option<f64> {
        if let Some(step) = draw.step {
            return self.draw_step(draw, step, Counting { chosen, tokens, drawn });
        }
        let ffn = self.experts.ffn as usize;
        let mut weights = vec![vec![]; if self.limits.is_some() { chosen.len() } else { 0 }];
        for (sequence, length) in draw.sequences() {
            let mut walk = draw.walk(sequence);
            if !self.is_top_k() {
                let choices = self.choose(&mut walk, length as usize, || draw.slower());
                for token in 0..choices.tokens() {
                    let ids = choices.of_token(token);
                    ids.iter().for_each(|&expert| chosen[usize::from(expert)] += 1);
                    tokens[ids.len()] += 1;
                    if let Some(drawn) = drawn {
                        drawn.extend_from_slice(ids);
                    }
                }
                continue;
            }
            let mut count = |experts: &mut dyn Iterator<Item = usize>| {
                let mut ffn_slots = 0;
                for expert in experts {
                    chosen[expert] += 1;
                    if let Some(drawn) = drawn {
                        drawn.push(expert as u16);
                    }
                    ffn_slots += usize::from(expert < ffn);
                }
                tokens[ffn_slots] += 1;
            };
            if walk.is_memoryless() && weights.is_empty() {
                let top_k = self.experts.top_k as usize;
                let mut picker = walk.into_picker(ffn, top_k);
                for _ in 0..length {
                    count(&mut picker.next(top_k, draw.slower()).iter().copied());
                }
                continue;
            }
            for _ in 0..length {
                count(&mut walk.next_with(ffn, draw.slower()));
                if !weights.is_empty() {
                    let each = walk.weights(self.scoring);
                    each.for_each(|(expert, weight)| weights[expert].push(weight));
                }
            }
        }
        let limits = self.limits.as_ref().filter(|_| self.is_top_k());
        limits.map(|limits| limits.lost_of(&mut weights))
    }

    /// How choices in a round of a layer persist.
    fn persistence_of(&self, round: u32) -> Persistence {
        self.persistence[round as usize % self.persistence.len()]
    }

    /// Whether scores in a round of a layer are carried from one micro-batch, a step of decoding, to the next.
    fn carries_scores(&self, round: u32) -> bool {
        let law = self.persistence_of(round);
        let persist = law.share > 0.0 || law.depth > 0.0;
        self.steps && self.exact && self.sequences.is_some() && persist
    }

    /// Whether the scheme is to take the K best of all experts, by scores as they are.
    const fn is_top_k(&self) -> bool {
        matches!(
            self.scheme,
            Scheme::TopK
                | Scheme::NullExperts
                | Scheme::Controlled { .. }
                | Scheme::Autonomy { .. }
                | Scheme::Chain { .. }
        )
    }

    /// What the scheme chooses for the next tokens of a walk.
    fn choose(&self, walk: &mut Walk, tokens: usize, mut slower: impl FnMut() -> f64) -> Choices {
        let (ffn, mut times) = (self.experts.ffn as usize, vec![]);
        (0..tokens).for_each(|_| walk.next_times(ffn, slower(), &mut times));
        self.choose_by(times)
    }

    /// What the scheme chooses by these times of arrival, `[token × expert]`.
    fn choose_by(&self, mut times: Vec<f64>) -> Choices {
        times.iter_mut().for_each(|time| *time = -time.ln());
        let scores = Scores::new(self.experts.total() as usize, times);
        scheme::of(self.scheme, &self.experts).choose(&scores)
    }
}

/// How many layers have pools of chances, and of rates: all or none.
fn pooled_layers(workload: &Workload, sequences: Option<&Sequences>, layers: usize) -> [usize; 2] {
    let in_group = workload.sequences_per_gpu() as usize * workload.layout.expert_group() as usize;
    let scheme = workload.gating.scheme;
    // A top-p token has a number of slots of its own, and under expert choice no token chooses.
    let none = matches!(scheme, Scheme::TopP { .. } | Scheme::ExpertChoice)
        || !sequences.is_some_and(|of| of.can_be_pooled(in_group, groups::SHORT));
    let by_token = matches!(scheme, Scheme::GroupLimited { .. })
        && workload.experts_of_round().zero_computation.total() == 0;
    match (none, by_token) {
        (true, _) => [0, 0],
        (false, false) => [layers, 0],
        (false, true) => [0, layers],
    }
}

/// Whether gates of such batches draw token by token.
#[must_use]
pub fn is_exact(gating: &Gating, batch: &Batch) -> bool {
    match gating.sampling {
        Sampling::Exact => true,
        Sampling::Counts => false,
        Sampling::Auto => batch.tokens_per_gpu <= EXACT_UP_TO,
    }
}
