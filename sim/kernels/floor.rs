//! The least that experts can take: what physics leaves no kernel below.
//!
//! With the terms of [`super::experts`], peaks F and B of the data sheet, and the share h of weights that a
//! benchmark finds in its cache,
//!
//! ```text
//!   T >= max( b·A·(G + 1)·H·I·(1 − h) / B,   2·S·(G + 1)·H·I / F )                            (1)
//! ```
//!
//! Some measured rows lie below it: they were timed with fewer experts active than their law says, or
//! with weights still in a cache. No prediction follows them there.

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
