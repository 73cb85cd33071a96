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

pub use crate::workload::{Chunks, spread};
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
