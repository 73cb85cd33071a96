//! Parameters of a model: all, and those that a token passes.
//!
//! With `L` layers with experts among `B` in all, of hidden size `D`, K slots of a token at FFN experts on average:
//!
//! ```text
//! all       B·(attention + 2·D) + L·(gate + N·3·D·H + shared + constant) + dense networks + D + tables   (1)
//! a token   the same with K experts of N                                                              (2)
//! ```
//!
//! Tables are V·D of the embedding and as many of the output, counted once where tied. Makers count them
//! differently: some leave the embedding out of (2), of which a token reads one row. Of biases those of experts are counted,
//! where the model has them; those of attention, of other networks and of gates are left out, and what predicts several tokens.

use super::held::Held;
use super::{Ledger, What};
use crate::workload::{Attention, GateNetwork, Scheme, Workload};

/// Parameters of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// (1).
    pub total: u64,
    /// (2), all tables among them.
    pub active: u64,
    /// Of one table, V·D.
    pub table: u64,
}

/// Parameters of a workload's model.
#[must_use]
pub fn parameters(workload: &Workload) -> Parameters {
    let model = &workload.model;
    let [d, layers, all] = [model.hidden, model.layers, model.all_layers()].map(u64::from);
    let matrices = u64::from(model.matrices());
    let network = |inner: u32| matrices * d * u64::from(inner);
    let dense = if model.dense.shortcut { 2 * layers } else { all - layers };
    let blocks = if model.dense.shortcut { 2 * all } else { all };
    let table = u64::from(model.vocabulary) * d;
    let tables = if model.tied { table } else { 2 * table };
    let constant = 3 * d * u64::from(model.experts.zero_computation.constant);
    let beside = gate_params(workload) + network(model.dense.shared) + constant;
    let common = blocks * (attention_params(workload) + 2 * d)
        + dense * network(model.dense.intermediate)
        + layers * beside
        + d
        + tables;
    let expert = workload.expert_bytes().0 / workload.batch.dtype.bytes();
    let of_token = (layers * expert) as f64 * ffn_slots(workload);
    Parameters {
        total: common + layers * u64::from(model.experts.ffn) * expert,
        active: common + of_token.round() as u64,
        table,
    }
}

/// FFN experts that a token passes in a layer, on average.
fn ffn_slots(workload: &Workload) -> f64 {
    let experts = &workload.model.experts;
    match workload.gating.scheme {
        Scheme::Controlled { ffn_slots } => ffn_slots,
        _ => {
            let share = workload.gating.ffn_share.unwrap_or(experts.ffn_share_at_balance());
            f64::from(experts.top_k) * share
        }
    }
}

/// Parameters of one attention block.
pub(in crate::execution) fn attention_params(workload: &Workload) -> u64 {
    let model = &workload.model;
    let sizes = [model.hidden, model.head_dim, model.value_dim, model.heads];
    let [d, a, v, h] = sizes.map(u64::from);
    match model.attention {
        Attention::Grouped { key_value_heads } => {
            let g = u64::from(key_value_heads);
            d * ((h + g) * a + g * v) + h * v * d
        }
        Attention::Latent { query_rank, key_value_rank, rope_dim } => {
            let [kv, p] = [key_value_rank, rope_dim].map(u64::from);
            let queries = h * (a + p);
            let queries = query_rank.map_or(d * queries, |rank| u64::from(rank) * (d + queries));
            queries + d * (kv + p) + kv * h * (a + v) + h * v * d
        }
    }
}

/// Parameters of the gate of a layer, all its rounds.
pub(in crate::execution) fn gate_params(workload: &Workload) -> u64 {
    let model = &workload.model;
    let (d, n) = (u64::from(model.hidden), u64::from(model.experts.total()));
    let network = match model.gate {
        GateNetwork::Linear => d * n,
        GateNetwork::TwoLayer => d * 8 * n + 8 * n * n,
    };
    let residual = if model.gating_residual { n * n } else { 0 };
    let rounds = u64::from(workload.gating.scheme.rounds());
    rounds * (network + residual)
}

impl Ledger {
    /// (8), on stages of so many GPUs, of which so many hold different shares of dense parameters and of experts.
    pub(super) fn divide_weights(&mut self, held: Held, [per_stage, dense, experts]: [u32; 3]) {
        let layers = u64::from(held.layers).max(1);
        let mut gathered = 0;
        for what in self.weights().collect::<Vec<_>>() {
            let of = if what == What::FfnExperts { experts } else { dense };
            let (bytes, replicas) = (self.bytes(what).0, u64::from((per_stage / of).max(1)));
            if replicas > 1 && what != What::Embedding {
                gathered += 2 * (bytes / layers);
            }
            self.set(what, bytes.div_ceil(replicas));
        }
        self.set(What::Gathered, gathered);
    }
}
