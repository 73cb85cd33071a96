//! What a transformer layer does beside its experts: attention, norms, residuals, dense and shared
//! feed-forward networks; and, once for a micro-batch, leading dense layers, embedding and output.
//!
//! With `T` tokens, hidden size `D`, `h` heads of size `a` and values of size `v`, `g` of them with keys and
//! values, `S` tokens of context:
//!
//! ```text
//! grouped attention   gemm(T, (h + g)·a + g·v, D) + gemm(T, D, h·v)                [ainslie23]    (1)
//! latent attention    gemm(T, r_q, D) + gemm(T, h·(a+p), r_q) + gemm(T, r_kv + p, D)
//!                     + gemm(T, h·(a + v), r_kv) + gemm(T, D, h·v)                 [deepseekv2]   (2)
//!                     queries without a bottleneck: gemm(T, h·(a+p), D) for its two products
//! scores              ½·T·h·S·min(2, 1 + 900/S) pairs of keys of a + p and values of v,  p = 0 in (1)   (3)
//!                     times Σ min(i, w + 128) / Σ i, i = 1…S, in layers with a window of w tokens (`scores`)
//! norms, adds         two norms (read and write D) and two residual adds (3D) a token, and positions:
//!                     2·(h + g)·a, latent h·(4a + 3p), read and written                            (4)
//! dense network of H  2·gemm(T, H, D) + gemm(T, D, H)  and 5H bytes·b a token                     (5)
//! embedding           read and write D a token;   output  gemm(T, V, D)                           (6)
//! draft               gemm(T, D, 2D), the embedding and two norms, a layer and an output  [deepseekv3, §2.2]   (6')
//! ```
//!
//! In speculative decoding a step checks the drafts of each sequence beside its own token and makes as many anew, each by
//! (6'). Later drafts have one token a sequence and are charged with as many as the first: of k drafts and L layers at most
//! (k − 1)·k/(k + 1) of L + k layers too much, 2.3 % of a step with three drafts and 61 layers.
//!
//! Where a workload says that it is a prefill, (6) computes the output of each prompt's last token
//! alone, T/S rows, as serving engines do.
//!
//! (3) goes by `attention`, equation (1). Causal attention skips half of the pairs, less the tiles on the diagonal and what an uneven load leaves idle: published rates of
//! FlashAttention on B200, head of 128, are 0.54, 0.69 and 0.80 of those without a mask at 1,024, 2,048 and
//! 4,096 tokens [flashattention, pull request 2605], which is 1/(1 + 900/S) within 5 %.
//! In decode each of `q` sequences scores its `C` tokens of context and its own, S' = C + T/q in all:
//!
//! ```text
//!   max( gemm(T·h, S', a + p) + gemm(T·h, v, S'),  2·q·S'·g·(a + v)/W )                           (3')
//! ```
//!
//! W the memory's rate; latent attention reads r_kv + p numbers a token instead of g·(a + v) and, its
//! projections absorbed into queries and outputs [deepseekv2, §2.1.2], has a = v = r_kv. A window keeps S' to itself. Without
//! `batch.context` a decode batch sees its own tokens alone, and the report says so.
//!
//! A window [gptoss25] scores fewer pairs, in tiles that reach beyond it, and does not hide what it reads and writes.
//!
//! With `t` GPUs of tensor parallelism [megatron19], products have the rows of all `t`, and a `t`-th of the heads,
//! of H and of V each; the bottlenecks of latent attention are computed by all. What gathers rows before
//! products and scatters their sums after is `collectives`'s matter.
//!
//! Norms, adds and the output stay in 16 bits where the model computes in fp8, and (3) where its own format says nothing
//! else, `batch.attention_dtype`, in which keys and values are kept too; backward in 16 bits all the same. A product
//! in fp8 has its input quantised by a kernel of its own, which reads 2 bytes an element and writes 1; training writes
//! a transposed copy too, for the weight gradients [transformerengine]                              (7)
//!
//! Backward, derived from the same tables and never measured by themselves:
//!
//! ```text
//! product of (m, n, k)   input gradients  gemm(m, k, n);   weight gradients  max(gemm(n, k, m), 2·b_g·n·k bytes)  (8)
//! products (3)           3 times forward: five products for two [flashattention2] at 0.83 of the rate          (9)
//! norms, adds, activation  twice the forward traffic;   output  10 bytes a logit more (loss in 32 bits)       (10)
//! ```
//!
//! Selective recomputation moves the traffic of (10) once more; recomputing up-projections adds the forward products out
//! of the bottlenecks of (2), gemm(T, h·(a+p), r_q) and gemm(T, h·(a + v), r_kv). Left out: quantising the weights of dense
//! products, once a step.
//!
//! The 2·b_g bytes of (8) read and write a gradient that micro-batches add up in b_g bytes, 4 unless the workload
//! says otherwise; the kernel hides the shorter of the two. The rate in (9) is FlashAttention's on B200, 1,209 TFLOP/s for 1,418 forward [flashattention,
//! pull request 2280].

mod scores;

use super::{KernelTimes, PLAIN};
use crate::base::units::{Bytes, SimDuration};
use crate::execution::blame::{Op, Reason};
use crate::workload::{Attention, Dtype, Phase, Recompute, SlidingWindow, Workload};
use scores::{scores, scores_backward};

/// A pass of a layer's dense parts: forward, or what the backward pass adds for inputs and for weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gradient {
    /// None: the forward pass.
    None,
    /// Of inputs.
    Inputs,
    /// Of weights.
    Weights,
}

/// Everything before the gate that is not the MoE layer, for one layer of one micro-batch on one
/// GPU: attention, (4), and in the first layer the embedding of (6) and the leading dense layers.
///
/// `layer` counts layers with experts, from 0.
#[must_use]
pub fn dense_op(workload: &Workload, kernels: &dyn KernelTimes, layer: u32) -> Op {
    Op { reason: Reason::Dense, time: dense_time(workload, kernels, layer, Gradient::None) }
}

/// The same backward.
#[must_use]
pub fn dense_backward(
    workload: &Workload,
    kernels: &dyn KernelTimes,
    layer: u32,
    gradient: Gradient,
) -> Op {
    Op { reason: Reason::DenseBackward, time: dense_time(workload, kernels, layer, gradient) }
}

fn dense_time(
    workload: &Workload,
    kernels: &dyn KernelTimes,
    layer: u32,
    gradient: Gradient,
) -> SimDuration {
    let model = &workload.model;
    let leading = model.dense.leading_layers;
    let block = |layer: u32| {
        let window = model.sliding_window.filter(|window| window.limits(layer));
        attention(workload, kernels, window, gradient)
    };
    let at = model.layer_number(layer);
    let in_front = at - model.dense.between..at;
    let mut time = block(at);
    if layer == 0 || !in_front.is_empty() {
        let dense = network(workload, kernels, model.dense.intermediate, gradient);
        let leading = if layer == 0 { 0..leading } else { 0..0 };
        time += leading.chain(in_front).map(|layer| block(layer) + dense).sum();
    }
    let embedded = u64::from(workload.computed_tokens()) * u64::from(model.hidden) * PLAIN.bytes();
    if layer == 0 && gradient != Gradient::Inputs {
        time += kernels.memory_bound(Bytes(2 * embedded), 1);
    }
    if layer >= model.layers {
        let rows = workload.computed_tokens().into();
        let joined = Product { rows, n: model.hidden, k: 2 * model.hidden };
        time += kernels.memory_bound(Bytes(6 * embedded), 3)
            + products(workload, kernels, &[joined], gradient);
    }
    time
}

/// What runs beside the experts of a layer because of the shortcut connection: a second attention
/// and two dense networks; nothing in models without it.
#[must_use]
pub fn shortcut_op(workload: &Workload, kernels: &dyn KernelTimes) -> Op {
    Op { reason: Reason::Dense, time: shortcut_time(workload, kernels, Gradient::None) }
}

/// The same backward.
#[must_use]
pub fn shortcut_backward(workload: &Workload, kernels: &dyn KernelTimes) -> Op {
    let of = |gradient| shortcut_time(workload, kernels, gradient);
    Op { reason: Reason::DenseBackward, time: of(Gradient::Inputs) + of(Gradient::Weights) }
}

fn shortcut_time(
    workload: &Workload,
    kernels: &dyn KernelTimes,
    gradient: Gradient,
) -> SimDuration {
    let dense = workload.model.dense;
    if !dense.shortcut {
        return SimDuration::ZERO;
    }
    attention(workload, kernels, None, gradient)
        + network(workload, kernels, dense.intermediate, gradient).times(2)
}

/// The experts that every token has on its own GPU, as one network (5); nothing without any.
#[must_use]
pub fn shared_op(workload: &Workload, kernels: &dyn KernelTimes) -> Op {
    let time = own_network(workload, kernels, Gradient::None);
    Op { reason: Reason::SharedExperts, time }
}

/// The same backward.
#[must_use]
pub fn shared_backward(workload: &Workload, kernels: &dyn KernelTimes) -> Op {
    let of = |gradient| own_network(workload, kernels, gradient);
    Op { reason: Reason::LocalBackward, time: of(Gradient::Inputs) + of(Gradient::Weights) }
}

/// The output of (6), after the last layer of one micro-batch on one GPU.
#[must_use]
pub fn output_op(workload: &Workload, kernels: &dyn KernelTimes) -> Op {
    let output = output_product(workload);
    Op { reason: Reason::Dense, time: output.time((workload, kernels), PLAIN, Gradient::None) }
}

/// The same backward, with the loss.
#[must_use]
pub fn output_backward(workload: &Workload, kernels: &dyn KernelTimes) -> Op {
    let output = output_product(workload);
    let of = |gradient| output.time((workload, kernels), PLAIN, gradient);
    let loss = kernels.memory_bound(Bytes(10 * output.rows * u64::from(output.n)), 3);
    let time = of(Gradient::Inputs) + of(Gradient::Weights) + loss;
    Op { reason: Reason::DenseBackward, time }
}

fn output_product(workload: &Workload) -> Product {
    let Workload { model, layout, .. } = workload;
    let shared = layout.tensor_parallel;
    let rows: u64 = match workload.phase() {
        Phase::Prefill => workload.sequences_per_gpu().into(),
        Phase::Training | Phase::Decode => workload.computed_tokens().into(),
    };
    let rows = rows * u64::from(shared);
    Product { rows, n: model.vocabulary.div_ceil(shared), k: model.hidden }
}

/// A dense product.
#[derive(Clone, Copy, Debug)]
struct Product {
    rows: u64,
    n: u32,
    k: u32,
}

impl Product {
    /// The product, or one of (8).
    fn time(
        self,
        (workload, kernels): (&Workload, &dyn KernelTimes),
        dtype: Dtype,
        gradient: Gradient,
    ) -> SimDuration {
        let Self { rows, n, k } = self;
        match gradient {
            Gradient::None => kernels.gemm(n, k, dtype)(rows),
            Gradient::Inputs => kernels.gemm(k, n, dtype)(rows),
            Gradient::Weights => {
                let inner = u32::try_from(rows).unwrap_or(u32::MAX);
                let product = kernels.gemm(k, inner, dtype)(n.into());
                let moved = 2 * workload.training.gradient_bytes * u64::from(n) * u64::from(k);
                product.max(kernels.memory_bound(Bytes(moved), 1))
            }
        }
    }
}

/// All products of one kind of layer in one pass, (7) included.
fn products(
    workload: &Workload,
    kernels: &dyn KernelTimes,
    of: &[Product],
    gradient: Gradient,
) -> SimDuration {
    let dtype = workload.batch.dtype;
    let each = |product: &Product| {
        let time = product.time((workload, kernels), dtype, gradient);
        let quantised = match gradient {
            Gradient::None => product.rows * u64::from(product.k),
            Gradient::Inputs => product.rows * u64::from(product.n),
            Gradient::Weights => 0,
        };
        time + quantising(workload, kernels, quantised)
    };
    of.iter().map(each).sum()
}

/// (7) for this number of elements.
pub(super) fn quantising(
    workload: &Workload,
    kernels: &dyn KernelTimes,
    elements: u64,
) -> SimDuration {
    if workload.batch.dtype == PLAIN || elements == 0 {
        return SimDuration::ZERO;
    }
    let copies = if workload.stack.phase == Some(Phase::Training) { 2 } else { 1 };
    kernels.memory_bound(Bytes(elements * (PLAIN.bytes() + copies)), 1)
}

/// (1) or (2), (3) and (4), in a layer with this window.
fn attention(
    workload: &Workload,
    kernels: &dyn KernelTimes,
    window: Option<SlidingWindow>,
    gradient: Gradient,
) -> SimDuration {
    let Workload { model, batch, layout, .. } = workload;
    let shared = layout.tensor_parallel;
    let tokens = u64::from(workload.computed_tokens());
    let rows = tokens * u64::from(shared);
    let seeing = u64::from(batch.tokens_per_gpu) * u64::from(shared);
    let (d, dim, heads) = (model.hidden, model.head_dim, model.heads.div_ceil(shared));
    let (projections, rope) = projections(workload, rows);
    let scored = (seeing * u64::from(heads), rope);
    let positions = match model.attention {
        Attention::Grouped { key_value_heads } => {
            2 * u64::from(heads + key_value_heads.div_ceil(shared)) * u64::from(dim)
        }
        Attention::Latent { rope_dim, .. } => u64::from(heads) * u64::from(4 * dim + 3 * rope_dim),
    };
    let elements = 10 * tokens * u64::from(d) + rows * positions;
    let moved = |times: u64, launches| {
        kernels.memory_bound(Bytes(times * elements * PLAIN.bytes()), launches)
    };
    let rest = match gradient {
        Gradient::None => {
            scores(workload, kernels, (scored, batch.attention_dtype), window) + moved(1, 4)
        }
        // (9) and (10).
        Gradient::Inputs => {
            let made_again = recomputed_projections(workload, &projections);
            let made_again = products(workload, kernels, &made_again, Gradient::None);
            let scores = scores_backward(workload, kernels, scored, window);
            scores + moved(2 + again(workload), 4) + made_again
        }
        Gradient::Weights => SimDuration::ZERO,
    };
    products(workload, kernels, &projections, gradient) + rest
}

/// The projections of (1) or (2) over this number of rows, and p.
fn projections(workload: &Workload, rows: u64) -> (Vec<Product>, u32) {
    let (model, shared) = (&workload.model, workload.layout.tensor_parallel);
    let (d, dim, heads) = (model.hidden, model.head_dim, model.heads.div_ceil(shared));
    let product = |n, k| Product { rows, n, k };
    let value = model.value_dim;
    let output = product(d, heads * value);
    match model.attention {
        Attention::Grouped { key_value_heads } => {
            let pairs = key_value_heads.div_ceil(shared);
            (vec![product((heads + pairs) * dim + pairs * value, d), output], 0)
        }
        Attention::Latent { query_rank, key_value_rank, rope_dim } => {
            let queries = heads * (dim + rope_dim);
            let queries = query_rank.map_or_else(
                || vec![product(queries, d)],
                |rank| vec![product(rank, d), product(queries, rank)],
            );
            let pairs = [
                product(key_value_rank + rope_dim, d),
                product(heads * (dim + value), key_value_rank),
            ];
            ([&queries[..], &pairs[..], &[output]].concat(), rope_dim)
        }
    }
}

/// How often kernels that only move memory run again in the backward pass: once where norms and activations
/// are recomputed.
pub(super) fn again(workload: &Workload) -> u64 {
    u64::from(workload.training.recompute.moves_again())
}

/// Of the projections of (2), those out of bottlenecks, where they are computed again.
fn recomputed_projections(workload: &Workload, projections: &[Product]) -> Vec<Product> {
    let ranks = match workload.model.attention {
        Attention::Latent { query_rank, key_value_rank, .. } => [query_rank, Some(key_value_rank)],
        Attention::Grouped { .. } => [None; 2],
    };
    let again = workload.training.recompute == Recompute::UpProjections;
    let made = |product: &&Product| again && ranks.contains(&Some(product.k));
    projections.iter().filter(made).copied().collect()
}

/// (5) of the rows of all GPUs that share products, of intermediate size `inter`; nothing of none.
fn network(
    workload: &Workload,
    kernels: &dyn KernelTimes,
    inter: u32,
    gradient: Gradient,
) -> SimDuration {
    let shared = workload.layout.tensor_parallel;
    let rows = u64::from(workload.computed_tokens()) * u64::from(shared);
    feed_forward(workload, kernels, (rows, inter.div_ceil(shared)), gradient)
}

/// (5) of a GPU's own tokens: shared experts are on every GPU.
fn own_network(workload: &Workload, kernels: &dyn KernelTimes, gradient: Gradient) -> SimDuration {
    let rows = workload.computed_tokens().into();
    feed_forward(workload, kernels, (rows, workload.model.dense.shared), gradient)
}

fn feed_forward(
    workload: &Workload,
    kernels: &dyn KernelTimes,
    (rows, inter): (u64, u32),
    gradient: Gradient,
) -> SimDuration {
    if inter == 0 {
        return SimDuration::ZERO;
    }
    let hidden = workload.model.hidden;
    let up = Product { rows, n: inter, k: hidden };
    let down = Product { rows, n: hidden, k: inter };
    let moves = u64::from(workload.model.activation_moves());
    let elements = moves * rows * u64::from(inter);
    let moved = |times: u64| kernels.memory_bound(Bytes(times * elements * PLAIN.bytes()), 2);
    let activation = match gradient {
        Gradient::None => moved(1),
        Gradient::Inputs => moved(2 + again(workload)),
        Gradient::Weights => SimDuration::ZERO,
    };
    let all = [up, up, down];
    let all = if workload.model.gated { &all[..] } else { &all[1..] };
    products(workload, kernels, all, gradient) + activation
}
