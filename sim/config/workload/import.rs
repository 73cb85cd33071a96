//! A model's `config.json`, as published on Hugging Face → the text of a workload file.
//!
//! Families name the same sizes differently; each key below lists the names in use. What such a file does
//! not hold (batch, layout, how the gate spreads tokens) is written as a stated guess, to be changed. What
//! moesim cannot simulate (layers without experts between those with, sizes that are missing) is refused.

use std::fmt::Write as _;

use serde_json::Value;

use crate::config::{Diagnostic, Source};

/// A config.json and where it came from.
struct Config<'a> {
    place: &'a str,
    keys: Value,
}

/// GPUs that share the experts in an imported workload: those of one node, a stated guess.
const GPUS: u64 = 8;

/// The text of the workload file for a model's config.json, and the name that it goes by.
///
/// # Errors
/// If the text is no such file, lacks a size, or describes what is not simulated.
pub fn import_config(place: &str, text: &str, name: &str) -> Result<String, Diagnostic> {
    let help = "name the config.json of a Mixture-of-Experts model";
    let keys: Value = serde_json::from_str(text)
        .map_err(|e| Diagnostic::of(place, format!("is no JSON: {e}"), help))?;
    let config = Config { place, keys };
    config.refuse_if_interleaved()?;
    let text = config.workload(name)?;
    // What was written must be what the simulator reads.
    super::workload(&Source::built_in(place, &text))?;
    Ok(text)
}

impl Config<'_> {
    /// The first of these keys that holds a number.
    fn maybe(&self, names: &[&str]) -> Option<u64> {
        names.iter().find_map(|name| self.keys.get(name)?.as_u64())
    }

    fn number(&self, names: &[&str]) -> Result<u64, Diagnostic> {
        self.maybe(names).ok_or_else(|| {
            Diagnostic::of(
                self.place,
                format!("has none of the keys {}", names.join(", ")),
                "name the config.json of a Mixture-of-Experts model; a file without this key must be \
                 written as a workload by hand",
            )
        })
    }

    fn word(&self, name: &str) -> Option<&str> {
        self.keys.get(name)?.as_str()
    }

    /// Layers without experts among those with: only leading ones are simulated.
    fn refuse_if_interleaved(&self) -> Result<(), Diagnostic> {
        let step = self.maybe(&["decoder_sparse_step", "moe_layer_freq"]).unwrap_or(1);
        let alone = self.keys.get("mlp_only_layers").and_then(Value::as_array);
        if step == 1 && alone.is_none_or(Vec::is_empty) {
            return Ok(());
        }
        Err(Diagnostic::of(
            self.place,
            "has layers without experts between those with (decoder_sparse_step, moe_layer_freq or \
             mlp_only_layers)",
            "only leading dense layers are simulated: write the workload by hand, with the layers that \
             have experts",
        ))
    }

    fn workload(&self, name: &str) -> Result<String, Diagnostic> {
        let quoted = |text: &str| Value::String(text.to_owned()).to_string();
        let family = self.word("model_type").unwrap_or("unnamed");
        let dense = self.maybe(&["first_k_dense_replace"]).unwrap_or(0);
        let layers = self.number(&["num_hidden_layers", "num_layers"])?.saturating_sub(dense);
        let inner = ["moe_intermediate_size", "expert_ffn_hidden_size", "intermediate_size"];
        let mut text = String::new();
        let _ = write!(
            text,
            "# {name}, imported from a config.json.\n#\n# Batch, layout and gate are stated guesses: \
             change them. The rest is as the file says.\nschema = 1\nname   = {}\nsource = {}\n\n\
             [model]\nname         = {}\nlayers       = {layers}\nhidden       = {}\nintermediate = {}\n",
            quoted(name),
            quoted(&format!("config.json, model_type {family}")),
            quoted(name),
            self.number(&["hidden_size"])?,
            self.number(&inner)?,
        );
        self.activation(&mut text);
        self.attention(&mut text)?;
        self.experts(&mut text)?;
        self.dense(&mut text, dense)?;
        self.gate(&mut text)?;
        self.batch(&mut text)?;
        Ok(text)
    }

    /// Functions that are applied to one product; all others (`silu`, `gelu_pytorch_tanh`) go with a gate.
    fn activation(&self, text: &mut String) {
        let words = ["mlp_hidden_act", "hidden_act"].iter().find_map(|name| self.word(name));
        if words.is_some_and(|word| ["relu2", "relu", "relu_squared"].contains(&word)) {
            let _ = writeln!(text, "gated        = false");
        }
    }

    fn attention(&self, text: &mut String) -> Result<(), Diagnostic> {
        let heads = self.number(&["num_attention_heads"])?;
        let latent = self.maybe(&["kv_lora_rank"]);
        let head = match self.maybe(&["head_dim", "qk_nope_head_dim"]) {
            Some(size) if latent.is_none() => size,
            _ if latent.is_some() => self.number(&["qk_nope_head_dim"])?,
            _ => self.number(&["hidden_size"])? / heads.max(1),
        };
        let _ = writeln!(text, "heads        = {heads}\nhead_dim     = {head}");
        if let Some(rank) = latent {
            let query = self.number(&["q_lora_rank"])?;
            let rope = self.number(&["qk_rope_head_dim"])?;
            let _ = writeln!(
                text,
                "query_rank     = {query}\nkey_value_rank = {rank}\nrope_dim       = {rope}"
            );
        } else if let Some(shared) = self.maybe(&["num_key_value_heads"]) {
            let _ = writeln!(text, "key_value_heads = {shared}");
        }
        self.window(text)?;
        let _ = writeln!(text, "vocabulary   = {}\n", self.number(&["vocab_size"])?);
        Ok(())
    }

    /// A window of attention, where layers have one: all, or every one but the last of a few.
    fn window(&self, text: &mut String) -> Result<(), Diagnostic> {
        let in_use = self.keys.get("use_sliding_window").and_then(Value::as_bool).unwrap_or(true);
        let Some(window) = self.maybe(&["sliding_window"]).filter(|_| in_use) else {
            return Ok(());
        };
        let kinds = self.keys.get("layer_types").and_then(Value::as_array);
        let is_full = |kind: &Value| kind.as_str() == Some("full_attention");
        let Some(kinds) = kinds else {
            let _ = writeln!(text, "sliding_window = {window}");
            return Ok(());
        };
        let pattern = kinds.iter().position(is_full).map(|at| at + 1);
        let follows = |pattern: usize| {
            kinds
                .iter()
                .enumerate()
                .all(|(at, kind)| is_full(kind) == (at + 1).is_multiple_of(pattern))
        };
        match pattern {
            None => {
                let _ = writeln!(text, "sliding_window = {window}");
            }
            Some(1) if follows(1) => {}
            Some(pattern) if follows(pattern) => {
                let _ =
                    writeln!(text, "sliding_window = {window}\nsliding_window_pattern = {pattern}");
            }
            Some(_) => {
                let found = "layer_types follow no pattern of a window in all layers but each n-th";
                let help = "write the workload by hand, with the nearest sliding_window_pattern";
                return Err(Diagnostic::of(self.place, found, help));
            }
        }
        Ok(())
    }

    fn experts(&self, text: &mut String) -> Result<(), Diagnostic> {
        let ffn = self.number(&["num_experts", "num_local_experts", "n_routed_experts"])?;
        let top_k = self.number(&["num_experts_per_tok", "experts_per_token", "moe_topk"])?;
        let _ = writeln!(text, "[experts]\nffn       = {ffn}");
        if let Some(zero) = self.maybe(&["zero_expert_num"]) {
            let _ = writeln!(text, "copy      = {zero}");
        }
        let _ = writeln!(text, "top_k     = {top_k}\nexecution = \"grouped\"\n");
        Ok(())
    }

    fn dense(&self, text: &mut String, leading: u64) -> Result<(), Diagnostic> {
        let each = self.maybe(&["moe_intermediate_size"]).unwrap_or(0);
        let number = self.maybe(&["n_shared_experts"]).unwrap_or(0);
        let sizes = ["shared_expert_intermediate_size", "moe_shared_expert_intermediate_size"];
        let shared = self.maybe(&sizes).unwrap_or(number * each);
        if leading == 0 && shared == 0 {
            return Ok(());
        }
        let _ = writeln!(text, "[dense]");
        if leading > 0 {
            let size = self.number(&["intermediate_size"])?;
            let _ = writeln!(text, "leading_layers = {leading}\nintermediate   = {size}");
        }
        if shared > 0 {
            let _ = writeln!(text, "shared         = {shared}");
        }
        text.push('\n');
        Ok(())
    }

    fn gate(&self, text: &mut String) -> Result<(), Diagnostic> {
        if self.maybe(&["zero_expert_num"]).is_some() {
            let found = "has zero-computation experts, and no key says how many slots go to them";
            let help =
                "start from `longcat-flash` (workloads/longcat-flash.toml), whose [scheme] says it";
            return Err(Diagnostic::of(self.place, found, help));
        }
        if let (Some(groups @ 2..), Some(chosen)) =
            (self.maybe(&["n_group"]), self.maybe(&["topk_group"]))
        {
            let _ = writeln!(
                text,
                "[scheme]\nkind   = \"group-limited\"\ngroups = {groups}\ngroups_chosen = {chosen}\n"
            );
        }
        let _ = writeln!(text, "[gate]\nnetwork = \"linear\"");
        if self.word("scoring_func") == Some("sigmoid") {
            let _ = writeln!(text, "scoring = \"sigmoid\"");
        }
        let _ = writeln!(
            text,
            "preset  = \"gpt-oss-serving\"     # guess: sequences differ as those recorded of gpt-oss-20b\n"
        );
        Ok(())
    }

    fn batch(&self, text: &mut String) -> Result<(), Diagnostic> {
        let ffn = self.number(&["num_experts", "num_local_experts", "n_routed_experts"])?;
        let quantised = self.keys.get("quantization_config");
        let method = quantised.and_then(|of| of.get("quant_method")).and_then(Value::as_str);
        let dtype = match method {
            None => "\"bf16\"".to_owned(),
            Some("fp8") => "\"fp8\"".to_owned(),
            Some(other) => format!(
                "\"bf16\"           # guess: the weights are {other}, which is not modelled"
            ),
        };
        let gpus = (1..=GPUS).rev().find(|gpus| ffn.is_multiple_of(*gpus)).unwrap_or(1);
        let _ = writeln!(
            text,
            "[batch]\ntokens_per_gpu  = 4096             # guess\nmicro_batches   = 1                # guess\n\
             sequence_tokens = 2048             # guess\ndtype           = {dtype}\n\n\
             [layout]\nexpert_parallel   = {gpus}              # guess\npipeline_parallel = 1              # guess"
        );
        Ok(())
    }
}
