//! ASTRA-sim's `network.yml`: a shape for each dimension, the first within nodes.
//!
//! ```text
//!   topology: [ FullyConnected, Switch ]    npus_count: [ 8, 4 ]
//!   bandwidth: [ 450.0, 50.0 ]  GB/s        latency: [ 500.0, 1000.0 ]  ns
//! ```
//!
//! NPU numbers count the first dimension fastest; the NPUs that differ in one coordinate alone are joined in
//! that dimension's shape: a bidirectional ring, a link for each pair, or a switch [astra-sim, analytical network
//! backend]. Two dimensions whose second is a switch are nodes on rails; all else is written link by link.

use saphyr::{LoadableYamlNode, MarkedYaml, YamlData};

use super::{Graph, GraphLink, Layout, Nics, Nodes, ScaleUp, Sketch, at_line};
use crate::config::Diagnostic;
use crate::topology::MAX_EXPLICIT_GPUS;

/// The file, as YAML.
struct File {
    topology: Vec<String>,
    npus_count: Vec<u32>,
    bandwidth: Vec<f64>,
    latency: Vec<f64>,
}

type Node<'t> = YamlData<'t, MarkedYaml<'t>>;

impl File {
    /// The first document of a text, or the line on which it is no such file.
    fn read(text: &str) -> Result<Self, usize> {
        let documents = MarkedYaml::load_from_str(text).map_err(|e| e.marker().line())?;
        let top = documents.first().ok_or(1_usize)?;
        let whole = |of: &Node<'_>| of.as_integer().and_then(|number| u32::try_from(number).ok());
        let number = |of: &Node<'_>| {
            of.as_floating_point().or_else(|| of.as_integer().map(|number| number as f64))
        };
        Ok(Self {
            topology: list(top, "topology", |of| of.as_str().map(str::to_owned))?,
            npus_count: list(top, "npus_count", whole)?,
            bandwidth: list(top, "bandwidth", number)?,
            latency: list(top, "latency", number)?,
        })
    }
}

/// The list under a key, or the line on which it is none of such values.
fn list<T>(
    top: &MarkedYaml<'_>,
    key: &str,
    read: impl Fn(&Node<'_>) -> Option<T>,
) -> Result<Vec<T>, usize> {
    let under = top.data.as_mapping_get(key).ok_or_else(|| top.span.start.line())?;
    let each = under.data.as_sequence().ok_or_else(|| under.span.start.line())?;
    each.iter().map(|one| read(&one.data).ok_or_else(|| one.span.start.line())).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Ring,
    FullyConnected,
    Switch,
}

#[derive(Clone, Copy, Debug)]
struct Dimension {
    shape: Shape,
    npus: u32,
    gb_per_s: f64,
    ns: f64,
}

pub(super) fn sketch(place: &str, text: &str) -> Result<Sketch, Diagnostic> {
    let dimensions = dimensions(place, text)?;
    let npus = dimensions.iter().fold(1u64, |all, of| all.saturating_mul(of.npus.into()));
    let layout = match nodes(&dimensions) {
        Some(nodes) => Layout::Nodes(nodes),
        None if npus <= u64::from(MAX_EXPLICIT_GPUS) => {
            Layout::Graph(graph(&dimensions, npus as u32))
        }
        None => {
            let found = format!("{npus} NPUs in a shape that has to be written link by link");
            let help = format!(
                "of such shapes at most {MAX_EXPLICIT_GPUS} NPUs can be imported: write a [fabric.…] \
                 (torus, hyperx, dragonfly, …), as topologies/README.md says"
            );
            return Err(at_line(place, text, line_of(text, "npus_count:"), found, &help));
        }
    };
    let guesses = vec![format!(
        "a node is the first dimension, {} NPUs; what their links deliver goes by their class",
        dimensions[0].npus
    )];
    Ok(Sketch { layout, guesses, left_out: vec![] })
}

/// The line, from 1, on which a key stands.
fn line_of(text: &str, key: &str) -> usize {
    text.lines().position(|line| line.trim_start().starts_with(key)).map_or(1, |at| at + 1)
}

fn dimensions(place: &str, text: &str) -> Result<Vec<Dimension>, Diagnostic> {
    let file = File::read(text).map_err(|line| {
        let help =
            "give topology, npus_count, bandwidth (GB/s) and latency (ns) as lists of one length";
        at_line(
            place,
            text,
            line.max(1),
            "is not read as a network file of ASTRA-sim".to_owned(),
            help,
        )
    })?;
    let of = file.topology.len();
    let lists = [
        ("npus_count:", file.npus_count.len()),
        ("bandwidth:", file.bandwidth.len()),
        ("latency:", file.latency.len()),
    ];
    if let Some((key, length)) = lists.into_iter().find(|(_, length)| *length != of || of == 0) {
        let found = format!("{length} values for {of} dimensions");
        return Err(at_line(place, text, line_of(text, key), found, "give one for each dimension"));
    }
    (0..of).map(|at| dimension(place, text, &file, at)).collect()
}

fn dimension(place: &str, text: &str, file: &File, at: usize) -> Result<Dimension, Diagnostic> {
    let shape = match file.topology[at].as_str() {
        "Ring" => Shape::Ring,
        "FullyConnected" => Shape::FullyConnected,
        "Switch" => Shape::Switch,
        other => {
            let found = format!("dimension {at} has the shape `{other}`");
            let help = "shapes that are known: Ring, FullyConnected, Switch";
            return Err(at_line(place, text, line_of(text, "topology:"), found, help));
        }
    };
    let (npus, gb_per_s, ns) = (file.npus_count[at], file.bandwidth[at], file.latency[at]);
    let refuse = |key: &str, found: String, help: &str| {
        Err(at_line(place, text, line_of(text, key), found, help))
    };
    if npus == 0 || npus > 65_536 {
        return refuse("npus_count:", format!("{npus} NPUs"), "give 1 to 65536");
    }
    if !(gb_per_s > 0.0 && gb_per_s <= 1e6) {
        return refuse(
            "bandwidth:",
            format!("{gb_per_s} GB/s"),
            "give a rate above 0, up to 1e6 GB/s",
        );
    }
    if !(0.0..=1e9).contains(&ns) {
        return refuse("latency:", format!("{ns} ns"), "give 0 to 1e9 ns");
    }
    Ok(Dimension { shape, npus, gb_per_s, ns })
}

/// Nodes on rails, where the shapes are those.
fn nodes(dimensions: &[Dimension]) -> Option<Nodes> {
    let (&inner, outer) = dimensions.split_first()?;
    let kind = match inner.shape {
        Shape::Switch => "nvswitch",
        Shape::FullyConnected => "mesh",
        Shape::Ring => return None,
    };
    let Dimension { npus, gb_per_s, ns, .. } = inner;
    let scale_up = (npus > 1).then_some(ScaleUp::Links { kind, gb_per_s, ns });
    let single = Nodes { count: 1, gpus_per_node: npus, scale_up, nics: None, fabric: None };
    match outer {
        [] => Some(single),
        [rail] if rail.shape == Shape::Switch && rail.npus > 1 => {
            let nics =
                Nics { per_node: npus, gb_per_s: rail.gb_per_s, ns: rail.ns, slot_gb_per_s: None };
            let fabric = Some(("rail-only", format!("nodes_per_leaf = {}\n", rail.npus)));
            Some(Nodes { count: rail.npus, nics: Some(nics), fabric, ..single })
        }
        _ => None,
    }
}

/// Every link of every dimension.
fn graph(dimensions: &[Dimension], npus: u32) -> Graph {
    let mut graph = Graph { gpus: npus, gpus_per_node: dimensions[0].npus, ..Graph::default() };
    let mut stride = 1;
    for (at, dimension) in dimensions.iter().enumerate() {
        let span = stride * dimension.npus;
        // The NPUs whose coordinate in this dimension is 0, one for each group.
        let firsts = (0..npus).filter(|npu| npu % span < stride);
        for (group, first) in firsts.enumerate() {
            let members: Vec<u32> = (0..dimension.npus).map(|k| first + k * stride).collect();
            join(&mut graph, *dimension, &members, (at, group));
        }
        stride = span;
    }
    graph
}

/// One group of one dimension.
fn join(graph: &mut Graph, of: Dimension, members: &[u32], (dimension, group): (usize, usize)) {
    if members.len() < 2 {
        return;
    }
    let within = dimension == 0;
    let gpu = |npu: u32| format!("gpu{npu}");
    let mut link = |from: String, to: String, class| {
        let (gb_per_s, ns) = (of.gb_per_s, of.ns);
        graph.links.push(GraphLink { from, to, gb_per_s, ns, class, lanes: 1 });
    };
    match of.shape {
        Shape::Switch => {
            let switch = format!("dim{dimension}-{group}");
            for &npu in members {
                link(gpu(npu), switch.clone(), if within { "nvlink" } else { "nic" });
            }
            graph.switches.push(switch);
        }
        Shape::FullyConnected => {
            let class = if within { "nvlink" } else { "direct" };
            for (at, &one) in members.iter().enumerate() {
                for &other in &members[at + 1..] {
                    link(gpu(one), gpu(other), class);
                }
            }
        }
        Shape::Ring => {
            let class = if within { "nvlink" } else { "direct" };
            for pair in members.windows(2) {
                link(gpu(pair[0]), gpu(pair[1]), class);
            }
            if let (true, [first, .., last]) = (members.len() > 2, members) {
                link(gpu(*last), gpu(*first), class);
            }
        }
    }
}
