//! Model operations of a training step, as the field counts them for TFLOP/s and MFU [palm, megatron21].
//!
//! ```text
//!   6·P + 3·2·(S/2)·Σ heads·(a + v)  a token: two operations a parameter it passes, forward and twice backward,
//!                                  and attention over half a causal context, or what a window leaves of it
//! ```
//!
//! `P` counts attention, the gate, the K experts chosen as if all were FFN experts, shared experts, dense
//! networks and the output. What is computed again and what zero-computation experts save do not count, so
//! that MoE++ and vanilla are measured by one yardstick.

use crate::workload::{Attention, Workload};

/// Operations of one token in a training step.
#[must_use]
pub fn operations_per_token(workload: &Workload) -> f64 {
    let Operations { layers, scores, output } = operations(workload);
    layers + scores + output
}

/// Operations of one token in a training step, by what they are of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Operations {
    /// Products of all layers: projections, gate, experts, shared experts and dense networks.
    pub layers: f64,
    /// Attention: scores, and what they mix.
    pub scores: f64,
    /// The product of the output.
    pub output: f64,
}

/// Operations of one token of this workload.
#[must_use]
pub fn operations(workload: &Workload) -> Operations {
    let model = &workload.model;
    let sizes = [model.hidden, model.intermediate, model.heads, model.head_dim, model.value_dim];
    let [d, h, heads, dim, value] = sizes.map(f64::from);
    let (projections, scored) = match model.attention {
        Attention::Grouped { key_value_heads } => {
            let pairs = f64::from(key_value_heads);
            (d * (dim + value) * (heads + pairs), heads * (dim + value))
        }
        Attention::Latent { query_rank, key_value_rank, rope_dim } => {
            let [kv, p] = [key_value_rank, rope_dim].map(f64::from);
            let queries = heads * (dim + p);
            let queries =
                query_rank.map(f64::from).map_or(d * queries, |rank| rank * (d + queries));
            let of = queries + d * (kv + p) + kv * heads * (dim + value);
            (of + heads * value * d, heads * (dim + p + value))
        }
    };
    let sequence = workload.batch.sequence_tokens;
    let context = f64::from(sequence) / 2.0;
    let scored_by = |layer: u32| {
        let window = model.sliding_window.filter(|window| window.limits(layer));
        scored * context * window.map_or(1.0, |window| window.scored_share(0, sequence))
    };
    let scores: f64 = (0..model.all_layers()).map(scored_by).sum();
    let matrices = f64::from(model.matrices());
    let experts = matrices * d * h * f64::from(model.experts.top_k);
    let shared = matrices * d * f64::from(model.dense.shared);
    let gate = d * f64::from(model.experts.total());
    let dense = matrices * d * f64::from(model.dense.intermediate);
    let leading = f64::from(model.all_layers() - model.layers) * (projections + dense);
    let layers = f64::from(model.layers) * (projections + experts + shared + gate);
    Operations {
        layers: 6.0 * (layers + leading),
        scores: 6.0 * scores,
        output: 6.0 * d * f64::from(model.vocabulary),
    }
}
