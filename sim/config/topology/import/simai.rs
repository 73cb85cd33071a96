//! A topology of `SimAI`: counts, the numbers of switches, and a line for each link.
//!
//! ```text
//!   9 8 1 0 8 A100                    vertices, GPUs a server, NVSwitches, other switches, links, GPU
//!   8                                 the switches' numbers: NVSwitches first, after the GPUs
//!   0 8 2400Gbps 0.000025ms 0         from, to, bandwidth, latency, error rate
//! ```
//!
//! [aliyun/SimAI, `gen_Topo_Template.py`]. A line for a pair that is joined already is another lane of it.

use std::collections::BTreeMap;

use super::{Graph, GraphLink, Layout, Sketch, at_line};
use crate::base::units::{Bandwidth, SimDuration, parse_quantity};
use crate::config::Diagnostic;

/// The GPU that the file names.
pub(super) fn gpu(text: &str) -> Option<&str> {
    text.lines().next()?.split_whitespace().nth(5)
}

/// The first line.
struct Counts {
    vertices: u32,
    per_server: u32,
    nvswitches: u32,
    others: u32,
    links: usize,
}

pub(super) fn sketch(place: &str, text: &str) -> Result<Sketch, Diagnostic> {
    let counts = counts(place, text)?;
    let gpus = counts.vertices - counts.nvswitches - counts.others;
    let mut links: BTreeMap<(u32, u32), GraphLink> = BTreeMap::new();
    let mut lossy = 0;
    let mut lines = 0;
    for (at, line) in text.lines().enumerate().skip(2).filter(|(_, line)| !line.trim().is_empty()) {
        lines += 1;
        let (ends, link, loses) = link(place, text, (at + 1, line), &counts)?;
        lossy += usize::from(loses);
        links.entry(ends).and_modify(|known| known.lanes += 1).or_insert(link);
    }
    if lines != counts.links {
        let found = format!("says {} links and lists {lines}", counts.links);
        return Err(at_line(place, text, 1, found, "give the number of links that follow"));
    }
    let mut graph = Graph { gpus, gpus_per_node: counts.per_server, ..Graph::default() };
    graph.switches = (gpus..counts.vertices).map(|vertex| name(vertex, &counts)).collect();
    graph.links = links.into_values().collect();
    for link in &mut graph.links {
        // A trunk has the bandwidth of all its lanes.
        link.gb_per_s *= f64::from(link.lanes);
    }
    let left_out = if lossy == 0 {
        vec![]
    } else {
        vec![format!("error rates ({lossy} of the links): none loses anything")]
    };
    Ok(Sketch { layout: Layout::Graph(graph), guesses: vec![], left_out })
}

fn counts(place: &str, text: &str) -> Result<Counts, Diagnostic> {
    let first = text.lines().next().unwrap_or_default();
    let numbers: Vec<u32> =
        first.split_whitespace().take(5).filter_map(|word| word.parse().ok()).collect();
    let help = "the first line is: vertices, GPUs a server, NVSwitches, other switches, links, GPU";
    let [vertices, per_server, nvswitches, others, links] = numbers[..] else {
        return Err(at_line(place, text, 1, "is no line of five counts".to_owned(), help));
    };
    let switches = u64::from(nvswitches) + u64::from(others);
    let gpus = u64::from(vertices).saturating_sub(switches);
    if gpus == 0 || per_server == 0 || !gpus.is_multiple_of(per_server.into()) {
        let found = format!(
            "{vertices} vertices less {switches} switches are not servers of {per_server} GPUs"
        );
        return Err(at_line(place, text, 1, found, help));
    }
    Ok(Counts { vertices, per_server, nvswitches, others, links: links as usize })
}

/// `gpu3`, `nvswitch0` or `switch0`.
fn name(vertex: u32, counts: &Counts) -> String {
    let gpus = counts.vertices - counts.nvswitches - counts.others;
    match vertex.checked_sub(gpus) {
        None => format!("gpu{vertex}"),
        Some(at) if at < counts.nvswitches => format!("nvswitch{at}"),
        Some(at) => format!("switch{}", at - counts.nvswitches),
    }
}

type Ends = (u32, u32);

/// A line: which two it joins, the link, and whether it says that it loses packets.
fn link(
    place: &str,
    text: &str,
    (number, line): (usize, &str),
    counts: &Counts,
) -> Result<(Ends, GraphLink, bool), Diagnostic> {
    let help =
        "a link is: from, to, bandwidth, latency, error rate, as in `0 8 2400Gbps 0.000025ms 0`";
    let refuse = |found: String| at_line(place, text, number, found, help);
    let words: Vec<&str> = line.split_whitespace().collect();
    let [from, to, bandwidth, latency, errors] = words[..] else {
        return Err(refuse(format!("{} words where a link has five", words.len())));
    };
    let vertex = |word: &str| {
        let number = word.parse::<u32>().ok().filter(|vertex| *vertex < counts.vertices);
        number.ok_or_else(|| {
            refuse(format!("`{word}` is none of the vertices 0 to {}", counts.vertices - 1))
        })
    };
    let (from, to) = (vertex(from)?, vertex(to)?);
    let rate: Bandwidth =
        parse_quantity(bandwidth).map_err(|_| refuse(format!("`{bandwidth}` is no bandwidth")))?;
    let wait: SimDuration =
        parse_quantity(latency).map_err(|_| refuse(format!("`{latency}` is no latency")))?;
    let gpus = counts.vertices - counts.nvswitches - counts.others;
    let is_nvswitch = |vertex: u32| (gpus..gpus + counts.nvswitches).contains(&vertex);
    let class = match (from < gpus, to < gpus) {
        _ if is_nvswitch(from) || is_nvswitch(to) => "nvlink",
        (true, true) => "direct",
        (false, false) => "leaf-spine",
        _ => "nic",
    };
    let loses = errors.parse::<f64>().is_ok_and(|rate| rate > 0.0);
    let (gb_per_s, ns) = (rate.gb_per_sec(), wait.ps() as f64 / 1e3);
    let (from_name, to_name) = (name(from, counts), name(to, counts));
    let link = GraphLink { from: from_name, to: to_name, gb_per_s, ns, class, lanes: 1 };
    Ok(((from.min(to), from.max(to)), link, loses))
}
