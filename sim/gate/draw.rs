//! The streams and scratch space of one layer and micro-batch, and counts drawn without tokens.

mod abreast;
mod pooled;
mod seeking;
mod stepped;

use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::classes::{left_after_one, two_slots};
use super::law::Walk;
use super::layer::Layer;
use super::sequences::{Cursor, Rates};
use super::{Gate, groups, inclusion, sample};
use crate::workload::{Persistence, Scheme};

pub(super) use abreast::Space;
use seeking::{Batch, Seeking};
pub(super) use stepped::Counting;

/// Words of random numbers that one GPU may use of a stream; 2¹⁶ GPUs fit the 2⁶⁸ words of ChaCha.
const WINDOW_BITS: u32 = 52;
/// Words that one sequence may use of them, token by token; 2²⁴ sequences fit.
const WALK_BITS: u32 = 28;

/// What drawing one layer and micro-batch needs. Each GPU draws from a window of its own.
pub(super) struct Draw<'a> {
    pub(super) gate: &'a Gate,
    pub(super) layer: &'a Layer,
    layer_number: u32,
    pub(super) ffn: Seeking,
    pub(super) others: Seeking,
    /// Draws that all layers have in common.
    common: Seeking,
    /// What begins the generators of GPUs abreast.
    counts: Seeking,
    sequences: Option<Cursor<'a>>,
    persistence: Persistence,
    /// The step of decoding, where scores are carried from step to step.
    pub(super) step: Option<u32>,
    gpu: usize,
    rates: Rates,
    inclusion: Vec<f64>,
    /// Of FFN and other experts.
    expected: [sample::Expected; 2],
    /// The tokens and slots for which that of FFN experts holds on any GPU, where it does.
    expects: Option<(u32, u64)>,
    space: groups::TokenSpace,
    /// Of the tokens of a step, kept from GPU to GPU.
    scores: Vec<f32>,
}

impl<'a> Draw<'a> {
    pub(super) fn new(gate: &'a Gate, layer: u32, micro_batch: u32) -> Self {
        let sequences = gate.sequences.as_ref();
        let sequences = sequences.map(|of| of.cursor(gate.streams, layer, micro_batch));
        let carries = gate.carries_scores(layer);
        let batch = Batch::Numbered(micro_batch);
        let of_tokens = if carries { Batch::Steps } else { batch };
        let mut draw = Self::at(gate, layer, [of_tokens, batch], sequences);
        draw.step = carries.then_some(micro_batch);
        draw
    }

    /// The same for the sequences of a pool.
    fn of_pool(gate: &'a Gate, layer: u32) -> Self {
        let sequences = gate.sequences.as_ref();
        let sequences = sequences.map(|of| of.cursor_of_pool(gate.streams, layer));
        Self::at(gate, layer, [Batch::Pool; 2], sequences)
    }

    fn at(
        gate: &'a Gate,
        layer: u32,
        [of_tokens, batch]: [Batch; 2],
        sequences: Option<Cursor<'a>>,
    ) -> Self {
        Self {
            gate,
            layer: &gate.layers[layer as usize],
            layer_number: layer,
            ffn: Seeking::new(gate.streams, "ffn", Some(layer), of_tokens),
            others: Seeking::new(gate.streams, "others", Some(layer), batch),
            common: Seeking::new(gate.streams, "common", None, of_tokens),
            counts: Seeking::new(gate.streams, "counts", Some(layer), batch),
            sequences,
            persistence: gate.persistence_of(layer),
            step: None,
            gpu: 0,
            rates: Rates::default(),
            inclusion: vec![],
            expected: Default::default(),
            expects: None,
            space: groups::TokenSpace::default(),
            scores: vec![],
        }
    }

    /// Moves to the window of one GPU.
    pub(super) fn seek(&mut self, gpu: usize) {
        let window = (gpu as u128) << WINDOW_BITS;
        for stream in [&mut self.ffn, &mut self.others, &mut self.common] {
            stream.ahead = Some(window);
        }
        self.gpu = gpu;
    }

    /// Sequences of this GPU with their tokens; one with all of them where sequences are alike.
    pub(super) fn sequences(&self) -> Vec<(usize, u32)> {
        let tokens = self.gate.tokens_per_gpu;
        match &self.sequences {
            None => vec![(0, tokens)],
            Some(cursor) => cursor.lengths(self.gpu, tokens).collect(),
        }
    }

    /// The rates of one sequence, those of the layer where sequences are alike.
    pub(super) fn rates_of(&mut self, sequence: usize) -> &Rates {
        match &mut self.sequences {
            Some(cursor) => cursor.rates(sequence, &mut self.rates),
            None => {
                let ffn = &self.layer.mean_times[..self.gate.experts.ffn as usize];
                self.rates.ffn.clear();
                self.rates.ffn.extend(ffn.iter().map(|mean| 1.0 / mean));
            }
        }
        &self.rates
    }

    /// Mean times of arrival of experts for the tokens of one sequence.
    ///
    /// FFN weights sum to one in every sequence, as they do without sequences.
    fn mean_times_of(&mut self, sequence: usize) -> Vec<f64> {
        let mut mean_times = self.layer.mean_times.clone();
        if let Some(cursor) = &mut self.sequences {
            cursor.rates(sequence, &mut self.rates);
            let (ffn, others) = (&self.rates.ffn, &self.rates.others);
            let totals = [ffn, others].map(|rates| rates.iter().sum::<f64>());
            let slower = (-self.rates.offset).exp();
            let times = ffn.iter().map(|rate| totals[0] / rate);
            let times = times.chain(others.iter().map(|rate| slower * totals[1] / rate));
            mean_times.iter_mut().zip(times).for_each(|(mean, time)| *mean = time);
        }
        mean_times
    }

    /// The experts of the layer, the most popular first.
    fn by_popularity(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.layer.mean_times.len()).collect();
        order.sort_by(|&a, &b| self.layer.mean_times[a].total_cmp(&self.layer.mean_times[b]));
        order
    }

    /// The tokens of one sequence, one after another.
    pub(super) fn walk(&mut self, sequence: usize) -> Walk {
        let (mean_times, order) = (self.mean_times_of(sequence), self.by_popularity());
        // Each walk takes its own copy of the streams and leaves them where no other will go.
        let rngs = [self.ffn.here(), self.common.here()].map(|rng| {
            let begin = rng.get_word_pos();
            let copy = rng.clone();
            rng.set_word_pos(begin + (1 << WALK_BITS));
            copy
        });
        let top_k = self.gate.experts.top_k as usize;
        let walk = Walk::new(mean_times, top_k, self.persistence, order, rngs);
        match self.step {
            Some(step) => walk.at_step(step),
            None => walk,
        }
    }

    /// How much longer than others the next token waits for experts that do not compute; a token
    /// that is hard (θ > 0) waits longer.
    pub(super) fn slower(&mut self) -> f64 {
        if self.layer.other_shares.is_empty() {
            return 1.0;
        }
        let difficulty: f64 = StandardNormal.sample(self.others.here());
        (self.gate.difficulty_sd * difficulty).exp()
    }

    /// Counts of one GPU: first the classes, then the experts within each.
    pub(super) fn counts(&mut self, chosen: &mut [u32], tokens: &mut [u32]) {
        let gate = self.gate;
        let (all, top_k) = (gate.tokens_per_gpu, gate.experts.top_k);
        let (ffn, others) = chosen.split_at_mut(gate.experts.ffn as usize);
        match (gate.scheme, others.is_empty(), self.sequences.is_some()) {
            (Scheme::TopP { .. }, ..) => {
                sample::multinomial(self.others.here(), all, &self.layer.ffn_slots, tokens);
            }
            (_, true, _) => tokens[top_k as usize] = all,
            (_, false, false) => {
                sample::multinomial(self.others.here(), all, &self.layer.ffn_slots, tokens);
            }
            (_, false, true) => return self.mixed_counts(ffn, others, tokens),
        }
        let slots = slots_of(tokens);
        let with_ffn = all - tokens[0];
        self.ffn_class(with_ffn, slots, ffn);
        if !others.is_empty() {
            let with_others = all - tokens[top_k as usize];
            self.other_class(with_others, u64::from(all) * u64::from(top_k) - slots, others);
        }
    }

    /// Counts of FFN experts: `slots` of `tokens` tokens.
    fn ffn_class(&mut self, tokens: u32, slots: u64, out: &mut [u32]) {
        if slots == 0 {
            return;
        }
        let each = slots as f64 / f64::from(tokens);
        let all = f64::from(self.gate.tokens_per_gpu);
        let scheme = self.gate.scheme;
        let by_group = matches!(scheme, Scheme::GroupLimited { .. } | Scheme::Grouped { .. });
        let full = slots == u64::from(tokens) * u64::from(self.gate.experts.top_k);
        let pooled = full && self.expect_pooled().is_some();
        if !pooled && self.short_sequences(full, out) {
            return;
        }
        if pooled {
            // What the pool expects is what is drawn below.
        } else if self.sequences.is_none() && !by_group {
            // GPUs without zero-computation experts all ask for the same.
            if self.expects.replace((tokens, slots)) != Some((tokens, slots)) {
                inclusion::capped(&self.layer.ffn_shares, each, &mut self.inclusion);
                self.expected[0].set(tokens.into(), &self.inclusion);
            }
        } else {
            self.expected[0].clear(out.len());
            for (sequence, length) in self.sequences() {
                let share = f64::from(length) / all;
                self.expect_ffn(sequence, length, each, f64::from(tokens) * share);
            }
        }
        let (rng, expected) = (self.ffn.here(), &mut self.expected[0]);
        if let Scheme::Grouped { groups } = scheme {
            groups::grouped_counts(rng, groups, tokens, slots, expected, out);
        } else {
            sample::counts_with_sum(rng, tokens, slots, expected, out);
        }
    }

    /// Expects `tokens` tokens of a sequence that has this many in the batch, each with this many FFN slots.
    fn expect_ffn(&mut self, sequence: usize, length: u32, each: f64, tokens: f64) {
        self.rates_of(sequence);
        let rates = &self.rates.ffn;
        match self.gate.scheme {
            Scheme::GroupLimited { groups, most } => {
                let rule = groups::GroupRule { groups, most, slots: each };
                rule.inclusion(rates, length, self.ffn.here(), &mut self.inclusion);
            }
            Scheme::Grouped { groups } => {
                groups::grouped_inclusion(rates, groups, each, &mut self.inclusion);
            }
            _ => inclusion::from_rates(rates, each, &mut self.inclusion),
        }
        self.expected[0].add(tokens, &self.inclusion);
    }

    /// Counts of FFN experts token by token, where experts are in groups of which a token takes some, sequences are short
    /// and every token has all its `slots`; says whether that was done.
    fn short_sequences(&mut self, all_slots: bool, out: &mut [u32]) -> bool {
        let Scheme::GroupLimited { groups, most } = self.gate.scheme else { return false };
        let rule = groups::GroupRule { groups, most, slots: f64::from(self.gate.experts.top_k) };
        if all_slots && self.draw_pooled(&rule, out) {
            return true;
        }
        let short = |of: &Cursor<'_>| of.tokens_of_sequence() <= groups::SHORT;
        if !all_slots || !self.sequences.as_ref().is_some_and(short) {
            return false;
        }
        let (mut sums, mut rng) = (vec![], Xoshiro256PlusPlus::from_rng(self.ffn.here()));
        for (sequence, length) in self.sequences() {
            self.rates_of(sequence);
            sums.clear();
            groups::push_sums(&self.rates.ffn, rule.groups as usize, &mut sums);
            let tokens = [0; groups::SHORT as usize];
            let drawn = (&sums[..], &tokens[..length as usize]);
            rule.draw_tokens(drawn, &mut rng, &mut self.space, out);
        }
        true
    }

    /// Counts of the other experts: `slots` of `tokens` tokens.
    fn other_class(&mut self, tokens: u32, slots: u64, out: &mut [u32]) {
        if slots > 0 {
            let each = slots as f64 / f64::from(tokens);
            inclusion::capped(&self.layer.other_shares, each, &mut self.inclusion);
            self.expected[1].set(tokens.into(), &self.inclusion);
            sample::counts_with_sum(self.others.here(), tokens, slots, &mut self.expected[1], out);
        }
    }

    /// Counts of both classes where sequences differ in how they choose between them.
    fn mixed_counts(&mut self, ffn: &mut [u32], others: &mut [u32], tokens: &mut [u32]) {
        let (all, top_k) = (self.gate.tokens_per_gpu, self.gate.experts.top_k as usize);
        let mean = self.expect_pooled().unwrap_or_else(|| {
            for (expected, out) in self.expected.iter_mut().zip([&ffn, &others]) {
                expected.clear(out.len());
            }
            let (mut mean, mut own) = (vec![0.0; top_k + 1], vec![0.0; top_k + 1]);
            for (sequence, length) in self.sequences() {
                own.fill(0.0);
                self.expect_mixed(sequence, f64::from(length), &mut own);
                for (mean, own) in mean.iter_mut().zip(&own) {
                    *mean += own * f64::from(length) / f64::from(all);
                }
            }
            mean
        });
        sample::multinomial(self.others.here(), all, &mean, tokens);
        let slots = slots_of(tokens);
        let classes = [
            (self.ffn.here(), all - tokens[0], slots, ffn),
            (
                self.others.here(),
                all - tokens[top_k],
                u64::from(all) * top_k as u64 - slots,
                others,
            ),
        ];
        for (expected, (rng, with, slots, out)) in self.expected.iter_mut().zip(classes) {
            if slots > 0 {
                expected.scale_to(slots as f64);
                sample::counts_with_sum(rng, with, slots, expected, out);
            }
        }
    }

    /// Expects `tokens` tokens of a sequence, of both classes, and adds to `own` how likely each has 0, 1, …, K FFN
    /// slots.
    fn expect_mixed(&mut self, sequence: usize, tokens: f64, own: &mut [f64]) {
        let top_k = self.gate.experts.top_k as usize;
        self.rates_of(sequence);
        if top_k == 2 {
            let left = [&self.rates.ffn, &self.rates.others].map(|rates| left_after_one(rates));
            let p = two_slots(self.gate.difficulty_sd, self.rates.offset, left);
            own.iter_mut().zip(p).for_each(|(own, p)| *own += p);
        } else {
            self.layer.slots_table.add(self.rates.offset, 1.0, own);
        }
        let slots: f64 = own.iter().enumerate().map(|(f, p)| f as f64 * p).sum();
        let sides = [
            (&self.rates.ffn, 1.0 - own[0], slots),
            (&self.rates.others, 1.0 - own[top_k], top_k as f64 - slots),
        ];
        for (expected, (rates, with, slots)) in self.expected.iter_mut().zip(sides) {
            if slots > 1e-9 {
                let each = (slots / with).clamp(1.0, rates.len() as f64);
                inclusion::from_rates(rates, each, &mut self.inclusion);
                expected.add(slots / each * tokens, &self.inclusion);
            }
        }
    }
}

/// FFN slots of tokens by their number of them.
fn slots_of(tokens: &[u32]) -> u64 {
    tokens.iter().zip(0u64..).map(|(&n, f)| u64::from(n) * f).sum()
}
