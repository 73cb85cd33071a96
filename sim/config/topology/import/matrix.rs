//! The matrix of `nvidia-smi topo -m`: how each pair of GPUs and NICs of one machine is joined.
//!
//! ```text
//!           GPU0  GPU1  NIC0  CPU Affinity          NV18  18 NVLinks            PIX  one PCIe switch
//!   GPU0     X    NV18  PIX   0-51                  PXB   several of them       PHB  a host bridge
//!   GPU1    NV18   X    SYS   0-51                  NODE  host bridges of one NUMA node
//!   NIC0    PIX   SYS    X                          SYS   between NUMA nodes
//! ```
//!
//! NVLinks of every pair are separate cables if a GPU can have as many, at most [`MOST_LINKS`]; else they are
//! the same cables through a switch. GPUs that NVLink joins are a node, as with bridged cards. The matrix
//! tells nothing of rates beyond the number of NVLinks.

use super::{Gpu, Layout, Nics, Nodes, ScaleUp, Sketch, at_line};
use crate::config::Diagnostic;

/// NVLinks of a GPU, at most: 18 from Hopper on.
const MOST_LINKS: u32 = 18;
/// A guess for what the matrix does not say: a NIC of 400 Gb/s.
const NIC_GB_PER_S: f64 = 50.0;
/// A guess likewise: sixteen lanes of PCI Express 5.0.
const SLOT_GB_PER_S: f64 = 63.0;

const HELP: &str =
    "give what `nvidia-smi topo -m` prints, whole: a header, and a row for each GPU and NIC";

/// A row: its line, name, and what joins it to each column.
struct Row<'a> {
    line: usize,
    name: &'a str,
    cells: Vec<&'a str>,
}

pub(super) fn sketch(place: &str, text: &str, gpu: &Gpu) -> Result<Sketch, Diagnostic> {
    let plain = without_escapes(text);
    let (header, rows) = table(place, text, &plain)?;
    let gpus = rows.iter().take_while(|row| row.name.starts_with("GPU")).count();
    let nvlinks = |one: usize, other: usize| links_of(rows[one].cells[other]);
    let domain: Vec<usize> =
        (0..gpus).filter(|&other| other == 0 || nvlinks(0, other).is_some()).collect();
    let mut guesses =
        vec!["latencies of 300 ns to 1 us, and slots of 63 GB/s: the matrix has none".to_owned()];
    if domain.len() > 1 && gpu.lacks_nvlink() {
        let found = format!("has NVLinks, and {} has none", gpu.name);
        return Err(at_line(
            place,
            text,
            rows[0].line,
            found,
            "name the GPU of this machine with --gpu",
        ));
    }
    let (per_node, scale_up) = if domain.len() > 1 {
        let links = equal_links(place, text, &rows, gpus, domain.len())?;
        (domain.len(), nvlink_of(links, domain.len(), gpu))
    } else {
        guesses.push("peer_to_peer = false: `nvidia-smi topo -p2p r` tells it".to_owned());
        (gpus, pcie(place, text, &rows, gpus)?)
    };
    let scale_up = (gpus > 1).then_some(scale_up);
    let (per_node, count) = (per_node as u32, (gpus / per_node) as u32);
    let (nics, left_out) = nics(&header, &rows, gpus, count, &mut guesses);
    // A bridge is a node: bridges of one machine reach each other through their NICs.
    let fabric = (count > 1).then(|| ("single-switch", String::new()));
    if count > 1 {
        guesses.push(format!("{count} NVLink domains of one machine are nodes on one switch"));
    }
    let nodes = Nodes { count, gpus_per_node: per_node, scale_up, nics, fabric };
    Ok(Sketch { layout: Layout::Nodes(nodes), guesses, left_out })
}

/// Terminals underline the header.
fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            let _ = chars.by_ref().find(|c| c.is_ascii_alphabetic());
        } else {
            plain.push(c);
        }
    }
    plain
}

/// `GPU3`, `NIC0` or `mlx5_0`.
fn is_device(word: &&str) -> bool {
    let stem = word.trim_end_matches(|c: char| c.is_ascii_digit());
    let nic = ["mlx", "bnxt", "rdmap", "irdma"].iter().any(|driver| word.contains(driver));
    stem.len() < word.len() && (["GPU", "NIC"].contains(&stem) || nic)
}

/// The names of columns and the rows, GPUs first.
fn table<'a>(
    place: &str,
    text: &str,
    plain: &'a str,
) -> Result<(Vec<&'a str>, Vec<Row<'a>>), Diagnostic> {
    let (mut header, mut rows): (Vec<&str>, Vec<Row<'a>>) = (vec![], vec![]);
    for (at, line) in plain.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if header.is_empty() {
            header = words.into_iter().take_while(is_device).collect();
            continue;
        }
        let Some(name) = header.get(rows.len()).filter(|name| words.first() == Some(name)) else {
            continue;
        };
        let Some(cells) = words.get(1..=header.len()) else {
            let found =
                format!("row {name} has {} cells for {} columns", words.len() - 1, header.len());
            return Err(at_line(place, text, at + 1, found, HELP));
        };
        rows.push(Row { line: at + 1, name, cells: cells.to_vec() });
    }
    let gpus = header.iter().filter(|name| name.starts_with("GPU")).count();
    if gpus == 0 || rows.len() < header.len() {
        let found = format!("has {} rows for {} columns", rows.len(), header.len());
        return Err(Diagnostic::of(place, found, HELP));
    }
    if !header[..gpus].iter().all(|name| name.starts_with("GPU")) {
        return Err(Diagnostic::of(place, "has NICs between its GPUs", HELP));
    }
    Ok((header, rows))
}

/// NVLinks of a pair.
fn links_of(cell: &str) -> Option<u32> {
    cell.strip_prefix("NV")?.parse().ok().filter(|links| (1..=64).contains(links))
}

/// NVLinks between any two GPUs of a domain, where all are alike.
fn equal_links(
    place: &str,
    text: &str,
    rows: &[Row<'_>],
    gpus: usize,
    domain: usize,
) -> Result<u32, Diagnostic> {
    let first = (1..gpus).find_map(|other| links_of(rows[0].cells[other])).unwrap_or_default();
    for row in &rows[..gpus] {
        let links: Vec<u32> = (0..gpus).filter_map(|other| links_of(row.cells[other])).collect();
        if links.len() + 1 != domain || links.iter().any(|links| *links != first) {
            let found = format!(
                "{} has {} NVLinks to {} GPUs",
                row.name,
                links.iter().sum::<u32>(),
                links.len()
            );
            let help = "where GPUs are joined by differing numbers of NVLinks, write them as the [graph] of a \
                        topology; see topologies/README.md";
            return Err(at_line(place, text, row.line, found, help));
        }
    }
    if !gpus.is_multiple_of(domain) {
        let found = format!("{gpus} GPUs are not NVLink domains of {domain}");
        return Err(Diagnostic::of(place, found, HELP));
    }
    Ok(first)
}

fn nvlink_of(links: u32, domain: usize, gpu: &Gpu) -> ScaleUp {
    let own_cables = links * (domain as u32 - 1) <= MOST_LINKS;
    let kind = if own_cables { "mesh" } else { "nvswitch" };
    ScaleUp::Links { kind, gb_per_s: f64::from(links) * gpu.nvlink(), ns: 500.0 }
}

/// GPUs under each PCIe switch and switches under each socket, where all are alike.
fn pcie(place: &str, text: &str, rows: &[Row<'_>], gpus: usize) -> Result<ScaleUp, Diagnostic> {
    let group = |row: &Row<'_>, near: &[&str]| {
        1 + row.cells[..gpus].iter().filter(|cell| near.contains(cell)).count()
    };
    let under_switch = ["PIX", "PXB"];
    let under_socket = ["PIX", "PXB", "PHB", "NODE"];
    let (switch, socket) = (group(&rows[0], &under_switch), group(&rows[0], &under_socket));
    for row in &rows[..gpus] {
        let cells = &row.cells[..gpus];
        let known = |cell: &&str| ["X", "SYS"].contains(cell) || under_socket.contains(cell);
        if let Some(cell) = cells.iter().find(|cell| !known(cell)) {
            return Err(at_line(
                place,
                text,
                row.line,
                format!("`{cell}` is no kind of link"),
                HELP,
            ));
        }
        let own = (group(row, &under_switch), group(row, &under_socket));
        if own != (switch, socket) || !socket.is_multiple_of(switch) || !gpus.is_multiple_of(socket)
        {
            let found = format!(
                "{} has {} GPUs under its PCIe switch and {} under its socket, GPU0 {switch} and {socket}",
                row.name, own.0, own.1
            );
            let help = "where sockets or switches differ, write the links as the [graph] of a topology; see \
                        topologies/README.md";
            return Err(at_line(place, text, row.line, found, help));
        }
    }
    Ok(ScaleUp::Pcie {
        gpus_per_switch: switch as u32,
        switches_per_socket: (socket / switch) as u32,
        gb_per_s: SLOT_GB_PER_S,
    })
}

/// The NICs that share a PCIe switch with a GPU, or all if none does; and those that do not.
fn nics(
    header: &[&str],
    rows: &[Row<'_>],
    gpus: usize,
    nodes: u32,
    guesses: &mut Vec<String>,
) -> (Option<Nics>, Vec<String>) {
    let near =
        |at: &usize| rows[*at].cells[..gpus].iter().any(|cell| ["PIX", "PXB"].contains(cell));
    let all: Vec<usize> = (gpus..header.len()).collect();
    let mut used: Vec<usize> = all.iter().copied().filter(near).collect();
    if used.is_empty() {
        used.clone_from(&all);
    }
    let rest = all.iter().filter(|at| !used.contains(at));
    let mut left_out: Vec<String> =
        rest.map(|&at| format!("{}: under no PCIe switch with a GPU", header[at])).collect();
    let (gpus_of_node, mut per_node) = (gpus as u32 / nodes, used.len() as u32 / nodes);
    if per_node > gpus_of_node {
        left_out.push(format!("{} NICs beyond one for each GPU", per_node - gpus_of_node));
        per_node = gpus_of_node;
    }
    while per_node > 1 && !gpus_of_node.is_multiple_of(per_node) {
        per_node -= 1;
        left_out.push("a NIC: GPUs share NICs evenly".to_owned());
    }
    if per_node == 0 {
        return (None, left_out);
    }
    guesses.push("NICs of 400 Gb/s".to_owned());
    let slot_gb_per_s = (per_node < gpus_of_node).then_some(SLOT_GB_PER_S);
    (Some(Nics { per_node, gb_per_s: NIC_GB_PER_S, ns: 1000.0, slot_gb_per_s }), left_out)
}
