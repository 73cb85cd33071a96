//! The result of `moesim layouts`: the best layouts of a workload, and what became of the others.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shared::made_by::MadeBy;
use super::shared::sampled::Sampled;
use super::shared::setting::{SAID_FROM, Setting};
use super::shared::word;
use crate::studies::compare::ClusterCase;
use crate::studies::layouts::{Candidate, MARGIN, Objective, Search};
use crate::workload::Overlap;

mod text;

/// The layouts that none beats, and how they were found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LayoutsResult {
    /// How it was made.
    #[serde(default)]
    pub made_by: MadeBy,
    /// The workload.
    pub workload: String,
    /// What is wanted most.
    #[serde(with = "word")]
    #[schemars(with = "word::OneOf<Objective>")]
    pub objective: Objective,
    /// How many layouts there were, on all clusters.
    pub layouts: usize,
    /// How many the workload or a cluster does not allow.
    pub refused: usize,
    /// Why, of one of them.
    pub refused_why: Option<String>,
    /// How many do not fit into memory.
    pub too_large: usize,
    /// The arithmetic of the one that needs the least.
    pub too_large_why: Option<String>,
    /// How many were dropped by their bounds.
    pub bounded: usize,
    /// How many were run.
    pub simulated: usize,
    /// The error that bounds allow for.
    pub bound_margin: f64,
    /// Of those that were run, those that none beats in throughput and step time at the same τ, the best first.
    pub front: Vec<LaidOut>,
    /// The kernels that FFN experts run as, and at which expert-parallel sizes of those that were simulated.
    #[serde(default)]
    pub experts_kernels: BTreeMap<String, BTreeSet<u32>>,
    /// Where a measured kernel takes far longer than grouped products would: at which expert-parallel sizes, and at most
    /// how many times as long.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside_grouped: Vec<BesideGrouped>,
    /// Overrides.
    pub set: Vec<String>,
    /// What was taken for each cluster.
    pub settings: Vec<Setting>,
}

/// That a measured kernel of experts takes longer than grouped products would.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BesideGrouped {
    /// The expert-parallel size.
    pub expert_parallel: u32,
    /// At most how many times as long, where loads are even.
    pub times: f64,
}

/// A layout and what it gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LaidOut {
    /// The cluster.
    pub cluster: String,
    /// GPUs that share one copy of the FFN experts.
    pub expert_parallel: u32,
    /// GPUs that each expert's width is cut over.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub expert_tensor_parallel: u32,
    /// GPUs that share each dense product.
    pub tensor_parallel: u32,
    /// Pipeline stages.
    pub pipeline_parallel: u32,
    /// GPUs of the cluster that it leaves idle.
    #[serde(default)]
    pub idle_gpus: u32,
    /// Why it does not fit into memory, where it runs all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub too_large: Option<String>,
    /// Tokens on a GPU in one micro-batch.
    pub tokens_per_gpu: u32,
    /// What carries dispatch and combine.
    pub exchange: String,
    /// What exchanges run beside, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<String>,
    /// τ.
    pub tau: Option<f64>,
    /// Tokens per second, all GPUs together, mean over seeds.
    pub tokens_per_s: f64,
    /// The same for each GPU of the cluster, idle ones among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_s_per_gpu: Option<f64>,
    /// The same for each US dollar, where that is the objective.
    pub tokens_per_s_per_usd: Option<f64>,
    /// Time of a step in milliseconds.
    pub step_ms: f64,
    /// The bound on that.
    pub step_ms_least: f64,
    /// The part of the step that takes most.
    pub binds: String,
    /// Its share.
    pub binds_share: f64,
    /// Where a precision was asked for: how much of its runs was simulated, and what it reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled: Option<Sampled>,
}

/// Experts are whole where a result does not say otherwise.
const fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
const fn is_one(size: &u32) -> bool {
    *size == 1
}

/// The kernels that FFN experts ran as, with the expert-parallel sizes of each.
fn experts_kernels(run: &[Candidate]) -> BTreeMap<String, BTreeSet<u32>> {
    let mut kernels: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for candidate in run {
        if let Some(kernel) = &candidate.experts {
            kernels.entry(kernel.clone()).or_default().insert(candidate.layout.expert_parallel);
        }
    }
    kernels
}

fn beside_grouped(run: &[Candidate]) -> Vec<BesideGrouped> {
    let mut longest: BTreeMap<u32, f64> = BTreeMap::new();
    for candidate in run {
        if let Some(times) = candidate.beside_grouped.filter(|times| *times >= SAID_FROM) {
            let most = longest.entry(candidate.layout.expert_parallel).or_default();
            *most = most.max(times);
        }
    }
    longest
        .into_iter()
        .map(|(expert_parallel, times)| BesideGrouped { expert_parallel, times })
        .collect()
}

impl LaidOut {
    fn of(candidate: &Candidate, clusters: &[ClusterCase], objective: Objective) -> Self {
        let layout = &candidate.layout;
        let gpus = f64::from(clusters[candidate.cluster].scenario.topology.gpus());
        Self {
            cluster: clusters[candidate.cluster].name.clone(),
            expert_parallel: layout.expert_parallel,
            expert_tensor_parallel: layout.expert_tensor_parallel,
            tensor_parallel: layout.tensor_parallel,
            pipeline_parallel: layout.pipeline_parallel,
            idle_gpus: candidate.idle_gpus,
            too_large: candidate.too_large.clone(),
            tokens_per_gpu: layout.tokens_per_gpu,
            exchange: match layout.expert_parallel {
                1 => "none".to_owned(),
                _ => layout.library.word().to_owned(),
            },
            overlap: (layout.expert_parallel > 1 && layout.overlap != Overlap::None)
                .then(|| layout.overlap.to_string()),
            tau: layout.tau,
            tokens_per_s: candidate.tokens_per_sec,
            tokens_per_s_per_gpu: Some(candidate.tokens_per_sec / gpus),
            tokens_per_s_per_usd: (objective == Objective::Cost).then_some(candidate.rate),
            step_ms: candidate.step_ms,
            step_ms_least: candidate.least_ms,
            binds: candidate.binds.0.label().to_owned(),
            binds_share: candidate.binds.1,
            sampled: candidate.reached.map(Sampled::from),
        }
    }
}

impl LayoutsResult {
    /// Of a search.
    #[must_use]
    pub fn of(
        made_by: MadeBy,
        (objective, set): (Objective, &[String]),
        clusters: &[ClusterCase],
        found: &Search,
    ) -> Self {
        let front = found.front.iter();
        let setting = |case: &ClusterCase| {
            let mut own = Setting::on(&case.name, &case.scenario);
            // What changes nothing in the workload's own layout may in others.
            own.cautions.retain(|line| !case.scenario.without_effect.contains(line));
            // Each layout says its own.
            own.idle.clear();
            own
        };
        Self {
            made_by,
            workload: clusters.first().map_or_else(String::new, |case| case.own().name.clone()),
            objective,
            layouts: found.all,
            refused: found.refused.0,
            refused_why: found.refused.1.clone(),
            too_large: found.too_large.0,
            too_large_why: found.too_large.1.clone(),
            bounded: found.bounded,
            simulated: found.run.len(),
            bound_margin: MARGIN,
            front: front.map(|&at| LaidOut::of(&found.run[at], clusters, objective)).collect(),
            experts_kernels: experts_kernels(&found.run),
            beside_grouped: beside_grouped(&found.run),
            set: set.to_vec(),
            settings: clusters.iter().map(setting).collect(),
        }
    }

    /// What became of them, counted.
    #[must_use]
    pub fn counted(&self) -> String {
        let s = if self.layouts == 1 { "" } else { "s" };
        format!(
            "{} layout{s}: {} not allowed, {} too large for the memory, {} dropped by their bounds, {} simulated",
            self.layouts, self.refused, self.too_large, self.bounded, self.simulated
        )
    }

    /// The best layout, in a sentence.
    #[must_use]
    pub fn answer(&self) -> String {
        text::answer(self)
    }

    /// The table.
    ///
    /// # Errors
    /// If `out` cannot be written to.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        text::write(self, out)
    }
}
