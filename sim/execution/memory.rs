//! What lies in the memory of the fullest GPU: weights, caches, activations, buffers, optimiser states.
//!
//! With `L` layers with experts on a GPU's pipeline stage, hidden size `D`, intermediate size `H`, `T` own
//! tokens, `K` slots per token, `R` rows that the most loaded rank receives in the layer where it is most,
//! `b` bytes of a number (`b_d` on the way out, `b_c` on the way back, 2 where a format is not stated):
//!
//! ```text
//! FFN experts        L · places per rank · 3·D·H/t · b          redundant copies included           (1)
//!                    (2·H + D)/t more numbers each with biases
//! zero-computation   L · 3·D a constant expert · 2              on every rank
//! shared experts     L · 3·D·H_shared · b                       on every rank
//! attention          layers · projections · b, norms 2·D · 2    (all heads on every rank)
//! dense networks     3·D·H_dense · b each                       leading layers on the first stage, those
//!                                                               between layers with experts where these are
//! gates              L · network · 4                            fp32, as gates are computed
//! embedding, output  V·D · 2 on the first stage, and on the last; one table for both on a stage where tied
//! KV cache           layers · sequences · tokens · g·(a + v) · 2  grouped; latent: (r_kv + p) · 2   (2)
//! activations        max over a layer's parts of what is live   attention, dense network, experts  (3)
//! exchange buffers   T·K·D·(b_d + b_c) + R·D·(b_d + b_c)        sent and received, both legs        (4)
//!                    low latency: 2·[max(T·d, N·T·c) + max(N·T·d, N·T·c)],  d, c bytes of a row    (5)
//!                    where experts are cut over t: R/t received, and R gathered
//! training           gradients 4, master weights 4, two Adam moments 8 bytes a parameter            (6)
//!                    what a layer keeps for its backward pass · layers · micro-batches in flight,   (7)
//!                    logits T·V·6
//!                    with ZeRO-3 weights/n, and those of two layers gathered                        (8)
//! ```
//!
//! The live set of experts in (3) is the residual stream and its norm, 2·T·D·2, rows received, R·D·b_d, the
//! two inner products, 2·R·H·2, the activation, R·H·b, and results, R·D·b_c. Of two halves that take turns one has its rows
//! while the other is at its widest, half of each; of r chunks one has its inner products, R/r for R. (5) is DeepEP's own formula, all
//! N experts of a layer having room for every token of a rank; other libraries take (4). Where each expert is cut over
//! t GPUs, R rows are those of all t, and H in (3) and (7) is the part of a GPU. (2) counts inference:
//! the tokens of `batch.context` and the batch's own, of as many micro-batches as are in flight at once,
//! min(micro-batches, stages). Layers with a window keep no more than the window. (6) is mixed precision
//! [micikevicius18], 2 bytes a moment where these have 16 bits; with ZeRO, replicas divide master weights and moments among
//! them, the two copies that DualPipe keeps of each stage among these, from its second stage on gradients too. With `t` GPUs of tensor parallelism each holds a `t`-th of attention, dense networks and tables. (7)
//! is T·D·2 with full recomputation, and otherwise T·(2·D + n_a + D)·2 of attention, its projections having n_a
//! columns, and T·D·2 + K·T·(D·b + 2·H·2 + H·b) of gate and experts, less the norms' and the activation's
//! share, T·2·D·2 + K·T·H·b, with selective recomputation; where up-projections are computed again, n_a counts the bottlenecks,
//! rotated keys and the mixture alone. Inner products are kept in 2 bytes, or in 1 where a workload says so [deepseekv3, §3.3.2].
//! Stage s of p has begun p − s micro-batches, 2·(p − s) − 1
//! where passes run in pairs, p + (p − 1 − 2·s)/v where they interleave v chunks, and DualPipe p + 1 of half the layers that
//! it holds, those of two stages. In training L are the layers of the fullest stage, leading dense layers taking the place of
//! others on the first, and embedding and output lie on the stages that have the model's ends. `experts` and `moe-layer` are counted without attention, dense networks, embedding, cache and logits:
//! only what those layers hold, the experts of all layers among it.
//!
//! Left out: the context of the driver and libraries (about 1 GB), fragmentation, scales of fp8 blocks
//! (0.02 %), CUDA graphs. What fits here by less than these may not fit.

mod held;
mod kept;
mod layouts;
mod parameters;
mod rows;
mod what;

use held::Held;
use kept::{kept_of_dense, kept_of_layer};
pub use layouts::{Fit, fit, remedy};
pub use parameters::{Parameters, parameters};
pub(super) use parameters::{attention_params, gate_params};
pub use rows::{hottest_rows, row_bounds};
pub use what::What;

use crate::base::units::Bytes;
use crate::execution::Scope;
use crate::workload::{Attention, Dense, ExchangeLibrary, Model, Overlap, Phase, Workload, Zero};

/// What the fullest GPU holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// Bytes of each kind, in the order of [`What::ALL`].
    bytes: [u64; What::ALL.len()],
    /// Rows that the most loaded rank receives.
    pub rows: u64,
}

impl Ledger {
    /// What a workload on this many GPUs puts on the fullest one, whose most loaded layer receives this many rows.
    #[must_use]
    pub fn of(workload: &Workload, (counted, gpus): (Scope, u32), rows: u64) -> Self {
        let all = Held::of_stages(workload).into_iter();
        let of = |held| Self::of_stage(workload, held, (counted, gpus), rows);
        // The first stage of equals.
        let fuller = |a: Self, b: Self| if b.total() > a.total() { b } else { a };
        all.map(of).reduce(fuller).unwrap_or(Self { bytes: [0; What::ALL.len()], rows })
    }

    fn of_stage(workload: &Workload, held: Held, (counted, gpus): (Scope, u32), rows: u64) -> Self {
        let mut ledger = Self { bytes: [0; What::ALL.len()], rows };
        let whole = counted.is_whole_model();
        ledger.experts(workload, held);
        if whole {
            ledger.outside_experts(workload, held);
        }
        if counted != Scope::Experts {
            ledger.set(What::Gates, u64::from(held.layers) * gate_params(workload) * 4);
            ledger.set(What::ExchangeBuffers, exchange_buffers(workload, rows));
        }
        ledger.set(What::Activations, live_in_a_layer(workload, counted, rows));
        match workload.phase() {
            Phase::Training => ledger.train(workload, held, (whole, gpus)),
            Phase::Prefill | Phase::Decode if whole => {
                ledger.set(What::KvCache, kv_cache(workload, held));
            }
            Phase::Prefill | Phase::Decode => {}
        }
        ledger
    }

    /// The bytes of one kind.
    #[must_use]
    pub const fn bytes(&self, what: What) -> Bytes {
        Bytes(self.bytes[what as usize])
    }

    /// All bytes.
    #[must_use]
    pub fn total(&self) -> Bytes {
        Bytes(self.bytes.iter().fold(0, |all, bytes| all.saturating_add(*bytes)))
    }

    /// The kinds that take something, largest first: `FFN experts 90.2 GB + …`.
    #[must_use]
    pub fn arithmetic(&self) -> String {
        let mut parts: Vec<What> =
            What::ALL.into_iter().filter(|what| self.bytes(*what).0 > 0).collect();
        parts.sort_by_key(|what| std::cmp::Reverse(self.bytes(*what).0));
        let parts =
            parts.into_iter().map(|what| format!("{} {}", what.label(), in_gb(self.bytes(what))));
        parts.collect::<Vec<_>>().join(" + ")
    }

    const fn set(&mut self, what: What, bytes: u64) {
        self.bytes[what as usize] = bytes;
    }

    fn weights(&self) -> impl Iterator<Item = What> {
        [
            What::FfnExperts,
            What::OtherExperts,
            What::Attention,
            What::DenseNetworks,
            What::Gates,
            What::Embedding,
        ]
        .into_iter()
    }

    fn experts(&mut self, workload: &Workload, held: Held) {
        let model = &workload.model;
        let layers = u64::from(held.layers);
        let (d, b) = (u64::from(model.hidden), workload.batch.dtype.bytes());
        let places = u64::from(workload.experts_per_gpu());
        self.set(What::FfnExperts, layers * places * workload.expert_bytes_per_gpu().0);
        let constant = u64::from(model.experts.zero_computation.constant) * 3 * d * 2;
        let shared = u64::from(model.matrices()) * d * u64::from(model.dense.shared) * b;
        self.set(What::OtherExperts, layers * (constant + shared));
    }

    /// Attention, dense networks, embedding and output of a stage.
    fn outside_experts(&mut self, workload: &Workload, held: Held) {
        let model = &workload.model;
        let (d, b) = (u64::from(model.hidden), workload.batch.dtype.bytes());
        let [layers, leading, tables] = [held.layers, held.leading, held.tables].map(u64::from);
        let attention = attention_params(workload) * b + 2 * d * 2;
        let dense = u64::from(model.matrices()) * d * u64::from(model.dense.intermediate) * b;
        let between = u64::from(model.dense.between);
        let of_layer = if model.dense.shortcut {
            [2 * attention, 2 * dense]
        } else {
            [(1 + between) * attention, between * dense]
        };
        let table = u64::from(model.vocabulary) * d * 2;
        let shared = u64::from(workload.layout.tensor_parallel);
        let of = |bytes: u64| bytes.div_ceil(shared);
        self.set(What::Attention, of(layers * of_layer[0] + leading * attention));
        self.set(What::DenseNetworks, of(layers * of_layer[1] + leading * dense));
        self.set(What::Embedding, of(tables * table));
    }

    /// (6) and (7), for the parameters counted so far.
    fn train(&mut self, workload: &Workload, held: Held, (whole, gpus): (bool, u32)) {
        let (model, batch) = (&workload.model, &workload.batch);
        let b = batch.dtype.bytes();
        let of = |what: What| match what {
            What::Gates => self.bytes(what).0 / 4,
            What::Embedding => self.bytes(what).0 / 2,
            _ => self.bytes(what).0 / b,
        };
        let experts = of(What::FfnExperts);
        let dense = self.weights().map(of).sum::<u64>() - experts;
        let layout = &workload.layout;
        let per_stage = gpus / layout.pipeline_parallel;
        let replicas = |stride: u32| held.copies * u64::from((per_stage / stride).max(1));
        let divided = dense.div_ceil(replicas(layout.tensor_parallel))
            + experts.div_ceil(replicas(layout.expert_group()));
        let of_stage =
            |least: Zero| if workload.training.zero >= least { divided } else { dense + experts };
        let [gradients, optimiser] = [of_stage(Zero::Gradients), of_stage(Zero::Optimiser)];
        self.set(What::Gradients, workload.training.gradient_bytes * gradients);
        if workload.training.zero == Zero::Parameters {
            self.divide_weights(held, [per_stage, layout.tensor_parallel, layout.expert_group()]);
        }
        let each = 4 + 2 * workload.training.moment_bytes;
        self.set(What::Optimiser, each * optimiser);
        let tokens = u64::from(batch.tokens_per_gpu);
        let kept = |layers: u32, of_layer: u64| (f64::from(layers) * held.begun) as u64 * of_layer;
        let leading = if whole { kept(held.leading, kept_of_dense(workload)) } else { 0 };
        let kept = leading + kept(held.layers, kept_of_layer(workload, whole));
        let logits = if whole { tokens * u64::from(model.vocabulary) * 6 } else { 0 };
        let live = self.bytes(What::Activations).0;
        self.set(What::Activations, live.max(logits) + kept);
    }
}

/// Micro-batches that a stage has begun and not finished.
fn in_flight(workload: &Workload) -> u64 {
    u64::from(workload.batch.micro_batches.min(workload.layout.pipeline_parallel))
}

/// (2).
fn kv_cache(workload: &Workload, stage: Held) -> u64 {
    let (model, batch) = (&workload.model, &workload.batch);
    let of_token = match model.attention {
        Attention::Grouped { key_value_heads } => {
            u64::from(key_value_heads) * u64::from(model.head_dim + model.value_dim)
        }
        Attention::Latent { key_value_rank, rope_dim, .. } => u64::from(key_value_rank + rope_dim),
    } * batch.attention_dtype.bytes();
    let own = batch.sequence_tokens.min(batch.tokens_per_gpu);
    let held = batch.context.unwrap_or(0).saturating_add(own);
    let last = model.dense.leading_layers + stage.layers * (model.dense.between + 1);
    let tokens: u64 = (0..last)
        .map(|layer| {
            let window = model.sliding_window.filter(|window| window.limits(layer));
            u64::from(window.map_or(held, |window| held.min(window.tokens)))
        })
        .sum();
    let blocks = if model.dense.shortcut { 2 } else { 1 };
    let sequences = u64::from(workload.sequences_per_gpu()) * in_flight(workload);
    blocks * sequences * tokens * of_token
}

/// (3).
fn live_in_a_layer(workload: &Workload, counted: Scope, rows: u64) -> u64 {
    let (model, batch) = (&workload.model, &workload.batch);
    let [d, h] = [model.hidden, workload.expert_columns()].map(u64::from);
    let tokens = u64::from(batch.tokens_per_gpu);
    let stream = 2 * tokens * d * 2;
    let matrices = u64::from(model.matrices());
    let inner = (matrices - 1) * h * 2 + h * batch.dtype.bytes();
    let moved = workload.dispatch_bytes().0 + workload.combine_bytes().0;
    // Chunks have their inner products one after another.
    let chunks = if let Overlap::Chunks(chunks) = workload.stack.overlap { chunks } else { 1 };
    let experts = rows * moved + rows.div_ceil(u64::from(chunks)) * inner;
    if !counted.is_whole_model() {
        return stream + experts;
    }
    let queries_on = queries_on(model);
    let Dense { leading_layers, between, shortcut, .. } = model.dense;
    let has_dense = leading_layers + between > 0 || shortcut;
    let intermediate = if has_dense { model.dense.intermediate } else { 0 };
    let widest = u64::from(intermediate.max(model.dense.shared));
    let dense = tokens * matrices * widest * 2;
    let outside = (tokens * queries_on * 2).max(dense);
    if workload.stack.overlap == Overlap::TwoBatch {
        // The rows of one half are held while the other is at its widest.
        return stream + experts.div_ceil(2) + experts.max(outside).div_ceil(2);
    }
    stream + experts.max(outside)
}

/// Columns of what attention holds of a token: queries, keys, values and their mixture.
fn queries_on(model: &Model) -> u64 {
    let heads = u64::from(model.heads);
    let both = u64::from(model.head_dim + model.value_dim);
    match model.attention {
        Attention::Grouped { key_value_heads } => (heads + u64::from(key_value_heads)) * both,
        Attention::Latent { rope_dim, .. } => heads * (2 * both + u64::from(rope_dim)),
    }
}

/// (4) or (5).
fn exchange_buffers(workload: &Workload, rows: u64) -> u64 {
    let tokens = u64::from(workload.batch.tokens_per_gpu);
    let (out, back) = (workload.dispatch_bytes().0, workload.combine_bytes().0);
    let split = u64::from(workload.layout.expert_tensor_parallel);
    let gathered = if split > 1 { rows * (out + back) } else { 0 };
    if workload.layout.expert_parallel == 1 {
        return gathered;
    }
    if workload.stack.exchange == ExchangeLibrary::DeepEpLowLatency {
        let all = u64::from(workload.model.experts.ffn) * tokens;
        return 2 * ((tokens * out).max(all * back) + (all * out).max(all * back)) + gathered;
    }
    let sent = tokens * u64::from(workload.slots_per_round());
    (sent + rows.div_ceil(split)) * (out + back) + gathered
}

/// A size in GB of four figures, or smaller units where it is less.
#[must_use]
pub fn in_gb(bytes: Bytes) -> String {
    let gb = bytes.0 as f64 / 1e9;
    if gb >= 100.0 {
        format!("{gb:.0} GB")
    } else if gb >= 0.1 {
        format!("{gb:.1} GB")
    } else {
        format!("{:.1} MB", gb * 1e3)
    }
}
