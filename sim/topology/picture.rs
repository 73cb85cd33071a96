//! A picture of a cluster as SVG: one row for each kind of vertex, switches above GPUs.
//!
//! Large clusters are drawn by their first nodes and the last, with the vertices that routes
//! between those cross; what is left out is said in the picture.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::{LinkClass, Topology, Vertex, VertexKind};
use crate::base::units::GpuId;

/// Clusters of up to this many GPUs are drawn whole.
const WHOLE: u32 = 32;
/// Nodes drawn of larger ones, beside the last, and GPUs drawn of a large node.
const FIRST_NODES: u32 = 3;
const GPUS_OF_NODE: u32 = 8;

const ROW: f64 = 110.0;
const MARGIN: f64 = 60.0;
const BOX: (f64, f64) = (46.0, 26.0);

/// From the top of the picture down.
const ROWS: [VertexKind; 9] = [
    VertexKind::Core,
    VertexKind::Spine,
    VertexKind::Router,
    VertexKind::Leaf,
    VertexKind::Nic,
    VertexKind::Host,
    VertexKind::PcieSwitch,
    VertexKind::Gpu,
    VertexKind::NodeSwitch,
];

/// Where the vertices of a cluster are drawn.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The middle of each vertex by its number; none where it is left out.
    pub at: Vec<Option<(f64, f64)>>,
    /// Width and height of the picture.
    pub size: (f64, f64),
    /// How many GPUs are drawn.
    pub gpus: u32,
    rows: Vec<(VertexKind, Vec<u32>)>,
}

/// Lays a cluster out: a row for each kind of vertex, or a ring where there are only GPUs.
#[must_use]
pub fn layout(topology: &Topology) -> Layout {
    let gpus = drawn_gpus(topology);
    let vertices = drawn_vertices(topology, &gpus);
    let rows: Vec<(VertexKind, Vec<u32>)> = ROWS
        .into_iter()
        .map(|kind| (kind, of_kind(topology, &vertices, kind)))
        .filter(|(_, row)| !row.is_empty())
        .collect();
    let widest = rows.iter().map(|(_, row)| row.len()).max().unwrap_or(1);
    let ring = rows.len() == 1;
    let width = if ring { 720.0 } else { (widest as f64 * 56.0).max(640.0) } + 2.0 * MARGIN;
    let height = if ring { 720.0 } else { rows.len() as f64 * ROW } + 2.0 * MARGIN;
    let place = |row: usize, n: usize, count: usize| -> (f64, f64) {
        if ring {
            let angle = std::f64::consts::TAU * n as f64 / count as f64;
            return (width / 2.0 + 300.0 * angle.sin(), height / 2.0 - 300.0 * angle.cos());
        }
        let step = (width - 2.0 * MARGIN) / count as f64;
        (MARGIN + step * (n as f64 + 0.5), MARGIN + ROW * (row as f64 + 0.5))
    };
    let mut at = vec![None; topology.vertices().len()];
    for (r, (_, row)) in rows.iter().enumerate() {
        for (n, &vertex) in row.iter().enumerate() {
            at[vertex as usize] = Some(place(r, n, row.len()));
        }
    }
    Layout { at, size: (width, height), gpus: gpus.len() as u32, rows }
}

/// Draws a cluster.
#[must_use]
pub fn picture(topology: &Topology) -> String {
    let Layout { at, size, gpus, rows } = layout(topology);
    let mut svg = String::new();
    draw(topology, &at, &rows, size, gpus, &mut svg);
    svg
}

fn drawn_gpus(topology: &Topology) -> Vec<u32> {
    if topology.gpus() <= WHOLE {
        return (0..topology.gpus()).collect();
    }
    let per_node = topology.gpus_per_node();
    let (nodes, of_node) = (topology.nodes(), per_node.min(GPUS_OF_NODE));
    let first = (0..nodes.min(FIRST_NODES)).chain((nodes > FIRST_NODES).then(|| nodes - 1));
    let most = if nodes == 1 { per_node.min(WHOLE) } else { of_node };
    let first: Vec<u32> =
        if per_node == 1 { (0..nodes.min(WHOLE)).collect() } else { first.collect() };
    first.into_iter().flat_map(|node| (0..most).map(move |g| node * per_node + g)).collect()
}

/// The GPUs and everything on routes between them.
fn drawn_vertices(topology: &Topology, gpus: &[u32]) -> BTreeSet<u32> {
    let mut vertices: BTreeSet<u32> = gpus.iter().copied().collect();
    let mut route = Vec::new();
    for &from in gpus {
        for &to in gpus {
            topology.route(GpuId(from), GpuId(to), &mut route);
            for link in &route {
                let link = topology.links()[link.index()];
                vertices.extend([link.from.0, link.to.0]);
            }
        }
    }
    vertices
}

fn of_kind(topology: &Topology, vertices: &BTreeSet<u32>, kind: VertexKind) -> Vec<u32> {
    let own = vertices.iter().filter(|&&v| topology.vertices()[v as usize].kind == kind);
    own.copied().collect()
}

const fn colour(kind: VertexKind) -> &'static str {
    match kind {
        VertexKind::Gpu => "#76b900",
        VertexKind::NodeSwitch => "#b8dc7a",
        VertexKind::PcieSwitch | VertexKind::Host => "#d9d9d9",
        VertexKind::Nic => "#f2b84b",
        VertexKind::Leaf | VertexKind::Router => "#7fb2e5",
        VertexKind::Spine => "#5b8fd0",
        VertexKind::Core => "#3f6fb5",
    }
}

const fn stroke(class: LinkClass) -> &'static str {
    match class {
        LinkClass::Nvlink | LinkClass::Xgmi => "#5a8f00",
        LinkClass::Pcie | LinkClass::Socket => "#999999",
        LinkClass::Nic => "#d08a00",
        LinkClass::LeafSpine | LinkClass::Direct => "#3b78c2",
        LinkClass::SpineCore => "#223f75",
    }
}

fn draw(
    topology: &Topology,
    at: &[Option<(f64, f64)>],
    rows: &[(VertexKind, Vec<u32>)],
    (width, height): (f64, f64),
    gpus: u32,
    svg: &mut String,
) {
    // Writing to a string cannot fail.
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{MARGIN}\" y=\"28\" font-size=\"18\">{}: {} GPUs of {}, {}</text>\n",
        escaped(topology.name()),
        topology.gpus(),
        escaped(&topology.gpu().name),
        topology.family(),
    );
    if gpus < topology.gpus() {
        let _ = writeln!(
            svg,
            "<text x=\"{MARGIN}\" y=\"46\" fill=\"#666666\">{gpus} GPUs drawn: the first nodes and \
             the last</text>"
        );
    }
    draw_links(topology, at, svg);
    for &vertex in rows.iter().flat_map(|(_, row)| row) {
        let Some((x, y)) = at[vertex as usize] else { continue };
        let kind = topology.vertices()[vertex as usize].kind;
        let (left, top) = (x - BOX.0 / 2.0, y - BOX.1 / 2.0);
        let _ = writeln!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{}\" height=\"{}\" rx=\"4\" fill=\"{}\" \
             stroke=\"#333333\"/>\n<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            BOX.0,
            BOX.1,
            colour(kind),
            y + 4.0,
            escaped(&topology.short_name(super::VertexId(vertex))),
        );
    }
    draw_legend(topology, at, height, svg);
    svg.push_str("</svg>\n");
}

/// The control point of the quadratic curve from one place to another: halfway, and within a row below it,
/// as a bow shows what a straight line would hide behind the boxes between.
#[must_use]
pub fn bend(from: (f64, f64), to: (f64, f64)) -> (f64, f64) {
    let bow = if from.1 == to.1 { 12.0 + 0.12 * (to.0 - from.0).abs() } else { 0.0 };
    (f64::midpoint(from.0, to.0), f64::midpoint(from.1, to.1) + bow.min(100.0))
}

fn draw_links(topology: &Topology, at: &[Option<(f64, f64)>], svg: &mut String) {
    for link in topology.links() {
        let ends = [link.from, link.to].map(|end| at[end.0 as usize]);
        // A cable is drawn once, from its lower end.
        let back = topology.links().len() < 4096
            && link.from > link.to
            && topology.links().iter().any(|other| (other.from, other.to) == (link.to, link.from));
        let (&[Some(from), Some(to)], false) = (&ends, back) else { continue };
        let thick = 0.8 + (link.bandwidth.gb_per_sec() / 50.0).log2().clamp(0.0, 4.0) * 0.7;
        let middle = bend(from, to);
        let _ = writeln!(
            svg,
            "<path d=\"M{:.1},{:.1} Q{:.1},{:.1} {:.1},{:.1}\" fill=\"none\" stroke=\"{}\" \
             stroke-width=\"{thick:.1}\" stroke-opacity=\"0.6\"/>",
            from.0,
            from.1,
            middle.0,
            middle.1,
            to.0,
            to.1,
            stroke(link.class),
        );
    }
}

/// One line for each class that is drawn, with the bandwidths of its links.
fn draw_legend(topology: &Topology, at: &[Option<(f64, f64)>], height: f64, svg: &mut String) {
    let mut x = MARGIN;
    for class in LinkClass::ALL {
        let drawn = |end: super::VertexId| at[end.0 as usize].is_some();
        let links = topology.links().iter();
        let own = links.filter(|link| link.class == class && drawn(link.from) && drawn(link.to));
        let mut speeds: Vec<f64> = own.map(|link| link.bandwidth.gb_per_sec()).collect();
        speeds.sort_by(f64::total_cmp);
        let (Some(least), Some(most)) = (speeds.first(), speeds.last()) else { continue };
        let speeds = if least == most { least.to_string() } else { format!("{least} to {most}") };
        let y = height - 24.0;
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.0}\" y1=\"{y:.0}\" x2=\"{:.0}\" y2=\"{y:.0}\" stroke=\"{}\" \
             stroke-width=\"3\"/><text x=\"{:.0}\" y=\"{:.0}\">{} {} GB/s</text>",
            x + 24.0,
            stroke(class),
            x + 30.0,
            y + 4.0,
            class.name(),
            speeds,
        );
        x += 190.0;
    }
}

/// A vertex's name in a box of a picture.
pub(super) fn short_name(Vertex { kind, index }: Vertex) -> String {
    let name = match kind {
        VertexKind::NodeSwitch => "nvs",
        VertexKind::PcieSwitch => "pcie",
        other => other.name(),
    };
    format!("{name}{index}")
}

fn escaped(text: &str) -> String {
    crate::base::printable::printable(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
