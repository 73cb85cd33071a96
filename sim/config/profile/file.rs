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
    /// The version of this kind of file.
    pub(super) schema: i64,
    /// Its name.
    pub(super) name: String,
    /// The device, as its driver calls it.
    pub(super) device: String,
    /// The Parquet table of measurements beside it, which corrections are interpolated from.
    #[schemars(with = "String")]
    pub(super) table: Spanned<String>,
    /// Peaks by the data sheet.
    pub(super) data_sheet: DataSheet,
    /// Dense products, by format.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Gemm>")]
    pub(super) gemm: BTreeMap<Spanned<String>, Gemm>,
    /// Fused kernels of experts.
    #[serde(default)]
    pub(super) experts: Vec<Experts>,
    /// Kernels that memory bounds.
    pub(super) memory: Memory,
    /// NCCL's collectives within a node, by name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Collective>")]
    pub(super) collective: BTreeMap<Spanned<String>, Collective>,
    /// Exchange libraries.
    #[serde(default)]
    pub(super) exchange: Vec<ExchangeFile>,
    /// The most that one GPU sends another, one direction.
    pub(super) pair_bandwidth: Option<Written<Bandwidth>>,
    /// NCCL between nodes.
    pub(super) inter_node: Option<InterNode>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DataSheet {
    /// Peak of bf16, without sparsity.
    pub(super) bf16: Written<FlopRate>,
    /// Of its memory.
    pub(super) memory_bandwidth: Written<Bandwidth>,
    /// Streaming multiprocessors.
    pub(super) sms: Count<1, 4096>,
    /// Out of a GPU, one direction.
    pub(super) scale_up: Option<Written<Bandwidth>>,
    /// Whether GPUs reach each other without the CPU.
    pub(super) peer_to_peer: Option<bool>,
    /// Where the figures come from.
    #[allow(dead_code)] // For readers of the file.
    pub(super) source: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Gemm {
    /// Before the first wave.
    pub(super) launch: Written<SimDuration>,
    /// Share of peak arithmetic that the largest tile reaches.
    pub(super) compute_efficiency: Factor,
    /// Share of the memory's peak bandwidth.
    pub(super) memory_efficiency: Factor,
    /// What a wave of tiles takes beyond its work.
    pub(super) wave: Written<SimDuration>,
    /// Multiplications a loaded number at which half of what boundless tiles would reach is reached.
    pub(super) half_intensity: Factor,
    /// How much faster than memory partial sums of a split travel.
    pub(super) split_speedup: Factor,
    /// How sharply the larger of compute and memory time decides.
    pub(super) sharpness: Factor,
    /// How corrections by measurements are interpolated.
    pub(super) kriging: KrigingFile,
    /// What it was fitted to, and how far off it is.
    pub(super) evidence: EvidenceFile,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KrigingFile {
    /// Scales of the correlation, from wide to narrow.
    pub(super) scales: Vec<ScaleFile>,
    /// How much single measurements scatter, over what the scales explain.
    pub(super) noise: Factor,
    /// How far a residual may lie from what its neighbours predict; any if none is given.
    pub(super) clip: Option<Factor>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScaleFile {
    /// Share of the corrections at this scale.
    pub(super) share: Factor,
    /// Correlation length along each dimension, in doublings.
    pub(super) lengths: Vec<Factor>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Experts {
    /// The kernel.
    pub(super) kernel: String,
    /// The format.
    #[schemars(with = "String")]
    pub(super) precision: Spanned<String>,
    /// How tiles are chosen.
    #[schemars(with = "String")]
    pub(super) tiles: Spanned<String>,
    /// The same in the measurements.
    #[schemars(with = "Option<String>")]
    pub(super) measured_tiles: Option<Spanned<String>>,
    /// Before the first block.
    pub(super) launch: Written<SimDuration>,
    /// Share of peak arithmetic of tiles of fewer than 64 rows.
    pub(super) small_efficiency: Factor,
    /// Share of peak arithmetic of larger tiles.
    pub(super) large_efficiency: Factor,
    /// Loads from the L2 cache, over the memory's bandwidth.
    pub(super) cache_bandwidth: Factor,
    /// One step along the inner dimension.
    pub(super) step: Written<SimDuration>,
    /// One block, beyond its steps.
    pub(super) block: Written<SimDuration>,
    /// A wait for loads, where few blocks run.
    pub(super) latency: Written<SimDuration>,
    /// Elements loaded one at a time where the inner dimension is no multiple of 16, per nanosecond and SM.
    pub(super) ragged_per_ns: Factor,
    /// Share of the memory's bandwidth.
    pub(super) memory_efficiency: Factor,
    /// The same where steps are less deep than a cache line.
    pub(super) narrow_efficiency: Factor,
    /// Share of weights that each further group of row blocks fetches again.
    pub(super) refetched: Factor,
    /// How sharply the larger of compute and memory time decides.
    pub(super) sharpness: Factor,
    /// Share of the memory's bandwidth in activation, permute and sum.
    pub(super) traffic_efficiency: Factor,
    /// Size of the L2 cache.
    pub(super) cache: Written<Bytes>,
    /// How much faster weights that lie in it are read, less one.
    pub(super) cache_speedup: Factor,
    /// Whether networks without a gate were timed with one, too.
    pub(super) always_gated: bool,
    /// Half-widths of its intervals.
    pub(super) interval: Option<IntervalFile>,
    /// How corrections by measurements are interpolated.
    pub(super) kriging: KrigingFile,
    /// What it was fitted to, and how far off it is.
    pub(super) evidence: EvidenceFile,
}

/// Half-widths in units of the kriging's standard deviation.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IntervalFile {
    /// Where experts of the same kind were measured.
    pub(super) known: Factor,
    /// Where none were.
    pub(super) absent: Factor,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Memory {
    /// Share of the memory's bandwidth.
    pub(super) efficiency: Factor,
    /// Before the first byte.
    pub(super) launch: Written<SimDuration>,
    /// What it was fitted to, and how far off it is.
    pub(super) evidence: EvidenceFile,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Collective {
    /// By number of GPUs.
    pub(super) ramp: Vec<RampFile>,
    /// What it was fitted to, and how far off it is.
    pub(super) evidence: EvidenceFile,
    /// How far off numbers of GPUs are that were not measured.
    pub(super) unseen_gpus: Option<Unseen>,
}

/// How far off numbers of GPUs or groups are that were not measured.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Unseen {
    /// What it was judged on, and how far off it is.
    pub(super) evidence: EvidenceFile,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RampFile {
    /// GPUs that take part.
    pub(super) gpus: Count<2, 65_536>,
    /// Before the first byte.
    pub(super) alpha: Written<SimDuration>,
    /// Of large messages.
    pub(super) bandwidth: Written<Bandwidth>,
    /// What leaving the low-latency protocol costs.
    pub(super) ramp: Written<SimDuration>,
    /// Bytes around which it is reached.
    pub(super) ramp_bytes: Written<Bytes>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExchangeFile {
    /// Which of its kernels: dispatch or combine, and the format.
    pub(super) name: String,
    /// The library.
    #[schemars(with = "String")]
    pub(super) library: Spanned<String>,
    /// Bytes of a number on the wire.
    pub(super) bytes: Factor,
    /// By number of nodes.
    pub(super) prior: Vec<ExchangePriorFile>,
    /// How corrections by measurements are interpolated.
    pub(super) kriging: KrigingFile,
    /// What it was fitted to, and how far off it is.
    pub(super) evidence: EvidenceFile,
    /// How far off it is within one node.
    pub(super) one_node: Option<Unseen>,
    /// How far off numbers of nodes are that were not measured.
    pub(super) unseen_groups: Option<Unseen>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExchangePriorFile {
    /// Nodes, or GPUs of a domain.
    pub(super) groups: Count<1, 65_536>,
    /// Before the first byte.
    pub(super) alpha: Written<SimDuration>,
    /// What each expert adds.
    pub(super) expert: Written<SimDuration>,
    /// What one engine moves: an SM, or a warp group that receives.
    pub(super) sm_bandwidth: Written<Bandwidth>,
    /// Where links saturate.
    pub(super) bandwidth: Written<Bandwidth>,
    /// Of copies that stay.
    pub(super) local_bandwidth: Written<Bandwidth>,
    /// Share of the links' rate that the fabric carried while it was measured.
    pub(super) fabric: Number<1, 1_000>,
    /// Copies of a token that stay, as engines count them.
    pub(super) own: Number<0, 1_000_000>,
    /// Share of the ranks that a token does not reach which engines pass over all the same; none unless given.
    pub(super) unreached: Option<Number<0, 1_000>>,
    /// How sharply the larger of its times decides.
    pub(super) sharpness: Factor,
    /// What each slot adds, on one SM.
    pub(super) slot: Written<SimDuration>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InterNode {
    /// Share of the NIC's rate.
    pub(super) efficiency: Factor,
    /// By number of nodes.
    pub(super) alpha: Vec<AlphaFile>,
    /// What it was fitted to, and how far off it is.
    pub(super) evidence: EvidenceFile,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AlphaFile {
    /// Nodes that take part.
    pub(super) nodes: Count<2, 65_536>,
    /// Before the first byte.
    pub(super) alpha: Written<SimDuration>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EvidenceFile {
    /// What it was fitted to.
    pub(super) fitted_on: String,
    /// Measurements.
    pub(super) rows: Count<0, 2_000_000_000>,
    /// Errors of the equations alone.
    pub(super) prior: Option<ResidualFile>,
    /// Errors on what was left out of the fit.
    pub(super) held_out: Option<ResidualFile>,
    /// What was left out, one at a time.
    #[serde(default)]
    pub(super) left_out: String,
    /// 90th percentile of |log error| on it.
    pub(super) log_error_p90: Option<Number<0, 100_000>>,
    /// Quantiles of log errors on it.
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
    /// Median of |error|.
    pub(super) median: Number<0, 1_000_000>,
    /// 90th percentile of |error|.
    pub(super) p90: Number<0, 1_000_000>,
    /// Median error, with its sign.
    pub(super) bias: Number<{ -1_000_000 }, 1_000_000>,
}
