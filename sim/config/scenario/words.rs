//! Words of scenario files: what is counted, how tokens travel, which engine shares links.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
