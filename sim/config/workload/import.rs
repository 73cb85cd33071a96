//! A model's `config.json`, as published on Hugging Face → the text of a workload file.
//!
//! ```text
//!  text ─ keys ─▶ family ─▶ layers, attention, experts, gate, format ─▶ text of a workload
//!                                                     what is unread ─▶ effects: an account of every key
//! ```
//!
//! Families name the same sizes differently: each child lists the names in use. What such a file does not
//! hold (batch, layout, how the gate spreads tokens) is written as a stated guess, to be changed. What moesim
//! cannot simulate is refused; what it leaves out, and keys that nobody knows, stand in the file's head.

use std::fmt::Write as _;

use serde_json::Value;

use crate::config::{Diagnostic, Source};

mod attention;
mod counts;
mod effects;
mod experts;
mod family;
mod format;
mod gate;
mod keys;
mod layers;

use attention::Attention;
pub use counts::{ImportedCounts, import_counts, is_counts};
pub use effects::Account;
use experts::Networks;
use family::Family;
use format::Format;
use gate::Gate;
use keys::Keys;
use layers::Layers;

/// GPUs that share the experts in an imported workload: those of one node, a stated guess.
const GPUS: u64 = 8;

/// Keys of a workload, and those of a config.json that they are written from.
const WRITTEN: [(&str, &[&str]); 11] = [
    ("model.layers", &layers::NUMBER),
    ("model.hidden", &["hidden_size", "d_model"]),
    ("model.intermediate", &experts::INNER),
    ("model.heads", &["num_attention_heads", "n_heads", "n_head"]),
    ("model.head_dim", &["head_dim", "attention_head_dim", "kv_channels", "qk_nope_head_dim"]),
    ("model.key_value_heads", &["num_key_value_heads", "num_kv_heads", "attn_config.kv_n_heads"]),
    ("model.vocabulary", &["vocab_size"]),
    ("model.sliding_window", &["sliding_window"]),
    ("experts.ffn", &experts::NUMBER),
    ("experts.top_k", &experts::CHOSEN),
    ("layout.expert_parallel", &experts::NUMBER),
];

/// What the user says beside the config.json.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImportAs<'a> {
    /// The workload's name.
    pub name: &'a str,
    /// Where the config.json comes from.
    pub source: Option<&'a str>,
    /// GPUs that share the experts.
    pub gpus: Option<u32>,
    /// The `model_type` to read it as.
    pub family: Option<&'a str>,
    /// Slots of a token that go to FFN experts, in models with zero-computation experts.
    pub ffn_slots: Option<f64>,
}

/// A workload file, and what became of every key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The text of the workload file.
    pub text: String,
    /// What became of the keys.
    pub account: Account,
}

/// What a config.json says.
struct Described {
    word: String,
    hidden: u64,
    vocabulary: u64,
    tied: bool,
    layers: Layers,
    attention: Attention,
    networks: Networks,
    gate: Gate,
    format: Format,
    account: Account,
}

/// The workload file for a model's config.json.
///
/// # Errors
/// If the text is no such file, lacks a size, or describes what is not simulated.
pub fn import_config(place: &str, text: &str, asked: ImportAs<'_>) -> Result<Imported, Diagnostic> {
    let mut keys = Keys::open(place, text)?;
    let described = describe(&mut keys, asked)?;
    let text = described.workload(asked, place)?;
    // What was written must be what the simulator reads.
    super::workload(&Source::built_in(place, &text)).map_err(|mistake| {
        let from = WRITTEN.iter().find(|(key, _)| *key == mistake.key);
        keys.blamed(mistake, from.map_or(&[], |(_, names)| names))
    })?;
    Ok(Imported { text, account: described.account })
}

fn describe(keys: &mut Keys<'_>, asked: ImportAs<'_>) -> Result<Described, Diagnostic> {
    refuse_other_kinds(keys)?;
    let (family, word) = Family::of(keys, asked.family)?;
    let hidden = keys.needed(&["hidden_size", "d_model"])?;
    let layers = Layers::of(keys)?;
    let attention = Attention::of(keys, hidden)?;
    let networks = Networks::of(keys, family, layers)?;
    let gate = Gate::of(keys, family, networks, asked.ffn_slots)?;
    let format = Format::of(keys);
    let vocabulary = keys.needed(&["vocab_size"])?;
    let tied = keys.flag("tie_word_embeddings");
    let account = Account::of(keys);
    Ok(Described {
        word,
        hidden,
        vocabulary,
        tied,
        layers,
        attention,
        networks,
        gate,
        format,
        account,
    })
}

/// Refuses JSON that is no model's, and dense models.
fn refuse_other_kinds(keys: &Keys<'_>) -> Result<(), Diagnostic> {
    let has_any = |names: &[&str]| names.iter().any(|name| keys.has(name));
    if !has_any(&["hidden_size", "d_model"]) {
        let found = "is JSON, but no model's config.json: it has no hidden_size";
        let help = "name the config.json of a Mixture-of-Experts model";
        return Err(keys.refusal(found, help));
    }
    let other_layers = has_any(&["hybrid_override_pattern"]);
    if !has_any(&experts::NUMBER) && !other_layers {
        return Err(keys.refusal(
            "describes a dense model: no key says how many experts a layer has (num_experts, \
             num_local_experts, n_routed_experts)",
            "moesim simulates Mixture-of-Experts models: name one with experts",
        ));
    }
    Ok(())
}

impl Described {
    fn workload(&self, asked: ImportAs<'_>, place: &str) -> Result<String, Diagnostic> {
        let mut text = String::new();
        self.head(asked, &mut text);
        let quoted = |text: &str| Value::String(text.to_owned()).to_string();
        let own = format!("config.json, model_type {}", self.word);
        let _ = write!(
            text,
            "schema = 1\nname   = {name}\nsource = {}\n\n[model]\nname         = {name}\n\
             layers       = {}\nhidden       = {}\nintermediate = {}\n",
            quoted(asked.source.unwrap_or(&own)),
            self.layers.experts,
            self.hidden,
            self.networks.intermediate,
            name = quoted(asked.name),
        );
        self.networks.write_kind(&mut text);
        self.attention.write(&mut text);
        let _ = writeln!(text, "vocabulary   = {}", self.vocabulary);
        if self.tied {
            let _ = writeln!(text, "tied         = true");
        }
        text.push('\n');
        self.networks.write(self.layers, &mut text);
        self.gate.write(&mut text);
        let gpus = self.expert_parallel(asked.gpus, place)?;
        let _ = writeln!(
            text,
            "[batch]\ntokens_per_gpu  = 4096             # guess\nmicro_batches   = 1                # guess\n\
             sequence_tokens = 2048             # guess\n{}\n\n\
             [layout]\nexpert_parallel   = {gpus}              # guess\n\
             pipeline_parallel = 1              # guess",
            self.format.line()
        );
        Ok(text)
    }

    /// The comment in front: what the model is, what is guessed and what is left out.
    fn head(&self, asked: ImportAs<'_>, text: &mut String) {
        let Networks { experts, copies, top_k, .. } = self.networks;
        let name: String = asked.name.chars().filter(|c| !c.is_control()).collect();
        let zero = if copies > 0 { format!(" + {copies} identity") } else { String::new() };
        let _ = writeln!(
            text,
            "# {name} ({experts}{zero} experts, top-{top_k}), imported from a config.json.\n#\n\
             # Batch, layout and gate are stated guesses: change them. The rest is as the file says."
        );
        let Account { left_out, unknown, .. } = &self.account;
        for (key, what) in left_out {
            let _ = writeln!(text, "# Left out: {what} ({key}).");
        }
        if !unknown.is_empty() {
            let plain = |key: &String| key.chars().filter(|c| !c.is_control()).collect::<String>();
            let unknown: Vec<String> = unknown.iter().map(plain).collect();
            let _ = writeln!(text, "# Not known, and ignored: {}.", unknown.join(", "));
        }
    }

    /// GPUs that share the experts: as many as asked, else those of a node or fewer.
    fn expert_parallel(&self, asked: Option<u32>, place: &str) -> Result<u64, Diagnostic> {
        let experts = self.networks.experts;
        let divides = |gpus: &u64| experts.is_multiple_of(*gpus);
        match asked.map(u64::from) {
            None => Ok((1..=GPUS).rev().find(divides).unwrap_or(1)),
            Some(gpus) if gpus > 0 && divides(&gpus) => Ok(gpus),
            Some(gpus) => {
                let below = (1..gpus).rev().find(divides).unwrap_or(1);
                let found = format!("{experts} experts do not spread evenly over {gpus} GPUs");
                let help = format!("give a divisor of {experts}, such as --gpus {below}");
                Err(Diagnostic::of(place, found, help))
            }
        }
    }
}
