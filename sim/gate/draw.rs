//! The streams and scratch space of one layer and micro-batch.

use rand_chacha::ChaCha8Rng;

use super::law::Walk;
use super::layer::Layer;
use super::sequences::Cursor;
use super::{Gate, inclusion, sample};
use crate::workload::Persistence;

/// Words of random numbers that one GPU may use of a stream; 2¹⁶ GPUs fit the 2⁶⁸ words of ChaCha.
const WINDOW_BITS: u32 = 52;
/// Words that one sequence may use of them, token by token; 2²⁴ sequences fit.
const WALK_BITS: u32 = 28;

/// What drawing one layer and micro-batch needs. Each GPU draws from a window of its own.
pub(super) struct Draw<'a> {
    pub(super) layer: &'a Layer,
    pub(super) ffn: ChaCha8Rng,
    pub(super) others: ChaCha8Rng,
    /// Draws that all layers have in common.
    common: ChaCha8Rng,
    sequences: Option<Cursor<'a>>,
    gpu: usize,
    rates: Vec<f64>,
    inclusion: Vec<f64>,
    expected: sample::Expected,
}

impl<'a> Draw<'a> {
    pub(super) fn new(gate: &'a Gate, layer: u32, micro_batch: u32) -> Self {
        let place = format!("layer={layer}/micro_batch={micro_batch}");
        let named = |what: &str, place: &str| gate.streams.named(&format!("gate/{what}/{place}"));
        let sequences = gate.sequences.as_ref();
        Self {
            layer: &gate.layers[layer as usize],
            ffn: named("ffn", &place),
            others: named("others", &place),
            common: named("common", &format!("micro_batch={micro_batch}")),
            sequences: sequences.map(|of| of.cursor(gate.streams, layer, micro_batch)),
            gpu: 0,
            rates: vec![],
            inclusion: vec![],
            expected: sample::Expected::default(),
        }
    }

    /// Moves to the window of one GPU.
    pub(super) fn seek(&mut self, gpu: usize) {
        let window = (gpu as u128) << WINDOW_BITS;
        for rng in [&mut self.ffn, &mut self.others, &mut self.common] {
            rng.set_word_pos(window);
        }
        self.gpu = gpu;
    }

    /// Sequences of this GPU with their tokens; one with all of them where sequences are alike.
    pub(super) fn sequences(&self, tokens: u32) -> Vec<(usize, u32)> {
        match &self.sequences {
            None => vec![(0, tokens)],
            Some(cursor) => cursor.lengths(self.gpu, tokens).collect(),
        }
    }

    /// The tokens of one sequence, one after another.
    pub(super) fn walk(&mut self, sequence: usize, top_k: usize, persistence: Persistence) -> Walk {
        let mut mean_times = self.layer.mean_times.clone();
        if let Some(cursor) = &mut self.sequences {
            cursor.rates(sequence, &mut self.rates);
            // FFN weights sum to one in every sequence, as they do without sequences, so that the
            // sequence does not move the choice between classes.
            let total: f64 = self.rates.iter().sum();
            for (mean, rate) in mean_times.iter_mut().zip(&self.rates) {
                *mean = total / rate;
            }
        }
        let mut order: Vec<usize> = (0..mean_times.len()).collect();
        order.sort_by(|&a, &b| self.layer.mean_times[a].total_cmp(&self.layer.mean_times[b]));
        // Each walk takes its own copy of the streams and leaves them where no other will go.
        let rngs = [&mut self.ffn, &mut self.common].map(|rng| {
            let begin = rng.get_word_pos();
            let copy = rng.clone();
            rng.set_word_pos(begin + (1 << WALK_BITS));
            copy
        });
        Walk::new(mean_times, top_k, persistence, order, rngs)
    }

    /// Counts of FFN experts: `slots` of `tokens` of the `all` tokens of this GPU.
    pub(super) fn ffn_class(&mut self, all: u32, tokens: u32, slots: u64, out: &mut [u32]) {
        if slots == 0 {
            return;
        }
        let each = slots as f64 / f64::from(tokens);
        match &mut self.sequences {
            None => {
                inclusion::capped(&self.layer.ffn_shares, each, &mut self.inclusion);
                self.expected.set(tokens.into(), &self.inclusion);
            }
            Some(cursor) => {
                self.expected.clear(out.len());
                for (sequence, length) in cursor.lengths(self.gpu, all).collect::<Vec<_>>() {
                    cursor.rates(sequence, &mut self.rates);
                    inclusion::from_rates(&self.rates, each, &mut self.inclusion);
                    let share = f64::from(length) / f64::from(all);
                    self.expected.add(f64::from(tokens) * share, &self.inclusion);
                }
            }
        }
        sample::counts_with_sum(&mut self.ffn, tokens, slots, &self.expected, out);
    }

    /// Counts of the other experts: `slots` of `tokens` tokens.
    pub(super) fn other_class(&mut self, tokens: u32, slots: u64, out: &mut [u32]) {
        if slots > 0 {
            let each = slots as f64 / f64::from(tokens);
            inclusion::capped(&self.layer.other_shares, each, &mut self.inclusion);
            self.expected.set(tokens.into(), &self.inclusion);
            sample::counts_with_sum(&mut self.others, tokens, slots, &self.expected, out);
        }
    }
}
