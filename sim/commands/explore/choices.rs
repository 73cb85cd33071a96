//! What a page may choose from: models, clusters with their bandwidths, and words.

use std::sync::OnceLock;

use serde::Serialize;

use super::ask::{MOST_FACTOR, MOST_SEEDS};
use crate::config::{self, Kind};
use crate::execution::Scope;
use crate::workload::{ExchangeLibrary, Overlap, Phase, Workload};

/// What can be asked.
#[derive(Clone, Debug, Serialize)]
pub struct Choices {
    /// The version that answers.
    pub moesim: &'static str,
    /// Vanilla models, each of which has an MoE++ twin.
    pub models: Vec<Model>,
    /// Clusters.
    pub clusters: Vec<Cluster>,
    /// What may be counted.
    pub counted: Vec<Word>,
    /// Whether a batch is trained on, or served, and how.
    pub phases: Vec<Word>,
    /// What may carry dispatch and combine.
    pub libraries: Vec<Word>,
    /// What exchanges of a forward pass may run beside.
    pub overlaps: Vec<Word>,
    /// How a GPU may run its experts.
    pub executions: Vec<Word>,
    /// The most seeds.
    pub most_seeds: u32,
    /// The most that bandwidths are varied by, up and down.
    pub most_factor: f64,
}

/// A word and what it is.
#[derive(Clone, Debug, Serialize)]
pub struct Word {
    /// The word.
    pub word: String,
    /// What it is.
    pub help: String,
}

/// A model, and what its file says.
#[derive(Clone, Debug, Serialize)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// FFN experts of a layer.
    pub experts: u32,
    /// How many a token takes.
    pub top_k: u32,
    /// Layers.
    pub layers: u32,
    /// Tokens on a GPU.
    pub tokens_per_gpu: u32,
    /// Micro-batches.
    pub micro_batches: u32,
    /// Expert-parallel GPUs.
    pub expert_parallel: u32,
    /// Tensor-parallel GPUs.
    pub tensor_parallel: u32,
    /// Pipeline stages.
    pub pipeline_parallel: u32,
    /// How experts run.
    pub execution: String,
}

/// A cluster and its bandwidths.
#[derive(Clone, Debug, Serialize)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// What it is, in a sentence.
    pub about: String,
    /// Its GPU.
    pub gpu: String,
    /// How many.
    pub gpus: u32,
    /// What may be varied.
    pub bandwidths: Vec<Bandwidth>,
}

/// A bandwidth of a cluster's file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bandwidth {
    /// Its key.
    pub key: String,
    /// Its value, with its unit.
    pub value: String,
}

impl Bandwidth {
    /// The value times a factor, in the same unit.
    pub(super) fn times(&self, factor: f64) -> Option<String> {
        let (number, unit) = self.value.split_once(' ')?;
        let value = number.parse::<f64>().ok()? * factor;
        // Six figures are more than any data sheet has.
        let rounded: f64 = format!("{value:.5e}").parse().ok()?;
        Some(format!("{rounded} {unit}"))
    }
}

/// The bandwidths of a built-in cluster: links, slots, and the GPUs' memory.
pub(super) fn bandwidths(cluster: &str) -> Vec<Bandwidth> {
    let text = config::built_in(Kind::Topology, cluster).map(|source| source.text().to_owned());
    let table: Option<toml::Table> = text.and_then(|text| text.parse().ok());
    let mut found = Vec::new();
    walk(&table.unwrap_or_default(), "", &mut found);
    found
}

fn walk(table: &toml::Table, within: &str, found: &mut Vec<Bandwidth>) {
    for (key, value) in table {
        let place = if within.is_empty() { key.clone() } else { format!("{within}.{key}") };
        match value {
            toml::Value::Table(own) => walk(own, &place, found),
            toml::Value::String(value) if key.ends_with("bandwidth") => {
                found.push(Bandwidth { key: place, value: value.clone() });
            }
            _ => {}
        }
    }
}

/// The vanilla models that have a twin; read once.
pub(super) fn models() -> &'static [Workload] {
    static MODELS: OnceLock<Vec<Workload>> = OnceLock::new();
    MODELS.get_or_init(|| {
        let all = config::built_in_workloads().filter_map(|source| config::workload(&source).ok());
        let vanilla = |own: &Workload| own.model.experts.zero_computation.total() == 0;
        all.filter(|own| vanilla(own) && own.moepp_twin().is_ok()).collect()
    })
}

/// All that can be asked.
#[must_use]
pub fn choices() -> Choices {
    Choices {
        moesim: env!("CARGO_PKG_VERSION"),
        models: models().iter().map(Model::of).collect(),
        clusters: config::built_in_names(Kind::Topology).filter_map(Cluster::of).collect(),
        counted: Scope::ALL.map(|scope| word(scope.word(), scope.description())).to_vec(),
        phases: PHASES.map(|(own, help)| word(own.word(), help)).to_vec(),
        libraries: ExchangeLibrary::ALL.map(|own| word(own.word(), "")).to_vec(),
        overlaps: OVERLAPS.map(|(own, help)| word(own.word(), help)).to_vec(),
        executions: EXECUTIONS.map(|(own, help)| word(own, help)).to_vec(),
        most_seeds: MOST_SEEDS,
        most_factor: MOST_FACTOR,
    }
}

/// What a batch is for.
pub(super) const PHASES: [(Phase, &str); 3] = [
    (Phase::Prefill, "serving, whole prompts"),
    (Phase::Decode, "serving, one token a sequence"),
    (Phase::Training, "forward and backward"),
];

/// How a GPU may run its experts.
pub(super) const EXECUTIONS: [(&str, &str); 2] =
    [("grouped", "one kernel for all experts of a GPU"), ("sequential", "one after another")];

/// What exchanges of a forward pass may run beside.
pub(super) const OVERLAPS: [(Overlap, &str); 4] = [
    (Overlap::None, "each GPU's own experts alone"),
    (Overlap::TwoBatch, "the other half of the micro-batch"),
    (Overlap::SingleBatch, "the experts' last product"),
    (Overlap::BestChunks, "experts, chunk by chunk"),
];

fn word(word: &str, help: &str) -> Word {
    Word { word: word.to_owned(), help: help.to_owned() }
}

impl Model {
    fn of(own: &Workload) -> Self {
        use crate::workload::Execution;
        let (experts, batch, layout) = (&own.model.experts, &own.batch, &own.layout);
        Self {
            name: own.name.clone(),
            experts: experts.ffn,
            top_k: experts.top_k,
            layers: own.model.layers,
            tokens_per_gpu: batch.tokens_per_gpu,
            micro_batches: batch.micro_batches,
            expert_parallel: layout.expert_parallel,
            tensor_parallel: layout.tensor_parallel,
            pipeline_parallel: layout.pipeline_parallel,
            execution: match own.execution {
                Execution::Grouped => EXECUTIONS[0].0.to_owned(),
                Execution::Sequential => EXECUTIONS[1].0.to_owned(),
            },
        }
    }
}

impl Cluster {
    fn of(name: &'static str) -> Option<Self> {
        let source = config::built_in(Kind::Topology, name)?;
        let topology = config::read_topology(&source).ok()?;
        let first = source.text().lines().next().unwrap_or_default();
        Some(Self {
            name: name.to_owned(),
            about: first.trim_start_matches(['#', ' ']).to_owned(),
            gpu: topology.gpu().name.clone(),
            gpus: topology.gpus(),
            bandwidths: bandwidths(name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_chosen_is_what_is_built_in() {
        let all = choices();
        assert!(all.models.len() > 30 && all.clusters.len() > 25, "{}", all.models.len());
        let names: Vec<&str> = all.models.iter().map(|own| own.name.as_str()).collect();
        assert!(names.contains(&"moe-1b") && !names.contains(&"moepp-1b"), "{names:?}");
        let own = bandwidths("h100-4x8-rail");
        let nvlink = own.iter().find(|own| own.key == "nodes.scale-up.nvswitch.bandwidth");
        assert_eq!(nvlink.expect("NVLink").times(0.1), Some("45 GB/s".to_owned()));
        assert!(own.iter().any(|own| own.key == "gpu.memory_bandwidth"), "{own:?}");
    }
}
