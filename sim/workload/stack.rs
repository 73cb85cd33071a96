//! Which software a workload runs on: the experts' kernel, the exchange library, and the phase.
//!
//! What is named here decides which measured tables a run takes its times from. `auto` leaves the
//! choice to a documented rule (`kernels::choice` for experts), never to the order of names.

use std::fmt;

use super::Overlap;

/// What a batch is part of. It decides what `auto` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Training: Megatron-LM and its like.
    Training,
    /// Inference on whole prompts.
    Prefill,
    /// Inference on one token per sequence.
    Decode,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Training, Self::Prefill, Self::Decode];

    /// Its word in workload files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Prefill => "prefill",
            Self::Decode => "decode",
        }
    }
}

/// The kernel that runs the experts of a GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExpertsKernel {
    /// What people run for the phase, where the profile covers the shape (see `kernels::choice`).
    #[default]
    Auto,
    /// One grouped GEMM for each product (cuBLAS, TransformerEngine, DeepGEMM), derived from the
    /// profile's dense GEMM table.
    GroupedGemm,
    /// The profile's Triton kernel, as in SGLang and vLLM.
    Triton,
    /// The profile's CUTLASS kernel.
    Cutlass,
    /// The profile's TensorRT-LLM kernel.
    TrtLlm,
    /// A kernel by its name in the profile.
    Named(String),
}

impl ExpertsKernel {
    /// The choice of this word: one of the above, else a kernel's name in a profile.
    #[must_use]
    pub fn of_word(word: &str) -> Self {
        match word {
            "auto" => Self::Auto,
            "grouped-gemm" => Self::GroupedGemm,
            "triton" => Self::Triton,
            "cutlass" => Self::Cutlass,
            "trtllm" => Self::TrtLlm,
            name => Self::Named(name.to_owned()),
        }
    }
}

impl fmt::Display for ExpertsKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::GroupedGemm => "grouped-gemm",
            Self::Triton => "triton",
            Self::Cutlass => "cutlass",
            Self::TrtLlm => "trtllm",
            Self::Named(name) => name,
        })
    }
}

/// What the grouped products of experts do to their results before they write them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Epilogue {
    /// What they do to biases is done by kernels of their own, expert by expert, as in Megatron-LM.
    Plain,
    /// They add biases.
    #[default]
    Biases,
    /// They add biases, apply the activation and quantise its result, as cuDNN's fused kernels do.
    Activation,
}

impl Epilogue {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Biases, Self::Activation];

    /// Its word in workload files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Biases => "biases",
            Self::Activation => "activation",
        }
    }
}

/// The library that carries dispatch and combine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExchangeLibrary {
    /// What people run for the phase, where the profile covers the layout.
    #[default]
    Auto,
    /// NCCL's all-to-all.
    Nccl,
    /// DeepEP's kernels of high throughput.
    DeepEpNormal,
    /// DeepEP's kernels of low latency.
    DeepEpLowLatency,
    /// Hybrid-EP's kernels, within NVLink domains and between them.
    HybridEp,
    /// One-sided kernels within one NVLink domain, as on NVL72.
    NvlinkOneSided,
    /// Two-sided kernels within one NVLink domain, as on NVL72.
    NvlinkTwoSided,
}

impl ExchangeLibrary {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Auto,
        Self::Nccl,
        Self::DeepEpNormal,
        Self::DeepEpLowLatency,
        Self::HybridEp,
        Self::NvlinkOneSided,
        Self::NvlinkTwoSided,
    ];

    /// Its word in workload files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Nccl => "nccl",
            Self::DeepEpNormal => "deepep-normal",
            Self::DeepEpLowLatency => "deepep-low-latency",
            Self::HybridEp => "hybrid-ep",
            Self::NvlinkOneSided => "nvlink-one-sided",
            Self::NvlinkTwoSided => "nvlink-two-sided",
        }
    }

    /// Whether it takes a number of SMs.
    #[must_use]
    pub const fn takes_sms(self) -> bool {
        matches!(self, Self::Auto | Self::DeepEpNormal | Self::HybridEp)
    }
}

/// The software that a workload names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack {
    /// What the batch is part of; none: decided by [`super::Workload::phase`]'s rule.
    pub phase: Option<Phase>,
    /// Whether keys of `[training]` say so, and the workload names no phase.
    pub phase_implied: bool,
    /// The experts' kernel.
    pub experts: ExpertsKernel,
    /// What its grouped products do beside multiplying.
    pub epilogue: Epilogue,
    /// The rows of each expert are copied to a multiple of so many before its products, and back after; none: as they come.
    pub pad_rows: Option<u32>,
    /// Tile-aware token rounding [sonicmoe]: the rows of each expert are the nearest multiple of so many; none: as chosen.
    pub round_rows: Option<u32>,
    /// The exchange library.
    pub exchange: ExchangeLibrary,
    /// SMs that the library may use, where it takes such a number; none: its default.
    pub sms: Option<u32>,
    /// Whether those are kept from kernels for the whole step; else while exchanges are in flight.
    pub reserved: bool,
    /// What exchanges of a forward pass run beside.
    pub overlap: Overlap,
}
