//! The layouts of the fabric tables.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{LinkFile, plain};
use crate::base::units::{Bandwidth, SimDuration};
use crate::config::{Count, Ratio, Written};
use crate::topology::{
    Cable, Clos, Detour, Dragonfly, DragonflyPlus, Fabric, HyperX, Reach, Spread, Torus, Trunk,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FabricFile {
    /// One switch for all NICs.
    SingleSwitch(SingleSwitchFile),
    /// Leaves and spines.
    Clos(ClosFile),
    /// NIC k of each node at leaf k.
    RailOptimized(ClosFile),
    /// The same without spines.
    RailOnly(ClosFile),
    /// Several Clos networks, a port of a NIC in each.
    MultiPlane(ClosFile),
    /// Groups of routers, all groups joined.
    Dragonfly(DragonflyFile),
    /// Groups of leaves and spines, spines of all groups joined.
    DragonflyPlus(DragonflyPlusFile),
    /// Rings along each dimension.
    Torus(GridFile),
    /// All routers of a line joined, along each dimension.
    #[serde(rename = "hyperx")]
    HyperX(GridFile),
    /// A link between any two GPUs.
    FullMesh(LinkFile),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SingleSwitchFile {}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum SpreadFile {
    Spray,
    Ecmp,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum DetourFile {
    Minimal,
    Valiant,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClosFile {
    /// Nodes below a leaf, or a group of leaves by rail.
    nodes_per_leaf: Count<1, 1_048_576>,
    /// Separate planes.
    planes: Option<Count<1, 64>>,
    /// How flows take the lanes of a trunk: evenly (`spray`) or by hash (`ecmp`).
    spread: Option<SpreadFile>,
    /// From a leaf upwards.
    uplink: Option<TrunkFile>,
    /// A third tier.
    pod: Option<PodFile>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TrunkFile {
    /// What leaves may ask of their uplinks, over what these carry.
    oversubscription: Ratio<10, 1_000_000>,
    /// Before the first byte.
    latency: Written<SimDuration>,
    /// Of one of its cables; that of a NIC if none is given.
    lane_bandwidth: Option<Written<Bandwidth>>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PodFile {
    /// Leaves of a pod.
    leaves: Count<1, 1_048_576>,
    /// What pods may ask of the spine, over what it carries.
    oversubscription: Ratio<10, 1_000_000>,
    /// Before the first byte.
    latency: Written<SimDuration>,
    /// Of one of its cables; that of a NIC if none is given.
    lane_bandwidth: Option<Written<Bandwidth>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DragonflyFile {
    /// NICs at a router.
    ports_per_router: Count<1, 1024>,
    /// Routers of a group, all joined.
    routers_per_group: Count<1, 4096>,
    /// Links of a router to other groups.
    globals_per_router: Count<1, 4096>,
    /// A link within a group.
    local: LinkFile,
    /// A link between groups.
    global: LinkFile,
    /// Whether routes take a detour by another group.
    detour: Option<DetourFile>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DragonflyPlusFile {
    /// Groups of leaves and spines.
    groups: Count<2, 4096>,
    /// NICs at a leaf.
    ports_per_leaf: Count<1, 4096>,
    /// From a leaf to each spine of its group.
    uplink: LanesFile,
    /// Between spines of groups.
    global: LanesFile,
    /// Whether routes take a detour by another group.
    detour: Option<DetourFile>,
}

/// A trunk of equal cables.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LanesFile {
    /// Equal cables.
    lanes: Count<1, 65_536>,
    /// Of one, one direction.
    lane_bandwidth: Written<Bandwidth>,
    /// Before the first byte.
    latency: Written<SimDuration>,
}

impl LanesFile {
    fn build(self) -> Cable {
        let lanes = self.lanes.0;
        let bandwidth = self.lane_bandwidth.0.scaled(f64::from(lanes));
        Cable { bandwidth, latency: self.latency.0, lanes }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GridFile {
    /// Routers along each dimension.
    dims: Vec<Count<2, 65_536>>,
    /// NICs at a router; if none is given GPUs are joined directly.
    terminals: Option<Count<1, 4096>>,
    /// Of a link, one direction.
    bandwidth: Written<Bandwidth>,
    /// Before the first byte.
    latency: Written<SimDuration>,
}

impl FabricFile {
    pub(super) fn build(self) -> Fabric {
        match self {
            Self::SingleSwitch(SingleSwitchFile {}) => Fabric::Clos(Clos {
                family: "single-switch",
                reach: Reach::Mixed,
                planes: 1,
                nodes_per_leaf: u32::MAX,
                uplink: None,
                pod: None,
                spread: Spread::Spray,
            }),
            Self::Clos(clos) => clos.build("clos", Reach::Mixed),
            Self::RailOptimized(clos) => clos.build("rail-optimized", Reach::Rails),
            Self::RailOnly(clos) => clos.build("rail-only", Reach::RailsOnly),
            Self::MultiPlane(clos) => clos.build("multi-plane", Reach::Mixed),
            Self::Dragonfly(fly) => Fabric::Dragonfly(Dragonfly {
                ports_per_router: fly.ports_per_router.0,
                routers_per_group: fly.routers_per_group.0,
                globals_per_router: fly.globals_per_router.0,
                local: fly.local.build(),
                global: fly.global.build(),
                detour: detour(fly.detour),
            }),
            Self::DragonflyPlus(fly) => Fabric::DragonflyPlus(DragonflyPlus {
                groups: fly.groups.0,
                ports_per_leaf: fly.ports_per_leaf.0,
                uplink: fly.uplink.build(),
                global: fly.global.build(),
                detour: detour(fly.detour),
            }),
            Self::Torus(grid) => {
                let (dims, link, terminals) = grid.parts();
                Fabric::Torus(Torus { dims, link, terminals })
            }
            Self::HyperX(grid) => {
                let (dims, link, terminals) = grid.parts();
                Fabric::HyperX(HyperX { dims, link, terminals })
            }
            // One dimension of all GPUs: how many there are is known when it is wired.
            Self::FullMesh(link) => {
                Fabric::HyperX(HyperX { dims: Vec::new(), link: link.build(), terminals: None })
            }
        }
    }
}

fn detour(given: Option<DetourFile>) -> Detour {
    match given {
        None | Some(DetourFile::Minimal) => Detour::Minimal,
        Some(DetourFile::Valiant) => Detour::Valiant,
    }
}

impl ClosFile {
    fn build(self, family: &'static str, reach: Reach) -> Fabric {
        let trunk = |oversubscription: Ratio<10, 1_000_000>, latency, lane| Trunk {
            oversubscription: oversubscription.0,
            latency,
            lane,
        };
        Fabric::Clos(Clos {
            family,
            reach,
            planes: self.planes.map_or(1, |planes| planes.0),
            nodes_per_leaf: self.nodes_per_leaf.0,
            uplink: self.uplink.map(|up| {
                trunk(up.oversubscription, up.latency.0, up.lane_bandwidth.map(|lane| lane.0))
            }),
            pod: self.pod.map(|pod| {
                let lane = pod.lane_bandwidth.map(|lane| lane.0);
                (pod.leaves.0, trunk(pod.oversubscription, pod.latency.0, lane))
            }),
            spread: match self.spread {
                None | Some(SpreadFile::Spray) => Spread::Spray,
                Some(SpreadFile::Ecmp) => Spread::Ecmp,
            },
        })
    }
}

impl GridFile {
    fn parts(self) -> (Vec<u32>, Cable, Option<u32>) {
        let dims = self.dims.iter().map(|k| k.0).collect();
        (dims, plain(self.bandwidth, self.latency), self.terminals.map(|t| t.0))
    }
}
