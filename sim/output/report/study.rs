//! The result of `moesim run`: a scenario's workloads over all seeds, vanilla and MoE++ compared.
//!
//! JSON has the fields as they stand here; the time is under its scope's key, an interval over seeds under
//! `NAME_low` and `NAME_high`, a prediction interval under `NAME_p05` and `NAME_p95`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::memory::MemoryUse;
use super::shared::link_use::{LinkGroup, link_use};
use super::shared::made_by::{Asked, MadeBy};
use super::shared::sampled::Sampled;
use super::shared::setting::{PhaseTaken, cautions, idle_gpus};
use super::shared::stands_on::{Basis, bases};
use super::shared::value::{self, Mean, Predicted};
use super::shared::word;
use crate::config::Scenario;
use crate::execution::Scope;
use crate::execution::blame::Reason;
use crate::execution::cost::operations_per_token;
use crate::execution::lowering::draws_of;
use crate::studies::paper::range::Allowed;
use crate::studies::paper::{self, PaperRow};
use crate::studies::study::Row;
use crate::workload::Dtype;

mod allowed;
mod beside;
mod breakdown;
mod dropped;
mod health;
mod network;
mod text;
mod time;

pub use beside::BesideExchanges;
pub use network::NetworkUse;
pub use time::CountedTime;

/// A scenario's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StudyResult {
    /// What the user asked for.
    pub asked: Asked,
    /// How it was made.
    pub made_by: MadeBy,
    /// The scenario's name.
    pub scenario: String,
    /// What is counted.
    #[serde(with = "word")]
    #[schemars(with = "word::OneOf<Scope>")]
    pub counted: Scope,
    /// The topology's name or file.
    pub topology: String,
    /// GPUs of the cluster.
    pub gpus: u32,
    /// Those that no workload uses, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle: Vec<String>,
    /// Their name.
    pub gpu: String,
    /// SMs of each.
    #[serde(default)]
    pub gpu_sms: u32,
    /// The profile that kernels and links were taken from.
    pub profile: String,
    /// The device that it was measured on.
    pub profile_device: String,
    /// Whether that is another GPU than the cluster's.
    pub profile_borrowed: bool,
    /// What to be careful of: another GPU's profile, memory that is not stated.
    #[serde(default)]
    pub cautions: Vec<String>,
    /// Workloads that do not fit into memory and run as was asked: the arithmetic.
    pub does_not_fit: Vec<String>,
    /// What a loop over experts costs beyond its kernels.
    pub overheads: String,
    /// The same, why where none were named, and whether any workload has use for them.
    #[serde(default)]
    pub overheads_in_words: String,
    /// How tokens travel.
    pub all_to_all: String,
    /// The first seed.
    pub first_seed: u64,
    /// How many there are.
    pub seeds: u64,
    /// Whether each draws the error that calibration left.
    pub calibration_uncertainty: bool,
    /// The τ whose time is broken down beside vanilla's.
    pub breakdown_tau: Option<f64>,
    /// One for each workload: of each case vanilla, then each τ.
    pub results: Vec<StudyRow>,
}

/// One workload's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StudyRow {
    /// The workload and its phase.
    #[serde(flatten)]
    pub workload: PhaseTaken,
    /// Its model.
    pub model: String,
    /// FFN experts of a layer.
    pub ffn_experts: u32,
    /// Zero-computation experts of a layer.
    pub zero_computation_experts: u32,
    /// Realised share of slots given to FFN experts.
    #[serde(flatten, with = "value::ffn_share")]
    #[schemars(with = "value::FfnShare<Mean>")]
    pub ffn_share: Mean,
    /// Share of slots dropped.
    #[serde(flatten, with = "value::drop_share")]
    #[schemars(with = "value::DropShare<Mean>")]
    pub drop_share: Mean,
    /// Share of mixing weight dropped with them.
    #[serde(flatten, with = "value::dropped_weight_share")]
    #[schemars(with = "value::DroppedWeightShare<Mean>")]
    pub dropped_weight_share: Mean,
    /// The time counted.
    #[serde(flatten)]
    pub time: CountedTime,
    /// Until the slowest GPU is done, in milliseconds.
    #[serde(flatten, with = "value::makespan_ms")]
    #[schemars(with = "value::MakespanMs<Mean>")]
    pub makespan_ms: Mean,
    /// `t_vanilla / t − 1`, in percent; none for vanilla.
    #[serde(flatten, with = "value::throughput_increase_percent")]
    #[schemars(with = "value::ThroughputIncreasePercent<Mean>")]
    pub increase_percent: Mean,
    /// Its prediction interval.
    #[serde(flatten, with = "value::throughput_increase_percent")]
    #[schemars(with = "value::ThroughputIncreasePercent<Predicted>")]
    pub predicted_increase_percent: Predicted,
    /// Tokens per second through what is counted.
    #[serde(flatten, with = "value::tokens_per_s")]
    #[schemars(with = "value::TokensPerS<Mean>")]
    pub tokens_per_s: Mean,
    /// The same for each GPU of the cluster, idle ones among them.
    #[serde(flatten, with = "value::tokens_per_s_per_gpu")]
    #[schemars(with = "value::TokensPerSPerGpu<Mean>")]
    pub tokens_per_s_per_gpu: Mean,
    /// Of a training step: throughput as the field reports it.
    #[serde(flatten)]
    pub utilisation: Option<Utilisation>,
    /// Of experts alone: what other overheads give that fit the published rows about as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_by_fit: Option<AllowedByFit>,
    /// Of experts alone: what the paper published for this row, where it did.
    #[serde(flatten)]
    pub published: Published,
    /// Time blamed on each reason, mean over GPUs and seeds, in milliseconds: `REASON_ms`.
    pub blame: BTreeMap<String, f64>,
    /// What the time stands on.
    pub stands_on: Vec<Basis>,
    /// With a backward pass: what exchanges take from kernels beside them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside_exchanges: Option<BesideExchanges>,
    /// Work of shared and zero-computation experts hidden under exchanges, mean over GPUs, in milliseconds. The key is older
    /// than the part of shared experts.
    pub hidden_zero_computation_ms: f64,
    /// Where a precision was asked for: how much was simulated, and what it reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled: Option<Sampled>,
    /// What lies in the memory of the fullest GPU.
    pub memory: MemoryUse,
    /// Which engine carried the exchanges; none where there were none.
    pub network: Option<NetworkUse>,
    /// How full links are, by class and direction.
    pub link_use: Vec<LinkGroup>,
}

/// What overheads of other structures, and other micro-batches, give that fit the published rows about as well
/// (`studies::paper`): each from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AllowedByFit {
    /// In milliseconds.
    pub expert_forward_ms: [f64; 2],
    /// In percent; none for vanilla.
    pub throughput_increase_percent: Option<[f64; 2]>,
    /// Whether no fitted row has the model's hidden size.
    pub extrapolated: bool,
}

/// Throughput of training: model operations, those computed again not counted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Utilisation {
    /// Teraoperations of the model per second and GPU, all picks counted as FFN experts.
    pub model_tflops_per_gpu: f64,
    /// Model operations over what the data sheet's peak would compute.
    pub mfu: f64,
    /// That peak, in TFLOP/s.
    #[serde(default)]
    pub peak_tflops: f64,
    /// How often gates were drawn for each layer, where not for every micro-batch and group.
    pub gate_draws_per_layer: Option<u32>,
}

/// The paper's own result for a row [moepp, Table 3]; nothing where it has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Published {
    /// Expert forward time, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published_expert_forward_ms: Option<f64>,
    /// Throughput increase over vanilla, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published_throughput_increase_percent: Option<f64>,
}

impl StudyResult {
    /// The result of a scenario's rows.
    #[must_use]
    pub fn of(asked: Asked, made_by: MadeBy, scenario: &Scenario, rows: &[Row]) -> Self {
        let from = &scenario.ingredients;
        let gpu = scenario.topology.gpu();
        Self {
            asked,
            made_by,
            scenario: scenario.name.clone(),
            counted: scenario.counted,
            topology: from.topology.clone(),
            gpus: scenario.topology.gpus(),
            idle: idle_gpus(scenario),
            gpu: gpu.name.clone(),
            gpu_sms: gpu.sms,
            profile: from.profile.clone(),
            profile_device: scenario.profile.device.clone(),
            profile_borrowed: scenario.profile_borrowed,
            cautions: cautions(scenario).into_iter().chain(health::idle(scenario, rows)).collect(),
            does_not_fit: scenario.oom.clone(),
            overheads: from.overheads.clone(),
            overheads_in_words: scenario.overheads_in_words(),
            all_to_all: scenario.algorithms(rows.iter().map(|row| &row.workload)),
            first_seed: scenario.seeds.start,
            seeds: scenario.seeds.end - scenario.seeds.start,
            calibration_uncertainty: scenario.calibration_uncertainty,
            breakdown_tau: scenario.breakdown_tau,
            results: rows.iter().map(|row| StudyRow::of(scenario, row)).collect(),
        }
    }

    /// With what the fit of the overheads allows each row.
    #[must_use]
    pub fn with_allowed(mut self, allowed: &[Option<Allowed>]) -> Self {
        for (row, allowed) in self.results.iter_mut().zip(allowed) {
            row.allowed_by_fit = allowed.map(|allowed| AllowedByFit {
                expert_forward_ms: allowed.time_ms,
                throughput_increase_percent: allowed.increase_percent,
                extrapolated: allowed.extrapolated,
            });
        }
        self
    }

    /// The tables: results, what they stand on, where the time goes; at most 80 columns.
    ///
    /// # Errors
    /// If `out` cannot be written to.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        text::write(self, out)
    }
}

impl StudyRow {
    fn of(scenario: &Scenario, row: &Row) -> Self {
        let counted = scenario.counted;
        let experts = row.workload.model.experts;
        let predicted = row.predicted;
        Self {
            workload: PhaseTaken::of(&row.workload),
            model: row.workload.model.name.clone(),
            ffn_experts: experts.ffn,
            zero_computation_experts: experts.zero_computation.total(),
            ffn_share: row.ffn_share.into(),
            drop_share: row.drop_share.into(),
            dropped_weight_share: row.dropped_weight_share.into(),
            time: CountedTime {
                scope: counted,
                ms: row.time_ms.into(),
                predicted: predicted.and_then(|p| p.time_ms).into(),
            },
            makespan_ms: row.makespan_ms.into(),
            increase_percent: row.increase_percent.into(),
            predicted_increase_percent: predicted.and_then(|p| p.increase_percent).into(),
            tokens_per_s: row.tokens_per_sec.into(),
            tokens_per_s_per_gpu: Mean::from(row.tokens_per_sec)
                .scaled(1.0 / f64::from(scenario.topology.gpus())),
            utilisation: (counted == Scope::TrainingStep).then(|| Utilisation::of(scenario, row)),
            allowed_by_fit: None,
            published: Published::of(scenario, row),
            blame: blame(counted, row),
            stands_on: bases(&row.stands_on),
            beside_exchanges: counted.has_backward().then(|| BesideExchanges::of(scenario, row)),
            hidden_zero_computation_ms: row.hidden_ms,
            sampled: row.reached.map(Sampled::from),
            memory: MemoryUse::of(scenario, &row.workload, row.hottest_rows),
            network: NetworkUse::of(scenario, row),
            link_use: link_use(&scenario.topology, &row.link_bytes_per_s),
        }
    }

    /// τ, for MoE++.
    #[must_use]
    pub fn tau(&self) -> Option<f64> {
        self.workload.tau
    }

    /// FFN and zero-computation experts, as tables have them.
    fn experts_cell(&self) -> String {
        format!("{}+{}", self.ffn_experts, self.zero_computation_experts)
    }

    /// τ, as tables have it: with two decimals, or as many as tell it from others.
    fn tau_cell(&self) -> String {
        let Some(tau) = self.tau() else { return "-".to_owned() };
        let shown = |decimals: usize| format!("{tau:.decimals$}");
        let same = |text: &String| text.parse() == Ok(tau);
        (2..=5).map(shown).find(same).unwrap_or_else(|| format!("{tau:.1e}"))
    }

    /// Time blamed on a reason, in milliseconds.
    #[must_use]
    pub fn blame_ms(&self, reason: Reason) -> Option<f64> {
        self.blame.get(&format!("{}_ms", reason.key())).copied()
    }

    /// The share of its bandwidth that the fullest link carries; zero where no byte crosses a link.
    #[must_use]
    pub fn fullest_link(&self) -> f64 {
        self.link_use.iter().map(|group| group.max_share).fold(0.0, f64::max)
    }
}

/// Reasons of training are left out where nothing trains.
fn blame(counted: Scope, row: &Row) -> BTreeMap<String, f64> {
    let trains = counted.has_backward();
    let all = Reason::ALL.iter().zip(row.blame_ms);
    let told = all.filter(|(reason, _)| trains || !reason.is_of_training());
    told.map(|(reason, ms)| (format!("{}_ms", reason.key()), ms)).collect()
}

impl Utilisation {
    fn of(scenario: &Scenario, row: &Row) -> Self {
        let gpu = scenario.topology.gpu();
        let of_format = match row.workload.batch.dtype {
            Dtype::Fp8 => gpu.peak_fp8,
            Dtype::Bf16 => None,
        };
        let peak = of_format.unwrap_or(gpu.peak_bf16).flops_per_sec();
        let in_use = row.workload.layout.in_use(scenario.topology.gpus());
        let tokens = row.tokens_per_sec.mean / f64::from(in_use);
        let flops = tokens * operations_per_token(&row.workload);
        Self {
            model_tflops_per_gpu: flops / 1e12,
            mfu: flops / peak,
            peak_tflops: peak / 1e12,
            gate_draws_per_layer: draws_of(&scenario.topology, &row.workload),
        }
    }
}

impl Published {
    /// Where experts alone are counted and the GPUs are the paper's.
    fn of(scenario: &Scenario, row: &Row) -> Self {
        if scenario.counted != Scope::Experts {
            return Self::default();
        }
        let same = scenario.topology.gpu().name.contains(paper::GPU);
        let mut rows = paper::built_in().iter().filter(|_| same);
        let paper: Option<&PaperRow> = rows.find(|paper| paper.describes(&row.workload));
        Self {
            published_expert_forward_ms: paper.map(|paper| paper.expert_forward_ms),
            published_throughput_increase_percent: paper.and_then(|paper| paper.increase),
        }
    }
}
