//! What keys that nothing read mean for time: nothing, something that is left out, or nobody knows.

use std::fmt;

use serde_json::Value;

use super::keys::Keys;

/// Keys that change no time: what they say is of values, of training, of text, or of software.
const NO_EFFECT: &[&str] = &[
    "attn_type_list",
    "emb_pdrop",
    "ffn_config.ffn_act_fn",
    "ffn_config.moe_normalize_expert_weights",
    "ffn_config.uniform_expert_assignment",
    "first_last_k_dense_replace",
    "global_attn_every_n_layers",
    "hidden_activation",
    "intermediate_size_mlp",
    "load_balance_coeff",
    "mup_enabled",
    "num_expert_groups",
    "num_limited_groups",
    "original_max_position_embeddings",
    "qk_norm_type",
    "sliding_window_pattern",
    "tokenizer_class",
    "use_grouped_mm",
    "use_routing_bias",
    "_attn_implementation",
    "_name_or_path",
    "architectures",
    "attention_dropout",
    "attention_multiplier",
    "attn_config.attn_pdrop",
    "attn_config.clip_qkv",
    "attn_config.model_type",
    "attn_config.rope_theta",
    "attn_logit_softcapping",
    "attn_temperature_tuning",
    "attn_scale",
    "auto_map",
    "aux_loss_alpha",
    "cache_implementation",
    "cla_share_factor",
    "clip_qkv",
    "dropout",
    "dtype",
    "embd_pdrop",
    "embedding_dropout",
    "embedding_multiplier",
    "embedding_multiplier_scale",
    "ep_size",
    "experts_gate_act",
    "ffn_config.moe_jitter_eps",
    "ffn_config.moe_loss_weight",
    "ffn_config.model_type",
    "final_logit_softcapping",
    "floor_scale",
    "for_llm_class",
    "head_dim",
    "hidden_act",
    "id2label",
    "init_method",
    "initializer_range",
    "initial_context_length",
    "input_jitter_noise",
    "intermediate_size",
    "is_encoder_decoder",
    "label2id",
    "layer_norm_eps",
    "layer_norm_epsilon",
    "layer_types",
    "logits_scaling",
    "max_model_len",
    "max_position_embeddings",
    "max_seq_len",
    "max_window_layers",
    "mlp_only_layers",
    "model_max_length",
    "moe_aux_loss_coef",
    "moe_capacity",
    "moe_dropout_prob",
    "moe_gate",
    "moe_gate_act",
    "moe_router_enable_expert_bias",
    "moe_router_score_function",
    "moe_router_topk_scaling_factor",
    "moe_use_aux_free",
    "n_positions",
    "no_rope_layers",
    "norm_eps",
    "norm_head",
    "norm_softmax",
    "norm_topk_prob",
    "num_labels",
    "num_key_value_heads",
    "output_attentions",
    "output_dropout",
    "output_hidden_states",
    "output_multiplier_scale",
    "output_router_logits",
    "partial_rotary_factor",
    "parallel_attn_mlp_res",
    "pretraining_tp",
    "resid_pdrop",
    "residual_multiplier",
    "return_dict",
    "rms_norm_eps",
    "rope_interleave",
    "rope_parameters",
    "rope_ratio",
    "rope_scaling",
    "rope_theta",
    "rotary_dim",
    "route_norm",
    "route_scale",
    "routed_scaling_factor",
    "router_aux_loss_coef",
    "router_bias",
    "router_dtype",
    "router_ignore_padding_tokens",
    "router_jitter_noise",
    "router_z_loss_coef",
    "scoring_func",
    "seq_aux",
    "seq_length",
    "sliding_window",
    "swiglu_alpha",
    "topk_group",
    "topk_method",
    "torch_dtype",
    "transformers_version",
    "unsloth_fixed",
    "use_cache",
    "use_sliding_window",
];

/// Endings of keys that change no time.
const NO_EFFECT_ENDINGS: &[&str] =
    &["_token_id", "_token_index", "_loss_coef", "_dropout", "_pdrop", "_init_method"];

/// Keys that change times, values at which they do not, and what is left out.
const LEFT_OUT: &[(&str, &str)] = &[
    ("num_nextn_predict_layers", "layers that predict several tokens"),
    ("num_mtp_modules", "layers that predict several tokens"),
    ("mtp_num_layers", "layers that predict several tokens"),
    (
        "index_topk",
        "the indexer of sparse attention; every token attends to all before it, as it does up to this many",
    ),
    ("index_n_heads", "the indexer's heads"),
    ("index_head_dim", "the indexer's heads"),
    (
        "attention_chunk_size",
        "chunks of attention: layers attend to all tokens, as they do up to this many",
    ),
    ("attention_bias", "biases of attention, a rounding of its time"),
    ("use_qkv_bias", "biases of attention"),
    ("qkv_bias", "biases of attention"),
    ("use_qk_norm", "norms of queries and keys"),
    ("qk_norm", "norms of queries and keys"),
    ("use_head_wise_attn_gate", "gates of attention"),
    ("attn_output_gate", "gates of attention"),
];

/// What became of the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// How many were read.
    pub used: usize,
    /// Change no time.
    pub no_effect: Vec<String>,
    /// Would change times, and what of them is left out.
    pub left_out: Vec<(String, &'static str)>,
    /// Not known to moesim.
    pub unknown: Vec<String>,
    /// Beside the language model: other modalities.
    pub beside: Vec<String>,
}

impl Account {
    /// That of a config.json whose model was read.
    pub(super) fn of(keys: &Keys<'_>) -> Self {
        let mut account =
            Self { used: keys.used(), beside: keys.beside.clone(), ..Self::default() };
        for (key, value) in keys.unread() {
            let name = key.to_owned();
            let ends = || NO_EFFECT_ENDINGS.iter().any(|ending| key.ends_with(ending));
            if let Some((_, what)) = LEFT_OUT.iter().find(|(left, _)| *left == key) {
                if is_off(value) {
                    account.no_effect.push(name);
                } else {
                    account.left_out.push((name, what));
                }
            } else if NO_EFFECT.contains(&key) || ends() {
                account.no_effect.push(name);
            } else {
                account.unknown.push(name);
            }
        }
        account
    }
}

/// A line for each kind, and one for how many were read.
impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keys: {} used", self.used)?;
        let left_out: Vec<String> =
            self.left_out.iter().map(|(key, what)| format!("{key} ({what})")).collect();
        for (what, keys) in [
            ("do not affect time", &self.no_effect),
            ("left out", &left_out),
            ("not known, and ignored", &self.unknown),
            ("beside the language model", &self.beside),
        ] {
            if !keys.is_empty() {
                write!(f, "\n  {what}: {}", keys.join(", "))?;
            }
        }
        writeln!(f)
    }
}

/// Whether a value says that something is not there.
fn is_off(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(false)) || value.as_f64() == Some(0.0)
}
