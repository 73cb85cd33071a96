//! Files that are compiled in, so that the binary works from any folder.

use super::{Kind, Source};

macro_rules! shipped {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../", $folder, "/", $name, ".toml")))),*]
    };
}

/// Names, which are file names without `.toml`, and texts.
type Shipped = &'static [(&'static str, &'static str)];

const SCENARIOS: Shipped = shipped!["scenarios": "paper"];

const WORKLOADS: Shipped = shipped!["workloads":
    "moe-0.6b",
    "moepp-0.6b",
    "moe-1b",
    "moepp-1b",
    "moe-2b",
    "moepp-2b",
    "moe-7b",
    "moepp-7b",
    "mixtral-8x7b",
    "olmoe-1b-7b",
    "qwen3-235b-a22b",
    "gpt-oss-120b",
    "deepseek-v3",
    "longcat-flash",
    "pangu-pro-moe",
];

const OVERHEADS: Shipped = shipped!["calibrate/overheads": "moepp-loop"];

fn shipped(kind: Kind) -> Vec<(&'static str, &'static str)> {
    let fixed = match kind {
        Kind::Scenario => SCENARIOS,
        Kind::Topology => super::built_in_topologies(),
        Kind::Workload => WORKLOADS,
        Kind::Profile => {
            return super::built_in_profiles().iter().map(|p| (p.name, p.toml)).collect();
        }
        Kind::Overheads => OVERHEADS,
    };
    fixed.to_vec()
}

/// The built-in file of this kind and name, if there is one.
#[must_use]
pub fn built_in(kind: Kind, name: &str) -> Option<Source> {
    let found = shipped(kind).into_iter().find(|(shipped, _)| *shipped == name);
    found.map(|(name, text)| Source::built_in(name, text))
}

/// The names of the built-in files of a kind, in the order in which they are listed.
pub fn built_in_names(kind: Kind) -> impl Iterator<Item = &'static str> {
    shipped(kind).into_iter().map(|(name, _)| name)
}

/// The shipped workloads, in the order in which they are listed.
pub fn built_in_workloads() -> impl Iterator<Item = Source> {
    WORKLOADS.iter().map(|(name, text)| Source::built_in(name, text))
}

/// The shipped workload of this name, if there is one.
#[must_use]
pub fn built_in_workload(name: &str) -> Option<Source> {
    built_in(Kind::Workload, name)
}
