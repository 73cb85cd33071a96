//! The topologies that are compiled in.

use crate::config::Source;

/// Every topology that is compiled in: the file's name without `.toml`, and its text.
const BUILT_IN: &[(&str, &str)] = &[
    ("a100-4x8", include_str!("../../../topologies/a100-4x8.toml")),
    ("a100-4x8-shared-nics", include_str!("../../../topologies/a100-4x8-shared-nics.toml")),
    ("a800-4x8", include_str!("../../../topologies/a800-4x8.toml")),
    ("b200-4x8", include_str!("../../../topologies/b200-4x8.toml")),
    ("b300-4x8", include_str!("../../../topologies/b300-4x8.toml")),
    ("full-mesh-16", include_str!("../../../topologies/full-mesh-16.toml")),
    ("gb200-8xnvl72", include_str!("../../../topologies/gb200-8xnvl72.toml")),
    ("gb200-nvl576", include_str!("../../../topologies/gb200-nvl576.toml")),
    ("gb200-nvl72", include_str!("../../../topologies/gb200-nvl72.toml")),
    ("gb300-nvl72", include_str!("../../../topologies/gb300-nvl72.toml")),
    ("h100-16x8-clos", include_str!("../../../topologies/h100-16x8-clos.toml")),
    ("h100-16x8-hyperx", include_str!("../../../topologies/h100-16x8-hyperx.toml")),
    ("h100-32x8-dragonfly-plus", include_str!("../../../topologies/h100-32x8-dragonfly-plus.toml")),
    ("h100-32x8-dual-plane", include_str!("../../../topologies/h100-32x8-dual-plane.toml")),
    ("h100-32x8-rail-only", include_str!("../../../topologies/h100-32x8-rail-only.toml")),
    ("h100-4x8-rail", include_str!("../../../topologies/h100-4x8-rail.toml")),
    ("h100-64x8-clos3-ecmp", include_str!("../../../topologies/h100-64x8-clos3-ecmp.toml")),
    ("h100-72x8-dragonfly", include_str!("../../../topologies/h100-72x8-dragonfly.toml")),
    (
        "h100-72x8-dragonfly-valiant",
        include_str!("../../../topologies/h100-72x8-dragonfly-valiant.toml"),
    ),
    ("h20-4x8", include_str!("../../../topologies/h20-4x8.toml")),
    ("h200-4x8", include_str!("../../../topologies/h200-4x8.toml")),
    ("h200-nvl-4x4", include_str!("../../../topologies/h200-nvl-4x4.toml")),
    ("h800-8x8", include_str!("../../../topologies/h800-8x8.toml")),
    ("l40s-2x8-pcie", include_str!("../../../topologies/l40s-2x8-pcie.toml")),
    ("mi300x-4x8", include_str!("../../../topologies/mi300x-4x8.toml")),
    ("ring-of-switches", include_str!("../../../topologies/ring-of-switches.toml")),
    ("rtx-pro-6000-2x8-pcie", include_str!("../../../topologies/rtx-pro-6000-2x8-pcie.toml")),
    ("torus-16x16", include_str!("../../../topologies/torus-16x16.toml")),
    ("tpu-v4-512-torus", include_str!("../../../topologies/tpu-v4-512-torus.toml")),
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
