//! Model operations of a training step, as the field counts them for TFLOP/s and MFU [palm, megatron21].
//!
//! ```text
//!   6·P + 3·4·(S/2)·Σ heads·a      a token: two operations a parameter it passes, forward and twice backward,
//!                                  and attention over half a causal context
//! ```
//!
//! `P` counts attention, the gate, the K experts chosen as if all were FFN experts, shared experts, dense
//! networks and the output. What is computed again and what zero-computation experts save do not count, so
//! that MoE++ and vanilla are measured by one yardstick.

use crate::workload::{Attention, Workload};

/// Operations of one token in a training step.
#[must_use]
pub fn operations_per_token(workload: &Workload) -> f64 {
    let model = &workload.model;
    let [d, h, heads, dim] =
        [model.hidden, model.intermediate, model.heads, model.head_dim].map(f64::from);
    let (projections, scored) = match model.attention {
        Attention::Grouped { key_value_heads } => {
            (d * dim * (2.0 * heads + 2.0 * f64::from(key_value_heads)), 2.0 * heads * dim)
        }
        Attention::Latent { query_rank, key_value_rank, rope_dim } => {
            let [q, kv, p] = [query_rank, key_value_rank, rope_dim].map(f64::from);
            let of = d * q + q * heads * (dim + p) + d * (kv + p) + kv * 2.0 * heads * dim;
            (of + heads * dim * d, heads * (2.0 * dim + p))
        }
    };
    let attention = projections + scored * f64::from(workload.batch.sequence_tokens) / 2.0;
    let matrices = f64::from(model.matrices());
    let experts = matrices * d * h * f64::from(model.experts.top_k);
    let shared = matrices * d * f64::from(model.dense.shared);
    let gate = d * f64::from(model.experts.total());
    let dense = matrices * d * f64::from(model.dense.intermediate);
    let leading = f64::from(model.dense.leading_layers) * (attention + dense);
    let layers = f64::from(model.layers) * (attention + experts + shared + gate);
    6.0 * (layers + leading + d * f64::from(model.vocabulary))
}
