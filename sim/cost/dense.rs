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

/// Everything before the gate that is not the MoE layer, for one layer of one micro-batch on one
/// GPU: (1) to (3), and in the first layer the embedding of (4).
#[must_use]
pub fn dense_op(workload: &Workload, kernels: &dyn KernelTimes, first_layer: bool) -> Op {
    let Workload { model, batch, .. } = workload;
    let (tokens, dtype) = (u64::from(batch.tokens_per_gpu), batch.dtype);
    let (d, dim, sequence) = (model.hidden, model.head_dim, batch.sequence_tokens);
    let (all_heads, rows) = (model.heads * dim, tokens * u64::from(model.heads));
    let gemm = |m, n, k| kernels.gemm(n, k, dtype)(m);
    let touch =
        |elements: u64, launches| kernels.memory_bound(Bytes(elements * dtype.bytes()), launches);

    let projections = gemm(tokens, 3 * all_heads, d) + gemm(tokens, d, all_heads);
    let both = gemm(rows, sequence, dim) + gemm(rows, dim, sequence);
    let attention = SimDuration::from_ps(both.ps().div_ceil(2));
    let mut time = projections + attention + touch(10 * tokens * u64::from(d), 4);
    if first_layer {
        time += touch(2 * tokens * u64::from(d), 1);
    }
    Op { reason: Reason::Dense, time }
}

/// The output of (4), after the last layer of one micro-batch on one GPU.
#[must_use]
pub fn output_op(workload: &Workload, kernels: &dyn KernelTimes) -> Op {
    let Workload { model, batch, .. } = workload;
    let gemm = kernels.gemm(model.vocabulary, model.hidden, batch.dtype);
    Op { reason: Reason::Dense, time: gemm(batch.tokens_per_gpu.into()) }
}
