//! Results of `--json` read back: mistakes with their line and key, in the words of users.

use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Diagnostic;
use super::HELP_FOLLOWS;
use super::plain_words::in_plain_words;

/// The largest number that a result holds.
const MOST: f64 = 1e18;
const AS_WRITTEN: &str = "take the file as this version of moesim wrote it";

/// A result as its type.
///
/// # Errors
/// Where the text is no JSON, lacks a key, or holds what no result holds.
pub fn read_result<T: DeserializeOwned>(place: &str, text: &str) -> Result<T, Diagnostic> {
    read::<Plausible>(place, text)?;
    read(place, text)
}

fn read<T: DeserializeOwned>(place: &str, text: &str) -> Result<T, Diagnostic> {
    let json = &mut serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(json).map_err(|error| {
        let key = error.path().iter().next().map_or_else(String::new, |_| error.path().to_string());
        let inner = error.into_inner();
        let said = inner.to_string();
        let said = said.rsplit_once(" at line ").map_or(said.as_str(), |(said, _)| said);
        let (found, help) = in_plain_words(said, &key);
        let help = if help.is_empty() {
            AS_WRITTEN.to_owned()
        } else {
            format!("{help}, or {AS_WRITTEN}")
        };
        let placed = match inner.line() {
            0 => Diagnostic::of(place, found, help),
            line => Diagnostic::at_line(place, (text, line), found, help),
        };
        Diagnostic { key, ..placed }
    })
}

/// Any JSON whose numbers a result may hold.
struct Plausible;

impl<'de> Deserialize<'de> for Plausible {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Any { least: -MOST }.deserialize(deserializer)
    }
}

/// Any JSON whose numbers are not below this.
#[derive(Clone, Copy)]
struct Any {
    least: f64,
}

impl Any {
    fn number<E: Error>(self, number: f64) -> Result<Plausible, E> {
        if number >= self.least && number <= MOST {
            return Ok(Plausible);
        }
        Err(E::custom(format!("found {number:e}, which no result holds{HELP_FOLLOWS}")))
    }
}

impl<'de> DeserializeSeed<'de> for Any {
    type Value = Plausible;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Plausible, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Any {
    type Value = Plausible;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Plausible, E> {
        Ok(Plausible)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Plausible, E> {
        self.number(number as f64)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Plausible, E> {
        // Hashes fill 64 bits.
        Ok(Plausible)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Plausible, E> {
        self.number(number)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Plausible, E> {
        Ok(Plausible)
    }

    fn visit_unit<E: Error>(self) -> Result<Plausible, E> {
        Ok(Plausible)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Plausible, A::Error> {
        while list.next_element_seed(self)?.is_some() {}
        Ok(Plausible)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Plausible, A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            // Times and rates; ends of their intervals may be below nought.
            let positive = key.ends_with("_ms") || key.ends_with("tokens_per_s");
            map.next_value_seed(Self { least: if positive { 0.0 } else { -MOST } })?;
        }
        Ok(Plausible)
    }
}
