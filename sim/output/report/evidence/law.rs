//! The results of `moesim gate fit`: the law of a recording, judged by sequences that it has not seen, and the spreads
//! of a table of counts.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::shared::made_by::MadeBy;
use crate::gate::judge::{BatchJudgement, Judgement, Pair};
use crate::gate::statistics::Loads;
use crate::workload::Recording;

/// A law that was fitted to a recording, and how well it does on one that it has not seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LawResult {
    /// How it was made.
    #[serde(default)]
    pub made_by: MadeBy,
    /// What it was fitted to.
    pub trace: RecordingShape,
    /// What it was judged by.
    pub held_out: RecordingShape,
    /// How it does there.
    #[serde(flatten)]
    pub judged: JudgedLaw,
    /// How much tokens have of the preferences of those before them.
    pub persistence: FittedPersistence,
    /// α of the Dirichlet law with the spread of loads over experts.
    pub popularity_concentration: f64,
    /// Standard deviation over sequences of an expert's logit.
    pub sequence_sd: f64,
    /// Share of that variance which layers have in common.
    pub sequence_common: f64,
    /// Standard error of the law's max/mean at each size of batch, mean over layers; with `--bootstrap`.
    pub law_max_over_mean_standard_error: Option<Vec<f64>>,
    /// FFN experts per token, mean over layers; with `--order`.
    pub ffn_experts_per_token: Option<f64>,
    /// λ of each layer; with `--tau`.
    pub ffn_logit_shift: Option<Vec<f64>>,
}

/// How large a recording is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordingShape {
    /// Tokens.
    pub tokens: usize,
    /// Sequences.
    pub sequences: usize,
    /// Layers.
    pub layers: usize,
    /// Experts of a layer.
    pub experts: usize,
    /// Slots of a token.
    pub top_k: usize,
}

impl RecordingShape {
    /// Of a recording.
    #[must_use]
    pub fn of(recording: &Recording) -> Self {
        Self {
            tokens: recording.tokens(),
            sequences: recording.sequences().len(),
            layers: recording.layers(),
            experts: recording.experts(),
            top_k: recording.top_k(),
        }
    }
}

/// Persistence of a law.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FittedPersistence {
    /// Share of a token's preferences.
    pub share: f64,
    /// How fast it fades, a token.
    pub decay: f64,
    /// Share of it that layers have in common.
    pub depth: f64,
}

/// A law beside a recording.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JudgedLaw {
    /// Loads in batches of each size.
    pub loads: Vec<BatchLoads>,
    /// How much the choices of tokens some way apart overlap, by how far.
    pub token_overlap_by_gap: BTreeMap<String, SeenAndLaw>,
    /// What a layer's choices tell of another's, by how far apart layers are.
    pub layer_information_by_lag: BTreeMap<String, SeenAndLaw>,
    /// Mean correlation of two layers' max/mean over batches.
    pub imbalance_correlation: Option<SeenAndLaw>,
}

impl JudgedLaw {
    /// Of a judgement.
    #[must_use]
    pub fn of(judgement: &Judgement) -> Self {
        let by_distance = |pairs: &[(usize, Pair)]| {
            pairs.iter().map(|(at, pair)| (at.to_string(), SeenAndLaw::of(*pair))).collect()
        };
        Self {
            loads: judgement.batches.iter().map(BatchLoads::of).collect(),
            token_overlap_by_gap: by_distance(&judgement.overlap),
            layer_information_by_lag: by_distance(&judgement.depth),
            imbalance_correlation: judgement.correlation().map(SeenAndLaw::of),
        }
    }
}

/// A statistic of a recording, and of what the law draws.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeenAndLaw {
    /// Of the recording.
    pub seen: f64,
    /// Of the law.
    pub law: f64,
    /// `law / seen − 1`; none where the recording has nothing of it.
    pub relative_error: Option<f64>,
}

impl SeenAndLaw {
    fn of(pair: Pair) -> Self {
        Self { seen: pair.seen, law: pair.modelled, relative_error: pair.error() }
    }
}

/// Loads in batches of one size; errors are means over layers of |law / seen − 1|.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BatchLoads {
    /// Tokens of a batch of whole sequences.
    pub batch_tokens: u32,
    /// Error of the law's max/mean.
    pub max_over_mean_error: f64,
    /// The same if tokens were independent.
    pub max_over_mean_error_independent: f64,
    /// The same of the part that the law was fitted to.
    pub max_over_mean_error_fitted_part: f64,
    /// Kolmogorov's distance of the laws of max/mean over batches, mean over layers.
    pub max_over_mean_ks_distance: f64,
    /// Standard error of the recording's max/mean.
    pub seen_max_over_mean_standard_error: f64,
    /// By layer.
    pub by_layer: LoadsByLayer,
}

impl BatchLoads {
    fn of(batch: &BatchJudgement) -> Self {
        Self {
            batch_tokens: batch.seen.batch_tokens,
            max_over_mean_error: batch.peak_error(),
            max_over_mean_error_independent: batch.independent_peak_error(),
            max_over_mean_error_fitted_part: batch.fitted_peak_error(),
            max_over_mean_ks_distance: batch.distance(),
            seen_max_over_mean_standard_error: batch.seen_error,
            by_layer: LoadsByLayer {
                seen: LayerStatistics::of(&batch.seen),
                law: LayerStatistics::of(&batch.modelled),
                independent: LayerStatistics::of(&batch.independent),
            },
        }
    }
}

/// Loads of each layer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoadsByLayer {
    /// Of the recording.
    pub seen: LayerStatistics,
    /// Of the law.
    pub law: LayerStatistics,
    /// Of independent tokens of the same popularity.
    pub independent: LayerStatistics,
}

/// How uneven loads are, a value a layer, means over batches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LayerStatistics {
    /// The largest load over the mean.
    pub max_over_mean: Vec<f64>,
    /// Its 90th percentile over batches.
    pub max_over_mean_p90: Vec<f64>,
    /// Coefficient of variation.
    pub cv: Vec<f64>,
    /// Gini coefficient.
    pub gini: Vec<f64>,
    /// Share of slots that a capacity factor of 1.1 drops.
    pub drop_1_1: Vec<f64>,
    /// That a factor of 1.25 drops.
    pub drop_1_25: Vec<f64>,
    /// That a factor of 1.5 drops.
    pub drop_1_5: Vec<f64>,
    /// Mean correlation of two layers' max/mean over batches.
    pub imbalance_correlation: f64,
}

impl LayerStatistics {
    fn of(loads: &Loads) -> Self {
        let [drop_1_1, drop_1_25, drop_1_5] = loads.drop.clone();
        Self {
            max_over_mean: loads.peak.clone(),
            max_over_mean_p90: loads.peak_p90.clone(),
            cv: loads.cv.clone(),
            gini: loads.gini.clone(),
            drop_1_1,
            drop_1_25,
            drop_1_5,
            imbalance_correlation: loads.correlation,
        }
    }
}

/// How popularity and domains spread, from counts of each expert.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpreadsResult {
    /// How it was made.
    #[serde(default)]
    pub made_by: MadeBy,
    /// The domains of the counts.
    pub domains: Vec<String>,
    /// Each layer.
    pub layers: Vec<LayerSpreads>,
    /// Standard deviation of the logarithm of popularity, mean over layers.
    pub popularity_sd: f64,
    /// The same of how domains differ; none of a single domain.
    pub domain_sd: Option<f64>,
    /// What counts cannot tell, in words.
    pub not_known: Vec<String>,
}

/// Spreads of one layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LayerSpreads {
    /// The layer.
    pub layer: u32,
    /// Standard deviation of the logarithm of popularity.
    pub popularity_sd: f64,
    /// Its standard error, by leaving out one domain at a time.
    pub popularity_sd_standard_error: Option<f64>,
    /// Standard deviation of how domains differ.
    pub domain_sd: Option<f64>,
    /// Its standard error.
    pub domain_sd_standard_error: Option<f64>,
    /// The largest load over the mean, all domains in equal parts.
    pub mixed_max_over_mean: f64,
    /// Coefficient of variation of the same.
    pub mixed_cv: f64,
}
