//! The result of `moesim compare`: clusters against each other, the best first.

use std::collections::BTreeMap;
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shared::knobs::elasticities;
use super::shared::made_by::MadeBy;
use super::shared::sampled::Sampled;
use super::shared::setting::Setting;
use super::shared::stands_on::{Basis, bases};
use super::shared::value::{self, Mean};
use super::shared::word;
use crate::base::statistics::mean;
use crate::studies::compare::{
    CatchUp, ClusterCase, ClusterResult, Equal, Ratio, best_first, ratio,
};

mod text;

/// Clusters against each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// How it was made.
    #[serde(default)]
    pub made_by: MadeBy,
    /// The workload that is compared: MoE++, or the one that stands alone.
    pub workload: String,
    /// Its τ, where it has one.
    #[serde(default)]
    pub tau: Option<f64>,
    /// The workload that its gain is over; none where one workload stands alone.
    pub vanilla: Option<String>,
    /// What clusters have equally much of.
    #[serde(with = "word")]
    #[schemars(with = "word::OneOf<Equal>")]
    pub equal: Equal,
    /// Overrides.
    pub set: Vec<String>,
    /// What was taken for each cluster, in the order in which they were named.
    pub settings: Vec<Setting>,
    /// The clusters, the best first.
    pub clusters: Vec<ComparedCluster>,
    /// The date of the price book.
    #[serde(default)]
    pub prices_of: String,
}

/// One cluster among others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComparedCluster {
    /// Its name.
    pub cluster: String,
    /// Its GPU.
    pub gpu: String,
    /// The profile that kernels and links were taken from.
    pub profile: String,
    /// Whether that is of another GPU.
    pub profile_borrowed: bool,
    /// How many GPUs it has.
    pub gpus: u32,
    /// What one run of MoE++ stands on.
    pub stands_on: Vec<Basis>,
    /// How often gates were drawn for each layer, where not for every micro-batch and group.
    pub gate_draws_per_layer: Option<u32>,
    /// Its price in US dollars by the price book.
    pub usd: Option<f64>,
    /// What it draws, in watts.
    pub watts: Option<f64>,
    /// The network's part of the price.
    pub network_usd: f64,
    /// The network's part of the power.
    pub network_watts: f64,
    /// Where a precision was asked for: how much of the runs of that workload was simulated, and what it reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled: Option<Sampled>,
    /// Tokens per second of the workload that is compared, mean over seeds.
    pub tokens_per_s: f64,
    /// Tokens per second of vanilla, where it is compared with.
    pub vanilla_tokens_per_s: Option<f64>,
    /// The same of MoE++ for each GPU.
    pub tokens_per_s_per_gpu: Option<f64>,
    /// For each US dollar.
    pub tokens_per_s_per_usd: Option<f64>,
    /// For each watt.
    pub tokens_per_s_per_w: Option<f64>,
    /// MoE++'s gain in percent, paired by seed.
    #[serde(flatten, with = "value::throughput_increase_percent")]
    #[schemars(with = "value::ThroughputIncreasePercent<Mean>")]
    pub increase_percent: Mean,
    /// Its throughput over the best cluster's, at equal GPUs, cost or power, paired by seed.
    #[serde(flatten, with = "value::ratio_to_best")]
    #[schemars(with = "value::RatioToBest<Mean>")]
    pub ratio_to_best: Mean,
    /// Whether that interval leaves 1 out.
    pub differs_from_best: bool,
    /// What matters most, if anything of the network does.
    pub binds: Option<String>,
    /// Percent of throughput for one percent of each knob.
    pub elasticities: BTreeMap<String, f64>,
    /// The link class that would have to be faster to catch up with the best.
    pub break_even_class: Option<String>,
    /// By how much; none if no bandwidth suffices.
    pub break_even_factor: Option<f64>,
    /// To what its slowest link would come, in GB/s.
    pub break_even_gb_per_s: Option<f64>,
    /// The slowest and the fastest link of that class now, in GB/s.
    #[serde(default)]
    pub break_even_class_gb_per_s: Option<[f64; 2]>,
}

/// From so many seeds on Student's interval is at most 1.4 times as wide as one of many: of two it is 6.5 times as wide.
const ENOUGH_SEEDS: u64 = 5;

impl Comparison {
    /// Of clusters that have been run, with what would let each catch up, in the same order.
    #[must_use]
    pub fn of(
        asked: Compared<'_>,
        cluster_cases: &[ClusterCase],
        results: &[ClusterResult],
        catch_ups: &[Option<CatchUp>],
    ) -> Self {
        let Compared { made_by, equal, workload, vanilla, set, prices_of } = asked;
        let order = best_first(results, equal);
        let one = |&at: &usize| {
            let ratio = ratio(&results[at], &results[order[0]], equal);
            ComparedCluster::of((&results[at], vanilla.is_some()), ratio, catch_ups[at])
        };
        let setting = |case: &ClusterCase| Setting::on(&case.name, &case.scenario);
        Self {
            made_by,
            workload: workload.to_owned(),
            tau: cluster_cases.first().and_then(|case| case.own().model.experts.tau),
            vanilla: vanilla.map(str::to_owned),
            equal,
            set: set.to_vec(),
            settings: cluster_cases.iter().map(setting).collect(),
            clusters: order.iter().map(one).collect(),
            prices_of: prices_of.to_owned(),
        }
    }

    /// The tables.
    ///
    /// # Errors
    /// If `out` cannot be written to.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        text::write(self, out)
    }

    /// How many seeds were run, where they are too few for a wide interval to be called noise.
    pub(in crate::output) fn few_seeds(&self) -> Option<u64> {
        let [first, end] = self.settings.first()?.seeds;
        Some(end.saturating_sub(first)).filter(|seeds| *seeds < ENOUGH_SEEDS)
    }

    /// A cluster's throughput for each of what clusters have equally much of.
    #[must_use]
    pub fn per(&self, cluster: &ComparedCluster) -> Option<f64> {
        match self.equal {
            Equal::Gpus => cluster.tokens_per_s_per_gpu,
            Equal::Cost => cluster.tokens_per_s_per_usd,
            Equal::Power => cluster.tokens_per_s_per_w,
        }
    }
}

/// What a comparison was asked.
pub struct Compared<'a> {
    /// How it is made.
    pub made_by: MadeBy,
    /// What clusters have equally much of.
    pub equal: Equal,
    /// The MoE++ workload as it was named.
    pub workload: &'a str,
    /// The vanilla workload as it was named, where there is one beside it.
    pub vanilla: Option<&'a str>,
    /// Overrides.
    pub set: &'a [String],
    /// The date of the price book.
    pub prices_of: &'a str,
}

impl ComparedCluster {
    fn of((result, is_pair): (&ClusterResult, bool), ratio: Ratio, found: Option<CatchUp>) -> Self {
        let factor = found.and_then(|found| found.factor);
        let gb_per_s = found.map(|found| found.gb_per_s);
        let (total, network) = (result.cost.total(), result.cost.network());
        Self {
            cluster: result.name.clone(),
            gpu: result.gpu.clone(),
            profile: result.profile.clone(),
            profile_borrowed: result.profile_borrowed,
            gpus: result.gpus,
            stands_on: bases(&result.outcome.stands_on),
            gate_draws_per_layer: result.outcome.gate_draws,
            sampled: result.reached.map(Sampled::from),
            usd: total.usd,
            watts: total.watts,
            network_usd: network.usd,
            network_watts: network.watts,
            tokens_per_s: mean(&result.moepp),
            vanilla_tokens_per_s: is_pair.then(|| mean(&result.vanilla)),
            tokens_per_s_per_gpu: mean_per(result, Equal::Gpus),
            tokens_per_s_per_usd: mean_per(result, Equal::Cost),
            tokens_per_s_per_w: mean_per(result, Equal::Power),
            increase_percent: is_pair.then(|| result.gain_percent()).into(),
            ratio_to_best: Mean {
                mean: Some(ratio.mean),
                low: ratio.interval.map(|ends| ends.0),
                high: ratio.interval.map(|ends| ends.1),
            },
            differs_from_best: ratio.differs(),
            binds: result.binds().map(|(knob, _)| knob.name().to_owned()),
            elasticities: elasticities(&result.sensitivities),
            break_even_class: found.map(|found| found.class.name().to_owned()),
            break_even_factor: factor,
            break_even_gb_per_s: factor.zip(gb_per_s).map(|(factor, now)| factor * now[0]),
            break_even_class_gb_per_s: gb_per_s,
        }
    }
}

/// Mean over seeds of what a cluster gives for each GPU, dollar or watt, if that is known.
fn mean_per(result: &ClusterResult, equal: Equal) -> Option<f64> {
    result.per(equal).map(|values| mean(&values))
}
