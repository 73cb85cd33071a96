//! Replaying a recording: sequences drawn from it, their choices as they were.
//!
//! Each GPU draws sequences with replacement, begun at a random token and played round and round, such that every
//! recorded token stands for as many tokens of a batch: a sequence of T tokens that plays p of them is drawn with a
//! probability in proportion to T/p. *Prefill-like*: a sequence gives as many tokens as the workload's sequences
//! have, or all, until the GPU has its tokens. *Decode-like*, where a sequence has one token a micro-batch: each
//! token of a GPU is a sequence, and micro-batches are its steps. A draw is the same for all layers, so layers are
//! as correlated as they were. A model with more layers than the recording begins again with its first.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use std::sync::Arc;

use crate::base::streams::Streams;
use crate::workload::{Recording, Workload};

/// Words of random numbers that one GPU may use of a stream.
const WINDOW_BITS: u32 = 32;

/// A recording, and how much of it each GPU plays.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    recording: Arc<Recording>,
    ffn: u16,
    tokens_per_gpu: u32,
    sequence_tokens: u32,
    picks: Picks,
}

/// Sequences by the probability with which they are drawn.
#[derive(Clone, Debug)]
struct Picks {
    /// Sums of T/p up to and with each sequence.
    sums: Vec<f64>,
}

impl Picks {
    fn of(recording: &Recording, sequence_tokens: u32) -> Self {
        let mut sum = 0.0;
        let weight =
            |length: usize| length as f64 / length.min(sequence_tokens as usize).max(1) as f64;
        let sums = recording.sequences().map(|tokens| {
            sum += weight(tokens.len());
            sum
        });
        Self { sums: sums.collect() }
    }

    fn pick(&self, rng: &mut ChaCha8Rng) -> usize {
        let at = rng.random::<f64>() * self.sums[self.sums.len() - 1];
        self.sums.partition_point(|&sum| sum <= at).min(self.sums.len() - 1)
    }
}

impl Replay {
    pub(super) fn new(workload: &Workload, recording: Arc<Recording>) -> Self {
        let experts = workload.model.experts;
        let (have, want) = (recording.top_k(), experts.top_k as usize);
        assert!(have == want, "a recording of {have} choices per token for {want}");
        let (have, most) = (recording.experts(), experts.total() as usize);
        assert!(have <= most, "a recording of {have} experts for {most}");
        assert!(recording.tokens() > 0, "a recording of no tokens");
        let picks = Picks::of(&recording, workload.batch.sequence_tokens);
        Self {
            recording,
            ffn: experts.ffn as u16,
            tokens_per_gpu: workload.batch.tokens_per_gpu,
            sequence_tokens: workload.batch.sequence_tokens,
            picks,
        }
    }

    /// Adds what one GPU's tokens chose.
    pub(super) fn counts(
        &self,
        streams: Streams,
        [layer, micro_batch]: [u32; 2],
        gpu: usize,
        chosen: &mut [u32],
        tokens: &mut [u32],
        drawn: &mut Option<Vec<u16>>,
    ) {
        let decode = self.sequence_tokens == 1;
        let batch = if decode { 0 } else { micro_batch };
        let mut rng = streams.named(&format!("gate/replay/micro_batch={batch}"));
        rng.set_word_pos((gpu as u128) << WINDOW_BITS);
        let layer = layer as usize % self.recording.layers();
        let mut left = self.tokens_per_gpu as usize;
        while left > 0 {
            let sequence = self.recording.sequence(self.picks.pick(&mut rng));
            let step = if decode { micro_batch as usize } else { 0 };
            let first = rng.random_range(0..sequence.len()) + step;
            let played = sequence.len().min(self.sequence_tokens as usize).min(left);
            left -= played;
            for at in first..first + played {
                let token = sequence.start + at % sequence.len();
                let ids = self.recording.chosen(token, layer);
                ids.iter().for_each(|&id| chosen[usize::from(id)] += 1);
                if let Some(drawn) = drawn {
                    drawn.extend(ids);
                }
                tokens[ids.iter().filter(|&&id| id < self.ffn).count()] += 1;
            }
        }
    }
}
