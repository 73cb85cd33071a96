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
    SingleSwitch(SingleSwitchFile),
    Clos(ClosFile),
    RailOptimized(ClosFile),
    RailOnly(ClosFile),
    MultiPlane(ClosFile),
    Dragonfly(DragonflyFile),
    DragonflyPlus(DragonflyPlusFile),
    Torus(GridFile),
    #[serde(rename = "hyperx")]
    HyperX(GridFile),
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
    nodes_per_leaf: Count<1, 1_048_576>,
    planes: Option<Count<1, 64>>,
    spread: Option<SpreadFile>,
    uplink: Option<TrunkFile>,
    pod: Option<PodFile>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TrunkFile {
    oversubscription: Ratio<10, 1_000_000>,
    latency: Written<SimDuration>,
    lane_bandwidth: Option<Written<Bandwidth>>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PodFile {
    leaves: Count<1, 1_048_576>,
    oversubscription: Ratio<10, 1_000_000>,
    latency: Written<SimDuration>,
    lane_bandwidth: Option<Written<Bandwidth>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DragonflyFile {
    ports_per_router: Count<1, 1024>,
    routers_per_group: Count<1, 4096>,
    globals_per_router: Count<1, 4096>,
    local: LinkFile,
    global: LinkFile,
    detour: Option<DetourFile>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DragonflyPlusFile {
    groups: Count<2, 4096>,
    ports_per_leaf: Count<1, 4096>,
    uplink: LanesFile,
    global: LanesFile,
    detour: Option<DetourFile>,
}

/// A trunk of equal cables.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LanesFile {
    lanes: Count<1, 65_536>,
    lane_bandwidth: Written<Bandwidth>,
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
    dims: Vec<Count<2, 65_536>>,
    terminals: Option<Count<1, 4096>>,
    bandwidth: Written<Bandwidth>,
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
