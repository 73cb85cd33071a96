//! Topology files: TOML → [`Topology`].
//!
//! The kind of scale-up and of fabric is the name of a table (`[fabric.rail-optimized]`), because
//! enums tagged from within lose the places of their values.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Count, Diagnostic, Kind, Number, Source, Written};
use crate::base::near::{did_you_mean, nearest};
use crate::base::units::{Bandwidth, Bytes, FlopRate, LinkId, SimDuration};
use crate::topology::{
    Cable, Fabric, GpuSpec, Nics, NoSuchLink, Node, PcieTree, ScaleUp, Topology, Unbuildable,
    Unroutable,
};

mod built_in;
mod fabric;
mod graph;
mod import;
mod plausible;
pub mod prices;

pub use built_in::{built_in_topologies, built_in_topology};
use fabric::FabricFile;
use graph::GraphFile;
pub use import::{ImportedNetwork, NetworkAs, import_network};
pub use plausible::doubts;

/// Reads and builds a topology.
///
/// # Errors
/// If the text is no topology file or describes no cluster.
pub fn read_topology(source: &Source) -> Result<Topology, Diagnostic> {
    let file: File = Kind::Topology.parse(source)?;
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
    let built = built.map_err(|e| source.mistake_at_key(&e.key, e.found, e.help))?;
    let shares = file.health.into_iter().map(|(link, share)| (link, share.0)).collect();
    let built = built
        .with_health(&shares)
        .map_err(|unknown| unknown_link(source, (name, "health"), unknown))?;
    with_failed(source, (built, &shares), &file.flapping)
}

/// The cluster with links that are down, always or for a share of the time.
fn with_failed(
    source: &Source,
    (built, shares): (Topology, &BTreeMap<String, f64>),
    flapping: &BTreeMap<String, Number<1, 999>>,
) -> Result<Topology, Diagnostic> {
    let name = built.name().to_owned();
    let at = |table: &str, mistake: Unroutable| {
        let key = format!("{table}.{:?}", mistake.link);
        source.mistake_at_key(&key, mistake.found, mistake.help)
    };
    if let Some((link, left)) = shares.iter().find(|(_, left)| (1e-9..1e-3).contains(*left)) {
        let found = format!("{left} is less than a thousandth");
        let help = "give a share of at least 0.001, or 0 for the port of a NIC that is down";
        return Err(source.mistake_at_key(&format!("health.{link:?}"), found, help));
    }
    let mut down = Vec::new();
    for (link, _) in shares.iter().filter(|(_, left)| **left == 0.0) {
        let Some(id) = built.link_named(link) else {
            let found = "a GPU at no speed at all never ends its work";
            let help = "give a share of at least 0.001; `moesim goodput` counts GPUs that are lost";
            return Err(source.mistake_at_key(&format!("health.{link:?}"), found, help));
        };
        down.push(id);
    }
    let built = built.with_failed(&down).map_err(|mistake| at("health", mistake))?;
    let mut shares = BTreeMap::new();
    for (link, share) in flapping {
        let Some(id) = built.link_named(link) else {
            let known = built.links().len() as u32;
            let known = (0..known).map(|id| built.link_name(LinkId(id))).collect();
            let unknown = NoSuchLink { name: link.clone(), known };
            return Err(unknown_link(source, (&name, "flapping"), unknown));
        };
        shares.insert(id, share.0);
    }
    built.with_flapping(shares).map_err(|mistake| at("flapping", mistake))
}

/// What to say of a link that a table names and the cluster has not.
fn unknown_link(source: &Source, (name, table): (&str, &str), unknown: NoSuchLink) -> Diagnostic {
    let key = format!("{table}.{:?}", unknown.name);
    let near = nearest(&unknown.name, unknown.known.iter().map(String::as_str));
    let help = if near.is_empty() {
        let link = unknown.known.iter().find(|name| name.contains(':'));
        let links = link.map(|link| format!("links are named as \"{link}\", one direction each; "));
        format!("{}GPUs are named as \"gpu0\"", links.unwrap_or_default())
    } else {
        did_you_mean(&near)
    };
    source.mistake_at_key(&key, format!("{name} has no link or GPU `{}`", unknown.name), help)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct File {
    /// The version of this kind of file.
    #[serde(rename = "schema")]
    _schema: Count<1, 1>,
    /// Its name.
    name: String,
    /// Where its figures come from.
    source: String,
    /// One GPU, by its data sheet.
    gpu: GpuFile,
    /// Nodes: whatever shares a scale-up network.
    nodes: Option<NodesFile>,
    /// What joins the nodes; none where there is one.
    fabric: Option<FabricFile>,
    /// Every link by itself, in place of nodes and a fabric.
    graph: Option<GraphFile>,
    /// Share of its bandwidth that a link has left, or of its speed that a GPU has left, by name; 0 of a NIC that is down.
    #[serde(default)]
    health: BTreeMap<String, Number<0, 1000>>,
    /// Share of the time that a NIC's port is down, by name.
    #[serde(default)]
    flapping: BTreeMap<String, Number<1, 999>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GpuFile {
    /// Its name, by which its profile is found.
    name: String,
    /// Peak of bf16, without sparsity.
    peak_bf16: Written<FlopRate>,
    /// Peak of fp8, without sparsity; without it fp8 is refused.
    peak_fp8: Option<Written<FlopRate>>,
    /// Of its memory.
    memory_bandwidth: Written<Bandwidth>,
    /// Size of its memory; without it nothing is checked to fit.
    memory: Option<Written<Bytes>>,
    /// Streaming multiprocessors.
    sms: Count<1, 100_000>,
}

impl GpuFile {
    fn build(self) -> GpuSpec {
        GpuSpec {
            name: self.name,
            peak_bf16: self.peak_bf16.0,
            peak_fp8: self.peak_fp8.map(|rate| rate.0),
            memory_bandwidth: self.memory_bandwidth.0,
            memory: self.memory.map(|bytes| bytes.0),
            sms: self.sms.0,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NodesFile {
    /// Nodes.
    count: Count<1, 1_048_576>,
    /// GPUs of a node.
    gpus_per_node: Count<1, 65_536>,
    /// What joins the GPUs of a node; none if the fabric does.
    #[serde(rename = "scale-up")]
    scale_up: Option<ScaleUpFile>,
    /// Network cards of a node.
    nic: Option<NicFile>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum ScaleUpFile {
    /// Each GPU's port into switches.
    Nvswitch(LinkFile),
    /// A link for each ordered pair.
    Mesh(LinkFile),
    /// PCIe switches and CPU sockets.
    Pcie(PcieFile),
}

/// A plain link.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LinkFile {
    /// One direction.
    bandwidth: Written<Bandwidth>,
    /// Before the first byte.
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

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PcieFile {
    /// GPUs below a PCIe switch.
    gpus_per_switch: Count<1, 64>,
    /// PCIe switches of a CPU socket.
    switches_per_socket: Count<1, 64>,
    /// Of a GPU's slot, one direction.
    slot_bandwidth: Written<Bandwidth>,
    /// From a switch to its socket, one direction.
    uplink_bandwidth: Written<Bandwidth>,
    /// Between sockets, one direction.
    socket_bandwidth: Written<Bandwidth>,
    /// Of each hop.
    latency: Written<SimDuration>,
    /// Whether GPUs below a switch reach each other without the socket.
    peer_to_peer: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NicFile {
    /// NICs of a node, in the order of its GPUs.
    per_node: Count<1, 65_536>,
    /// Of a NIC, one direction.
    bandwidth: Written<Bandwidth>,
    /// Before the first byte.
    latency: Written<SimDuration>,
    /// The slot of a NIC; needed where GPUs share one.
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
