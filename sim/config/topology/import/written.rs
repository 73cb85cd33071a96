//! A sketch of a cluster as the text of a topology file.

use std::fmt::Write as _;

use super::{Gpu, Graph, Layout, NetworkAs, Nics, Nodes, ScaleUp, Sketch};
use crate::config::NetworkFile;

/// The file.
pub(super) fn topology(
    sketch: &Sketch,
    gpu: &Gpu,
    kind: NetworkFile,
    place: &str,
    asked: NetworkAs<'_>,
) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut text = format!("# Written by `moesim import` from {}.\n", kind.described());
    text += "# Speeds are of one direction; what links really deliver is the profile's business.\n";
    comment(&mut text, "Guesses, to be changed", &sketch.guesses);
    comment(&mut text, "Left out", &sketch.left_out);
    let source =
        asked.source.map_or_else(|| format!("{place}, {}", kind.described()), str::to_owned);
    let _ = write!(
        text,
        "schema = 1\nname   = {}\nsource = {}\n\n[gpu]\nname = {}\n",
        quoted(asked.name),
        quoted(&source),
        quoted(&gpu.name)
    );
    for (key, value) in &gpu.keys {
        let _ = writeln!(text, "{key} = {value}");
    }
    match &sketch.layout {
        Layout::Nodes(nodes) => add_nodes(&mut text, nodes),
        Layout::Graph(graph) => add_graph(&mut text, graph),
    }
    text
}

fn comment(text: &mut String, title: &str, lines: &[String]) {
    if !lines.is_empty() {
        let _ = writeln!(text, "#\n# {title}:");
    }
    for line in lines {
        let options =
            textwrap::Options::new(100).initial_indent("#   ").subsequent_indent("#     ");
        let _ = writeln!(text, "{}", textwrap::fill(line, options));
    }
}

fn add_nodes(text: &mut String, nodes: &Nodes) {
    let Nodes { count, gpus_per_node, scale_up, nics, fabric } = nodes;
    let _ = write!(text, "\n[nodes]\ncount         = {count}\ngpus_per_node = {gpus_per_node}\n");
    match scale_up {
        Some(ScaleUp::Links { kind, gb_per_s, ns }) => {
            let _ = write!(
                text,
                "\n[nodes.scale-up.{kind}]\nbandwidth = \"{gb_per_s} GB/s\"\nlatency   = \"{ns} ns\"\n"
            );
        }
        Some(ScaleUp::Pcie { gpus_per_switch, switches_per_socket, gb_per_s }) => {
            let _ = write!(
                text,
                "\n[nodes.scale-up.pcie]\ngpus_per_switch     = {gpus_per_switch}\n\
                 switches_per_socket = {switches_per_socket}\nslot_bandwidth      = \"{gb_per_s} GB/s\"\n\
                 uplink_bandwidth    = \"{gb_per_s} GB/s\"\nsocket_bandwidth    = \"60 GB/s\"\n\
                 latency             = \"300 ns\"\npeer_to_peer        = false\n"
            );
        }
        None => {}
    }
    if let Some(Nics { per_node, gb_per_s, ns, slot_gb_per_s }) = nics {
        let gbits = gb_per_s * 8.0;
        let _ = write!(
            text,
            "\n[nodes.nic]\nper_node  = {per_node}\nbandwidth = \"{gbits} Gb/s\"\nlatency   = \"{ns} ns\"\n"
        );
        if let Some(slot) = slot_gb_per_s {
            let _ = write!(
                text,
                "\n[nodes.nic.pcie]\nbandwidth = \"{slot} GB/s\"\nlatency   = \"300 ns\"\n"
            );
        }
    }
    if let Some((table, keys)) = fabric {
        let _ = write!(text, "\n[fabric.{table}]\n{keys}");
    }
}

fn add_graph(text: &mut String, graph: &Graph) {
    let names: Vec<String> = graph.switches.iter().map(|name| format!("\"{name}\"")).collect();
    let _ = write!(
        text,
        "\n[graph]\ngpus          = {}\ngpus_per_node = {}\nswitches      = [{}]\nlinks = [\n",
        graph.gpus,
        graph.gpus_per_node,
        names.join(", ")
    );
    for link in &graph.links {
        let lanes =
            if link.lanes > 1 { format!(", lanes = {}", link.lanes) } else { String::new() };
        let _ = writeln!(
            text,
            "    {{ from = \"{}\", to = \"{}\", bandwidth = \"{} GB/s\", latency = \"{} ns\", class = \"{}\"{lanes} }},",
            link.from, link.to, link.gb_per_s, link.ns, link.class
        );
    }
    text.push_str("]\n");
}
