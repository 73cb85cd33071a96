//! What a step's time goes to, in parts that MoE++ shortens or leaves.

use crate::execution::Scope;
use crate::execution::blame::Reason;
use crate::execution::outcome::Outcome;

/// A part of a step: several reasons of the blame table together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Part {
    /// FFN experts, forward and backward: fewer slots shorten them.
    Ffn,
    /// Dispatch and combine, forward and backward: fewer slots shorten them.
    Exchange,
    /// Attention and all else outside the experts, shared experts included.
    Dense,
    /// Gate, permute, mix, and zero-computation experts that no exchange hides.
    Routing,
    /// Launching kernels and synchronising.
    Launch,
    /// Waiting for other GPUs.
    Waiting,
    /// Collectives of tensor parallelism, gradients, parameters, the optimiser, moving experts.
    Others,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Ffn,
        Self::Exchange,
        Self::Dense,
        Self::Routing,
        Self::Launch,
        Self::Waiting,
        Self::Others,
    ];

    /// In a word or two.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ffn => "FFN experts",
            Self::Exchange => "dispatch and combine",
            Self::Dense => "attention and the rest",
            Self::Routing => "gate, permute, mix",
            Self::Launch => "launches",
            Self::Waiting => "waiting",
            Self::Others => "collectives, gradients, optimiser",
        }
    }

    /// As a key of JSON.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Ffn => "ffn_experts",
            Self::Exchange => "dispatch_combine",
            Self::Dense => "dense",
            Self::Routing => "routing",
            Self::Launch => "launch",
            Self::Waiting => "waiting",
            Self::Others => "others",
        }
    }

    const fn of(reason: Reason) -> Self {
        match reason {
            Reason::FfnGemm
            | Reason::FfnMemory
            | Reason::FfnIndexing
            | Reason::FfnBackward
            | Reason::FfnWeightGradients => Self::Ffn,
            Reason::Dispatch | Reason::Combine | Reason::BackwardExchange => Self::Exchange,
            Reason::Dense
            | Reason::DenseBackward
            | Reason::SharedExperts
            | Reason::LocalBackward => Self::Dense,
            Reason::Gate
            | Reason::Permute
            | Reason::Mix
            | Reason::ZeroComputation
            | Reason::RoutingBackward => Self::Routing,
            Reason::Launch => Self::Launch,
            Reason::DispatchWait
            | Reason::CombineWait
            | Reason::PipelineWait
            | Reason::BackwardWait
            | Reason::GradientWait
            | Reason::Done => Self::Waiting,
            Reason::Rebalance | Reason::TensorParallel | Reason::Gradients | Reason::Optimiser => {
                Self::Others
            }
        }
    }
}

/// Shares of the time counted by part, mean over GPUs and outcomes; they sum to one. Where experts alone are
/// counted, waiting is not.
#[must_use]
pub fn shares(outcomes: &[Outcome]) -> [f64; Part::ALL.len()] {
    let mut times = [0.0; Part::ALL.len()];
    for outcome in outcomes {
        let counts = |reason: &Reason| outcome.counted != Scope::Experts || !reason.is_wait();
        for reason in Reason::ALL.into_iter().filter(counts) {
            times[Part::of(reason) as usize] += outcome.mean_blame_ms(reason);
        }
    }
    let whole: f64 = times.iter().sum();
    times.map(|time| if whole > 0.0 { time / whole } else { 0.0 })
}
