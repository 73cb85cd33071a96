//! `[model]` and `[dense]` of a workload file: the transformer around the experts.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::gate::GateTable;
use super::{Count, Diagnostic, Source, name_of};
use crate::workload::{Attention, Dense, Experts, Model, SlidingWindow};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelTable {
    /// The model's name; those that share it are one model at several layouts.
    #[schemars(with = "String")]
    name: Spanned<String>,
    /// Layers with experts.
    pub(super) layers: Count<1, 512>,
    /// Hidden size.
    hidden: Count<1, 65_536>,
    /// Inner size of an FFN expert.
    pub(super) intermediate: Count<1, 262_144>,
    /// Whether FFN experts multiply two products: three matrices, not two.
    #[serde(default = "yes")]
    gated: bool,
    /// Whether the products of experts and dense networks add biases.
    #[serde(default)]
    biases: bool,
    /// Whether the activation of gated networks clamps what it is given (gpt-oss's `swiglu_limit`).
    #[serde(default)]
    clamped_activation: bool,
    /// Attention heads.
    heads: Count<1, 1_024>,
    /// Size of a head.
    head_dim: Count<1, 1_024>,
    /// Size of a head's values; `head_dim` if none is given.
    value_dim: Option<Count<1, 1_024>>,
    /// Tokens of the vocabulary.
    vocabulary: Count<1, 10_000_000>,
    /// Whether embedding and output are one table.
    #[serde(default)]
    tied: bool,
    /// Heads of keys and values: grouped-query attention.
    #[schemars(with = "Option<Count<1, 1_024>>")]
    key_value_heads: Option<Spanned<Count<1, 1_024>>>,
    /// Bottleneck of queries in latent attention.
    #[schemars(with = "Option<Count<1, 65_536>>")]
    query_rank: Option<Spanned<Count<1, 65_536>>>,
    /// Bottleneck of keys and values: latent attention.
    #[schemars(with = "Option<Count<1, 65_536>>")]
    key_value_rank: Option<Spanned<Count<1, 65_536>>>,
    /// Of a head, the part with rotary positions, in latent attention.
    #[schemars(with = "Option<Count<1, 1_024>>")]
    rope_dim: Option<Spanned<Count<1, 1_024>>>,
    /// Tokens that one attends to.
    #[schemars(with = "Option<Count<1, 10_000_000>>")]
    sliding_window: Option<Spanned<Count<1, 10_000_000>>>,
    /// Of this many layers the last attends to all.
    #[schemars(with = "Option<Count<2, 512>>")]
    sliding_window_pattern: Option<Spanned<Count<2, 512>>>,
}

/// Most models' networks are gated.
const fn yes() -> bool {
    true
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DenseTable {
    /// Dense layers in front of all.
    #[serde(default)]
    leading_layers: Count<0, 512>,
    /// Dense layers in front of each layer with experts.
    #[schemars(with = "Option<Count<0, 64>>")]
    between: Option<Spanned<Count<0, 64>>>,
    /// Inner size of a dense network.
    intermediate: Option<Count<1, 262_144>>,
    /// Inner size of all shared experts together.
    #[serde(default)]
    shared: Count<0, 262_144>,
    /// Whether a second block runs beside the experts (LongCat-Flash).
    #[serde(default)]
    shortcut: bool,
}

impl ModelTable {
    /// The model, with these experts and this gate.
    pub(super) fn model(
        &self,
        source: &Source,
        dense: Option<&DenseTable>,
        experts: Experts,
        gate: &GateTable,
    ) -> Result<Model, Diagnostic> {
        Ok(Model {
            name: name_of(source, &self.name)?,
            layers: self.layers.0,
            hidden: self.hidden.0,
            intermediate: self.intermediate.0,
            gated: self.gated,
            biases: self.biases,
            clamped_activation: self.clamped_activation,
            heads: self.heads.0,
            head_dim: self.head_dim.0,
            value_dim: self.value_dim.as_ref().map_or(self.head_dim.0, |size| size.0),
            attention: self.attention(source)?,
            sliding_window: self.sliding_window(source, dense)?,
            dense: dense_of(source, dense)?,
            vocabulary: self.vocabulary.0,
            tied: self.tied,
            experts,
            gate: gate.network(),
            gating_residual: gate.residual(),
        })
    }

    fn sliding_window(
        &self,
        source: &Source,
        dense: Option<&DenseTable>,
    ) -> Result<Option<SlidingWindow>, Diagnostic> {
        let pattern = self.sliding_window_pattern.as_ref();
        let Some(given) = &self.sliding_window else {
            let Some(pattern) = pattern else { return Ok(None) };
            let help = "give model.sliding_window, the tokens that one attends to, or remove it";
            return Err(source.mistake(pattern.span(), "does not apply without a window", help));
        };
        if dense.is_some_and(|dense| dense.shortcut) {
            let found = "is not known of the two attentions of a layer with dense.shortcut";
            return Err(source.mistake(given.span(), found, "remove one of the two"));
        }
        let pattern = pattern.map(|pattern| pattern.get_ref().0);
        Ok(Some(SlidingWindow { tokens: given.get_ref().0, pattern }))
    }

    /// Whether it has latent attention.
    pub(super) const fn is_latent(&self) -> bool {
        self.key_value_rank.is_some()
    }

    fn attention(&self, source: &Source) -> Result<Attention, Diagnostic> {
        let heads = self.heads.0;
        match (&self.query_rank, &self.key_value_rank, &self.rope_dim) {
            (None, None, None) => {
                let Some(given) = &self.key_value_heads else {
                    return Ok(Attention::Grouped { key_value_heads: heads });
                };
                let key_value_heads = given.get_ref().0;
                if !heads.is_multiple_of(key_value_heads) {
                    return Err(source.mistake(
                        given.span(),
                        format!("{heads} heads do not share {key_value_heads} evenly"),
                        format!("give a divisor of model.heads = {heads}"),
                    ));
                }
                Ok(Attention::Grouped { key_value_heads })
            }
            (query, Some(key_value), Some(rope)) => {
                if let Some(given) = &self.key_value_heads {
                    let help = "remove it: latent attention has keys and values of its own for \
                                every head";
                    let found = "contradicts model.key_value_rank";
                    return Err(source.mistake(given.span(), found, help));
                }
                Ok(Attention::Latent {
                    query_rank: query.as_ref().map(|rank| rank.get_ref().0),
                    key_value_rank: key_value.get_ref().0,
                    rope_dim: rope.get_ref().0,
                })
            }
            (query, key_value, rope) => {
                let query = query.as_ref().map(Spanned::span);
                let key_value = key_value.as_ref().map(Spanned::span);
                let given = query.or(key_value).or(rope.as_ref().map(Spanned::span));
                let found = "is a key of latent attention, and others are missing";
                let help = "give key_value_rank and rope_dim (query_rank is optional), or none";
                Err(source.mistake(given.unwrap_or(0..0), found, help))
            }
        }
    }
}

fn dense_of(source: &Source, table: Option<&DenseTable>) -> Result<Dense, Diagnostic> {
    let Some(table) = table else { return Ok(Dense::default()) };
    let (leading_layers, shortcut) = (table.leading_layers.0, table.shortcut);
    let between = table.between.as_ref().map_or(0, |number| number.get_ref().0);
    if let Some(given) = table.between.as_ref().filter(|_| shortcut && between > 0) {
        let found = "is not known beside the two blocks of a layer with dense.shortcut";
        return Err(source.mistake(given.span(), found, "remove one of the two"));
    }
    let intermediate = table.intermediate.as_ref().map_or(0, |size| size.0);
    if (leading_layers > 0 || between > 0 || shortcut) && intermediate == 0 {
        let found = "is missing, and leading_layers, between or shortcut needs it";
        let help = "give the intermediate size of the dense feed-forward networks";
        return Err(source.mistake_without_span("dense.intermediate", found, help));
    }
    Ok(Dense { leading_layers, between, intermediate, shared: table.shared.0, shortcut })
}
