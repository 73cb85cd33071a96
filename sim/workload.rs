//! The model, the batch and the parallel layout, as inert data that is built valid.

mod batch;
mod host;
mod law;
mod layout;
mod model;
mod overlap;
mod recording;
mod scheme;
mod stack;
mod stages;
mod training;
mod twin;

use std::sync::Arc;

use crate::base::units::Bytes;

pub use batch::Batch;
pub use host::Host;
pub use law::{Latents, Law, LayerLaw, Lengths};
pub use layout::Layout;
pub use model::{Attention, Dense, Experts, GateNetwork, Model, SlidingWindow, ZeroComputation};
pub use overlap::Overlap;
pub use recording::{Recording, SequenceCounts};
pub use scheme::{Places, Scheme, Scoring, Seen};
pub use stack::{Epilogue, ExchangeLibrary, ExpertsKernel, Phase, Stack};
pub use stages::{Chunks, spread};
pub use training::{PipelineSchedule, Recompute, Training, Zero};
pub use twin::{Twin, USUAL_TAU};

/// How numbers are stored and multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dtype {
    /// Brain floating point, 16 bits.
    Bf16,
    /// 8-bit floating point, scaled by tensor or block.
    Fp8,
}

impl Dtype {
    /// Its word in workload files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::Fp8 => "fp8",
        }
    }

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

/// What happens to slots beyond an expert's share (the law is in `gate::limit`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Capacity {
    /// Nothing is dropped.
    Dropless,
    /// Slots beyond `factor` times the expert's even share are dropped [moepp, eq. 8].
    Drop {
        /// The capacity factor γ.
        factor: f64,
        /// What the even share is a share of.
        of: ShareOf,
        /// Which slots are dropped.
        by: DropBy,
    },
    /// As `Drop`, and unused slots are computed as padding.
    DropAndPad {
        /// The capacity factor γ.
        factor: f64,
        /// What the even share is a share of.
        of: ShareOf,
        /// Which slots are dropped.
        by: DropBy,
    },
}

/// Which slots of a full expert are dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DropBy {
    /// The last tokens'.
    #[default]
    Position,
    /// Those with the smallest mixing weights.
    Probability,
}

/// The T of [moepp, eq. 8], which the paper does not define.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareOf {
    /// T counts chosen slots, K of them a token, as Megatron's capacity does.
    Slots,
    /// T counts tokens, as eq. 8 reads literally: with K = 2, nearly half of all slots are dropped.
    Tokens,
}

/// How unevenly the FFN experts of one layer are chosen, over all traffic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Popularity {
    /// Each expert's load is log-normal with this standard deviation of its logarithm; 0 is even.
    LogNormal {
        /// Standard deviation of ln(load / mean).
        sd: f64,
    },
    /// The loads of a layer are drawn together from a symmetric Dirichlet distribution.
    Dirichlet {
        /// Concentration α of each expert; large is even.
        concentration: f64,
    },
}

/// How counts are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// Token by token for small batches, by counts otherwise.
    Auto,
    /// Token by token: exact and slow.
    Exact,
    /// Counts of each expert, without tokens.
    Counts,
}

/// How the gate spreads tokens (the law is in `gate`).
#[derive(Clone, Debug, PartialEq)]
pub struct Gating {
    /// How unevenly FFN experts are chosen.
    pub popularity: Popularity,
    /// Logit shift λ of the FFN share away from eq. 7's equilibrium, by layer, begun again where there are more layers.
    pub ffn_logit_shift: Vec<f64>,
    /// The FFN share, where it is known from a measurement; it replaces τ and λ.
    pub ffn_share: Option<f64>,
    /// Relative popularity of one zero, copy and constant expert; only ratios matter.
    pub zero_computation_weights: [f64; 3],
    /// Standard deviation over tokens of the logit of choosing FFN experts.
    pub difficulty_sd: f64,
    /// How sequences and tokens differ.
    pub spread: Spread,
    /// How counts are drawn.
    pub sampling: Sampling,
    /// The rule that turns scores into choices.
    pub scheme: Scheme,
    /// How scores become mixing weights.
    pub scoring: Scoring,
    /// Where popularity and the spread of sequences come from.
    pub origin: Origin,
}

/// Where popularity and the spread of sequences come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Origin {
    /// They are drawn, with the popularity and spread given.
    #[default]
    Drawn,
    /// From a law that was fitted to a recording. It is of the FFN experts alone or of all.
    Law(Arc<Law>),
    /// From a recording, replayed.
    Recording(Arc<Recording>),
}

/// How sequences and tokens differ from each other (the law is in `gate::law`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Standard deviation over sequences of an FFN expert's logit; 0 makes all sequences alike.
    pub sequence_sd: f64,
    /// Share of that variance which comes from what layers have in common.
    pub common: f64,
    /// Domains of the traffic, equally likely.
    pub domains: u32,
    /// Standard deviation over domains of an FFN expert's logit.
    pub domain_sd: f64,
    /// Share of the common variance that drifts with all sequences together.
    pub drift: f64,
    /// Micro-batches in which a drift turns into another.
    pub drift_micro_batches: f64,
    /// How choices persist from token to token.
    pub persistence: Persistence,
}

impl Spread {
    /// All sequences alike and all tokens independent.
    pub const NONE: Self = Self {
        sequence_sd: 0.0,
        common: 0.0,
        domains: 1,
        domain_sd: 0.0,
        drift: 0.0,
        drift_micro_batches: 1.0,
        persistence: Persistence { share: 0.0, decay: 0.0, depth: 0.0 },
    };
}

/// How choices persist from token to token [`gate::law`, (3)].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Persistence {
    /// b: the share of the spread of tokens' scores that persists.
    pub share: f64,
    /// φ: how much of that is left one token later.
    pub decay: f64,
    /// c: the share of the spread of tokens' scores that all layers have in common.
    pub depth: f64,
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
    pub gating: Gating,
    /// Whether zero-computation experts live on every GPU (MoE++) or are placed like FFN experts.
    pub zero_computation_local: bool,
    /// The software that it names.
    pub stack: Stack,
    /// What the host does between steps and beside their kernels.
    pub host: Host,
    /// How a training step is put together.
    pub training: Training,
}

impl Workload {
    /// Bytes of one token's hidden vector between kernels: 16 bits a number, whatever products compute in.
    #[must_use]
    pub const fn token_bytes(&self) -> Bytes {
        Bytes(self.model.hidden as u64 * Dtype::Bf16.bytes())
    }

    /// Bytes of one token's hidden vector on its way to an expert.
    #[must_use]
    pub const fn dispatch_bytes(&self) -> Bytes {
        Bytes(self.model.hidden as u64 * self.batch.dispatch_dtype.bytes())
    }

    /// Bytes of one expert's result for a token on its way back.
    #[must_use]
    pub const fn combine_bytes(&self) -> Bytes {
        Bytes(self.model.hidden as u64 * self.batch.combine_dtype.bytes())
    }

    /// What the batch is part of: what the workload says, else decode where a GPU has at most
    /// [`Self::DECODE_TOKENS`] tokens or a sequence has one, else prefill. Training is never assumed.
    #[must_use]
    pub fn phase(&self) -> Phase {
        let few = self.batch.tokens_per_gpu <= Self::DECODE_TOKENS;
        let one = self.batch.sequence_tokens == 1;
        let derived = if few || one { Phase::Decode } else { Phase::Prefill };
        self.stack.phase.unwrap_or(derived)
    }

    /// Decode batches hold one token per sequence, and at most this many sequences per GPU; prompts are
    /// longer.
    pub const DECODE_TOKENS: u32 = 512;

    /// Layers that a micro-batch passes on one GPU; where they spread unevenly over stages, the most.
    #[must_use]
    pub const fn layers_per_gpu(&self) -> u32 {
        self.layers_passed().div_ceil(self.layout.pipeline_parallel)
    }

    /// Sequences, whole or begun, on one GPU in one micro-batch.
    #[must_use]
    pub const fn sequences_per_gpu(&self) -> u32 {
        self.batch.tokens_per_gpu.div_ceil(self.batch.sequence_tokens)
    }

    /// FFN experts that one GPU has places for.
    #[must_use]
    pub const fn experts_per_gpu(&self) -> u32 {
        (self.model.experts.ffn + self.layout.places.redundant()) / self.layout.expert_parallel
    }

    /// Columns of hidden vectors that a dispatched slot's first product has left: all, or the rank of
    /// what was computed before the gate.
    #[must_use]
    pub const fn first_product_columns(&self) -> u32 {
        match self.gating.scheme {
            Scheme::Autonomy { rank } => rank,
            _ => self.model.hidden,
        }
    }

    /// Columns of an FFN expert's inner products that one GPU computes.
    #[must_use]
    pub const fn expert_columns(&self) -> u32 {
        self.model.intermediate / self.layout.expert_tensor_parallel
    }

    /// Bytes of the parameters of one FFN expert that lie on one GPU.
    #[must_use]
    pub const fn expert_bytes_per_gpu(&self) -> Bytes {
        Bytes(self.expert_bytes().0 / self.layout.expert_tensor_parallel as u64)
    }

    /// Bytes of the parameters that go with one FFN expert: its matrices and biases.
    #[must_use]
    pub const fn expert_bytes(&self) -> Bytes {
        let products = self.model.matrices() as u64 - 1;
        let (hidden, inner) = (self.model.hidden as u64, self.model.intermediate as u64);
        let rows = self.first_product_columns() as u64 + products * hidden;
        let biases = if self.model.biases { products * inner + hidden } else { 0 };
        Bytes((rows * inner + biases) * self.batch.dtype.bytes())
    }

    /// Slots of a token in one round of a layer.
    #[must_use]
    pub const fn slots_per_round(&self) -> u32 {
        self.model.experts.top_k / self.gating.scheme.rounds()
    }

    /// The experts as one round of a layer sees them: K is that round's.
    #[must_use]
    pub const fn experts_of_round(&self) -> Experts {
        Experts { top_k: self.slots_per_round(), ..self.model.experts }
    }

    /// Gates of the model: one for each round of each layer.
    #[must_use]
    pub const fn gates(&self) -> u32 {
        self.layers_passed() * self.gating.scheme.rounds()
    }
}
