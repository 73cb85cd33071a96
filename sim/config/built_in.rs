//! Workload files that are compiled in, so that the binary works from any folder.

use super::Source;

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../workloads/", $name, ".toml")))),*]
    };
}

/// Each shipped workload's name, which is its file's name without `.toml`, and its text.
const WORKLOADS: &[(&str, &str)] = shipped![
    "moe-0.6b",
    "moepp-0.6b",
    "moe-1b",
    "moepp-1b",
    "moe-2b",
    "moepp-2b",
    "moe-7b",
    "moepp-7b",
];

/// The shipped workloads, in the order in which they are listed.
pub fn built_in_workloads() -> impl Iterator<Item = Source> {
    WORKLOADS.iter().map(|(name, text)| Source::built_in(name, text))
}

/// The shipped workload of this name, if there is one.
#[must_use]
pub fn built_in_workload(name: &str) -> Option<Source> {
    built_in_workloads().find(|source| source.name() == name)
}
