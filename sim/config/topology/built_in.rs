//! The topologies that are compiled in.

use crate::config::Source;

/// Every topology that is compiled in: the file's name without `.toml`, and its text.
const BUILT_IN: &[(&str, &str)] = &[
    ("a100-4x8", include_str!("../../../topologies/a100-4x8.toml")),
    ("a100-4x8-shared-nics", include_str!("../../../topologies/a100-4x8-shared-nics.toml")),
    ("gb200-nvl72", include_str!("../../../topologies/gb200-nvl72.toml")),
    ("h100-4x8-rail", include_str!("../../../topologies/h100-4x8-rail.toml")),
    ("two-tier-8", include_str!("../../../topologies/two-tier-8.toml")),
];

/// Every topology that is compiled in: the file's name without `.toml`, and its text.
#[must_use]
pub const fn built_in_topologies() -> &'static [(&'static str, &'static str)] {
    BUILT_IN
}

/// The text of the built-in topology of this name, if there is one.
#[must_use]
pub fn built_in_topology(name: &str) -> Option<Source> {
    let (_, text) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
    Some(Source::built_in(name, text))
}
