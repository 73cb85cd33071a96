//! Named ways in which the gates of real models spread tokens.
//!
//! Each stands for what was measured on one model and traffic; what no data set shows is said to be
//! assumed. Popularity is the spread of loads over all traffic; domains and sequences deviate from it.

use serde::Deserialize;

use crate::workload::{Persistence, Popularity, Spread};

/// The names, as users write them.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PresetWord {
    MixtralMix,
    OlmoeMix,
    OlmoeDomain,
    GptOssServing,
    Moepp7b,
}

/// Popularity where a file says nothing: that of `mixtral-mix`, all sequences alike.
const DEFAULT: (Popularity, Spread) = (Popularity::LogNormal { sd: 0.10 }, Spread::NONE);

/// Popularity and spread of a preset.
pub(super) fn of(preset: Option<PresetWord>) -> (Popularity, Spread) {
    let Some(preset) = preset else { return DEFAULT };
    match preset {
        // Mixtral-8x7B, 5 domains, layers 0, 15 and 31 of [olmoe]'s counts: sd of ln share 0.04 to
        // 0.21 common to domains and 0.08 to 0.14 between them. Sequences: assumed as domains.
        PresetWord::MixtralMix => (
            Popularity::LogNormal { sd: 0.10 },
            Spread { sequence_sd: 0.1, common: 0.5, domains: 5, domain_sd: 0.11, ..Spread::NONE },
        ),
        // OLMoE-1B-7B, 6 domains [olmoe]: 0.29, 0.47, 0.69 in common and 0.53, 0.94, 1.36 between
        // domains in layers 0, 7, 15; the middle one stands for all. Sequences: assumed half of it.
        PresetWord::OlmoeMix => (Popularity::LogNormal { sd: 0.47 }, OLMOE),
        PresetWord::OlmoeDomain => {
            (Popularity::LogNormal { sd: 0.47 }, Spread { domains: 1, ..OLMOE })
        }
        // gpt-oss-20b, 76 sequences of mixed traffic (workloads/traces): a gamma law fits loads
        // best, α = 1.9; variance over sequences 1.74, of which 1.20 in 8 common dimensions.
        PresetWord::GptOssServing => (
            Popularity::Dirichlet { concentration: 1.9 },
            Spread {
                sequence_sd: 1.32,
                common: 0.69,
                persistence: Persistence { share: 0.5, decay: 0.7, depth: 0.98 },
                ..Spread::NONE
            },
        ),
        // MoE++ 7B, layer 12, 11 tasks [moepp, fig. 4]: CV 0.14 of the mean over tasks, 0.27 within
        // one. Sequences: assumed.
        PresetWord::Moepp7b => (
            Popularity::LogNormal { sd: 0.14 },
            Spread { sequence_sd: 0.3, common: 0.5, domains: 11, domain_sd: 0.24, ..Spread::NONE },
        ),
    }
}

const OLMOE: Spread =
    Spread { sequence_sd: 0.47, common: 0.5, domains: 6, domain_sd: 0.94, ..Spread::NONE };
