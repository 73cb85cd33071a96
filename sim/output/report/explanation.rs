//! The result of `moesim explain`: why a scenario comes out as it does.

use std::collections::BTreeMap;
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shared::knobs::elasticities;
use super::shared::made_by::MadeBy;
use super::shared::setting::Setting;
use super::shared::stands_on::{Basis, bases};
use super::shared::value::{self, Mean};
use crate::base::units::SimDuration;
use crate::execution::blame::Reason;
use crate::execution::outcome::Outcome;
use crate::studies::bounds::{Bounds, Part, Path};
use crate::studies::compare::{ClusterCase, ClusterResult};

mod text;

/// Why a workload takes what it takes, and what MoE++ changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// How it was made.
    #[serde(default)]
    pub made_by: MadeBy,
    /// The cluster.
    pub cluster: String,
    /// How many GPUs it has.
    pub gpus: u32,
    /// Their name.
    pub gpu: String,
    /// The vanilla workload.
    pub vanilla: ExplainedRun,
    /// The MoE++ workload, where there is one.
    pub moepp: Option<ExplainedRun>,
    /// MoE++'s gain in percent, paired by seed.
    #[serde(flatten, with = "value::throughput_increase_percent")]
    #[schemars(with = "value::ThroughputIncreasePercent<Mean>")]
    pub increase_percent: Mean,
    /// What bounds the MoE++ workload, or vanilla where it stands alone.
    pub bounds: Bounded,
    /// Percent of throughput for one percent of each knob.
    pub elasticities: BTreeMap<String, f64>,
    /// What was asked and what was taken.
    pub setting: Setting,
}

/// What bounds a run, under the first seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bounded {
    /// Time on the critical path by reason, in milliseconds, summing to the makespan: `REASON_ms`.
    pub critical_path: BTreeMap<String, f64>,
    /// How many GPUs it goes through.
    pub gpus: usize,
    /// The GPU that decides most of it.
    pub most_critical_gpu: u32,
    /// How much of it, in milliseconds.
    pub most_critical_gpu_ms: f64,
    /// By how many percent throughput would be higher were kernels of a reason, or `links` with their startups, free; each
    /// simulated again.
    pub throughput_increase_percent_without: BTreeMap<String, f64>,
}

impl Bounded {
    fn of(bounds: &Bounds) -> Self {
        let Path { by_reason, by_gpu } = &bounds.path;
        // The first of equals.
        let most = by_gpu.iter().rev().max_by_key(|(_, time)| **time);
        let ms = |reason: &Reason| (format!("{}_ms", reason.key()), by_reason.of(*reason).ms());
        let on_path = |reason: &Reason| by_reason.of(*reason) > SimDuration::ZERO;
        let named = |(part, gain): &(Part, f64)| match part {
            Part::Kernels(reason) => (reason.key().to_owned(), *gain),
            Part::Links => (LINKS.to_owned(), *gain),
        };
        Self {
            critical_path: Reason::ALL.iter().filter(|reason| on_path(reason)).map(ms).collect(),
            gpus: by_gpu.len(),
            most_critical_gpu: most.map_or(0, |(gpu, _)| *gpu),
            most_critical_gpu_ms: most.map_or(0.0, |(_, time)| time.ms()),
            throughput_increase_percent_without: bounds.free.iter().map(named).collect(),
        }
    }
}

/// How links and startups are called among reasons.
const LINKS: &str = "links";

/// One run of a workload, under the first seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainedRun {
    /// The workload.
    pub workload: String,
    /// Its τ.
    pub tau: Option<f64>,
    /// The seed.
    pub seed: u64,
    /// The time counted, in milliseconds.
    pub counted_ms: f64,
    /// Until the slowest GPU is done, in milliseconds.
    pub makespan_ms: f64,
    /// Share of slots given to FFN experts.
    pub ffn_share: f64,
    /// Time blamed on each reason, mean over GPUs, in milliseconds: `REASON_ms`.
    pub blame: BTreeMap<String, f64>,
    /// Work of shared and zero-computation experts hidden under exchanges, mean over GPUs, in milliseconds. The key is older
    /// than the part of shared experts.
    pub hidden_zero_computation_ms: f64,
    /// The GPU that waits least: it decides most often.
    pub slowest_gpu: usize,
    /// How long it waits, in milliseconds.
    pub slowest_gpu_waits_ms: f64,
    /// How long GPUs wait on average.
    pub mean_gpu_waits_ms: f64,
    /// What the time stands on.
    pub stands_on: Vec<Basis>,
    /// How often gates were drawn for each layer, where not for every micro-batch and group.
    pub gate_draws_per_layer: Option<u32>,
}

impl ExplainedRun {
    fn of(workload: &str, tau: Option<f64>, outcome: &Outcome) -> Self {
        let waits: Vec<f64> = (0..outcome.blame.len()).map(|gpu| outcome.waited_ms(gpu)).collect();
        let slowest = (0..waits.len()).min_by(|&a, &b| waits[a].total_cmp(&waits[b])).unwrap_or(0);
        let blame =
            |reason: Reason| (format!("{}_ms", reason.key()), outcome.mean_blame_ms(reason));
        Self {
            workload: workload.to_owned(),
            tau,
            seed: outcome.seed,
            counted_ms: 1e3 * outcome.counted_secs(),
            makespan_ms: outcome.makespan.ms(),
            ffn_share: outcome.ffn_share(),
            blame: Reason::ALL.into_iter().map(blame).collect(),
            hidden_zero_computation_ms: outcome.mean_hidden_ms(),
            slowest_gpu: slowest,
            slowest_gpu_waits_ms: waits.get(slowest).copied().unwrap_or_default(),
            mean_gpu_waits_ms: waits.iter().sum::<f64>() / waits.len().max(1) as f64,
            stands_on: bases(&outcome.stands_on),
            gate_draws_per_layer: outcome.gate_draws,
        }
    }

    /// Time blamed on a reason, in milliseconds.
    #[must_use]
    pub fn blame_ms(&self, reason: Reason) -> f64 {
        self.blame.get(&format!("{}_ms", reason.key())).copied().unwrap_or_default()
    }
}

impl Explanation {
    /// Of a cluster's result and what bounds its workload.
    #[must_use]
    pub fn of(
        made_by: MadeBy,
        case: &ClusterCase,
        result: &ClusterResult,
        bounds: &Bounds,
    ) -> Self {
        let pair = &case.scenario.cases[0];
        let moepp = pair.moepp.first();
        Self {
            made_by,
            cluster: result.name.clone(),
            gpus: result.gpus,
            gpu: result.gpu.clone(),
            vanilla: ExplainedRun::of(&pair.vanilla.name, None, &result.vanilla_outcome),
            moepp: moepp
                .map(|own| ExplainedRun::of(&own.name, own.model.experts.tau, &result.outcome)),
            increase_percent: moepp.map(|_| result.gain_percent()).into(),
            bounds: Bounded::of(bounds),
            elasticities: elasticities(&result.sensitivities),
            setting: Setting::of(&case.scenario),
        }
    }

    /// A dozen lines.
    ///
    /// # Errors
    /// If `out` cannot be written to.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        text::write(self, out)
    }
}
