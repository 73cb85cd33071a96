//! The time that was counted, under the key of its scope: `expert_forward_ms`, `training_step_ms`, …

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;

use super::{Mean, Predicted};
use crate::execution::Scope;

/// The time counted, in milliseconds, with its interval over seeds and, where calibration error is drawn, its
/// 90 % prediction interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CountedTime {
    /// What is counted.
    pub scope: Scope,
    /// Mean over seeds.
    pub ms: Mean,
    /// Prediction interval.
    pub predicted: Predicted,
}

const LOW: &str = "_low";
const HIGH: &str = "_high";
const P05: &str = "_p05";
const P95: &str = "_p95";

impl JsonSchema for CountedTime {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "counted-time".into()
    }

    /// The keys of every scope; a result has those of one.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut keys = serde_json::Map::new();
        for scope in Scope::ALL {
            for end in ["", LOW, HIGH, P05, P95] {
                let what = format!("{}, in milliseconds", scope.label());
                let number = json!({ "type": ["number", "null"], "description": what });
                keys.insert(format!("{}{end}", scope.key()), number);
            }
        }
        json_schema!({ "type": "object", "properties": keys })
    }
}

impl Serialize for CountedTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let key = self.scope.key();
        let mut map = serializer.serialize_map(Some(5))?;
        map.serialize_entry(key, &self.ms.mean)?;
        map.serialize_entry(&format!("{key}{LOW}"), &self.ms.low)?;
        map.serialize_entry(&format!("{key}{HIGH}"), &self.ms.high)?;
        map.serialize_entry(&format!("{key}{P05}"), &self.predicted.low)?;
        map.serialize_entry(&format!("{key}{P95}"), &self.predicted.high)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for CountedTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = CountedTime;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&str> = Scope::ALL.iter().map(|scope| scope.key()).collect();
        write!(f, "a time under one of {}", keys.join(", "))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<CountedTime, A::Error> {
        let (mut found, mut ms, mut predicted) = (None, Mean::default(), Predicted::default());
        while let Some(key) = map.next_key::<String>()? {
            let scope = Scope::ALL.into_iter().find(|scope| key.starts_with(scope.key()));
            let Some(scope) = scope else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let place = match &key[scope.key().len()..] {
                "" => &mut ms.mean,
                LOW => &mut ms.low,
                HIGH => &mut ms.high,
                P05 => &mut predicted.low,
                P95 => &mut predicted.high,
                _ => return Err(A::Error::unknown_field(&key, &[])),
            };
            *place = map.next_value()?;
            found = Some(scope);
        }
        let scope = found.ok_or_else(|| {
            let keys: Vec<&str> = Scope::ALL.iter().map(|scope| scope.key()).collect();
            A::Error::custom(format!("holds no time: none of {}", keys.join(", ")))
        })?;
        Ok(CountedTime { scope, ms, predicted })
    }
}
