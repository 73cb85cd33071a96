//! What a transformer layer does beside its MoE layer: attention, norms, residuals; and, once for a
//! micro-batch, embedding and output.
//!
//! ```text
//! projections   gemm(T, 3A, D) + gemm(T, D, A),  A = heads·head_dim                             (1)
//! attention     ½·[gemm(T·heads, S, head_dim) + gemm(T·heads, head_dim, S)]                     (2)
//! norms, adds   two norms (read and write D) and two residual adds (3D) a token                 (3)
//! embedding     read and write D a token;   output  gemm(T, V, D)                               (4)
//! ```
//!
//! (2) takes S×S attention of every head as one tall product at the measured rate of that product,
//! halved because causal attention skips half of it; scores stay on chip, as in fused attention.
//! Half the tall product is optimistic for short sequences, where a fused kernel skips less.

use super::KernelTimes;
use crate::blame::{Op, Reason};
use crate::units::{Bytes, SimDuration};
use crate::workload::Workload;

/// Time of everything that is not the MoE layer, for one layer of one micro-batch on one GPU.
#[must_use]
pub fn dense_ops(workload: &Workload, kernels: &dyn KernelTimes, ends: Ends) -> Op {
    let Workload { model, batch, .. } = workload;
    let (tokens, dtype) = (u64::from(batch.tokens_per_gpu), batch.dtype);
    let (d, heads) = (u64::from(model.hidden), u64::from(model.heads));
    let (dim, sequence) = (u64::from(model.head_dim), u64::from(batch.sequence_tokens));
    let gemm = |m, n, k| kernels.gemm(m, n, k, dtype);
    let touch =
        |elements: u64, launches| kernels.memory_bound(Bytes(elements * dtype.bytes()), launches);

    let projections = gemm(tokens, 3 * heads * dim, d) + gemm(tokens, d, heads * dim);
    let both = gemm(tokens * heads, sequence, dim) + gemm(tokens * heads, dim, sequence);
    let attention = SimDuration::from_ps(both.ps().div_ceil(2));
    let mut time = projections + attention + touch(10 * tokens * d, 4);
    if ends.first_layer {
        time += touch(2 * tokens * d, 1);
    }
    if ends.last_layer {
        time += gemm(tokens, u64::from(model.vocabulary), d);
    }
    Op { reason: Reason::Dense, time }
}

/// Whether a layer is the model's first or last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The embedding comes before it.
    pub first_layer: bool,
    /// The output comes after it.
    pub last_layer: bool,
}
