//! Experts of a layer, what every token has beside them, and dense networks.

use std::fmt::Write as _;

use serde_json::Value;

use super::family::Family;
use super::keys::Keys;
use super::layers::Layers;
use crate::config::Diagnostic;

/// Keys that say how many experts a layer has.
pub(super) const NUMBER: [&str; 6] = [
    "num_experts",
    "num_local_experts",
    "n_routed_experts",
    "moe_num_experts",
    "ffn_config.moe_num_experts",
    "num_routed_experts",
];

/// Keys that say how many a token chooses.
pub(super) const CHOSEN: [&str; 8] = [
    "num_experts_per_tok",
    "num_experts_per_token",
    "experts_per_token",
    "moe_topk",
    "moe_k",
    "moe_top_k",
    "ffn_config.moe_top_k",
    "num_selected_experts",
];

/// Keys of an expert's inner size, before `intermediate_size`.
pub(super) const INNER: [&str; 5] = [
    "moe_intermediate_size",
    "expert_ffn_hidden_size",
    "ffn_config.ffn_hidden_size",
    "moe_ffn_hidden_size",
    "intermediate_size",
];

/// The networks of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Networks {
    pub experts: u64,
    /// Zero-computation experts that pass tokens on.
    pub copies: u64,
    pub top_k: u64,
    pub intermediate: u64,
    /// Whether networks multiply two products.
    pub gated: bool,
    /// Whether their products add biases.
    pub biases: bool,
    /// Whether their activation clamps what it is given.
    pub clamped: bool,
    /// Inner size of what every token has on its own GPU.
    pub shared: u64,
    /// Inner size of dense networks; 0 where there are none.
    pub dense: u64,
    /// LongCat's second block beside the experts.
    pub shortcut: bool,
}

impl Networks {
    /// Those of a config.json.
    ///
    /// # Errors
    /// If a size is missing or is not the same in all layers.
    pub fn of(keys: &mut Keys<'_>, family: Family, layers: Layers) -> Result<Self, Diagnostic> {
        let experts = keys.needed(&NUMBER)?;
        let copies = copies(keys)?;
        let top_k = keys.needed(&CHOSEN)?;
        let intermediate = if family == Family::Llama4 {
            keys.needed(&["intermediate_size"])?
        } else {
            keys.needed(&INNER)?
        };
        let shared = shared(keys, family, intermediate)?;
        let shortcut = family == Family::LongCat;
        let has_dense = layers.has_dense() || shortcut;
        let names = match family {
            Family::Llama4 => ["intermediate_size_mlp"],
            Family::LongCat => ["ffn_hidden_size"],
            _ => ["intermediate_size"],
        };
        let dense = if has_dense { keys.needed(&names)? } else { 0 };
        let gated = is_gated(keys);
        let biases = has_biases(keys, family)?;
        let clamped = gated && is_clamped(keys, family)?;
        Ok(Self {
            experts,
            copies,
            top_k,
            intermediate,
            gated,
            biases,
            clamped,
            shared,
            dense,
            shortcut,
        })
    }

    /// Keys of `[model]` that say of what kind networks are, where they are not as most.
    pub fn write_kind(&self, text: &mut String) {
        let kinds = [
            (!self.gated, "gated        = false"),
            (self.biases, "biases       = true"),
            (self.clamped, "clamped_activation = true"),
        ];
        for (_, line) in kinds.iter().filter(|(holds, _)| *holds) {
            let _ = writeln!(text, "{line}");
        }
    }

    /// `[experts]` and `[dense]` of a workload.
    pub fn write(&self, layers: Layers, text: &mut String) {
        let _ = writeln!(text, "[experts]\nffn       = {}", self.experts);
        if self.copies > 0 {
            let _ = writeln!(text, "copy      = {}", self.copies);
        }
        let _ = writeln!(text, "top_k     = {}\nexecution = \"grouped\"\n", self.top_k);
        if self.dense == 0 && self.shared == 0 {
            return;
        }
        let _ = writeln!(text, "[dense]");
        if layers.leading > 0 {
            let _ = writeln!(text, "leading_layers = {}", layers.leading);
        }
        if layers.between > 0 {
            let _ = writeln!(text, "between        = {}", layers.between);
        }
        if self.dense > 0 {
            let _ = writeln!(text, "intermediate   = {}", self.dense);
        }
        if self.shared > 0 {
            let _ = writeln!(text, "shared         = {}", self.shared);
        }
        if self.shortcut {
            let _ = writeln!(text, "shortcut       = true");
        }
        text.push('\n');
    }
}

/// Experts that pass tokens on.
fn copies(keys: &mut Keys<'_>) -> Result<u64, Diagnostic> {
    let number = keys.count(&["zero_expert_num"])?.unwrap_or(0);
    match keys.word(&["zero_expert_type"]) {
        Some(kind) if number > 0 && kind != "identity" => {
            let found = format!("`{kind}` is not known: `identity` is");
            Err(keys.mistake("zero_expert_type", found, "write the workload by hand"))
        }
        _ => Ok(number),
    }
}

/// What every token has beside the experts that it chooses: shared experts, or a dense network in parallel.
fn shared(keys: &mut Keys<'_>, family: Family, each: u64) -> Result<u64, Diagnostic> {
    let parallel = match family {
        // A residual network as wide as the model [arctic].
        Family::Arctic if keys.flag("use_residual") => keys.needed(&["hidden_size"])?,
        Family::Grok if keys.flag("residual_moe") => keys.needed(&["intermediate_size"])?,
        Family::Llama4 => each,
        _ => 0,
    };
    let names =
        ["n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "num_shared_expert"];
    let number = keys.count(&names)?;
    let one = keys.count(&["moe_shared_expert_intermediate_size"])?;
    let all = keys.count(&["shared_expert_intermediate_size", "shared_intermediate_size"])?;
    Ok(parallel + all.unwrap_or_else(|| number.unwrap_or(0) * one.unwrap_or(each)))
}

/// Whether products of networks add biases: gpt-oss has no key for those of its experts [gptoss25].
fn has_biases(keys: &mut Keys<'_>, family: Family) -> Result<bool, Diagnostic> {
    let mut said = None;
    for name in ["mlp_bias", "use_bias", "add_bias_linear"] {
        if let Some(given) = keys.stated_flag(name)? {
            said = Some(said.unwrap_or(false) || given);
        }
    }
    Ok(said.unwrap_or(family == Family::GptOss))
}

/// Whether an activation clamps what it is given: gpt-oss's does, at 7 where no key says [gptoss25].
fn is_clamped(keys: &mut Keys<'_>, family: Family) -> Result<bool, Diagnostic> {
    const LIMIT: &str = "swiglu_limit";
    let Some(given) = keys.value(LIMIT).cloned() else { return Ok(family == Family::GptOss) };
    let refused = |what: &str| {
        let help =
            "write the largest value that the activation lets through, 0 for any, or leave it out";
        Err(keys.mistake(LIMIT, format!("found {given}, {what}"), help))
    };
    match given.as_f64() {
        None => refused("no number"),
        Some(limit) if limit < 0.0 => refused("below 0"),
        Some(limit) => Ok(limit > 0.0),
    }
}

/// Functions that are applied to one product; all others (`silu`, `gelu_pytorch_tanh`) go with a gate.
fn is_gated(keys: &mut Keys<'_>) -> bool {
    let inner = keys.value("ffn_config.ffn_act_fn").and_then(|of| of.get("name")).cloned();
    let word = keys.word(&["mlp_hidden_act", "hidden_act", "hidden_activation"]);
    let word = word.or_else(|| inner.as_ref().and_then(Value::as_str).map(str::to_owned));
    !word.is_some_and(|word| ["relu2", "relu", "relu_squared"].contains(&word.as_str()))
}
