//! Words of scenario files: what is counted, how tokens travel, which engine shares links.

use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::source::HELP_FOLLOWS;
use crate::execution::Scope;
use crate::network::collective::Algorithm;
use crate::network::fluid::Engine;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum CountedWord {
    Experts,
    MoeLayer,
    ModelForward,
    LayerTraining,
    TrainingStep,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum AllToAllWord {
    Direct,
    Pxn,
    TwoHop,
    OneSided,
}

impl From<AllToAllWord> for Algorithm {
    fn from(word: AllToAllWord) -> Self {
        match word {
            AllToAllWord::Direct => Self::Direct,
            AllToAllWord::Pxn => Self::Pxn,
            AllToAllWord::TwoHop => Self::TwoHop,
            AllToAllWord::OneSided => Self::OneSided,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum NetworkWord {
    #[default]
    Auto,
    ClosedForm,
    Exact,
    Quantised,
}

impl NetworkWord {
    pub(super) const fn engine(self) -> Option<Engine> {
        match self {
            Self::Auto => None,
            Self::ClosedForm => Some(Engine::ClosedForm),
            Self::Exact => Some(Engine::Exact),
            Self::Quantised => Some(Engine::Quantised),
        }
    }
}

impl From<CountedWord> for Scope {
    fn from(word: CountedWord) -> Self {
        match word {
            CountedWord::Experts => Self::Experts,
            CountedWord::MoeLayer => Self::MoeLayer,
            CountedWord::ModelForward => Self::ModelForward,
            CountedWord::LayerTraining => Self::LayerTraining,
            CountedWord::TrainingStep => Self::TrainingStep,
        }
    }
}

/// How exactly the counted time is wanted: a share of it such as `"0.5%"`, or `"exact"`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct PrecisionWord(pub Option<f64>);

impl PrecisionWord {
    /// The shares that may be asked for.
    const ALLOWED: RangeInclusive<f64> = 1e-4..=0.2;

    fn read(text: &str) -> Option<Self> {
        if text.trim() == "exact" {
            return Some(Self(None));
        }
        let percent: f64 = text.trim().strip_suffix('%')?.trim().parse().ok()?;
        Some(percent / 100.0).filter(|share| Self::ALLOWED.contains(share)).map(|p| Self(Some(p)))
    }
}

impl<'de> Deserialize<'de> for PrecisionWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => text,
            other => other.to_string(),
        };
        Self::read(&found).ok_or_else(|| {
            let help = "write what share of the time it may be off by, from \"0.01%\" to \"20%\", or \"exact\"";
            D::Error::custom(format!("`{found}` is no precision{HELP_FOLLOWS}{help}"))
        })
    }
}

impl Serialize for PrecisionWord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(share) => serializer.collect_str(&format_args!("{}%", 100.0 * share)),
            None => serializer.serialize_str("exact"),
        }
    }
}

/// Scopes as their words.
pub(super) mod scope {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::CountedWord;
    use crate::execution::Scope;

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Scope, D::Error> {
        CountedWord::deserialize(deserializer).map(Into::into)
    }

    pub(in super::super) fn serialize<S: Serializer>(
        scope: &Scope,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(scope.word())
    }
}
