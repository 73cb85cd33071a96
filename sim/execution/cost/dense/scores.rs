//! Scores of attention and what they mix: equations (3) and (3') of the parent, and of layers with a window.
//!
//! Kernels score whole tiles of [`TILE`] keys for [`TILE`] queries, so a query of a window of `w` tokens is scored with `w` + 128 keys;
//! and tiles are too few for what is read and written to hide under them. With `r` rows of all heads, queries and keys of `a + p`
//! and values of `v` numbers of `b` bytes, `g` of `h` heads with keys and values, W the memory's rate:
//!
//! ```text
//! forward    (3) with w + 128 for w, and  r·(a + p + v)·(1 + g/h)·b / W                           (1)
//! backward   3 times the pairs of (1), 16 bits a number, and twice its bytes                      (2)
//!            where attention is computed in fp8: as without a window                              (3)
//! ```
//!
//! In prefill, C tokens of context stand before each sequence of S tokens: the prefix of a conversation, or the chunks before this
//! one. They are scored too, unmasked, and what is kept of them is read; latent attention makes keys and values of them again:
//!
//! ```text
//! prefill    max( (3) with r·(C + ½·S·min(2, 1 + 900/S)) pairs,  q·C·(bytes kept, or made again, of a token) / W )
//!            + gemm(q·C, h·(a + v), r_kv)  for q sequences in latent attention                    (4)
//! ```
//!
//! It is as (3) of one sequence of C + S tokens less (3) of its first C, where masks cost alike (tested). None takes longer than without a window. cuDNN's kernels on H200, GB200 and GB300 at windows of 128 and heads of 64 [cudnnfrontend] take what (1) says within 28 %
//! and (2) within 21 % (`tests/accuracy/windows.rs`); before they were predicted 3 to 5 times too fast. Their backward pass in 8 bits
//! takes time with the square of the length, as if there were no window: (3) is within 30 % of it. Made with these figures at
//! hand: that bytes are added, not hidden, is a choice by them.

use crate::base::units::{Bytes, SimDuration};
use crate::execution::cost::{KernelTimes, PLAIN, Scores};
use crate::workload::{Attention, Dtype, Phase, SlidingWindow, Workload};

/// Keys, and queries, of a kernel's tile.
const TILE: u32 = 128;

/// (3) of all heads on a GPU.
pub(super) fn scores(
    workload: &Workload,
    kernels: &dyn KernelTimes,
    ((rows, rope), dtype): ((u64, u32), Dtype),
    window: Option<SlidingWindow>,
) -> SimDuration {
    let sequence = workload.batch.sequence_tokens;
    if let (Phase::Decode, Some(context)) = (workload.phase(), workload.batch.context) {
        let seen = context.saturating_add(sequence);
        let seen = window.map_or(seen, |window| seen.min(window.tokens)).max(1);
        return decode_scores(workload, kernels, (rows, dtype), seen);
    }
    let of = ((rows, rope), dtype);
    let before = before(workload);
    let read = context_read(workload, kernels, (rope, dtype), before);
    let whole = scored(workload, kernels, of, None).max(read);
    let whole = whole + made_again(workload, kernels, before);
    let Some(window) = limiting(window, before.saturating_add(sequence)) else { return whole };
    let read = kernels.memory_bound(moved(workload, of), 0);
    whole.min(scored(workload, kernels, of, Some(window)) + read)
}

/// C of (4): tokens of context in prefill; decode has its own equation, and a training step none.
fn before(workload: &Workload) -> u32 {
    match workload.phase() {
        Phase::Prefill => workload.batch.context.unwrap_or(0),
        Phase::Training | Phase::Decode => 0,
    }
}

/// Tokens of context of all sequences on the GPUs that share products.
fn context_rows(workload: &Workload, before: u32) -> u64 {
    let shared = u64::from(workload.layout.tensor_parallel);
    u64::from(workload.sequences_per_gpu()) * shared * u64::from(before)
}

/// Keys and values of the context, made again of what latent attention keeps.
fn made_again(workload: &Workload, kernels: &dyn KernelTimes, before: u32) -> SimDuration {
    let model = &workload.model;
    match model.attention {
        Attention::Latent { key_value_rank, .. } if before > 0 => {
            let heads = model.heads.div_ceil(workload.layout.tensor_parallel);
            let columns = heads * (model.head_dim + model.value_dim);
            kernels.gemm(columns, key_value_rank, PLAIN)(context_rows(workload, before))
        }
        _ => SimDuration::ZERO,
    }
}

/// What reading keys and values of the context takes.
fn context_read(
    workload: &Workload,
    kernels: &dyn KernelTimes,
    (rope, dtype): (u32, Dtype),
    before: u32,
) -> SimDuration {
    if before == 0 {
        return SimDuration::ZERO;
    }
    let (model, shared) = (&workload.model, workload.layout.tensor_parallel);
    let heads = match model.attention {
        Attention::Grouped { key_value_heads } => key_value_heads.div_ceil(shared),
        Attention::Latent { .. } => model.heads.div_ceil(shared),
    };
    let of_token = u64::from(heads) * u64::from(model.head_dim + rope + model.value_dim);
    let read = context_rows(workload, before) * of_token * dtype.bytes();
    kernels.memory_bound(Bytes(read), 0)
}

/// The same backward: equation (9) of the parent, (2) and (3).
pub(super) fn scores_backward(
    workload: &Workload,
    kernels: &dyn KernelTimes,
    of: (u64, u32),
    window: Option<SlidingWindow>,
) -> SimDuration {
    let of = (of, PLAIN);
    let whole = scored(workload, kernels, of, None).times(3);
    let skips = workload.batch.attention_dtype != Dtype::Fp8;
    let window = limiting(window, workload.batch.sequence_tokens).filter(|_| skips);
    let Some(window) = window else { return whole };
    let read = kernels.memory_bound(Bytes(2 * moved(workload, of).0), 0);
    whole.min(scored(workload, kernels, of, Some(window)).times(3) + read)
}

/// A window in whole tiles, where it is shorter than what a sequence's last token sees.
fn limiting(window: Option<SlidingWindow>, seen: u32) -> Option<SlidingWindow> {
    let window = window.filter(|window| window.tokens < seen)?;
    Some(SlidingWindow { tokens: window.tokens.saturating_add(TILE), ..window })
}

/// The products of (3) for sequences from their beginning on, or behind their context.
fn scored(
    workload: &Workload,
    kernels: &dyn KernelTimes,
    ((rows, rope), dtype): ((u64, u32), Dtype),
    window: Option<SlidingWindow>,
) -> SimDuration {
    let sequence = workload.batch.sequence_tokens;
    let length = f64::from(sequence);
    let half = 0.5 * (1.0 + 900.0 / length).min(2.0);
    let before = before(workload);
    let share = window.map_or(1.0, |window| window.scored_share(before, sequence));
    let pairs = rows as f64 * (f64::from(before) + length * half) * share;
    let dims = workload.model.head_dim + rope + workload.model.value_dim;
    kernels.attention(Scores { pairs, dims, dtype })
}

/// The bytes of (1).
fn moved(workload: &Workload, ((rows, rope), dtype): ((u64, u32), Dtype)) -> Bytes {
    let model = &workload.model;
    let of_head = u64::from(model.head_dim + rope + model.value_dim) * dtype.bytes();
    let with_keys = match model.attention {
        Attention::Grouped { key_value_heads } => {
            rows * u64::from(key_value_heads) / u64::from(model.heads.max(1))
        }
        Attention::Latent { .. } => rows,
    };
    Bytes((rows + with_keys) * of_head)
}

/// (3') of all heads on a GPU, with this number of tokens seen.
fn decode_scores(
    workload: &Workload,
    kernels: &dyn KernelTimes,
    (rows, format): (u64, Dtype),
    seen: u32,
) -> SimDuration {
    let shared = workload.layout.tensor_parallel;
    let (dim, value) = (workload.model.head_dim, workload.model.value_dim);
    let (scored, mixed, kept) = match workload.model.attention {
        Attention::Grouped { key_value_heads } => {
            let pairs = u64::from(key_value_heads.div_ceil(shared));
            (dim, value, pairs * u64::from(dim + value))
        }
        Attention::Latent { key_value_rank, rope_dim, .. } => {
            let kept = key_value_rank + rope_dim;
            (kept, key_value_rank, u64::from(kept))
        }
    };
    let gemm = |n, k| kernels.attention_product((rows, n, k), format);
    let sequences = u64::from(workload.sequences_per_gpu()) * u64::from(shared);
    let read = Bytes(sequences * u64::from(seen) * kept * format.bytes());
    (gemm(seen, scored) + gemm(mixed, seen)).max(kernels.memory_bound(read, 1))
}
