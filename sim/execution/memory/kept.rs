//! What layers keep for their backward pass, equation (7).

use super::queries_on;
use crate::workload::{Attention, PipelineSchedule, Recompute, Workload};

/// Micro-batches in training that the first stage has begun and not finished, in parts of its chunks.
pub(super) fn begun(workload: &Workload) -> f64 {
    let training = &workload.training;
    let stages = f64::from(workload.layout.pipeline_parallel);
    let chunks = f64::from(training.chunks);
    let more = if training.chunks > 1 { (stages - 1.0) / chunks } else { 0.0 };
    let paired = match (training.paired, training.chunks) {
        (false, _) => 0.0,
        (true, 1) => stages - 1.0,
        (true, _) => 1.0 / chunks,
    };
    if training.schedule == PipelineSchedule::DualPipe {
        return f64::midpoint(stages, 1.0).min(f64::from(workload.batch.micro_batches));
    }
    (stages + more + paired).min(f64::from(workload.batch.micro_batches))
}

/// (7) of one layer and one micro-batch.
pub(super) fn kept_of_layer(workload: &Workload, whole: bool) -> u64 {
    let (model, batch) = (&workload.model, &workload.batch);
    let [d, h] = [model.hidden, workload.expert_columns()].map(u64::from);
    let tokens = u64::from(batch.tokens_per_gpu);
    let between = if whole { u64::from(model.dense.between) } else { 0 };
    let recompute = workload.training.recompute;
    if recompute == Recompute::Full {
        return (1 + between) * tokens * d * 2;
    }
    let ranks = match model.attention {
        Attention::Grouped { .. } => 0,
        Attention::Latent { query_rank, key_value_rank, .. } => {
            u64::from(query_rank.unwrap_or(0)) + u64::from(key_value_rank)
        }
    };
    let columns = match model.attention {
        // Queries, keys and values are made again from their bottlenecks; what they are mixed to is kept.
        Attention::Latent { rope_dim, .. } if recompute == Recompute::UpProjections => {
            u64::from(model.heads) * u64::from(model.value_dim) + u64::from(rope_dim)
        }
        _ => queries_on(model),
    } + ranks;
    let split = u64::from(workload.layout.expert_tensor_parallel);
    let slots = tokens * split * u64::from(workload.slots_per_round());
    let b = batch.dtype.bytes();
    let attention = if whole { tokens * (3 * d + columns) * 2 } else { 0 };
    let products = u64::from(model.matrices()) - 1;
    // The gate's weights are applied in the activation: results are not needed again [megatronmoe].
    // Inputs are kept in the format of the products, whatever they came in.
    let each = d * b + products * h * 2 + h * b;
    let shared = tokens * u64::from(model.dense.shared) * (2 * products + b);
    let inner = u64::from(model.dense.intermediate);
    let dense = attention + tokens * inner * (2 * products + b);
    let all = attention + tokens * d * 2 + slots * each + shared + between * dense;
    let of_dense = tokens * (2 * d * 2 + inner * b);
    let again = tokens * 2 * d * 2 + slots * h * b + between * of_dense;
    if recompute.moves_again() { all.saturating_sub(again) } else { all }
}
