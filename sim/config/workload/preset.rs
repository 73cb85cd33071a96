//! Named ways in which the gates of real models spread tokens, from `workloads/gates.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::workload::{Persistence, Popularity, Spread};

/// The names, as users write them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PresetWord {
    MixtralMix,
    OlmoeMix,
    OlmoeDomain,
    GptOssServing,
    #[serde(rename = "moepp-7b")]
    Moepp7b,
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "schema")]
    _schema: u32,
    #[serde(flatten)]
    presets: BTreeMap<PresetWord, Preset>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Preset {
    #[serde(rename = "source")]
    _source: String,
    #[serde(rename = "fitted")]
    _fitted: String,
    #[serde(rename = "assumed")]
    _assumed: String,
    popularity_sd: Option<f64>,
    popularity_concentration: Option<f64>,
    #[serde(default = "one")]
    domains: u32,
    #[serde(default)]
    domain_sd: f64,
    sequence_sd: f64,
    sequence_common: f64,
    #[serde(default)]
    persistence: f64,
    #[serde(default)]
    persistence_decay: f64,
    #[serde(default)]
    persistence_depth: f64,
}

const fn one() -> u32 {
    1
}

static FILE: LazyLock<File> = LazyLock::new(|| {
    // A test reads every preset, so what is shipped is sound.
    toml::from_str(include_str!("../../../workloads/gates.toml")).expect("the shipped presets")
});

/// Popularity where a file says nothing: that of mixed training traffic, all sequences alike.
const DEFAULT: (Popularity, Spread) = (Popularity::LogNormal { sd: 0.10 }, Spread::NONE);

/// Popularity and spread of a preset.
pub(super) fn of(preset: Option<PresetWord>) -> (Popularity, Spread) {
    let Some(of) = preset.and_then(|name| FILE.presets.get(&name)) else { return DEFAULT };
    let popularity = match (of.popularity_concentration, of.popularity_sd) {
        (Some(concentration), _) => Popularity::Dirichlet { concentration },
        (None, sd) => Popularity::LogNormal { sd: sd.unwrap_or(0.0) },
    };
    let spread = Spread {
        sequence_sd: of.sequence_sd,
        common: of.sequence_common,
        domains: of.domains,
        domain_sd: of.domain_sd,
        persistence: Persistence {
            share: of.persistence,
            decay: of.persistence_decay,
            depth: of.persistence_depth,
        },
        ..Spread::NONE
    };
    (popularity, spread)
}
