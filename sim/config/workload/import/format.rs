//! The number format of weights.

use serde_json::Value;

use super::keys::Keys;

/// The format that a workload computes in, and the published one where that is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format {
    /// Its word in a workload.
    pub word: &'static str,
    /// How the weights are published, where that is not modelled.
    pub other: Option<String>,
}

impl Format {
    /// That of a config.json: bf16 unless its weights are quantised.
    pub fn of(keys: &mut Keys<'_>) -> Self {
        let own = keys.word(&["expert_dtype"]);
        let quantised = keys.value("quantization_config").or(None);
        let method = quantised.and_then(|of| of.get("quant_method")).and_then(Value::as_str);
        match (own.as_deref(), method) {
            (None | Some("fp8"), Some("fp8")) | (Some("fp8"), None) => {
                Self { word: "fp8", other: None }
            }
            (None, None) => Self { word: "bf16", other: None },
            (own, method) => Self { word: "bf16", other: own.or(method).map(str::to_owned) },
        }
    }

    /// `dtype` of a workload's batch, with what is guessed.
    pub fn line(&self) -> String {
        let guess = self.other.as_ref().map_or_else(String::new, |other| {
            let other: String = other.chars().filter(|c| !c.is_control()).take(40).collect();
            format!("           # guess: the weights are {other}, which is not modelled")
        });
        format!("dtype           = \"{}\"{guess}", self.word)
    }
}
