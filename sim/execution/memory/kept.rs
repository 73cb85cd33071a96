//! What layers keep for their backward pass, equation (7).

use super::queries_on;
use crate::workload::{Attention, Recompute, Workload};

/// (7) of one layer and one micro-batch.
pub(super) fn kept_of_layer(workload: &Workload, whole: bool) -> u64 {
    let (model, batch, training) = (&workload.model, &workload.batch, &workload.training);
    let [d, h] = [model.hidden, workload.expert_columns()].map(u64::from);
    let tokens = u64::from(batch.tokens_per_gpu);
    let between = if whole { u64::from(model.dense.between) } else { 0 };
    let of_dense = between * kept_of_dense(workload);
    if training.recompute == Recompute::Full {
        return tokens * d * 2 + of_dense;
    }
    let split = u64::from(workload.layout.expert_tensor_parallel);
    let slots = tokens * split * u64::from(workload.slots_per_round());
    let b = batch.dtype.bytes();
    let attention = if whole { of_attention(workload) } else { 0 };
    let inner = (u64::from(model.matrices()) - 1) * training.kept_bytes;
    // The gate's weights are applied in the activation: results are not needed again [megatronmoe].
    // Inputs are kept in the format of the products, whatever they came in.
    let each = d * b + h * (inner + b);
    let shared = tokens * u64::from(model.dense.shared) * (inner + b);
    let all = attention + tokens * d * 2 + slots * each + shared;
    let again = tokens * 2 * d * 2 + slots * h * b;
    let own = if training.recompute.moves_again() { all.saturating_sub(again) } else { all };
    own + of_dense
}

/// The same of a dense layer: attention and a dense network.
pub(super) fn kept_of_dense(workload: &Workload) -> u64 {
    let (model, batch, training) = (&workload.model, &workload.batch, &workload.training);
    let (tokens, d) = (u64::from(batch.tokens_per_gpu), u64::from(model.hidden));
    if training.recompute == Recompute::Full {
        return tokens * d * 2;
    }
    let (h, b) = (u64::from(model.dense.intermediate), batch.dtype.bytes());
    let inner = (u64::from(model.matrices()) - 1) * training.kept_bytes;
    let all = of_attention(workload) + tokens * h * (inner + b);
    let again = tokens * (2 * d * 2 + h * b);
    if training.recompute.moves_again() { all.saturating_sub(again) } else { all }
}

/// Attention's part.
fn of_attention(workload: &Workload) -> u64 {
    let (model, training) = (&workload.model, &workload.training);
    let ranks = match model.attention {
        Attention::Grouped { .. } => 0,
        Attention::Latent { query_rank, key_value_rank, .. } => {
            u64::from(query_rank.unwrap_or(0)) + u64::from(key_value_rank)
        }
    };
    let columns = match model.attention {
        // Queries, keys and values are made again from their bottlenecks; what they are mixed to is kept.
        Attention::Latent { rope_dim, .. } if training.recompute == Recompute::UpProjections => {
            u64::from(model.heads) * u64::from(model.value_dim) + u64::from(rope_dim)
        }
        _ => queries_on(model),
    };
    let tokens = u64::from(workload.batch.tokens_per_gpu);
    tokens * (3 * u64::from(model.hidden) + columns + ranks) * 2
}
