//! How many slots an expert takes, and what becomes of the rest.
//!
//! ```text
//!   C_FFN = ⌈γ·τ·T / (τ·N_FFN + N_ZC)⌉      C_ZC = ⌈γ·T / (τ·N_FFN + N_ZC)⌉           (1)
//! ```
//!
//! [moepp, eq. 8]. T counts chosen slots, K a token, by default; read literally it counts tokens,
//! and then 1 − γ/K of all slots are dropped at best (45 % at K = 2, γ = 1.1), which cannot be
//! meant. As in Megatron, each GPU applies (1) to its own tokens before anything is sent, so one
//! expert takes at most `gpus × C` slots. Which of an expert's slots are dropped, the last by
//! position or the least probable, changes no count and is not modelled here.

use super::counts::Counts;
use crate::workload::{Batch, Capacity, Experts, ShareOf};

/// The slots of each expert on one GPU [(1)], or nothing where nothing is dropped.
pub(super) fn slots_of(experts: &Experts, batch: &Batch, capacity: Capacity) -> Option<Vec<u32>> {
    let (factor, of) = match capacity {
        Capacity::Dropless => return None,
        Capacity::Drop { factor, of } | Capacity::DropAndPad { factor, of } => (factor, of),
    };
    let per_token = match of {
        ShareOf::Slots => experts.top_k,
        ShareOf::Tokens => 1,
    };
    let slots = factor * f64::from(per_token) * f64::from(batch.tokens_per_gpu);
    let (ffn, others) = (experts.ffn, experts.zero_computation.total());
    let share = slots / (experts.tau * f64::from(ffn) + f64::from(others));
    // No expert can be chosen twice by a token, so more slots than tokens are never filled. The
    // small subtraction keeps a share that is whole on paper from being rounded up by its last bit.
    let whole = |share: f64| ((share - 1e-9).ceil()).clamp(0.0, batch.tokens_per_gpu.into()) as u32;
    let mut limits = vec![whole(experts.tau * share); ffn as usize];
    limits.resize((ffn + others) as usize, whole(share));
    Some(limits)
}

/// Moves slots beyond the limits from kept to dropped.
pub(super) fn apply(counts: &mut Counts, limits: &[u32]) {
    for (cell, kept) in counts.kept.iter_mut().enumerate() {
        let limit = limits[cell % counts.experts];
        counts.dropped[cell] = kept.saturating_sub(limit);
        *kept -= counts.dropped[cell];
    }
}

/// Whether unused slots are computed.
pub(super) const fn pads(capacity: Capacity) -> bool {
    matches!(capacity, Capacity::DropAndPad { .. })
}
