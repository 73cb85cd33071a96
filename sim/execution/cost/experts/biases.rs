//! Biases of grouped experts where their products do not add them.
//!
//! TransformerEngine adds biases in its products, but for those of the last, which Megatron-LM asks back: a result is
//! weighed by the gate before it is summed, and so is its bias [megatronlm: `_apply_bias` of moe/experts.py]. With hidden
//! size `D`, `m` rows in all, `A` local experts, and probabilities in 32 bits, each line one kernel, or one for each expert:
//!
//! ```text
//! forward    by expert   bias · probability    4 written
//!                        result + that         2 + 4 read, 4 written
//!            at once     put together          4 read, 4 written
//!                        back to 16 bits       4 read, 2 written       28·D bytes a row, 2·A + 2 kernels   (1)
//! backward   at once     to 32 bits            2 read, 4 written
//!            by expert   to 16 bits            4 read, 2 written
//!                        gradient · probability, its sum over rows      4 read, 4 written; 4 read
//!                        gradient · bias, its sum over columns          4 read, 4 written; 4 read
//!            at once     put together          2 read, 2 written       40·D bytes a row, 5·A + 2 kernels   (2)
//!            by expert   both bias gradients added up, next to no bytes                      2·A kernels   (3)
//! ```
//!
//! PyTorch runs these operation by operation; a number with one in 32 bits makes one of 32 bits. Kernels are charged as the
//! profile measures such: bytes at the rate of those that only move memory, and each with its launch.

use super::LayerCost;
use crate::base::units::{Bytes, SimDuration};
use crate::workload::Epilogue;

/// Bytes for each number of a result in (1) and (2).
const MOVED: [u64; 2] = [28, 40];

impl LayerCost<'_> {
    /// (1): biases of these rows of each expert.
    pub(super) fn biases(&self, rows: &[u32]) -> SimDuration {
        self.of_biases(rows, MOVED[0], 2 * rows.len() + 2)
    }

    /// (2) and (3).
    pub(super) fn biases_backward(&self, rows: &[u32]) -> SimDuration {
        self.of_biases(rows, MOVED[1], 7 * rows.len() + 2)
    }

    fn of_biases(&self, rows: &[u32], moved: u64, launches: usize) -> SimDuration {
        let apart = self.workload.stack.epilogue == Epilogue::Plain && self.workload.model.biases;
        let slots: u64 = rows.iter().map(|&m| u64::from(m)).sum();
        if !apart || self.grouped.is_none() || slots == 0 {
            return SimDuration::ZERO;
        }
        let bytes = Bytes(moved * slots * u64::from(self.workload.model.hidden));
        self.kernels.memory_bound(bytes, u32::try_from(launches).unwrap_or(u32::MAX))
    }
}
