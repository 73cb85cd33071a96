//! The result of `moesim plan`: which τ meets a target at the least loss of quality.

use std::collections::BTreeMap;
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shared::knobs::elasticities;
use super::shared::made_by::MadeBy;
use super::shared::sampled::Sampled;
use super::shared::setting::Setting;
use super::shared::stands_on::{Basis, bases};
use crate::studies::compare::ClusterCase;
use crate::studies::planner::{Candidate, Doubt, Law, NoiseFrom, Plan, Trend};

mod text;

/// The τ that meets a target, or what comes closest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanResult {
    /// How it was made.
    #[serde(default)]
    pub made_by: MadeBy,
    /// With what probability the target is to be met.
    pub asked_probability: f64,
    /// Whether anything does so.
    pub met: bool,
    /// The best that does, if any.
    pub recommended: Option<PlanCandidate>,
    /// What comes closest.
    pub closest: PlanCandidate,
    /// Candidates that none beats in both quality and throughput.
    pub front: Vec<PlanCandidate>,
    /// All that were looked at: by cluster, vanilla first, then τ rising.
    pub candidates: Vec<PlanCandidate>,
    /// What the time of the recommended (or closest) goes to: shares by reason.
    pub blame: BTreeMap<String, f64>,
    /// Percent of throughput for one percent of each knob.
    pub elasticities: BTreeMap<String, f64>,
    /// What its time stands on.
    pub stands_on: Vec<Basis>,
    /// How quality depends on τ; none where no τ is varied.
    #[serde(flatten)]
    pub quality: Option<QualityTrend>,
    /// How often gates were drawn for each layer, where not for every micro-batch and group.
    pub gate_draws_per_layer: Option<u32>,
    /// Overrides.
    pub set: Vec<String>,
    /// What was taken for each cluster.
    pub settings: Vec<Setting>,
    /// Clusters that cost more than was allowed.
    pub left_out: Vec<LeftOut>,
    /// Whether the target was a time, which more GPUs do not shorten.
    #[serde(default)]
    pub target_is_time: bool,
}

/// What quality follows over ln τ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QualityTrend {
    /// Where the points come from.
    pub quality_source: String,
    /// A line, or a curve through a user's points.
    #[serde(default)]
    pub quality_law: String,
    /// The slope of a line.
    #[serde(default)]
    pub quality_slope: Option<f64>,
    /// How far single points scatter about it, if that is known.
    #[serde(default)]
    pub quality_scatter: Option<f64>,
    /// What tells that.
    #[serde(default)]
    pub quality_scatter_from: String,
    /// What speaks against it.
    #[serde(default)]
    pub quality_doubts: Vec<String>,
}

impl QualityTrend {
    fn of(trend: &Trend) -> Self {
        let law = match trend.law() {
            Law::Line => "a line in ln τ",
            Law::Rising => "a rising curve through them, straight in ln τ between them",
            Law::Falling => "a falling curve through them, straight in ln τ between them",
        };
        let from = match trend.noise_from() {
            NoiseFrom::Stated => "as stated",
            NoiseFrom::Repeats => "by points at the same τ",
            NoiseFrom::Departures => "about it",
            NoiseFrom::Nothing => "unknown",
        };
        Self {
            quality_source: trend.source.clone(),
            quality_law: law.to_owned(),
            quality_slope: trend.slope(),
            quality_scatter: trend.noise(),
            quality_scatter_from: from.to_owned(),
            quality_doubts: trend.doubts().into_iter().map(doubt).collect(),
        }
    }
}

/// What speaks against a law, in words.
fn doubt(doubt: Doubt) -> String {
    match doubt {
        Doubt::OneTau(tau) => {
            format!("quality was measured at τ = {tau} alone: nothing says how it changes")
        }
        Doubt::Falls => {
            "quality falls with τ, as a loss would: more must be better here".to_owned()
        }
        Doubt::BeyondNoise { times } => format!(
            "the points lie {times:.1} times farther from any such curve than their noise says: a poor fit"
        ),
        Doubt::ExplainsLittle { share } => {
            format!("it explains {:.0} % of how the points differ: a poor fit", 100.0 * share)
        }
    }
}

/// A cluster that costs more than was allowed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// The cluster.
    pub cluster: String,
    /// What it costs, in US dollars.
    pub usd: f64,
    /// The date of the price book.
    #[serde(default)]
    pub prices_of: String,
}

/// One τ on one cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanCandidate {
    /// The cluster.
    pub cluster: String,
    /// τ; none for vanilla.
    pub tau: Option<f64>,
    /// Tokens per second, mean over seeds.
    pub tokens_per_s: f64,
    /// The target in tokens per second.
    pub target_tokens_per_s: f64,
    /// How far the mean lies above the target, in percent of the target.
    pub margin_percent: f64,
    /// With what probability a fresh draw meets the target.
    pub probability: f64,
    /// Expected quality; none of vanilla where it was not measured.
    pub quality: Option<f64>,
    /// How sure that is: how far single points scatter about a line, or the standard error of a curve, if it is known.
    pub quality_noise: Option<f64>,
    /// Whether τ lies outside the measured ones.
    pub quality_extrapolated: bool,
    /// Whether it fits into the GPUs' memory.
    pub fits: bool,
    /// The arithmetic, where it does not.
    pub too_large: Option<String>,
    /// Where a precision was asked for: how much of its runs was simulated, and what it reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled: Option<Sampled>,
}

impl PlanCandidate {
    fn of(candidate: &Candidate) -> Self {
        Self {
            cluster: candidate.cluster.clone(),
            tau: candidate.tau,
            tokens_per_s: candidate.mean(),
            target_tokens_per_s: candidate.target,
            margin_percent: candidate.margin_percent(),
            probability: candidate.probability,
            quality: candidate.quality.map(|quality| quality.expected),
            quality_noise: candidate.quality.and_then(|quality| quality.noise),
            quality_extrapolated: candidate.quality.is_some_and(|quality| quality.extrapolated),
            fits: candidate.too_large.is_none(),
            too_large: candidate.too_large.clone(),
            sampled: candidate.reached.map(Sampled::from),
        }
    }

    /// In a sentence.
    pub(in crate::output) fn spoken(&self) -> String {
        self.tau.map_or("vanilla".to_owned(), |tau| format!("τ = {tau}"))
    }
}

/// What a plan was asked.
pub struct Planned<'a> {
    /// How it is made.
    pub made_by: MadeBy,
    /// With what probability the target is to be met.
    pub probability: f64,
    /// How quality depends on τ; none where no τ is varied.
    pub trend: Option<&'a Trend>,
    /// Overrides.
    pub set: &'a [String],
    /// Clusters that cost more than was allowed.
    pub left_out: Vec<LeftOut>,
    /// Whether the target is a time.
    pub target_is_time: bool,
}

impl PlanResult {
    /// Of an answer.
    #[must_use]
    pub fn of(asked: Planned<'_>, cluster_cases: &[ClusterCase], answer: &Plan) -> Self {
        let candidates: Vec<PlanCandidate> =
            answer.candidates.iter().map(PlanCandidate::of).collect();
        let blame = answer.blame.iter();
        let setting = |case: &ClusterCase| Setting::on(&case.name, &case.scenario);
        Self {
            made_by: asked.made_by,
            asked_probability: asked.probability,
            met: answer.best.is_some(),
            recommended: answer.best.map(|at| candidates[at].clone()),
            closest: candidates[answer.closest].clone(),
            front: answer.front.iter().map(|&at| candidates[at].clone()).collect(),
            candidates,
            blame: blame.map(|(reason, share)| (reason.key().to_owned(), *share)).collect(),
            elasticities: elasticities(&answer.knobs),
            stands_on: bases(&answer.stands_on),
            quality: asked.trend.map(QualityTrend::of),
            gate_draws_per_layer: answer.gate_draws,
            set: asked.set.to_vec(),
            settings: cluster_cases.iter().map(setting).collect(),
            left_out: asked.left_out,
            target_is_time: asked.target_is_time,
        }
    }

    /// The recommended, or what comes closest.
    #[must_use]
    pub fn told(&self) -> &PlanCandidate {
        self.recommended.as_ref().unwrap_or(&self.closest)
    }

    /// What to take, in sentences.
    #[must_use]
    pub fn answer(&self) -> Vec<String> {
        text::answer(self)
    }

    /// The answer in sentences, then all candidates.
    ///
    /// # Errors
    /// If `out` cannot be written to.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        text::write(self, out)
    }
}

/// A probability, neither 0 nor 1: no number of seeds shows either.
pub(in crate::output) fn sure(probability: f64, decimals: usize) -> String {
    let shown = format!("{probability:.decimals$}");
    let least = 10_f64.powi(-(decimals as i32));
    match shown.parse::<f64>() {
        Ok(0.0) => format!("<{least}"),
        Ok(1.0) => format!(">{}", 1.0 - least),
        _ => shown,
    }
}
