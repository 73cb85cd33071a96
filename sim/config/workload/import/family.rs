//! Architectures by their `model_type`: which are read, which are refused and why, which is nearest.

use super::keys::Keys;
use crate::config::Diagnostic;

/// What an architecture does that no key of its config.json says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Nothing: its keys say all.
    Plain,
    /// Mixtral, whose gates were recorded.
    Mixtral,
    /// `OLMoE`, whose gates were recorded.
    Olmoe,
    /// Scores by sigmoid.
    Sigmoid,
    /// A shared expert as large as the others, sigmoid scores.
    Llama4,
    /// A dense network of the hidden size beside the experts.
    Arctic,
    /// A dense network beside the experts where `residual_moe` says so.
    Grok,
    /// Layers of two blocks, the second beside the experts.
    LongCat,
    /// Experts with biases.
    GptOss,
}

/// Architectures that are read.
const READ: &[(&str, Family)] = &[
    ("afmoe", Family::Sigmoid),
    ("aquila_moe", Family::Plain),
    ("arctic", Family::Arctic),
    ("axk1", Family::Sigmoid),
    ("bailing_moe", Family::Plain),
    ("bailing_moe_v2", Family::Sigmoid),
    ("dbrx", Family::Plain),
    ("deepseek", Family::Plain),
    ("deepseek_v2", Family::Plain),
    ("deepseek_v3", Family::Sigmoid),
    ("deepseek_v32", Family::Sigmoid),
    ("dots1", Family::Sigmoid),
    ("ernie4_5_moe", Family::Plain),
    ("exaone_moe", Family::Sigmoid),
    ("flex_olmo", Family::Plain),
    ("glm4_moe", Family::Sigmoid),
    ("glm4_moe_lite", Family::Sigmoid),
    ("glm4v_moe_text", Family::Sigmoid),
    ("glm_moe_dsa", Family::Sigmoid),
    ("gpt_oss", Family::GptOss),
    ("granitemoe", Family::Plain),
    ("granitemoeshared", Family::Plain),
    ("grok", Family::Grok),
    ("grok-1", Family::Grok),
    ("hunyuan_v1_moe", Family::Plain),
    ("kimi_k2", Family::Sigmoid),
    ("llama4", Family::Llama4),
    ("llama4_text", Family::Llama4),
    ("longcat_flash", Family::LongCat),
    ("minimax_m2", Family::Sigmoid),
    ("mixtral", Family::Mixtral),
    ("olmoe", Family::Olmoe),
    ("phimoe", Family::Plain),
    ("qwen2_moe", Family::Plain),
    ("qwen3_moe", Family::Plain),
    ("qwen3_omni_moe_text", Family::Plain),
    ("qwen3_vl_moe_text", Family::Plain),
    ("skywork_moe", Family::Plain),
    ("solar_open", Family::Sigmoid),
    ("xverse", Family::Plain),
];

/// Architectures that cannot be simulated, and what is in the way.
const REFUSED: &[(&str, &str)] = &[
    ("bailing_hybrid", LINEAR),
    ("bailing_moe_linear", LINEAR),
    ("granitemoehybrid", MAMBA),
    ("jamba", MAMBA),
    ("jetmoe", "experts of attention"),
    ("kimi_linear", LINEAR),
    ("lfm2_moe", "layers of short convolutions"),
    ("minimax", LINEAR),
    ("minimax_text_01", LINEAR),
    ("nemotron_h", MAMBA),
    ("qwen3_5_moe", LINEAR),
    ("qwen3_5_moe_text", LINEAR),
    ("qwen3_next", LINEAR),
    ("switch_transformers", "an encoder and a decoder"),
    ("yuan", "attention filtered by convolutions"),
];

const LINEAR: &str = "layers of linear attention";
const MAMBA: &str = "Mamba layers";

/// Keys that only architectures with something else than attention have.
const OTHER_LAYERS: &[(&str, &str)] = &[
    ("hybrid_override_pattern", MAMBA),
    ("mamba_d_state", MAMBA),
    ("mamba_num_heads", MAMBA),
    ("attn_layer_period", MAMBA),
    ("linear_num_value_heads", LINEAR),
    ("linear_attn_config", LINEAR),
    ("full_attention_interval", LINEAR),
    ("swa_num_key_value_heads", "other heads in layers with a window"),
    ("global_head_dim", "heads of two sizes"),
    ("conv_L_cache", "layers of short convolutions"),
    ("cla_share_factor", "keys and values that layers share"),
];

impl Family {
    /// The architecture of a config.json, read as `asked` where that is given.
    ///
    /// # Errors
    /// If it is not known, or known to be none that can be simulated.
    pub fn of(keys: &mut Keys<'_>, asked: Option<&str>) -> Result<(Self, String), Diagnostic> {
        let own = keys.word(&["model_type"]);
        let word = match (asked, &own) {
            (Some(asked), _) => {
                if !READ.iter().any(|(name, _)| *name == asked) {
                    let found = format!("`{asked}` is no architecture that moesim reads");
                    return Err(Diagnostic::of("--as", found, format!("give one of {}", names())));
                }
                asked.to_owned()
            }
            (None, Some(own)) => own.clone(),
            (None, None) => {
                let help = "give --as ARCHITECTURE, such as --as qwen3_moe";
                return Err(
                    keys.refusal("does not say its architecture: model_type is missing", help)
                );
            }
        };
        for (key, what) in OTHER_LAYERS {
            let used = *key != "cla_share_factor" || keys.flag("use_cla");
            if used && keys.has(key) {
                return Err(keys.mistake(key, has_other_layers(what), INSTEAD));
            }
        }
        if let Some((_, what)) = REFUSED.iter().find(|(name, _)| *name == word) {
            return Err(keys.mistake(
                "model_type",
                format!("`{word}` {}", has_other_layers(what)),
                INSTEAD,
            ));
        }
        match READ.iter().find(|(name, _)| *name == word) {
            Some((_, family)) => Ok((*family, word)),
            None => Err(unknown(keys, &word)),
        }
    }

    /// Whether gates score by sigmoid, whatever the keys say.
    pub const fn scores_by_sigmoid(self) -> bool {
        matches!(self, Self::Sigmoid | Self::Llama4)
    }
}

/// What to do about layers without attention.
pub(super) const INSTEAD: &str = "`counted = \"experts\"` and `\"layers\"` need no attention: write such a workload by hand, from \
                       `qwen3-235b-a22b`";

fn has_other_layers(what: &str) -> String {
    format!("has {what}, which are not simulated")
}

/// Names of architectures that are read.
fn names() -> String {
    READ.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// The refusal of an architecture that nobody has looked at.
fn unknown(keys: &Keys<'_>, word: &str) -> Diagnostic {
    let nearest = nearest(keys, word);
    let help = format!(
        "the nearest is `{nearest}`: if its layers are the same, give --as {nearest}; known are {}",
        names()
    );
    keys.mistake("model_type", format!("`{word}` is no architecture that moesim reads"), help)
}

/// The architecture whose name shares the longest beginning, else the one with like keys.
fn nearest(keys: &Keys<'_>, word: &str) -> &'static str {
    let shared = |name: &str| name.bytes().zip(word.bytes()).take_while(|(a, b)| a == b).count();
    let by_name = READ.iter().map(|(name, _)| *name).max_by_key(|name| shared(name));
    if let Some(name) = by_name.filter(|name| shared(name) >= 4) {
        return name;
    }
    let by_keys = [
        ("kv_lora_rank", "deepseek_v3"),
        ("first_k_dense_replace", "glm4_moe"),
        ("num_local_experts", "mixtral"),
    ];
    by_keys.into_iter().find(|(key, _)| keys.has(key)).map_or("qwen3_moe", |(_, name)| name)
}
