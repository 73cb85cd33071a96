//! What `moesim gate show` found, as its result.

use super::loads::Loads;
use moesim::output::report::MadeBy;
use moesim::output::report::evidence::loads::{GateLoads, LayerLoads};

pub(super) fn result(made_by: MadeBy, loads: &Loads) -> GateLoads {
    let layer = |(layer, slots): (&super::loads::Layer, &Vec<u64>)| LayerLoads {
        slots_by_expert: slots.clone(),
        max_over_mean: layer.peak,
        cv: layer.cv,
        gini: layer.gini,
        drop_by_factor: loads
            .factors
            .iter()
            .zip(&layer.drop)
            .map(|(f, drop)| [*f, *drop])
            .collect(),
    };
    let mean = loads.ffn_slots.iter().enumerate().map(|(f, share)| f as f64 * share).sum();
    GateLoads {
        made_by,
        title: loads.title.clone(),
        ffn_experts: loads.ffn,
        top_k: loads.top_k,
        dropped_share: loads.dropped.map(|dropped| dropped.0),
        dropped_weight_share: loads.dropped.map(|dropped| dropped.1),
        tokens_by_ffn_slots: loads.ffn_slots.clone(),
        ffn_experts_per_token: (!loads.ffn_slots.is_empty()).then_some(mean),
        imbalance_correlation: loads.correlation,
        layers: loads.layers.iter().zip(&loads.load).map(layer).collect(),
    }
}
