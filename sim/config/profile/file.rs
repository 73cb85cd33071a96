//! The layout of a profile's TOML.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::super::source::HELP_FOLLOWS;
use super::super::{Count, Number, Written};
use crate::base::units::{Bandwidth, Bytes, FlopRate, SimDuration};
use crate::kernels::profile::LogErrors;

/// An efficiency or another positive factor.
pub(super) type Factor = Number<1, 1_000_000>;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct File {
    pub(super) schema: i64,
    pub(super) name: String,
    pub(super) device: String,
    #[schemars(with = "String")]
    pub(super) table: Spanned<String>,
    pub(super) data_sheet: DataSheet,
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Gemm>")]
    pub(super) gemm: BTreeMap<Spanned<String>, Gemm>,
    #[serde(default)]
    pub(super) experts: Vec<Experts>,
    pub(super) memory: Memory,
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Collective>")]
    pub(super) collective: BTreeMap<Spanned<String>, Collective>,
    #[serde(default)]
    pub(super) exchange: Vec<ExchangeFile>,
    pub(super) pair_bandwidth: Option<Written<Bandwidth>>,
    pub(super) inter_node: Option<InterNode>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DataSheet {
    pub(super) bf16: Written<FlopRate>,
    pub(super) memory_bandwidth: Written<Bandwidth>,
    pub(super) sms: Count<1, 4096>,
    pub(super) scale_up: Option<Written<Bandwidth>>,
    pub(super) peer_to_peer: Option<bool>,
    #[allow(dead_code)] // For readers of the file.
    pub(super) source: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Gemm {
    pub(super) launch: Written<SimDuration>,
    pub(super) compute_efficiency: Factor,
    pub(super) memory_efficiency: Factor,
    pub(super) wave: Written<SimDuration>,
    pub(super) half_intensity: Factor,
    pub(super) split_speedup: Factor,
    pub(super) sharpness: Factor,
    pub(super) kriging: KrigingFile,
    pub(super) evidence: EvidenceFile,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KrigingFile {
    pub(super) scales: Vec<ScaleFile>,
    pub(super) noise: Factor,
    pub(super) clip: Option<Factor>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScaleFile {
    pub(super) share: Factor,
    pub(super) lengths: Vec<Factor>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Experts {
    pub(super) kernel: String,
    #[schemars(with = "String")]
    pub(super) precision: Spanned<String>,
    #[schemars(with = "String")]
    pub(super) tiles: Spanned<String>,
    #[schemars(with = "Option<String>")]
    pub(super) measured_tiles: Option<Spanned<String>>,
    pub(super) launch: Written<SimDuration>,
    pub(super) small_efficiency: Factor,
    pub(super) large_efficiency: Factor,
    pub(super) cache_bandwidth: Factor,
    pub(super) step: Written<SimDuration>,
    pub(super) block: Written<SimDuration>,
    pub(super) latency: Written<SimDuration>,
    pub(super) ragged_per_ns: Factor,
    pub(super) memory_efficiency: Factor,
    pub(super) narrow_efficiency: Factor,
    pub(super) refetched: Factor,
    pub(super) sharpness: Factor,
    pub(super) traffic_efficiency: Factor,
    pub(super) cache: Written<Bytes>,
    pub(super) cache_speedup: Factor,
    pub(super) always_gated: bool,
    pub(super) interval: Option<IntervalFile>,
    pub(super) kriging: KrigingFile,
    pub(super) evidence: EvidenceFile,
}

/// Half-widths in units of the kriging's standard deviation.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IntervalFile {
    pub(super) known: Factor,
    pub(super) absent: Factor,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Memory {
    pub(super) efficiency: Factor,
    pub(super) launch: Written<SimDuration>,
    pub(super) evidence: EvidenceFile,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Collective {
    pub(super) ramp: Vec<RampFile>,
    pub(super) evidence: EvidenceFile,
    pub(super) unseen_gpus: Option<Unseen>,
}

/// How far off numbers of GPUs or groups are that were not measured.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Unseen {
    pub(super) evidence: EvidenceFile,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RampFile {
    pub(super) gpus: Count<2, 65_536>,
    pub(super) alpha: Written<SimDuration>,
    pub(super) bandwidth: Written<Bandwidth>,
    pub(super) ramp: Written<SimDuration>,
    pub(super) ramp_bytes: Written<Bytes>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExchangeFile {
    pub(super) name: String,
    #[schemars(with = "String")]
    pub(super) library: Spanned<String>,
    pub(super) bytes: Factor,
    pub(super) prior: Vec<ExchangePriorFile>,
    pub(super) kriging: KrigingFile,
    pub(super) evidence: EvidenceFile,
    pub(super) one_node: Option<Unseen>,
    pub(super) unseen_groups: Option<Unseen>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExchangePriorFile {
    pub(super) groups: Count<1, 65_536>,
    pub(super) alpha: Written<SimDuration>,
    pub(super) expert: Written<SimDuration>,
    pub(super) sm_bandwidth: Written<Bandwidth>,
    pub(super) bandwidth: Written<Bandwidth>,
    pub(super) local_bandwidth: Written<Bandwidth>,
    pub(super) fabric: Number<1, 1_000>,
    pub(super) own: Number<0, 1_000_000>,
    pub(super) sharpness: Factor,
    pub(super) slot: Written<SimDuration>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InterNode {
    pub(super) efficiency: Factor,
    pub(super) alpha: Vec<AlphaFile>,
    pub(super) evidence: EvidenceFile,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AlphaFile {
    pub(super) nodes: Count<2, 65_536>,
    pub(super) alpha: Written<SimDuration>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EvidenceFile {
    pub(super) fitted_on: String,
    pub(super) rows: Count<0, 2_000_000_000>,
    pub(super) prior: Option<ResidualFile>,
    pub(super) held_out: Option<ResidualFile>,
    #[serde(default)]
    pub(super) left_out: String,
    pub(super) log_error_p90: Option<Number<0, 100_000>>,
    pub(super) log_errors: Option<LogErrorsFile>,
}

/// Quantiles of log errors at the levels of [`LogErrors`].
#[derive(Deserialize, JsonSchema)]
#[serde(try_from = "Vec<Number<-100_000, 100_000>>")]
#[schemars(with = "Vec<Number<-100_000, 100_000>>")]
pub(super) struct LogErrorsFile(pub(super) LogErrors);

impl TryFrom<Vec<Number<-100_000, 100_000>>> for LogErrorsFile {
    type Error = String;

    fn try_from(quantiles: Vec<Number<-100_000, 100_000>>) -> Result<Self, String> {
        let found: Vec<f64> = quantiles.iter().map(|q| q.0).collect();
        let law = <[f64; LogErrors::LEVELS.len()]>::try_from(found).ok().and_then(LogErrors::new);
        law.map(Self).ok_or_else(|| {
            let levels = LogErrors::LEVELS.map(|level| (level * 100.0).to_string()).join(", ");
            format!(
                "no law of errors{HELP_FOLLOWS}give the quantiles at {levels} %, none below the one \
                 before"
            )
        })
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResidualFile {
    pub(super) median: Number<0, 1_000_000>,
    pub(super) p90: Number<0, 1_000_000>,
    pub(super) bias: Number<{ -1_000_000 }, 1_000_000>,
}
