//! What a page sends: names of what is built in, and numbers; each is checked before anything is read.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::base::near;
use crate::config::{Diagnostic, read_result};

/// Where mistakes of a page are.
const PLACE: &str = "the question";

/// What a page asks. What is left out stays as the model's file has it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// The vanilla model.
    pub model: String,
    /// The cluster.
    pub cluster: String,
    /// What is counted, by its word; MoE layers where it is not said.
    #[serde(default)]
    pub counted: Option<String>,
    /// τ of the MoE++ twin.
    #[serde(default)]
    pub tau: Option<f64>,
    /// Tokens on a GPU in one micro-batch.
    #[serde(default)]
    pub tokens_per_gpu: Option<u32>,
    /// Whether the batch is trained on, or served: `training`, `prefill` or `decode`.
    #[serde(default)]
    pub phase: Option<String>,
    /// Tokens that each sequence had before the batch.
    #[serde(default)]
    pub context: Option<u32>,
    /// Micro-batches.
    #[serde(default)]
    pub micro_batches: Option<u32>,
    /// GPUs that share one copy of the experts.
    #[serde(default)]
    pub expert_parallel: Option<u32>,
    /// GPUs that share each dense product.
    #[serde(default)]
    pub tensor_parallel: Option<u32>,
    /// Pipeline stages.
    #[serde(default)]
    pub pipeline_parallel: Option<u32>,
    /// How unevenly experts are chosen: standard deviation of the logarithm of their shares.
    #[serde(default)]
    pub popularity_sd: Option<f64>,
    /// What carries dispatch and combine, by its word.
    #[serde(default)]
    pub library: Option<String>,
    /// What exchanges of a forward pass run beside, by its word.
    #[serde(default)]
    pub overlap: Option<String>,
    /// How a GPU runs its experts: `grouped` or `sequential`.
    #[serde(default)]
    pub execution: Option<String>,
    /// Factors on the bandwidths of the cluster, by their keys.
    #[serde(default)]
    pub bandwidth: BTreeMap<String, f64>,
    /// How many seeds.
    #[serde(default)]
    pub seeds: Option<u32>,
    /// Whether each draws the error that calibration left.
    #[serde(default)]
    pub uncertain: bool,
    /// Whether a coarse answer is enough.
    #[serde(default)]
    pub coarse: bool,
}

/// The most seeds of a question: more are for `moesim run`.
pub(super) const MOST_SEEDS: u32 = 16;
/// Bandwidths are varied by at most this factor, up and down.
pub(super) const MOST_FACTOR: f64 = 64.0;
/// The most that numbers of a batch and a layout may be.
const MOST_TOKENS: u32 = 65_536;
const MOST_MICRO_BATCHES: u32 = 64;
const MOST_GROUP: u32 = 1024;
const MOST_SD: f64 = 3.0;
const MOST_CONTEXT: u32 = 1 << 20;

impl Ask {
    /// Reads what a page sent.
    ///
    /// # Errors
    /// If it is no JSON, lacks a name, or holds what is not asked.
    pub fn read(text: &str) -> Result<Self, Diagnostic> {
        // A list would be taken for the values of the keys in their order.
        if let Some(other) = no_object(text) {
            let found = format!("is {other}, and a question is an object of names and numbers");
            return Err(Diagnostic::of(PLACE, found, format!("send {EXAMPLE}, for one")));
        }
        read_result::<Self>(PLACE, text).map_err(|mistake| Diagnostic {
            help: "see /api/choices for what can be asked".to_owned(),
            ..mistake
        })
    }

    /// That every number is within its limits.
    pub(super) fn within_limits(&self) -> Result<(), Diagnostic> {
        let whole = [
            ("tokens_per_gpu", self.tokens_per_gpu, MOST_TOKENS),
            ("context", self.context, MOST_CONTEXT),
            ("micro_batches", self.micro_batches, MOST_MICRO_BATCHES),
            ("expert_parallel", self.expert_parallel, MOST_GROUP),
            ("tensor_parallel", self.tensor_parallel, MOST_GROUP),
            ("pipeline_parallel", self.pipeline_parallel, MOST_GROUP),
            ("seeds", self.seeds, MOST_SEEDS),
        ];
        for (key, value, most) in whole {
            let Some(value) = value.filter(|value| !(1..=most).contains(value)) else { continue };
            let help = format!("give a whole number from 1 to {most}");
            return Err(refused(key, &value.to_string(), &help));
        }
        let tau = crate::config::TAU;
        if let Some(value) = self.tau.filter(|value| !tau.contains(value)) {
            let help = format!("give a number from {} to {}", tau.start(), tau.end());
            return Err(refused("tau", &value.to_string(), &help));
        }
        if let Some(value) = self.popularity_sd.filter(|value| !(0.0..=MOST_SD).contains(value)) {
            let help = format!("give a number from 0 to {MOST_SD}");
            return Err(refused("popularity_sd", &value.to_string(), &help));
        }
        for (key, factor) in &self.bandwidth {
            if !(1.0 / MOST_FACTOR..=MOST_FACTOR).contains(factor) {
                let help = format!("give a factor from 1/{MOST_FACTOR} to {MOST_FACTOR}");
                return Err(refused(&format!("bandwidth.{key}"), &factor.to_string(), &help));
            }
        }
        Ok(())
    }
}

/// A question.
const EXAMPLE: &str = "{\"model\": \"moe-1b\", \"cluster\": \"h100-4x8-rail\"}";

/// What a text of JSON holds where it is no object; nothing of what is no JSON.
fn no_object(text: &str) -> Option<&'static str> {
    use serde_json::Value;
    match serde_json::from_str(text) {
        Ok(Value::Array(_)) => Some("a list"),
        Ok(Value::String(_)) => Some("a text"),
        Ok(Value::Number(_)) => Some("a number"),
        Ok(Value::Bool(_)) => Some("true or false"),
        Ok(Value::Null) => Some("null"),
        Ok(Value::Object(_)) | Err(_) => None,
    }
}

/// What of a question is refused.
pub(super) fn refused(key: &str, found: &str, help: &str) -> Diagnostic {
    let found = format!("{found} is not what can be asked");
    Diagnostic { key: key.to_owned(), ..Diagnostic::of(PLACE, found, help) }
}

/// One of some names.
pub(super) fn one_of<'n>(
    key: &str,
    name: &str,
    known: impl IntoIterator<Item = &'n str>,
) -> Result<&'n str, Diagnostic> {
    let known: Vec<&str> = known.into_iter().collect();
    let found = known.iter().copied().find(|own| *own == name);
    found.ok_or_else(|| refused(key, &format!("`{name}`"), &near::advice(name, "choices", &known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_its_limits_is_refused_with_them() {
        let ask = |more: &str| {
            Ask::read(&format!("{{\"model\": \"moe-1b\", \"cluster\": \"a100-4x8\"{more}}}"))
        };
        assert!(ask("").and_then(|ask| ask.within_limits()).is_ok());
        for (more, key) in [
            (", \"tau\": 0", "tau"),
            (", \"tau\": 1e17", "tau"),
            (", \"tokens_per_gpu\": 0", "tokens_per_gpu"),
            (", \"tokens_per_gpu\": 65537", "tokens_per_gpu"),
            (", \"seeds\": 17", "seeds"),
            (", \"context\": 1048577", "context"),
            (", \"popularity_sd\": -1", "popularity_sd"),
            (", \"bandwidth\": {\"x\": 65}", "bandwidth.x"),
        ] {
            let refused = ask(more).and_then(|ask| ask.within_limits()).expect_err(more);
            assert_eq!((refused.key.as_str(), refused.help.starts_with("give ")), (key, true));
        }
        for more in [
            ", \"tau\": \"x\"",
            ", \"seeds\": -1",
            ", \"seeds\": 1.5",
            ", \"tau\": 1e400",
            ", \"file\": \"/etc/passwd\"",
        ] {
            assert!(ask(more).is_err(), "{more}");
        }
        assert!(Ask::read("").is_err() && Ask::read("{").is_err());
        for (text, what) in
            [("[]", "a list"), ("[\"moe-1b\", \"a100-4x8\"]", "a list"), ("7", "a number")]
        {
            let refused = Ask::read(text).expect_err(text);
            assert!(refused.found.starts_with(&format!("is {what}, and")), "{refused:?}");
            assert!(refused.help.contains("\"cluster\": \"h100-4x8-rail\""), "{refused:?}");
        }
    }
}
