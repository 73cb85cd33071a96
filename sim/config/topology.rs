//! Topology files: TOML → [`Topology`].
//!
//! The kind of scale-up and of fabric is the name of a table (`[fabric.rail-optimized]`), because
//! enums tagged from within lose the places of their values.

use serde::Deserialize;
use toml::Spanned;

use super::{Count, Mistake, Number, Source, Written};
use crate::topology::{
    Cable, Clos, Detour, Dragonfly, DragonflyPlus, ExplicitGraph, ExplicitLink, Fabric, GpuSpec,
    HyperX, LinkClass, Nics, Node, PcieTree, Reach, ScaleUp, Spread, Topology, Torus, Trunk,
    Unbuildable,
};
use crate::units::{Bandwidth, Bytes, FlopRate, SimDuration};

/// Every topology that is compiled in: the file's name without `.toml`, and its text.
const BUILT_IN: &[(&str, &str)] = &[
    ("a100-4x8", include_str!("../../topologies/a100-4x8.toml")),
    ("a100-4x8-shared-nics", include_str!("../../topologies/a100-4x8-shared-nics.toml")),
    ("gb200-nvl72", include_str!("../../topologies/gb200-nvl72.toml")),
    ("h100-4x8-rail", include_str!("../../topologies/h100-4x8-rail.toml")),
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

/// Reads and builds a topology.
///
/// # Errors
/// If the text is no topology file or describes no cluster.
pub fn read_topology(source: &Source) -> Result<Topology, Mistake> {
    let file: File = source.parse()?;
    let (name, cited) = (file.name.as_str(), file.source.as_str());
    let gpu = file.gpu.build();
    let built = match (file.nodes, file.graph) {
        (Some(nodes), None) => {
            let node = nodes.build();
            let fabric = file.fabric.map_or(Fabric::Alone, FabricFile::build);
            Topology::structured(name, cited, gpu, nodes.count.0, &node, &fabric)
        }
        (None, Some(graph)) if file.fabric.is_none() => {
            Topology::explicit(name, cited, gpu, &graph.build(source)?)
        }
        _ => Err(Unbuildable {
            key: String::new(),
            found: "needs either [nodes], with a [fabric.…] if there are several, or [graph]"
                .to_owned(),
            help: "describe the cluster in one of the two ways; see topologies/README.md"
                .to_owned(),
        }),
    };
    built.map_err(|e| source.mistake_at_key(&e.key, e.found, e.help))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "schema")]
    _schema: Count<1, 1>,
    name: String,
    source: String,
    gpu: GpuFile,
    nodes: Option<NodesFile>,
    fabric: Option<FabricFile>,
    graph: Option<GraphFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GpuFile {
    name: String,
    peak_bf16: Written<FlopRate>,
    peak_fp8: Option<Written<FlopRate>>,
    memory_bandwidth: Written<Bandwidth>,
    memory: Written<Bytes>,
    sms: Count<1, 100_000>,
}

impl GpuFile {
    fn build(self) -> GpuSpec {
        GpuSpec {
            name: self.name,
            peak_bf16: self.peak_bf16.0,
            peak_fp8: self.peak_fp8.map(|rate| rate.0),
            memory_bandwidth: self.memory_bandwidth.0,
            memory: self.memory.0,
            sms: self.sms.0,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodesFile {
    count: Count<1, 1_048_576>,
    gpus_per_node: Count<1, 65_536>,
    #[serde(rename = "scale-up")]
    scale_up: Option<ScaleUpFile>,
    nic: Option<NicFile>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ScaleUpFile {
    Nvswitch(LinkFile),
    Mesh(LinkFile),
    Pcie(PcieFile),
}

/// A plain link.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkFile {
    bandwidth: Written<Bandwidth>,
    latency: Written<SimDuration>,
}

impl LinkFile {
    const fn build(self) -> Cable {
        plain(self.bandwidth, self.latency)
    }
}

const fn plain(bandwidth: Written<Bandwidth>, latency: Written<SimDuration>) -> Cable {
    Cable { bandwidth: bandwidth.0, latency: latency.0, lanes: 1 }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PcieFile {
    gpus_per_switch: Count<1, 64>,
    switches_per_socket: Count<1, 64>,
    slot_bandwidth: Written<Bandwidth>,
    uplink_bandwidth: Written<Bandwidth>,
    socket_bandwidth: Written<Bandwidth>,
    latency: Written<SimDuration>,
    peer_to_peer: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NicFile {
    per_node: Count<1, 65_536>,
    bandwidth: Written<Bandwidth>,
    latency: Written<SimDuration>,
    pcie: Option<LinkFile>,
}

impl NodesFile {
    fn build(&self) -> Node {
        let scale_up = match self.scale_up {
            None => ScaleUp::Alone,
            Some(ScaleUpFile::Nvswitch(port)) => ScaleUp::Switched(port.build()),
            Some(ScaleUpFile::Mesh(pair)) => ScaleUp::Mesh(pair.build()),
            Some(ScaleUpFile::Pcie(tree)) => ScaleUp::Pcie(PcieTree {
                gpus_per_switch: tree.gpus_per_switch.0,
                switches_per_socket: tree.switches_per_socket.0,
                slot: plain(tree.slot_bandwidth, tree.latency),
                uplink: plain(tree.uplink_bandwidth, tree.latency),
                between_sockets: plain(tree.socket_bandwidth, tree.latency),
                peer_to_peer: tree.peer_to_peer,
            }),
        };
        let nics = self.nic.map(|nic| Nics {
            per_node: nic.per_node.0,
            port: plain(nic.bandwidth, nic.latency),
            slot: nic.pcie.map(LinkFile::build),
        });
        Node { gpus: self.gpus_per_node.0, scale_up, nics }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FabricFile {
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SingleSwitchFile {}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SpreadFile {
    Spray,
    Ecmp,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum DetourFile {
    Minimal,
    Valiant,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClosFile {
    nodes_per_leaf: Count<1, 1_048_576>,
    planes: Option<Count<1, 64>>,
    spread: Option<SpreadFile>,
    uplink: Option<TrunkFile>,
    pod: Option<PodFile>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrunkFile {
    oversubscription: Number<10, 1_000_000>,
    latency: Written<SimDuration>,
    lane_bandwidth: Option<Written<Bandwidth>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PodFile {
    leaves: Count<1, 1_048_576>,
    oversubscription: Number<10, 1_000_000>,
    latency: Written<SimDuration>,
    lane_bandwidth: Option<Written<Bandwidth>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DragonflyFile {
    ports_per_router: Count<1, 1024>,
    routers_per_group: Count<1, 4096>,
    globals_per_router: Count<1, 4096>,
    local: LinkFile,
    global: LinkFile,
    detour: Option<DetourFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DragonflyPlusFile {
    groups: Count<2, 4096>,
    ports_per_leaf: Count<1, 4096>,
    uplink: LanesFile,
    global: LanesFile,
    detour: Option<DetourFile>,
}

/// A trunk of equal cables.
#[derive(Clone, Copy, Debug, Deserialize)]
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GridFile {
    dims: Vec<Count<2, 65_536>>,
    terminals: Option<Count<1, 4096>>,
    bandwidth: Written<Bandwidth>,
    latency: Written<SimDuration>,
}

impl FabricFile {
    fn build(self) -> Fabric {
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
        let trunk = |oversubscription: Number<10, 1_000_000>, latency, lane| Trunk {
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GraphFile {
    gpus: Count<1, 1_048_576>,
    gpus_per_node: Option<Spanned<Count<1, 1_048_576>>>,
    #[serde(default)]
    switches: Vec<String>,
    links: Vec<GraphLinkFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GraphLinkFile {
    from: String,
    to: String,
    bandwidth: Written<Bandwidth>,
    latency: Written<SimDuration>,
    class: Option<Spanned<String>>,
    lanes: Option<Count<1, 65_536>>,
    one_way: Option<bool>,
}

impl GraphFile {
    fn build(self, source: &Source) -> Result<ExplicitGraph, Mistake> {
        let gpus_per_node = match self.gpus_per_node {
            None => 1,
            Some(given) if self.gpus.0.is_multiple_of(given.get_ref().0) => given.get_ref().0,
            Some(given) => {
                return Err(source.mistake(
                    given.span(),
                    format!("{} GPUs do not fill nodes of {}", self.gpus.0, given.get_ref().0),
                    "let gpus_per_node divide gpus",
                ));
            }
        };
        let links = self.links.into_iter().map(|link| link.build(source));
        Ok(ExplicitGraph {
            gpus: self.gpus.0,
            gpus_per_node,
            switches: self.switches,
            links: links.collect::<Result<_, _>>()?,
        })
    }
}

impl GraphLinkFile {
    fn build(self, source: &Source) -> Result<ExplicitLink, Mistake> {
        let class = match &self.class {
            None => LinkClass::Direct,
            Some(name) => LinkClass::named(name.get_ref()).ok_or_else(|| {
                let known = LinkClass::ALL.map(LinkClass::name).join(", ");
                let found = format!("`{}` is no class of links", name.get_ref());
                source.mistake(name.span(), found, format!("choose from: {known}"))
            })?,
        };
        let lanes = self.lanes.map_or(1, |lanes| lanes.0);
        Ok(ExplicitLink {
            from: self.from,
            to: self.to,
            cable: Cable { lanes, ..plain(self.bandwidth, self.latency) },
            class,
            both_ways: !self.one_way.unwrap_or(false),
        })
    }
}
