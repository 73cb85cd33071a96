//! How a training step is put together: its schedule, what is computed again, and what replicas share.

/// The order of a pipeline stage's forward and backward passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum PipelineSchedule {
    /// One forward, one backward [pipedream]; interleaved where a stage has several chunks [megatron21].
    #[default]
    OneForwardOneBackward,
    /// ZB-H1 [zerobubble]: weight gradients fill the bubble, at the memory of one forward, one backward.
    ZeroBubbleH1,
    /// DualPipe [deepseekv3, §3.2.1]: micro-batches enter at both ends; every GPU holds two chunks.
    DualPipe,
}

impl PipelineSchedule {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::OneForwardOneBackward, Self::ZeroBubbleH1, Self::DualPipe];

    /// Its word in workload files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::OneForwardOneBackward => "1f1b",
            Self::ZeroBubbleH1 => "zero-bubble-h1",
            Self::DualPipe => "dualpipe",
        }
    }
}

/// What the backward pass computes again instead of keeping it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recompute {
    /// Nothing.
    #[default]
    Nothing,
    /// Norms and activations: kernels that only move memory.
    Selective,
    /// Those, and the products that latent attention makes its queries, keys and values with from their bottlenecks
    /// [deepseekv3, §3.2.3].
    UpProjections,
    /// Whole layers, their exchanges included.
    Full,
}

impl Recompute {
    /// Whether norms and activations are computed again while the layer's products and exchanges are not.
    #[must_use]
    pub const fn moves_again(self) -> bool {
        matches!(self, Self::Selective | Self::UpProjections)
    }

    /// Its word in workload files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Selective => "selective",
            Self::UpProjections => "up-projections",
            Self::Full => "full",
        }
    }
}

/// What replicas divide among them [zero].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Zero {
    /// Nothing: gradients are reduced for all.
    Off,
    /// Optimiser states; gradients are reduced to their owners, parameters gathered from them once a step.
    Optimiser,
    /// Gradients too: reduced after every micro-batch.
    Gradients,
    /// Parameters too: gathered before every pass through a layer, and let go of after it, as FSDP does.
    Parameters,
}

/// How a training step is put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Training {
    /// The order of passes.
    pub schedule: PipelineSchedule,
    /// Chunks of layers on each pipeline stage.
    pub chunks: u32,
    /// Whether the forward pass of one micro-batch and the backward pass of another run together, so that
    /// each computes while the other exchanges.
    pub paired: bool,
    /// What is computed again.
    pub recompute: Recompute,
    /// What replicas divide among them.
    pub zero: Zero,
    /// Whether gradients are reduced and parameters gathered while passes go on.
    pub overlapped_gradients: bool,
    /// Bytes of a gradient between replicas.
    pub gradient_bytes: u64,
    /// Bytes of each of the optimiser's two moments of a parameter.
    pub moment_bytes: u64,
    /// Bytes of a number that is kept of the inputs of activations.
    pub kept_bytes: u64,
}

impl Training {
    /// As Megatron-LM trains where nothing is said: 1F1B, the optimiser's states divided, gradients in 32 bits
    /// reduced while the backward pass goes on.
    pub const USUAL: Self = Self {
        schedule: PipelineSchedule::OneForwardOneBackward,
        chunks: 1,
        paired: false,
        recompute: Recompute::Nothing,
        zero: Zero::Optimiser,
        overlapped_gradients: true,
        gradient_bytes: 4,
        moment_bytes: 4,
        kept_bytes: 2,
    };
}
