//! Orders of forward and backward passes on the stages of a pipeline.
//!
//! A stage holds one or more chunks of layers. A schedule is the list of passes of one stage, each of one
//! micro-batch through one chunk; which stage has what before and after a chunk is [`Chunks`]. With `p` stages,
//! `M` micro-batches and equal stages of forward time F, backward time B and weight-gradient time W, the
//! time for which a stage idles is
//!
//! ```text
//!   1F1B                 (p − 1)·(F + B + W)                       [pipedream]           (1)
//!   interleaved, v chunks  (p − 1)·(F + B + W)/v                   [megatron21]          (2)
//!   ZB-H1                (p − 1)·(F + B − W)                       [zerobubble]          (3)
//!   DualPipe             (p/2 − 1)·(F&B + B − 3W)                  [deepseekv3, Table 2] (4)
//! ```
//!
//! where F&B is a forward and a backward pass that run together. `tests/property` holds (1) to (3) to them.

mod dualpipe;
mod interleaved;
mod one_forward_one_backward;
mod zero_bubble;

use crate::workload::{PipelineSchedule, Training};

/// A micro-batch in a chunk of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// Which micro-batch.
    pub micro_batch: u32,
    /// Which chunk of the stage.
    pub chunk: u32,
}

/// One pass of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Forward.
    Forward(Part),
    /// Backward, weight gradients included.
    Backward(Part),
    /// Backward, input gradients alone.
    Inputs(Part),
    /// Weight gradients of an earlier [`Pass::Inputs`].
    Weights(Part),
    /// A forward pass of one micro-batch together with a backward pass of another.
    Pair {
        /// The forward pass.
        forward: Part,
        /// The backward pass, weight gradients included.
        backward: Part,
    },
}

/// The passes of a stage, in order.
///
/// # Panics
/// If the numbers do not suit the schedule, which `config` has checked.
#[must_use]
pub fn passes(training: &Training, stage: u32, stages: u32, micro_batches: u32) -> Vec<Pass> {
    match training.schedule {
        PipelineSchedule::OneForwardOneBackward if training.chunks > 1 => {
            interleaved::passes(stage, (stages, training.chunks), micro_batches, training.paired)
        }
        PipelineSchedule::OneForwardOneBackward => {
            one_forward_one_backward::passes(stage, stages, micro_batches, training.paired)
        }
        PipelineSchedule::ZeroBubbleH1 => zero_bubble::passes(stage, stages, micro_batches),
        PipelineSchedule::DualPipe => dualpipe::passes(stage, stages, micro_batches),
    }
}

/// Which parts of the model the chunks of stages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunks {
    stages: u32,
    chunks: u32,
    /// Whether chunk 1 goes through the stages the other way, as DualPipe's does.
    both_ways: bool,
}

impl Chunks {
    /// Those of a training step on this many stages.
    #[must_use]
    pub fn new(training: &Training, stages: u32) -> Self {
        let both_ways = training.schedule == PipelineSchedule::DualPipe;
        Self { stages, chunks: if both_ways { 2 } else { training.chunks }, both_ways }
    }

    /// Chunks of each stage.
    #[must_use]
    pub const fn of_stage(&self) -> u32 {
        self.chunks
    }

    /// Parts that the model is cut into.
    #[must_use]
    pub const fn parts(&self) -> u32 {
        if self.both_ways { self.stages } else { self.stages * self.chunks }
    }

    /// Which part of the model a chunk of a stage is.
    #[must_use]
    pub const fn part(&self, stage: u32, chunk: u32) -> u32 {
        match (self.both_ways, chunk) {
            (true, 0) => stage,
            (true, _) => self.stages - 1 - stage,
            (false, _) => chunk * self.stages + stage,
        }
    }

    /// The stage and chunk that hold the part before or after, for what enters in the same direction.
    #[must_use]
    pub const fn neighbour(&self, stage: u32, chunk: u32, after: bool) -> Option<(u32, u32)> {
        let part = self.part(stage, chunk);
        if (after && part + 1 == self.parts()) || (!after && part == 0) {
            return None;
        }
        let part = if after { part + 1 } else { part - 1 };
        Some(match (self.both_ways, chunk) {
            (true, 0) => (part, 0),
            (true, _) => (self.stages - 1 - part, 1),
            (false, _) => (part % self.stages, part / self.stages),
        })
    }
}

/// Layers of each part of a model with this many layers, the first and the last part, which have the embedding and the
/// output, being the last to get one more.
#[must_use]
pub fn spread(layers: u32, parts: u32) -> Vec<u32> {
    let mut spread = vec![layers / parts; parts as usize];
    let rest = (layers % parts) as usize;
    let middle = (1..parts as usize).take(rest);
    middle.for_each(|part| spread[part] += 1);
    spread
}
