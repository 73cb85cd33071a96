//! Network files of other tools → the text of a topology file.
//!
//! ```text
//!  text ─ kind ─▶ astra_sim │ simai │ matrix │ nccl_xml ─▶ a sketch: nodes or a graph ─ written ─▶ TOML
//! ```
//!
//! None of these files holds all that a cluster needs: the GPU is named by the user (SimAI's own names it),
//! and what else is missing is written as a stated guess, to be changed. What a file says and a topology
//! cannot hold is refused or listed as left out.

use crate::config::{Diagnostic, NetworkFile, Source, is_same_gpu};

mod astra_sim;
mod gpu;
mod matrix;
mod nccl_xml;
mod simai;
mod written;

use gpu::Gpu;

/// What the user says beside the file.
#[derive(Clone, Copy, Debug, Default)]
pub struct NetworkAs<'a> {
    /// The topology's name.
    pub name: &'a str,
    /// Where the file comes from.
    pub source: Option<&'a str>,
    /// The GPU, as a built-in topology or profile names it.
    pub gpu: Option<&'a str>,
}

/// A topology file, and what it does not take from the file that it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedNetwork {
    /// The text of the topology file.
    pub text: String,
    /// GPUs.
    pub gpus: u32,
    /// What was guessed.
    pub guesses: Vec<String>,
    /// What the file says and the topology does not hold.
    pub left_out: Vec<String>,
}

/// A cluster before it has a GPU and a name.
#[derive(Clone, Debug, PartialEq)]
struct Sketch {
    layout: Layout,
    guesses: Vec<String>,
    left_out: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Layout {
    Nodes(Nodes),
    Graph(Graph),
}

/// Like nodes.
#[derive(Clone, Debug, PartialEq)]
struct Nodes {
    count: u32,
    gpus_per_node: u32,
    scale_up: Option<ScaleUp>,
    nics: Option<Nics>,
    /// The table that joins the nodes, `[fabric.…]`, and its keys.
    fabric: Option<(&'static str, String)>,
}

/// Rates in GB/s, latencies in ns.
#[derive(Clone, Copy, Debug, PartialEq)]
enum ScaleUp {
    /// `nvswitch` or `mesh`.
    Links {
        kind: &'static str,
        gb_per_s: f64,
        ns: f64,
    },
    Pcie {
        gpus_per_switch: u32,
        switches_per_socket: u32,
        gb_per_s: f64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Nics {
    per_node: u32,
    gb_per_s: f64,
    ns: f64,
    /// The slots of GPUs and NICs, required where GPUs share a NIC.
    slot_gb_per_s: Option<f64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Graph {
    gpus: u32,
    gpus_per_node: u32,
    switches: Vec<String>,
    links: Vec<GraphLink>,
}

#[derive(Clone, Debug, PartialEq)]
struct GraphLink {
    from: String,
    to: String,
    gb_per_s: f64,
    ns: f64,
    class: &'static str,
    lanes: u32,
}

/// The topology file for a network file.
///
/// # Errors
/// If the text is no such file, if no GPU is named, or if it describes what a topology cannot hold.
pub fn import_network(
    place: &str,
    text: &str,
    asked: NetworkAs<'_>,
) -> Result<ImportedNetwork, Diagnostic> {
    let Some(kind) = NetworkFile::of(text) else {
        let help = "name a network.yml of ASTRA-sim, a topology of SimAI, what `nvidia-smi topo -m` prints or \
                    what NCCL writes to NCCL_TOPO_DUMP_FILE";
        return Err(Diagnostic::of(place, "is no network file that is known", help));
    };
    let own = (kind == NetworkFile::SimAi).then(|| simai::gpu(text)).flatten();
    let gpu = Gpu::named(place, asked.gpu.or(own), kind)?;
    if let Some(own) = own.filter(|own| !is_same_gpu(own, &gpu.name)) {
        let found = format!("names {own} as its GPU, and --gpu says {}", gpu.name);
        return Err(at_line(place, text, 1, found, "leave --gpu out, or change the file"));
    }
    let sketch = match kind {
        NetworkFile::AstraSim => astra_sim::sketch(place, text),
        NetworkFile::SimAi => simai::sketch(place, text),
        NetworkFile::Matrix => matrix::sketch(place, text, &gpu),
        NetworkFile::NcclXml => nccl_xml::sketch(place, text, &gpu),
    }?;
    let gpus = match &sketch.layout {
        Layout::Nodes(nodes) => nodes.count * nodes.gpus_per_node,
        Layout::Graph(graph) => graph.gpus,
    };
    let text = written::topology(&sketch, &gpu, kind, place, asked);
    // What was written must be what the simulator reads.
    super::read_topology(&Source::built_in(place, &text))
        .map_err(|mistake| Diagnostic::of(place, mistake.found, mistake.help))?;
    let Sketch { guesses, left_out, .. } = sketch;
    Ok(ImportedNetwork { text, gpus, guesses, left_out })
}

/// A mistake on a line of a network file.
fn at_line(place: &str, text: &str, line: usize, found: String, help: &str) -> Diagnostic {
    Diagnostic::at_line(place, (text, line), found, help)
}
