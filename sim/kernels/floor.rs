//! The least that experts can take: what physics leaves no kernel below.
//!
//! With the terms of [`super::experts`], peaks F and B of the data sheet, and the share h of weights that a
//! benchmark finds in its cache,
//!
//! ```text
//!   T >= max( b·A·(G + 1)·H·I·(1 − h) / B,   2·S·(G + 1)·H·I / F )                            (1)
//! ```
//!
//! Some measured rows lie below it. Of balanced rows on one rank these are, on H100, 74 of 2,835, all of
//! DeepSeek-V3's shape in fp8_block, down to 0.56 of (1); on B200, 40 of that shape in TensorRT-LLM's
//! kernel; on L40S two, by 6 %; on A100 none. DeepSeek-V3's gate chooses 4 of 8 groups of experts, so
//! half of all weights explains these rows if the benchmark let all tokens choose the same groups. No
//! prediction follows them: in a run the counts say which experts are active.

use super::Device;
use super::experts::ExpertsShape;
use crate::kernels::profile::Precision;

/// The experts' work of one GPU.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// The format.
    pub precision: Precision,
    /// The experts.
    pub shape: ExpertsShape,
    /// S: rows computed.
    pub slots: u64,
    /// A: experts that compute any.
    pub active: u64,
}

impl Work {
    /// (1) in seconds, with the share of weights that is in the cache.
    #[must_use]
    pub fn seconds(&self, device: &Device, cached: f64) -> f64 {
        let matrices = if self.shape.gated { 3.0 } else { 2.0 };
        let [hidden, inter] = [self.shape.hidden, self.shape.inter].map(f64::from);
        let per_row = matrices * hidden * inter;
        let weights = self.precision.bytes() * self.active as f64 * per_row * (1.0 - cached);
        let arithmetic = 2.0 * self.slots as f64 * per_row;
        let by_memory = weights / device.memory_bandwidth.bytes_per_sec();
        by_memory.max(arithmetic / device.peak(self.precision).flops_per_sec())
    }
}
