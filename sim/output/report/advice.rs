//! The result of `moesim advise`: does MoE++ pay here, why, and where that turns.

use std::collections::BTreeMap;
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shared::knobs::elasticities;
use super::shared::made_by::MadeBy;
use super::shared::setting::Setting;
use super::shared::stands_on::{Basis, bases};
use super::shared::value::{self, Mean};
use super::shared::word;
use crate::studies::advise::{
    Advice, BreakEven, IDLE_PERCENT, Loads, Part, Point, Question, Turn, Varied, Verdict,
};

mod text;

/// Whether MoE++ pays, and what that rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AdviceResult {
    /// How it was made.
    #[serde(default)]
    pub made_by: MadeBy,
    /// What to do.
    #[serde(with = "word")]
    #[schemars(with = "word::OneOf<Verdict>")]
    pub verdict: Verdict,
    /// Why, in a sentence.
    pub because: String,
    /// The gain in percent from which MoE++ pays.
    pub worth_percent: f64,
    /// A gain that certainly stays below this is none.
    pub idle_percent: f64,
    /// How many GPUs the cluster has.
    pub gpus: u32,
    /// The vanilla workload.
    pub vanilla: AdvisedRun,
    /// The MoE++ workload.
    pub moepp: AdvisedRun,
    /// Its τ.
    pub tau: Option<f64>,
    /// What the MoE++ workload was derived by, where the scenario has none.
    pub derived: Vec<String>,
    /// Whether every GPU has a copy of the zero-computation experts.
    pub zero_computation_local: bool,
    /// Share of slots that reach FFN experts in MoE++.
    pub ffn_share: f64,
    /// MoE++'s gain in percent, paired by seed.
    #[serde(flatten, with = "value::throughput_increase_percent")]
    #[schemars(with = "value::ThroughputIncreasePercent<Mean>")]
    pub increase_percent: Mean,
    /// The gain if FFN experts, exchanges and waiting shrank with the slots.
    pub proportional_percent: f64,
    /// Percent of vanilla's throughput for one percent of each knob.
    pub elasticities: BTreeMap<String, f64>,
    /// What MoE++'s time stands on.
    #[serde(default)]
    pub stands_on: Vec<Basis>,
    /// Where the verdict turns.
    pub break_evens: Vec<AdvisedBreakEven>,
    /// What was asked and what was taken.
    pub setting: Setting,
}

/// One of the two workloads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AdvisedRun {
    /// Its name.
    pub workload: String,
    /// The time counted in milliseconds, mean over seeds.
    pub counted_ms: f64,
    /// Shares of that time by part.
    pub shares: BTreeMap<String, f64>,
    /// Time in dispatch and combine over time in FFN experts.
    pub exchange_to_ffn_ratio: Option<f64>,
    /// Entropy of the loads of FFN experts, 1 where they are even.
    pub load_entropy: f64,
    /// The largest load over the mean.
    pub load_max_over_mean: f64,
}

/// Where the verdict turns along one thing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AdvisedBreakEven {
    /// `tau`, `bandwidth_gb_per_s`, `tokens_per_gpu` or `expert_parallel`.
    pub varied: String,
    /// The class of link, of a bandwidth.
    pub class: Option<String>,
    /// The value now.
    pub now: Option<f64>,
    /// All that was run, by value.
    pub curve: Vec<GainAt>,
    /// Where it turns; nowhere if empty.
    pub turns: Vec<TurnAt>,
    /// Values that could not be run.
    pub left_out: Vec<LeftOutAt>,
    /// Why it was not varied, where it was not.
    pub idle: Option<String>,
}

/// The mean gain at one value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GainAt {
    /// The value.
    pub at: f64,
    /// The gain.
    pub throughput_increase_percent: f64,
}

/// Two neighbouring values: MoE++ pays at one and not at the other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TurnAt {
    /// Where it pays.
    pub pays: GainAt,
    /// Where it does not.
    pub fails: GainAt,
}

/// A value that could not be run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOutAt {
    /// The value.
    pub at: f64,
    /// Why.
    pub why: String,
}

impl From<Point> for GainAt {
    fn from(point: Point) -> Self {
        Self { at: point.at, throughput_increase_percent: point.gain_percent }
    }
}

impl From<&Turn> for TurnAt {
    fn from(turn: &Turn) -> Self {
        Self { pays: turn.pays.into(), fails: turn.fails.into() }
    }
}

impl AdvisedBreakEven {
    fn of(found: &BreakEven) -> Self {
        let (varied, class) = match found.varied {
            Varied::Tau => ("tau", None),
            Varied::Bandwidth(class) => ("bandwidth_gb_per_s", Some(class.name().to_owned())),
            Varied::TokensPerGpu => ("tokens_per_gpu", None),
            Varied::ExpertParallel => ("expert_parallel", None),
        };
        let left_out = found.left_out.iter();
        Self {
            varied: varied.to_owned(),
            class,
            now: found.now,
            curve: found.curve.iter().map(|point| (*point).into()).collect(),
            turns: found.turns.iter().map(TurnAt::from).collect(),
            left_out: left_out.map(|(at, why)| LeftOutAt { at: *at, why: why.clone() }).collect(),
            idle: found.idle.clone(),
        }
    }
}

impl AdvisedRun {
    fn of(name: &str, counted_ms: f64, shares: &[f64], loads: &Loads) -> Self {
        let ffn = shares[Part::Ffn as usize];
        let exchange = shares[Part::Exchange as usize];
        let parts = Part::ALL.into_iter().zip(shares);
        Self {
            workload: name.to_owned(),
            counted_ms,
            shares: parts.map(|(part, share)| (part.key().to_owned(), *share)).collect(),
            exchange_to_ffn_ratio: (ffn > 0.0).then_some(exchange / ffn),
            load_entropy: loads.entropy,
            load_max_over_mean: loads.max_over_mean,
        }
    }

    /// The share of the time that a part takes.
    #[must_use]
    pub fn share(&self, part: Part) -> f64 {
        self.shares.get(part.key()).copied().unwrap_or_default()
    }
}

impl AdviceResult {
    /// Of an answer; `derived` says what the MoE++ workload was derived by.
    #[must_use]
    pub fn of(
        made_by: MadeBy,
        question: &Question<'_>,
        derived: Vec<String>,
        answer: &Advice,
    ) -> Self {
        let pair = [question.vanilla(), question.moepp()];
        let [vanilla, moepp] = [0, 1].map(|at| {
            let (name, ms) = (&pair[at].name, answer.counted_ms[at].mean);
            AdvisedRun::of(name, ms, &answer.shares[at], &answer.loads[at])
        });
        Self {
            made_by,
            verdict: answer.verdict,
            because: answer.because.clone(),
            worth_percent: question.worth_percent,
            idle_percent: IDLE_PERCENT,
            gpus: question.scenario.topology.gpus(),
            vanilla,
            moepp,
            tau: pair[1].model.experts.tau,
            derived,
            zero_computation_local: pair[1].zero_computation_local,
            ffn_share: answer.ffn_share,
            increase_percent: answer.gain_percent.into(),
            proportional_percent: answer.proportional_percent,
            elasticities: elasticities(&answer.knobs),
            stands_on: bases(&answer.stands_on),
            break_evens: answer.break_evens.iter().map(AdvisedBreakEven::of).collect(),
            setting: Setting::of(question.scenario),
        }
    }

    /// The verdict, and the gain that it rests on, in sentences.
    #[must_use]
    pub fn answer(&self) -> Vec<String> {
        text::answer(self).to_vec()
    }

    /// The verdict, what it rests on, and where it turns.
    ///
    /// # Errors
    /// If `out` cannot be written to.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        text::write(self, out)
    }
}
