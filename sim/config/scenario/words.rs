//! Words of scenario files: what is counted, how tokens travel, which engine shares links.

use serde::Deserialize;

use crate::execution::Scope;
use crate::network::collective::Algorithm;
use crate::network::fluid::Engine;

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum CountedWord {
    Experts,
    MoeLayer,
    ModelForward,
    LayerTraining,
    TrainingStep,
}

#[derive(Clone, Copy, Deserialize)]
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

#[derive(Clone, Copy, Default, Deserialize)]
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
