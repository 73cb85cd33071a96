//! The keys of a config.json: read once each, with their lines, and accounted for at the end.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::config::Diagnostic;

/// Objects that hold the language model of a multimodal one, outermost first.
const LANGUAGE_MODELS: [&str; 5] =
    ["thinker_config", "text_config", "language_config", "llm_config", "text_model"];

/// Objects whose keys are read as `OBJECT.KEY`.
const FLATTENED: [&str; 2] = ["attn_config", "ffn_config"];

/// Keys of the outer object that hold for the language model inside it.
const INHERITED: [&str; 3] = ["quantization_config", "tie_word_embeddings", "compression_config"];

/// A value as the file has it, at a length that people read.
pub(super) fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 40 { text } else { text.chars().take(39).chain(['…']).collect() }
}

/// The keys of the model's text part.
pub(super) struct Keys<'a> {
    place: &'a str,
    text: &'a str,
    keys: Map<String, Value>,
    read: BTreeSet<String>,
    /// The object inside the file that holds them, where they are not at the top.
    pub inside: Option<&'static str>,
    /// Keys beside that object: of other modalities.
    pub beside: Vec<String>,
}

impl<'a> Keys<'a> {
    /// The keys of a text.
    ///
    /// # Errors
    /// If it is no JSON object.
    pub fn open(place: &'a str, text: &'a str) -> Result<Self, Diagnostic> {
        let help = "name the config.json of a Mixture-of-Experts model";
        let value: Value = serde_json::from_str(text).map_err(|e| {
            let mut mistake = Diagnostic::of(place, format!("is no JSON: {e}"), help);
            mistake.line = Some(e.line()).filter(|&line| line > 0);
            mistake
        })?;
        let Value::Object(mut keys) = value else {
            return Err(Diagnostic::of(place, "holds no JSON object", help));
        };
        let (mut inside, mut beside) = (None, Vec::new());
        for name in LANGUAGE_MODELS {
            if !keys.get(name).is_some_and(Value::is_object) {
                continue;
            }
            let Some(Value::Object(mut inner)) = keys.remove(name) else { continue };
            for (key, value) in keys {
                if INHERITED.contains(&key.as_str()) {
                    inner.entry(key).or_insert(value);
                } else {
                    beside.push(key);
                }
            }
            (keys, inside) = (inner, Some(name));
        }
        for name in FLATTENED {
            if let Some(Value::Object(inner)) = keys.get(name).cloned() {
                keys.remove(name);
                keys.extend(inner.into_iter().map(|(key, value)| (format!("{name}.{key}"), value)));
            }
        }
        Ok(Self { place, text, keys, read: BTreeSet::new(), inside, beside })
    }

    /// The value of a key, null counting as absent; it is now read.
    pub fn value(&mut self, name: &str) -> Option<&Value> {
        let value = self.keys.get(name).filter(|value| !value.is_null());
        if self.keys.contains_key(name) {
            self.read.insert(name.to_owned());
        }
        value
    }

    /// Whether a key is there and not null. It stays unread.
    pub fn has(&self, name: &str) -> bool {
        self.keys.get(name).is_some_and(|value| !value.is_null())
    }

    /// The first of these keys that is there, as a whole number; a list must hold the same one for each layer.
    ///
    /// # Errors
    /// If it is something else.
    pub fn count(&mut self, names: &[&str]) -> Result<Option<u64>, Diagnostic> {
        let nulls = names.iter().filter(|name| self.keys.get(**name) == Some(&Value::Null));
        let nulls: Vec<String> = nulls.map(|name| (*name).to_owned()).collect();
        self.read.extend(nulls);
        let Some(name) = names.iter().find(|name| self.has(name)) else { return Ok(None) };
        let Some(value) = self.value(name) else { return Ok(None) };
        let found = match value {
            Value::Array(each) => {
                let first = each.first().and_then(Value::as_u64);
                first.filter(|first| each.iter().all(|value| value.as_u64() == Some(*first)))
            }
            Value::Number(number) => number.as_u64(),
            _ => None,
        };
        if found.is_none() {
            let found = if value.is_array() {
                "differs from layer to layer, which is not simulated".to_owned()
            } else {
                format!("found {}, not a whole number", shown(value))
            };
            return Err(self.mistake(
                name,
                found,
                "write the workload by hand, from `mixtral-8x7b`",
            ));
        }
        let agree = |other: &&&str| self.keys.get(**other).and_then(Value::as_u64) == found;
        let same: Vec<String> = names.iter().filter(agree).map(|name| (*name).to_owned()).collect();
        self.read.extend(same);
        Ok(found)
    }

    /// As `count`, of keys that must be there.
    ///
    /// # Errors
    /// If none of them is.
    pub fn needed(&mut self, names: &[&str]) -> Result<u64, Diagnostic> {
        self.count(names)?.ok_or_else(|| {
            if let Some(null) = names.iter().find(|name| self.keys.contains_key(**name)) {
                let help = "give its number, or write the workload by hand, from `mixtral-8x7b`";
                return self.mistake(null, "found null, not a whole number", help);
            }
            let of = if names.len() == 1 { "lacks the key" } else { "has none of the keys" };
            let inside = self.inside.map_or_else(String::new, |name| format!("{name} "));
            Diagnostic::of(
                self.place,
                format!("{inside}{of} {}", names.join(", ")),
                "a file without it must be written as a workload by hand",
            )
        })
    }

    /// The first of these keys that holds a word.
    pub fn word(&mut self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.value(name)?.as_str().map(str::to_owned))
    }

    /// Whether a key is true; absent is false.
    pub fn flag(&mut self, name: &str) -> bool {
        self.value(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// Whether a key is true, where it is there.
    ///
    /// # Errors
    /// If it is neither true nor false.
    pub fn stated_flag(&mut self, name: &str) -> Result<Option<bool>, Diagnostic> {
        match self.value(name).cloned() {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(given)) => Ok(Some(given)),
            Some(other) => {
                let found = format!("found {}, neither true nor false", shown(&other));
                Err(self.mistake(name, found, "write true or false"))
            }
        }
    }

    /// The list under a key.
    pub fn list(&mut self, name: &str) -> Option<Vec<Value>> {
        self.value(name)?.as_array().cloned()
    }

    /// Keys that nothing read.
    pub fn unread(&self) -> impl Iterator<Item = (&str, &Value)> {
        let unread = self.keys.iter().filter(|(key, _)| !self.read.contains(*key));
        unread.map(|(key, value)| (key.as_str(), value))
    }

    /// How many keys were read.
    pub fn used(&self) -> usize {
        self.read.len()
    }

    /// The mistake that the workload written from these keys has, at the key that it was written from: the file that
    /// the user has is the config.json. `names` are those that the key may be written from.
    pub fn blamed(&self, written: Diagnostic, names: &[&str]) -> Diagnostic {
        let named = names.iter().find(|name| self.has(name));
        let help = written.help;
        match named {
            Some(name) => {
                let value = self.keys.get(*name).map_or_else(String::new, shown);
                self.mistake(name, format!("found {value}: {}", written.found), help)
            }
            None => self.refusal(
                format!("written as a workload, {}: {}", written.key, written.found),
                help,
            ),
        }
    }

    /// A mistake of the whole file.
    pub fn refusal(&self, found: impl Into<String>, help: impl Into<String>) -> Diagnostic {
        Diagnostic::of(self.place, found, help)
    }

    /// A mistake at a key, with its line.
    pub fn mistake(
        &self,
        name: &str,
        found: impl Into<String>,
        help: impl Into<String>,
    ) -> Diagnostic {
        let mut mistake = Diagnostic::of(self.place, found, help);
        name.clone_into(&mut mistake.key);
        let own = name.rsplit('.').next().unwrap_or(name);
        let from = self.inside.and_then(|inside| self.text.find(&format!("\"{inside}\"")));
        let from = from.unwrap_or(0);
        let at = self.text[from..].find(&format!("\"{own}\"")).map(|at| from + at);
        mistake.line = at.map(|at| 1 + self.text[..at].matches('\n').count());
        mistake
    }
}
