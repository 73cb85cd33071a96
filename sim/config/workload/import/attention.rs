//! Attention: as many keys and values as heads, shared by groups of heads, or latent; and windows.

use std::fmt::Write as _;

use serde_json::Value;

use super::family::INSTEAD;
use super::keys::{Keys, shown};
use super::layers::NUMBER;
use crate::config::Diagnostic;

/// How attention is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Groups of heads share keys and values; all heads have their own where no number is given.
    Grouped { key_value_heads: Option<u64> },
    /// Behind bottlenecks.
    Latent { query_rank: Option<u64>, key_value_rank: u64, rope_dim: u64 },
}

/// Attention of all layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attention {
    heads: u64,
    head_dim: u64,
    value_dim: u64,
    kind: Kind,
    /// Tokens that one attends to, and the length of the pattern whose last layer has no such limit.
    window: Option<(u64, Option<u64>)>,
}

impl Attention {
    /// That of a config.json.
    ///
    /// # Errors
    /// If a size is missing, or windows follow no pattern that is simulated.
    pub fn of(keys: &mut Keys<'_>, hidden: u64) -> Result<Self, Diagnostic> {
        let heads = keys.needed(&["num_attention_heads", "n_heads", "n_head"])?;
        let own = keys.count(&["head_dim", "attention_head_dim", "kv_channels"])?;
        let (kind, head_dim) = match keys.count(&["kv_lora_rank"])? {
            Some(rank) => latent(keys, rank)?,
            None => (grouped(keys)?, own.unwrap_or(hidden / heads.max(1))),
        };
        let value_dim = keys.count(&["v_head_dim"])?.unwrap_or(head_dim);
        Ok(Self { heads, head_dim, value_dim, kind, window: window(keys)? })
    }

    /// The keys of a workload's `[model]`.
    pub fn write(&self, text: &mut String) {
        let _ = writeln!(text, "heads        = {}\nhead_dim     = {}", self.heads, self.head_dim);
        if self.value_dim != self.head_dim {
            let _ = writeln!(text, "value_dim    = {}", self.value_dim);
        }
        match self.kind {
            Kind::Grouped { key_value_heads: Some(shared) } => {
                let _ = writeln!(text, "key_value_heads = {shared}");
            }
            Kind::Grouped { key_value_heads: None } => {}
            Kind::Latent { query_rank, key_value_rank, rope_dim } => {
                if let Some(rank) = query_rank {
                    let _ = writeln!(text, "query_rank     = {rank}");
                }
                let _ = writeln!(
                    text,
                    "key_value_rank = {key_value_rank}\nrope_dim       = {rope_dim}"
                );
            }
        }
        if let Some((tokens, pattern)) = self.window {
            let _ = writeln!(text, "sliding_window = {tokens}");
            if let Some(pattern) = pattern {
                let _ = writeln!(text, "sliding_window_pattern = {pattern}");
            }
        }
    }
}

fn grouped(keys: &mut Keys<'_>) -> Result<Kind, Diagnostic> {
    let names = ["num_key_value_heads", "attn_config.kv_n_heads", "multi_query_group_num"];
    Ok(Kind::Grouped { key_value_heads: keys.count(&names)?.filter(|number| *number > 0) })
}

fn latent(keys: &mut Keys<'_>, key_value_rank: u64) -> Result<(Kind, u64), Diagnostic> {
    // Every head has keys and values of its own: the number of key-value heads says nothing.
    keys.value("num_key_value_heads");
    keys.value("qk_head_dim");
    let query_rank = keys.count(&["q_lora_rank"])?.filter(|rank| *rank > 0);
    let rope_dim = keys.needed(&["qk_rope_head_dim"])?;
    let head_dim = keys.needed(&["qk_nope_head_dim"])?;
    Ok((Kind::Latent { query_rank, key_value_rank, rope_dim }, head_dim))
}

/// A window of attention, where layers have one: all, or every one but the last of a few.
fn window(keys: &mut Keys<'_>) -> Result<Option<(u64, Option<u64>)>, Diagnostic> {
    let most = keys.count(&["max_position_embeddings", "max_seq_len"])?.unwrap_or(u64::MAX);
    let tokens = keys.count(&["sliding_window"])?;
    let in_use = !keys.has("use_sliding_window") || keys.flag("use_sliding_window");
    keys.value("use_sliding_window");
    let kinds = full_layers(keys)?;
    let every = if kinds.is_some() {
        None
    } else {
        keys.count(&["sliding_window_pattern", "global_attn_every_n_layers"])?
    };
    // Nothing is cut off by a window as long as the longest sequence.
    let Some(tokens) = tokens.filter(|tokens| in_use && *tokens < most) else { return Ok(None) };
    let Some(kinds) = kinds else {
        if let Some(full) =
            keys.count(&["max_window_layers"])?.filter(|_| keys.has("use_sliding_window"))
        {
            let found = format!("{full} first layers without a window, and the others with one");
            return Err(keys.mistake("max_window_layers", found, BY_HAND));
        }
        return Ok(Some((tokens, every)));
    };
    let follows = |pattern: usize| {
        let expected = |at: usize| (at + 1).is_multiple_of(pattern);
        kinds.iter().enumerate().all(|(at, full)| *full == expected(at))
    };
    match kinds.iter().position(|full| *full).map(|at| at + 1) {
        None => Ok(Some((tokens, None))),
        Some(1) if follows(1) => Ok(None),
        Some(pattern) if follows(pattern) => Ok(Some((tokens, Some(pattern as u64)))),
        Some(_) => {
            let found = "follow no pattern of a window in all layers but each n-th";
            Err(keys.mistake(KINDS, found, BY_HAND))
        }
    }
}

/// Where a config.json says of every layer which attention it has.
const KINDS: &str = "layer_types";

/// Kinds of layers that are read: of windows and chunks the length stands elsewhere.
const READ: [&str; 3] = ["full_attention", "sliding_attention", "chunked_attention"];

/// Of every layer whether it attends to all tokens, where `layer_types` is given.
fn full_layers(keys: &mut Keys<'_>) -> Result<Option<Vec<bool>>, Diagnostic> {
    let number = keys.needed(&NUMBER)?;
    let Some(given) = keys.value(KINDS).cloned() else { return Ok(None) };
    let help = format!("give it one of {} for each layer, or leave it out", READ.join(", "));
    let Value::Array(kinds) = &given else {
        return Err(keys.mistake(KINDS, format!("found {}, no list", shown(&given)), help));
    };
    if (kinds.len() as u64) < number {
        let found = format!("found {} entries for {number} layers", kinds.len());
        return Err(keys.mistake(KINDS, found, help));
    }
    let layers = kinds.iter().take(usize::try_from(number).unwrap_or(usize::MAX)).enumerate();
    let full = layers.map(|(at, kind)| match kind.as_str() {
        Some(word) if READ.contains(&word) => Ok(word == READ[0]),
        _ => {
            let which = format!("found {} as entry {}", shown(kind), at + 1);
            let (found, help) = match kind.is_string() {
                true => (format!("{which}, a kind of layer that is not simulated"), INSTEAD),
                false => (format!("{which}, which is no word"), help.as_str()),
            };
            Err(keys.mistake(KINDS, found, help))
        }
    });
    full.collect::<Result<_, _>>().map(Some)
}

const BY_HAND: &str = "write the workload by hand, with the nearest sliding_window_pattern";
