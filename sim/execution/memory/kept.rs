//! What layers keep for their backward pass, equation (7).

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
    let [d, h, a] = [model.hidden, model.intermediate, model.head_dim].map(u64::from);
    let (tokens, heads) = (u64::from(batch.tokens_per_gpu), u64::from(model.heads));
    let recompute = workload.training.recompute;
    if recompute == Recompute::Full {
        return tokens * d * 2;
    }
    let columns = match model.attention {
        Attention::Grouped { key_value_heads } => (2 * heads + 2 * u64::from(key_value_heads)) * a,
        Attention::Latent { query_rank, key_value_rank, rope_dim } => {
            let ranks = u64::from(query_rank) + u64::from(key_value_rank);
            heads * (4 * a + u64::from(rope_dim)) + ranks
        }
    };
    let slots = tokens * u64::from(workload.slots_per_round());
    let b = batch.dtype.bytes();
    let attention = if whole { tokens * (3 * d + columns) * 2 } else { 0 };
    let products = u64::from(model.matrices()) - 1;
    let each = workload.dispatch_bytes().0 + products * h * 2 + h * b + workload.combine_bytes().0;
    let shared = tokens * u64::from(model.dense.shared) * (2 * products + b);
    let all = attention + tokens * d * 2 + slots * each + shared;
    let again = tokens * 2 * d * 2 + slots * h * b;
    if recompute == Recompute::Selective { all.saturating_sub(again) } else { all }
}
