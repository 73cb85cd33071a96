//! Activations that clamp what they are given, where products do not apply them.
//!
//! Megatron-LM clamps both halves of a row of `2·I` numbers by PyTorch's own operations, before the kernel of the
//! activation: gpt-oss's gate from above, what it multiplies from both sides [megatronlm: `weighted_bias_quick_geglu_impl` of
//! `fusions/fused_bias_geglu.py`]. With `m` rows in all, 16 bits a number, masks of 8:
//!
//! ```text
//! forward    both halves     clamped, each                          2 read, 2 written
//!                            put together                           4 read, 4 written     16·I bytes a row, 3 kernels   (1)
//! backward   the gate's      ≤, chosen by it                        2 + 3 read, 1 + 2 written
//!            the other       ≥, ≤, and, chosen by it                4 + 2 + 3 read, 3 + 2 written
//!            both            put together                           4 read, 4 written     30·I bytes a row, 7 kernels   (2)
//! ```
//!
//! (1) runs again in the backward pass where activations are computed again. Left out: that the clamped rows are kept beside
//! those before. Kernels are charged as the profile measures such: bytes at the rate of those that only move memory, and each with
//! its launch. Products with another epilogue clamp within the kernel that activates, for nothing.

use super::{LayerCost, dense};
use crate::base::units::{Bytes, SimDuration};
use crate::workload::Epilogue;

/// Bytes for each number of one half, and kernels: (1) and (2).
const FORWARD: [u64; 2] = [16, 3];
const BACKWARD: [u64; 2] = [30, 7];

impl LayerCost<'_> {
    /// (1) for so many rows.
    pub(super) fn clamped(&self, rows: u64) -> SimDuration {
        self.clamping(rows, FORWARD)
    }

    /// (2), and (1) once more where that is computed again.
    pub(super) fn clamped_backward(&self, rows: u64) -> SimDuration {
        let again = dense::again(self.workload);
        let both = [0, 1].map(|of| BACKWARD[of] + again * FORWARD[of]);
        self.clamping(rows, both)
    }

    fn clamping(&self, rows: u64, [moved, kernels]: [u64; 2]) -> SimDuration {
        let (model, stack) = (&self.workload.model, &self.workload.stack);
        let apart = model.clamped_activation && model.gated && stack.epilogue == Epilogue::Plain;
        if !apart || self.grouped.is_none() || rows == 0 {
            return SimDuration::ZERO;
        }
        let bytes = Bytes(moved * rows * u64::from(self.workload.expert_columns()));
        self.kernels.memory_bound(bytes, kernels as u32)
    }
}
