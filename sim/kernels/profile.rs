//! What calibration learned of one device: a few constants a kernel family, and what is left over.
//!
//! A family's time is a physical prior with few constants times the exponential of a residual,
//!
//! ```text
//!   T(x) = prior(x; constants) · exp(r(x))                                   (1)
//! ```
//!
//! where `r` is a table over the shapes that were measured (`kernels::curves` says how it is read
//! between and beyond them). Data-sheet peaks are no business of a profile: they come with the
//! [`Device`] and a profile's efficiencies refer to them. Every family
//! carries its [`Evidence`]: what it was fitted on and how far it was off on what it had not seen.

use std::collections::BTreeMap;

use crate::base::units::{Bandwidth, Bytes, SimDuration};
use crate::kernels::Device;
use crate::kernels::curves::Curves;
use crate::kernels::experts::ExpertsPrior;
use crate::kernels::gemm::GemmPrior;
use crate::kernels::ramp::Ramp;

pub use super::evidence::{Evidence, LogErrors, Residual};
pub use super::exchange::ExchangeFit;
pub use super::precision::Precision;

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
    /// Whether GPUs of a node reach each other's memory, by NVLink or over PCI Express; else all their flows
    /// share the host's.
    pub peer_to_peer: bool,
}

/// Kernels of an MoE layer that mostly move memory, and that a device may have been measured at one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemoryKernel {
    /// Rows into the experts' order.
    Permute,
    /// Rows back into their tokens.
    Mix,
    /// Softmax, top-K and the order of rows.
    Choose,
    /// Copy experts at once.
    Copy,
    /// Constant experts at once.
    Constant,
    /// A copy expert of a loop over experts, its visit not counted.
    LoopCopy,
    /// A constant expert of such a loop.
    LoopConstant,
}

impl MemoryKernel {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Permute,
        Self::Mix,
        Self::Choose,
        Self::Copy,
        Self::Constant,
        Self::LoopCopy,
        Self::LoopConstant,
    ];

    /// Its name in measurements and profiles.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Permute => "permute",
            Self::Mix => "mix",
            Self::Choose => "choose",
            Self::Copy => "copy",
            Self::Constant => "constant",
            Self::LoopCopy => "loop_copy",
            Self::LoopConstant => "loop_constant",
        }
    }

    /// How many kernels are launched for it, those of a visit to an expert left out.
    #[must_use]
    pub const fn launches(self) -> u32 {
        match self {
            Self::Choose => 3,
            Self::LoopCopy | Self::LoopConstant => 0,
            _ => 1,
        }
    }
}

/// What one of them moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Which.
    pub kernel: MemoryKernel,
    /// Numbers of one row: the hidden size, or the experts that are chosen from.
    pub width: u32,
    /// Bytes in all, reads and writes.
    pub bytes: Bytes,
}

/// What bytes and launches leave over of one kernel at the sizes that were measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MovingFit {
    /// By the width of a row, then by bytes: ln(measured / predicted).
    pub residual: BTreeMap<u32, BTreeMap<u32, f64>>,
}

/// Kernels that only move memory.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryFit {
    /// Sustained share of the data sheet's memory bandwidth.
    pub efficiency: f64,
    /// Time from launch to end of a kernel that does next to nothing.
    pub launch: SimDuration,
    /// What these two leave over of kernels that were measured by themselves.
    pub kernels: BTreeMap<MemoryKernel, MovingFit>,
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
