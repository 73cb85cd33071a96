//! The model, the batch and the parallel layout, as inert data that is built valid.

use crate::units::Bytes;

mod model;
pub use model::{Experts, GateNetwork, Model, ZeroComputation};

/// How numbers are stored and multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dtype {
    /// Brain floating point, 16 bits.
    Bf16,
    /// 8-bit floating point, scaled by tensor or block.
    Fp8,
}

impl Dtype {
    /// Bytes of one number.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Bf16 => 2,
            Self::Fp8 => 1,
        }
    }
}

/// How the experts of a GPU are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execution {
    /// A loop over experts, one chain of launches each, as in MoE++'s public code.
    Sequential,
    /// One grouped GEMM for all experts of the GPU.
    Grouped,
}

/// What happens to slots beyond an expert's share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Capacity {
    /// Nothing is dropped.
    Dropless,
    /// Slots beyond `factor` times the expert's even share are dropped [moepp, eq. 8].
    Drop {
        /// The capacity factor γ.
        factor: f64,
    },
    /// As `Drop`, and unused slots are computed as padding.
    DropAndPad {
        /// The capacity factor γ.
        factor: f64,
    },
}

/// What one GPU does before results are needed.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Tokens on each GPU in one micro-batch.
    pub tokens_per_gpu: u32,
    /// Micro-batches, one after another.
    pub micro_batches: u32,
    /// Tokens in one sequence, for attention.
    pub sequence_tokens: u32,
    /// Number format of activations and parameters.
    pub dtype: Dtype,
}

/// How the model is laid over the GPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// GPUs that share one copy of the FFN experts.
    pub expert_parallel: u32,
    /// Pipeline stages; a GPU holds `layers / pipeline_parallel` layers.
    pub pipeline_parallel: u32,
}

/// How the gate spreads tokens (see `gate`).
#[derive(Clone, Debug, PartialEq)]
pub struct Routing {
    /// Standard deviation of the log-normal popularity of FFN experts within a layer.
    pub popularity_sd: f64,
    /// Logit shift λ of the FFN share away from eq. 7's equilibrium.
    pub ffn_logit_shift: f64,
    /// Relative popularity of zero, copy and constant experts, each against their mean.
    pub zero_computation_weights: [f64; 3],
}

/// Everything `simulate` needs to know of what is to be computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Name of the file or built-in.
    pub name: String,
    /// The model.
    pub model: Model,
    /// The batch.
    pub batch: Batch,
    /// The parallel layout.
    pub layout: Layout,
    /// How experts are run.
    pub execution: Execution,
    /// What happens to slots beyond an expert's share.
    pub capacity: Capacity,
    /// How the gate spreads tokens.
    pub routing: Routing,
    /// Whether zero-computation experts live on every GPU (MoE++) or are placed like FFN experts.
    pub zero_computation_local: bool,
}

impl Workload {
    /// Bytes of one token's hidden vector.
    #[must_use]
    pub const fn token_bytes(&self) -> Bytes {
        Bytes(self.model.hidden as u64 * self.batch.dtype.bytes())
    }

    /// Layers that one GPU holds.
    #[must_use]
    pub const fn layers_per_gpu(&self) -> u32 {
        self.model.layers / self.layout.pipeline_parallel
    }

    /// FFN experts that one GPU holds.
    #[must_use]
    pub const fn experts_per_gpu(&self) -> u32 {
        self.model.experts.ffn / self.layout.expert_parallel
    }
}
