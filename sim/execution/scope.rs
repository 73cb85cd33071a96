//! What of a run is counted.

/// What is counted as the run's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// FFN and zero-computation experts alone: the paper's expert forward time.
    Experts,
    /// The whole MoE layer: gate to mix, with both exchanges.
    MoeLayer,
    /// The whole forward pass, attention and the rest included.
    ModelForward,
    /// MoE layers forward and backward, each layer's weight gradients included; no attention, no optimiser.
    LayerTraining,
    /// A training step of the whole model: forward, backward, gradients between replicas, optimiser.
    TrainingStep,
}

impl Scope {
    /// Whether attention and everything else outside the MoE layers counts.
    #[must_use]
    pub const fn is_whole_model(self) -> bool {
        matches!(self, Self::ModelForward | Self::TrainingStep)
    }

    /// Whether there is a backward pass.
    #[must_use]
    pub const fn has_backward(self) -> bool {
        matches!(self, Self::LayerTraining | Self::TrainingStep)
    }

    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Experts,
        Self::MoeLayer,
        Self::ModelForward,
        Self::LayerTraining,
        Self::TrainingStep,
    ];

    /// Its word in scenario files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Experts => "experts",
            Self::MoeLayer => "moe-layer",
            Self::ModelForward => "model-forward",
            Self::LayerTraining => "layer-training",
            Self::TrainingStep => "training-step",
        }
    }

    /// What takes the time, in a word or two, for tables.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Experts => "expert forward",
            Self::MoeLayer => "MoE layers",
            Self::ModelForward => "forward pass",
            Self::LayerTraining => "MoE fwd and bwd",
            Self::TrainingStep => "training step",
        }
    }

    /// The name of the time in JSON.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Experts => "expert_forward_ms",
            Self::MoeLayer => "moe_layers_ms",
            Self::ModelForward => "model_forward_ms",
            Self::LayerTraining => "moe_layers_training_ms",
            Self::TrainingStep => "training_step_ms",
        }
    }

    /// What it is, in a line.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Experts => {
                "expert forward: FFN and zero-computation experts alone, mean over GPUs"
            }
            Self::MoeLayer => {
                "MoE layers: gate to mix, with both exchanges, the slowest GPU deciding"
            }
            Self::ModelForward => "the whole forward pass, the slowest GPU deciding",
            Self::LayerTraining => {
                "MoE layers forward and backward, weight gradients included, the slowest GPU deciding"
            }
            Self::TrainingStep => {
                "a training step: forward, backward, gradients, optimiser; the slowest GPU deciding"
            }
        }
    }
}
