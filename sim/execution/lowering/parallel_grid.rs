//! How the GPUs are divided into groups and stages, and what they go through.

use crate::base::units::{Bytes, GpuId};
use crate::workload::Overlap;

/// How the GPUs are divided and what they go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParallelGrid {
    /// All GPUs.
    pub gpus: u32,
    /// GPUs in a group that shares one copy of the FFN experts.
    pub group: u32,
    /// GPUs of it that each expert is cut over, numbered one after another.
    pub split: u32,
    /// Pipeline stages, outermost in the numbering of GPUs.
    pub stages: u32,
    /// Rounds of gate, dispatch, experts and combine on each GPU: one a layer, or several.
    pub layers: u32,
    /// Micro-batches, one after another.
    pub micro_batches: u32,
    /// What exchanges run beside.
    pub overlap: Overlap,
    /// Whether tokens are sent to their experts; if not, a step begins with the experts.
    pub dispatches: bool,
    /// Bytes handed to the next stage after a micro-batch; `None` if stages do not wait.
    pub handover: Option<Bytes>,
}

impl ParallelGrid {
    /// The group of a GPU and its rank in it.
    #[must_use]
    pub const fn group_and_rank(&self, gpu: GpuId) -> (usize, usize) {
        ((gpu.0 / self.group) as usize, (gpu.0 % self.group) as usize)
    }

    /// The GPU of a rank in a group.
    #[must_use]
    pub const fn gpu(&self, group: usize, rank: usize) -> GpuId {
        GpuId(group as u32 * self.group + rank as u32)
    }

    /// GPUs of one pipeline stage.
    pub(super) const fn gpus_per_stage(&self) -> u32 {
        self.gpus / self.stages
    }

    /// The pipeline stage of a GPU.
    pub(super) const fn stage(&self, gpu: GpuId) -> u32 {
        gpu.0 / self.gpus_per_stage()
    }

    /// Cuts of a group that meet by themselves, none where experts are whole.
    pub(super) const fn cuts(&self) -> u32 {
        if self.split > 1 { self.group / self.split } else { 0 }
    }

    /// Steps of every GPU, layers and micro-batches together.
    pub const fn steps(&self) -> u32 {
        self.layers * self.micro_batches
    }
}
