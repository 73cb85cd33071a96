//! Scores of attention and what they mix: equations (3) and (3') of the parent.

use crate::base::units::{Bytes, SimDuration};
use crate::execution::cost::{KernelTimes, Scores};
use crate::workload::{Attention, Dtype, Phase, SlidingWindow, Workload};

/// (3) of all heads on a GPU.
pub(super) fn scores(
    workload: &Workload,
    kernels: &dyn KernelTimes,
    ((rows, rope), dtype): ((u64, u32), Dtype),
    window: Option<SlidingWindow>,
) -> SimDuration {
    let (dim, value) = (workload.model.head_dim, workload.model.value_dim);
    let sequence = workload.batch.sequence_tokens;
    if let (Phase::Decode, Some(context)) = (workload.phase(), workload.batch.context) {
        let seen = context.saturating_add(sequence);
        let seen = window.map_or(seen, |window| seen.min(window.tokens)).max(1);
        return decode_scores(workload, kernels, (rows, dtype), seen);
    }
    let length = f64::from(sequence);
    let half = 0.5 * (1.0 + 900.0 / length).min(2.0);
    let share = window.map_or(1.0, |window| window.scored_share(sequence));
    let pairs = rows as f64 * length * half * share;
    kernels.attention(Scores { pairs, dims: dim + rope + value, dtype })
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
