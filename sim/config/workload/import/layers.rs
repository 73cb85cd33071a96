//! Which layers have experts, and which a dense network.
//!
//! Families say it differently; all keys apply together. What can be simulated is dense layers in front of all
//! layers with experts, (dense)^L (experts)^n, or as many in front of each: ((dense)^b experts)^n.

use serde_json::Value;

use super::keys::Keys;
use crate::config::Diagnostic;

/// Keys that say how many layers there are.
pub(super) const NUMBER: [&str; 4] = ["num_hidden_layers", "num_layers", "n_layers", "n_layer"];

/// The layers of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layers {
    /// With experts.
    pub experts: u64,
    /// Dense ones in front of them all.
    pub leading: u64,
    /// Dense ones in front of each.
    pub between: u64,
}

impl Layers {
    /// Those of a config.json.
    ///
    /// # Errors
    /// If they follow no order that is simulated.
    pub fn of(keys: &mut Keys<'_>) -> Result<Self, Diagnostic> {
        let number = keys.needed(&NUMBER)?;
        let with_experts = with_experts(keys, number)?;
        let leading = with_experts.iter().take_while(|has| !**has).count();
        if leading == with_experts.len() {
            let help = "moesim simulates Mixture-of-Experts models: name one with experts";
            return Err(
                keys.refusal("describes a dense model: none of its layers has experts", help)
            );
        }
        let own = leading as u64;
        let experts = with_experts.iter().filter(|has| **has).count() as u64;
        if experts + own == number {
            return Ok(Self { experts, leading: own, between: 0 });
        }
        let is_own = |(at, has): (usize, &bool)| *has == (at + 1).is_multiple_of(leading + 1);
        if experts * (own + 1) == number && with_experts.iter().enumerate().all(is_own) {
            return Ok(Self { experts, leading: 0, between: own });
        }
        Err(keys.refusal(
            "has layers without experts between those with, in no order that is simulated",
            "dense layers may stand in front of all others, or as many in front of each: write the \
             workload by hand, with the nearest such order",
        ))
    }

    /// Whether there are dense layers.
    pub const fn has_dense(self) -> bool {
        self.leading + self.between > 0
    }
}

/// Of every layer, whether it has experts.
fn with_experts(keys: &mut Keys<'_>, number: u64) -> Result<Vec<bool>, Diagnostic> {
    let size = usize::try_from(number.min(4096)).unwrap_or(0);
    let mut has = vec![true; size];
    let every = |has: &mut Vec<bool>, keep: &dyn Fn(u64) -> bool| {
        for (layer, has) in has.iter_mut().enumerate() {
            *has &= keep(layer as u64);
        }
    };
    let dense = keys.count(&["first_k_dense_replace", "num_dense_layers"])?.unwrap_or(0);
    let from = keys.count(&["moe_layer_start_index"])?.unwrap_or(0).max(dense);
    every(&mut has, &|layer| layer >= from);
    if keys.value("moe_layer_end_index").and_then(Value::as_u64).is_some() {
        let last = keys.count(&["moe_layer_end_index"])?.unwrap_or(number);
        every(&mut has, &|layer| layer <= last);
    }
    let steps = [
        "decoder_sparse_step",
        "interleave_moe_layer_step",
        "moe_layer_interval",
        "moe_layer_frequency",
    ];
    for step in steps {
        let step = keys.count(&[step])?.unwrap_or(1).max(1);
        every(&mut has, &|layer| (layer + 1).is_multiple_of(step));
    }
    if let Some(each) = keys.list("moe_layer_freq") {
        every(&mut has, &|layer| each.get(layer as usize).and_then(Value::as_u64) != Some(0));
    } else if let Some(step) = keys.count(&["moe_layer_freq"])? {
        every(&mut has, &|layer| layer.is_multiple_of(step.max(1)));
    }
    listed(keys, &mut has);
    Ok(has)
}

/// Keeps the layers that lists name, each in its own way.
fn listed(keys: &mut Keys<'_>, has: &mut [bool]) {
    let mut every = |keep: &dyn Fn(u64) -> bool| {
        for (layer, has) in has.iter_mut().enumerate() {
            *has &= keep(layer as u64);
        }
    };
    let without = numbers(keys, "mlp_only_layers");
    every(&|layer| !without.as_ref().is_some_and(|list| list.contains(&layer)));
    for name in ["moe_layers", "moe_layers_enum"] {
        let with = numbers(keys, name).filter(|list| !list.is_empty());
        every(&|layer| with.as_ref().is_none_or(|list| list.contains(&layer)));
    }
    if let Some(each) = keys.list("is_moe_layer") {
        every(&|layer| each.get(layer as usize).and_then(Value::as_bool) != Some(false));
    }
    if let Some(kinds) = keys.list("mlp_layer_types") {
        let is_dense =
            |layer: u64| kinds.get(layer as usize).and_then(Value::as_str) == Some("dense");
        every(&|layer| !is_dense(layer));
    }
}

/// Numbers of layers: a list, or a text of numbers between commas.
fn numbers(keys: &mut Keys<'_>, name: &str) -> Option<Vec<u64>> {
    match keys.value(name)? {
        Value::Array(list) => Some(list.iter().filter_map(Value::as_u64).collect()),
        Value::String(text) => {
            Some(text.split(',').filter_map(|n| n.trim().parse().ok()).collect())
        }
        _ => None,
    }
}
