//! What NCCL writes to `NCCL_TOPO_DUMP_FILE`: a tree of sockets, PCIe bridges, GPUs, NVLinks and NICs.
//!
//! ```text
//!   <system> <cpu numaid="0"> <pci link_speed="32.0 GT/s PCIe" link_width="16">
//!     <gpu dev="0" sm="90"> <nvlink target="…" count="18" tclass="0x068000"/>     a switch; 0x0302…: a GPU
//!     <nic> <net name="mlx5_0" speed="400000"/>                                      Mb/s
//! ```
//!
//! [NVIDIA/nccl, src/graph/xml.cc]. An NVLink carries 25 GB/s one way up to compute capability 9, 50 from 10 on.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::{Document, Node};

use super::{Gpu, Layout, Nics, Nodes, ScaleUp, Sketch, at_line};
use crate::config::Diagnostic;

const HELP: &str = "give what NCCL writes with NCCL_TOPO_DUMP_FILE=topo.xml";

/// What is read of a GPU.
struct FoundGpu<'a> {
    line: usize,
    /// Compute capability, as NCCL writes it: 90 is 9.0.
    capability: u32,
    /// NVLinks to switches, and to each other GPU.
    switched: u32,
    peers: BTreeMap<&'a str, u32>,
    slot_gb_per_s: Option<f64>,
    socket: Option<&'a str>,
    bridge: Option<&'a str>,
}

pub(super) fn sketch(place: &str, text: &str, named: &Gpu) -> Result<Sketch, Diagnostic> {
    let document = Document::parse(text).map_err(|e| {
        let line = (e.pos().row as usize).max(1);
        at_line(place, text, line, format!("is not read as XML: {e}"), HELP)
    })?;
    let line_of = |node: Node<'_, '_>| document.text_pos_at(node.range().start).row as usize;
    let found: Vec<FoundGpu<'_>> = document
        .descendants()
        .filter(|node| node.has_tag_name("gpu"))
        .map(|node| gpu(node, line_of(node)))
        .collect();
    let Some(first) = found.first() else {
        return Err(Diagnostic::of(place, "has no <gpu>", HELP));
    };
    is_named(place, text, first, named)?;
    let gpus = found.len() as u32;
    let mut guesses = vec!["latencies: the file has none".to_owned()];
    let scale_up = scale_up(place, text, &found)?;
    if matches!(scale_up, ScaleUp::Pcie { .. }) {
        guesses.push(
            "peer_to_peer = false (`nvidia-smi topo -p2p r` tells it), 60 GB/s between sockets"
                .to_owned(),
        );
    }
    let (nics, left_out) = nics(&document, gpus, first.slot_gb_per_s);
    if first.slot_gb_per_s.is_none() && nics.is_some_and(|nics| nics.slot_gb_per_s.is_some()) {
        guesses.push("slots of 63 GB/s: the file has no link_speed of the GPUs'".to_owned());
    }
    let scale_up = (gpus > 1).then_some(scale_up);
    let nodes = Nodes { count: 1, gpus_per_node: gpus, scale_up, nics, fabric: None };
    Ok(Sketch { layout: Layout::Nodes(nodes), guesses, left_out })
}

/// Whether the GPU that was named is of the architecture that the file tells.
fn is_named(place: &str, text: &str, first: &FoundGpu<'_>, named: &Gpu) -> Result<(), Diagnostic> {
    let own = first.capability / 10;
    match named.capability() {
        Some(major) if major != own => {
            let found =
                format!("has GPUs of compute capability {own}, and {} has {major}", named.name);
            let help = "name the GPU of this machine with --gpu";
            Err(at_line(place, text, first.line, found, help))
        }
        _ => Ok(()),
    }
}

fn gpu<'a>(node: Node<'a, '_>, line: usize) -> FoundGpu<'a> {
    let number = |node: Node<'_, '_>, key| node.attribute(key).and_then(|text| text.parse().ok());
    let (mut switched, mut peers) = (0, BTreeMap::new());
    for link in node.children().filter(|child| child.has_tag_name("nvlink")) {
        let count: u32 = number(link, "count").unwrap_or(0).min(64);
        let is_gpu = link.attribute("tclass").is_some_and(|class| class.starts_with("0x0302"));
        match link.attribute("target") {
            Some(target) if is_gpu => *peers.entry(target).or_insert(0) += count,
            _ => switched += count,
        }
    }
    let bridges: Vec<Node<'a, '_>> =
        node.ancestors().filter(|above| above.has_tag_name("pci")).collect();
    let socket = node.ancestors().find(|above| above.has_tag_name("cpu"));
    FoundGpu {
        line,
        capability: number(node, "sm").unwrap_or(0),
        switched,
        peers,
        slot_gb_per_s: bridges.first().and_then(|slot| slot_rate(*slot)),
        socket: socket.and_then(|cpu| cpu.attribute("numaid")),
        bridge: bridges.get(1).and_then(|bridge| bridge.attribute("busid")),
    }
}

/// GB/s of a PCIe slot: 128 of 130 bits carry data from 8 GT/s on.
fn slot_rate(pci: Node<'_, '_>) -> Option<f64> {
    let speed: f64 = pci.attribute("link_speed")?.split_whitespace().next()?.parse().ok()?;
    let lanes: f64 = pci.attribute("link_width")?.parse().ok()?;
    let rate = (speed * lanes * 128.0 / 130.0 / 8.0 * 10.0).round() / 10.0;
    (0.1..=1000.0).contains(&rate).then_some(rate)
}

/// What joins the GPUs: NVLink through switches, NVLink of each pair, or PCIe alone.
fn scale_up(place: &str, text: &str, gpus: &[FoundGpu<'_>]) -> Result<ScaleUp, Diagnostic> {
    let first = &gpus[0];
    let rate = if first.capability >= 100 { 50.0 } else { 25.0 };
    let links =
        |kind, links: u32| ScaleUp::Links { kind, gb_per_s: f64::from(links) * rate, ns: 500.0 };
    let each = first.peers.values().next().copied().unwrap_or(0);
    let is_full = |gpu: &FoundGpu<'_>| {
        gpu.peers.len() + 1 == gpus.len() && gpu.peers.values().all(|&count| count == each)
    };
    let (joined, odd): (ScaleUp, Option<&FoundGpu<'_>>) = if first.switched > 0 {
        let odd = gpus.iter().find(|gpu| gpu.switched != first.switched);
        (links("nvswitch", first.switched), odd)
    } else if each > 0 {
        (links("mesh", each), gpus.iter().find(|gpu| !is_full(gpu)))
    } else {
        return pcie(gpus).map_err(|found| uneven(place, text, first, found));
    };
    match odd {
        None => Ok(joined),
        Some(gpu) => {
            let to_gpus: u32 = gpu.peers.values().sum();
            let found = format!(
                "{} NVLinks to switches and {to_gpus} to {} of {} other GPUs, unlike the first GPU",
                gpu.switched,
                gpu.peers.len(),
                gpus.len() - 1
            );
            Err(uneven(place, text, gpu, found))
        }
    }
}

fn uneven(place: &str, text: &str, gpu: &FoundGpu<'_>, found: String) -> Diagnostic {
    let help = "where GPUs of a node are joined in differing ways, write the links as the [graph] of a \
                topology; see topologies/README.md";
    at_line(place, text, gpu.line, found, help)
}

/// GPUs evenly under switches, and switches under sockets; what was found otherwise.
fn pcie(gpus: &[FoundGpu<'_>]) -> Result<ScaleUp, String> {
    let sockets: BTreeSet<_> = gpus.iter().map(|gpu| gpu.socket).collect();
    let bridges: BTreeSet<_> =
        gpus.iter().enumerate().map(|(at, gpu)| gpu.bridge.ok_or(at)).collect();
    let all = gpus.len();
    if !all.is_multiple_of(bridges.len()) || !bridges.len().is_multiple_of(sockets.len()) {
        let (bridges, sockets) = (bridges.len(), sockets.len());
        return Err(format!("{all} GPUs under {bridges} PCIe switches of {sockets} sockets"));
    }
    let gb_per_s = gpus[0]
        .slot_gb_per_s
        .ok_or_else(|| "no link_speed and link_width of its PCIe slot".to_owned())?;
    Ok(ScaleUp::Pcie {
        gpus_per_switch: (all / bridges.len()) as u32,
        switches_per_socket: (bridges.len() / sockets.len()) as u32,
        gb_per_s,
    })
}

/// The fastest NICs; slower ones carry storage and logins.
fn nics(document: &Document<'_>, gpus: u32, slot: Option<f64>) -> (Option<Nics>, Vec<String>) {
    let nets = document.descendants().filter(|node| node.has_tag_name("net"));
    let nets: Vec<(&str, u64)> = nets
        .map(|net| {
            let speed = net.attribute("speed").and_then(|speed| speed.parse().ok()).unwrap_or(0);
            (net.attribute("name").unwrap_or("a NIC without name"), speed)
        })
        .collect();
    let fastest = nets.iter().map(|(_, speed)| *speed).max().unwrap_or(0);
    let mut left_out: Vec<String> = nets
        .iter()
        .filter(|(_, speed)| *speed < fastest)
        .map(|(name, speed)| format!("{name}: {speed} Mb/s, the fastest has {fastest}"))
        .collect();
    let mut per_node = nets.iter().filter(|(_, speed)| *speed == fastest).count() as u32;
    if fastest == 0 || per_node == 0 {
        return (None, left_out);
    }
    if per_node > gpus {
        left_out.push(format!("{} NICs beyond one for each GPU", per_node - gpus));
        per_node = gpus;
    }
    while !gpus.is_multiple_of(per_node) {
        per_node -= 1;
        left_out.push("a NIC: GPUs share NICs evenly".to_owned());
    }
    let slot_gb_per_s = if per_node < gpus { Some(slot.unwrap_or(63.0)) } else { slot };
    let gb_per_s = fastest as f64 / 8000.0;
    (Some(Nics { per_node, gb_per_s, ns: 1000.0, slot_gb_per_s }), left_out)
}
