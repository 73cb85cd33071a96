//! What a transformer layer does beside its experts: attention, norms, residuals, dense and shared
//! feed-forward networks; and, once for a micro-batch, leading dense layers, embedding and output.
//!
//! With `T` tokens, hidden size `D`, `h` heads of size `a`, `g` of them with keys and values, `S` tokens
//! of context:
//!
//! ```text
//! grouped attention   gemm(T, (h + 2g)·a, D) + gemm(T, D, h·a)                     [ainslie23]    (1)
//! latent attention    gemm(T, r_q, D) + gemm(T, h·(a+p), r_q) + gemm(T, r_kv + p, D)
//!                     + gemm(T, 2·h·a, r_kv) + gemm(T, D, h·a)                     [deepseekv2]   (2)
//! products            ½·[gemm(T·h, S, a + p) + gemm(T·h, a, S)],  p = 0 in (1)                    (3)
//!                     times Σ min(i, w) / Σ i, i = 1…S, in layers with a window of w tokens
//! norms, adds         two norms (read and write D) and two residual adds (3D) a token             (4)
//! dense network of H  2·gemm(T, H, D) + gemm(T, D, H)  and 5H bytes·b a token                     (5)
//! embedding           read and write D a token;   output  gemm(T, V, D)                           (6)
//! ```
//!
//! Where a workload says that it is a prefill, (6) computes the output of each prompt's last token
//! alone, T/S rows, as serving engines do.
//!
//! (3) takes S×S attention of every head as one tall product at the measured rate of that product,
//! halved because causal attention skips half of it; scores stay on chip, as in fused attention.
//! Half the tall product is optimistic for short sequences, where a fused kernel skips less.
//! A window [gptoss25] scores fewer pairs at the same rate. That is optimistic for windows of
//! few tokens, where a kernel's tiles reach beyond the window: up to twice the work for one of 128.

use super::KernelTimes;
use crate::base::units::{Bytes, SimDuration};
use crate::execution::blame::{Op, Reason};
use crate::workload::{Attention, Phase, SlidingWindow, Workload};

/// Everything before the gate that is not the MoE layer, for one layer of one micro-batch on one
/// GPU: attention, (4), and in the first layer the embedding of (6) and the leading dense layers.
///
/// `layer` counts layers with experts, from 0.
#[must_use]
pub fn dense_op(workload: &Workload, kernels: &dyn KernelTimes, layer: u32) -> Op {
    let Workload { model, batch, .. } = workload;
    let leading = model.dense.leading_layers;
    let block = |layer: u32| {
        let window = model.sliding_window.filter(|window| window.limits(layer));
        attention(workload, kernels, window)
    };
    let mut time = block(leading + layer);
    if layer == 0 {
        let dense = network(workload, kernels, model.dense.intermediate);
        time += (0..leading).map(|layer| block(layer) + dense).sum();
        let elements = 2 * u64::from(batch.tokens_per_gpu) * u64::from(model.hidden);
        time += kernels.memory_bound(Bytes(elements * batch.dtype.bytes()), 1);
    }
    Op { reason: Reason::Dense, time }
}

/// What runs beside the experts of a layer because of the shortcut connection: a second attention
/// and two dense networks; nothing in models without it.
#[must_use]
pub fn shortcut_op(workload: &Workload, kernels: &dyn KernelTimes) -> Op {
    let dense = workload.model.dense;
    let time = if dense.shortcut {
        attention(workload, kernels, None) + network(workload, kernels, dense.intermediate).times(2)
    } else {
        SimDuration::ZERO
    };
    Op { reason: Reason::Dense, time }
}

/// The experts that every token has on its own GPU, as one network (5); nothing without any.
#[must_use]
pub fn shared_op(workload: &Workload, kernels: &dyn KernelTimes) -> Op {
    let time = network(workload, kernels, workload.model.dense.shared);
    Op { reason: Reason::SharedExperts, time }
}

/// The output of (6), after the last layer of one micro-batch on one GPU.
#[must_use]
pub fn output_op(workload: &Workload, kernels: &dyn KernelTimes) -> Op {
    let Workload { model, batch, .. } = workload;
    let gemm = kernels.gemm(model.vocabulary, model.hidden, batch.dtype);
    let rows = match workload.stack.phase {
        Some(Phase::Prefill) => workload.sequences_per_gpu().into(),
        _ => batch.tokens_per_gpu.into(),
    };
    Op { reason: Reason::Dense, time: gemm(rows) }
}

/// (1) or (2), (3) and (4), in a layer with this window.
fn attention(
    workload: &Workload,
    kernels: &dyn KernelTimes,
    window: Option<SlidingWindow>,
) -> SimDuration {
    let Workload { model, batch, .. } = workload;
    let (tokens, dtype) = (u64::from(batch.tokens_per_gpu), batch.dtype);
    let (d, dim, heads) = (model.hidden, model.head_dim, model.heads);
    let (sequence, rows) = (batch.sequence_tokens, tokens * u64::from(heads));
    let gemm = |m, n, k| kernels.gemm(n, k, dtype)(m);
    let output = gemm(tokens, d, heads * dim);
    let (projections, rope) = match model.attention {
        Attention::Grouped { key_value_heads } => {
            (gemm(tokens, (heads + 2 * key_value_heads) * dim, d) + output, 0)
        }
        Attention::Latent { query_rank, key_value_rank, rope_dim } => {
            let queries =
                gemm(tokens, query_rank, d) + gemm(tokens, heads * (dim + rope_dim), query_rank);
            let keys_and_values = gemm(tokens, key_value_rank + rope_dim, d)
                + gemm(tokens, 2 * heads * dim, key_value_rank);
            (queries + keys_and_values + output, rope_dim)
        }
    };
    let both = gemm(rows, sequence, dim + rope) + gemm(rows, dim, sequence);
    let whole = SimDuration::from_ps(both.ps().div_ceil(2));
    let products = window.map_or(whole, |window| whole.scaled(window.scored_share(sequence)));
    let elements = 10 * tokens * u64::from(d);
    projections + products + kernels.memory_bound(Bytes(elements * dtype.bytes()), 4)
}

/// (5), of intermediate size `inter`; nothing of none.
fn network(workload: &Workload, kernels: &dyn KernelTimes, inter: u32) -> SimDuration {
    if inter == 0 {
        return SimDuration::ZERO;
    }
    let Workload { model, batch, .. } = workload;
    let tokens = u64::from(batch.tokens_per_gpu);
    let gemm = |n, k| kernels.gemm(n, k, batch.dtype)(tokens);
    let elements = 5 * tokens * u64::from(inter);
    let activation = kernels.memory_bound(Bytes(elements * batch.dtype.bytes()), 2);
    gemm(inter, model.hidden).times(2) + gemm(model.hidden, inter) + activation
}
