//! Replaying a recording: sequences drawn from it, their choices as they were.
//!
//! Each GPU draws sequences with replacement. *Prefill-like*: a sequence gives its first tokens, as
//! many as the workload's sequences have, until the GPU has its tokens. *Decode-like*, where a sequence
//! has one token a micro-batch: each token of a GPU is a sequence, begun at a random token, and
//! micro-batches are its steps, round and round. A draw is the same for all layers, so layers are as
//! correlated as they were. A model with more layers than the recording begins again with its first.

use rand::RngExt;

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
}

impl Replay {
    pub(super) fn new(workload: &Workload, recording: Arc<Recording>) -> Self {
        let experts = workload.model.experts;
        let (have, want) = (recording.top_k(), experts.top_k as usize);
        assert!(have == want, "a recording of {have} choices per token for {want}");
        let (have, most) = (recording.experts(), experts.total() as usize);
        assert!(have <= most, "a recording of {have} experts for {most}");
        assert!(recording.tokens() > 0, "a recording of no tokens");
        Self {
            recording,
            ffn: experts.ffn as u16,
            tokens_per_gpu: workload.batch.tokens_per_gpu,
            sequence_tokens: workload.batch.sequence_tokens,
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
            let sequence =
                self.recording.sequence(rng.random_range(0..self.recording.sequences().len()));
            let played = if decode {
                let at = rng.random_range(0..sequence.len()) + micro_batch as usize;
                let token = sequence.start + at % sequence.len();
                token..token + 1
            } else {
                let length = sequence.len().min(self.sequence_tokens as usize).min(left);
                sequence.start..sequence.start + length
            };
            left -= played.len();
            for token in played {
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
