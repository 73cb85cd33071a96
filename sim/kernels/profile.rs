//! What calibration learned of one device: a few constants a kernel family, and what is left over.
//!
//! A family's time is a physical prior with few constants times the exponential of a residual,
//!
//! ```text
//!   T(x) = prior(x; constants) · exp(r(x))                                   (1)
//! ```
//!
//! where `r` is a table over the shapes that were measured (`kernel::curves` says how it is read
//! between and beyond them). Data-sheet peaks are no business of a profile: they come with the
//! [`Device`] and a profile's efficiencies refer to them. Every family
//! carries its [`Evidence`]: what it was fitted on and how far it was off on what it had not seen.

use std::collections::BTreeMap;

use crate::base::units::{Bandwidth, SimDuration};
use crate::kernels::Device;
use crate::kernels::curves::Curves;
use crate::kernels::exchange::{ExchangePrior, Library};
use crate::kernels::experts::ExpertsPrior;
use crate::kernels::gemm::GemmPrior;
use crate::kernels::ramp::Ramp;

mod log_errors;
pub use log_errors::LogErrors;

/// How the numbers of a kernel are stored and scaled; a key of measured tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// Brain floating point, 16 bits.
    Bf16,
    /// 8-bit floating point, one scale a tensor.
    Fp8,
    /// 8-bit floating point, one scale a block.
    Fp8Block,
}

impl Precision {
    /// Its name in measurements and profiles.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bfloat16",
            Self::Fp8 => "fp8",
            Self::Fp8Block => "fp8_block",
        }
    }

    /// The precision of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Bf16, Self::Fp8, Self::Fp8Block].into_iter().find(|p| p.name() == name)
    }

    /// Bytes of one multiplied number.
    #[must_use]
    pub const fn bytes(self) -> f64 {
        match self {
            Self::Bf16 => 2.0,
            Self::Fp8 | Self::Fp8Block => 1.0,
        }
    }

    /// Its name in reports.
    #[must_use]
    pub const fn short(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::Fp8 => "fp8",
            Self::Fp8Block => "fp8_block",
        }
    }

    /// Peak rate that a profile's efficiencies refer to, as a multiple of the bf16 peak: tensor cores
    /// run 8-bit numbers twice as fast.
    #[must_use]
    pub const fn speedup(self) -> f64 {
        match self {
            Self::Bf16 => 1.0,
            Self::Fp8 | Self::Fp8Block => 2.0,
        }
    }
}

/// Robust statistics of relative errors `predicted / measured − 1`, as fractions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Residual {
    /// Median of |error|.
    pub median: f64,
    /// 90th percentile of |error|.
    pub p90: f64,
    /// Median of the signed error: positive when predictions are too slow.
    pub bias: f64,
}

/// What a family was fitted on, and how far off it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// The tables, or the publication when nothing was measured.
    pub fitted_on: String,
    /// Rows used; none when the figures are published and not fitted here.
    pub rows: usize,
    /// Error of the constants alone, with no residual table, on the rows of the fit.
    pub prior: Option<Residual>,
    /// Error with the residual table when whole shapes are left out of table and fit.
    pub held_out: Option<Residual>,
    /// What was left out, in words.
    pub left_out: String,
    /// Half-width of the split-conformal 90 % interval of |log error| over the left-out rows.
    pub log_error_p90: Option<f64>,
    /// The law of the log error over the left-out rows; none where nothing was left out.
    pub log_errors: Option<LogErrors>,
}

impl Evidence {
    /// Of something that nothing is known of.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            fitted_on: String::new(),
            rows: 0,
            prior: None,
            held_out: None,
            left_out: String::new(),
            log_error_p90: None,
            log_errors: None,
        }
    }
}

/// One kernel family: constants, residual table, evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct Family<P> {
    /// The constants of the prior.
    pub prior: P,
    /// What the prior leaves over, one table a popularity law for experts, else one.
    pub residual: Vec<Curves>,
    /// Where the constants come from.
    pub evidence: Evidence,
}

/// Which fused-experts kernel: `sglang_fused_moe_triton` and its like.
pub type KernelSource = String;

/// The collectives a profile may know, by their names in nccl-tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CollectiveOp {
    /// Every GPU sends a part to every other.
    AllToAll,
    /// Every GPU gets all parts.
    AllGather,
    /// Every GPU gets the sum of one part.
    ReduceScatter,
    /// Every GPU gets the sum of everything.
    AllReduce,
}

impl CollectiveOp {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::AllToAll, Self::AllGather, Self::ReduceScatter, Self::AllReduce];

    /// Its name in measurements and profiles.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllToAll => "alltoall",
            Self::AllGather => "all_gather",
            Self::ReduceScatter => "reduce_scatter",
            Self::AllReduce => "all_reduce",
        }
    }

    /// The collective of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.name() == name)
    }
}

/// A collective within a node: one ramp for each number of GPUs it was measured on.
#[derive(Clone, Debug, PartialEq)]
pub struct CollectiveFit {
    /// Ramps by number of GPUs, at least one.
    pub ramps: BTreeMap<u32, Ramp>,
    /// What the ramps leave over, by number of GPUs.
    pub residual: Curves,
    /// Where the constants come from.
    pub evidence: Evidence,
    /// How far off numbers of GPUs are that were not measured, where several were.
    pub unseen_gpus: Option<Evidence>,
}

/// Dispatch or combine by one library.
#[derive(Clone, Debug, PartialEq)]
pub struct ExchangeFit {
    /// The library.
    pub library: Library,
    /// Bytes of one number on the wire.
    pub bytes: f64,
    /// Constants by number of groups, at least one.
    pub priors: BTreeMap<u32, ExchangePrior>,
    /// What they leave over, by (groups, hidden, top-k, experts, SMs) over tokens.
    pub residual: Curves,
    /// Where the constants come from.
    pub evidence: Evidence,
    /// How far off numbers of groups are that were not measured, where several were.
    pub unseen_groups: Option<Evidence>,
}

/// Kernels that only move memory.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryFit {
    /// Sustained share of the data sheet's memory bandwidth.
    pub efficiency: f64,
    /// Time from launch to end of a kernel that does next to nothing.
    pub launch: SimDuration,
    /// Where they come from.
    pub evidence: Evidence,
}

/// What leaves a node, as seen by one GPU.
#[derive(Clone, Debug, PartialEq)]
pub struct InterNodeFit {
    /// Share of the NIC's line rate under an all-to-all.
    pub efficiency: f64,
    /// Start-up time of an NCCL all-to-all by number of nodes.
    pub alpha: BTreeMap<u32, SimDuration>,
    /// Where they come from.
    pub evidence: Evidence,
}

/// What calibration learned of one device.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Name of the file or built-in: `"a100-sxm"`.
    pub name: String,
    /// The device, as the measurements name it.
    pub device: String,
    /// The data-sheet peaks that efficiencies refer to.
    pub data_sheet: Device,
    /// The data-sheet peak of one GPU's link to its node's others, one direction.
    pub scale_up: Option<Bandwidth>,
    /// Dense GEMM by precision.
    pub gemm: BTreeMap<Precision, Family<GemmPrior>>,
    /// Fused experts by kernel and precision.
    pub experts: BTreeMap<(KernelSource, Precision), Family<ExpertsPrior>>,
    /// Kernels that only move memory.
    pub memory: MemoryFit,
    /// Collectives within a node.
    pub collectives: BTreeMap<CollectiveOp, CollectiveFit>,
    /// Dispatch and combine, by library, operation and format: `deepep_normal/dispatch`.
    pub exchanges: BTreeMap<String, ExchangeFit>,
    /// The most one pair of GPUs exchanges within a node, whatever else is idle.
    pub pair_bandwidth: Option<Bandwidth>,
    /// What leaves the node, where it is known.
    pub inter_node: Option<InterNodeFit>,
}
