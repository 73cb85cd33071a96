//! How a model is laid over GPUs: which of them share what.
//!
//! With E GPUs of expert parallelism, t that each expert's width is cut over, T·C of tensor and context parallelism and P
//! stages, GPUs number from the innermost to the outermost as
//!
//! ```text
//!   experts    cut (t), experts (E), replicas, stages            a group of E·t shares one copy of the experts  (1)
//!   the rest   tensors (T), contexts (C), replicas, stages                                                    (2)
//! ```
//!
//! so that the members of a cut lie side by side, as those of tensor parallelism do [megatronmoe, parallel folding].

use super::Places;

/// How the model is laid over the GPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Parts that the FFN experts of a layer are dealt into.
    pub expert_parallel: u32,
    /// GPUs that each part lies on, a share of the width of all its experts on each, numbered one after another.
    pub expert_tensor_parallel: u32,
    /// Pipeline stages; a GPU holds `layers / pipeline_parallel` layers.
    pub pipeline_parallel: u32,
    /// GPUs that share each dense product, numbered one after another; tokens between products are divided
    /// among them (sequence parallelism).
    pub tensor_parallel: u32,
    /// Groups of those that share each sequence.
    pub context_parallel: u32,
    /// Which expert lives where.
    pub places: Places,
}

impl Layout {
    /// GPUs that share one copy of the FFN experts.
    #[must_use]
    pub const fn expert_group(&self) -> u32 {
        self.expert_parallel * self.expert_tensor_parallel
    }

    /// GPUs of the smallest replica: whole groups of experts, and of tensors and contexts, in every stage.
    #[must_use]
    pub fn replica(&self) -> u64 {
        let shared = u64::from(self.tensor_parallel) * u64::from(self.context_parallel);
        let experts = u64::from(self.expert_parallel) * u64::from(self.expert_tensor_parallel);
        let group = if shared == 0 { experts } else { experts / gcd(experts, shared) * shared };
        u64::from(self.pipeline_parallel).saturating_mul(group)
    }

    /// How many of these GPUs whole replicas use, the first ones; the others idle.
    #[must_use]
    pub fn in_use(&self, gpus: u32) -> u32 {
        let replica = self.replica();
        // No more than `gpus`.
        if replica == 0 { 0 } else { gpus - (u64::from(gpus) % replica) as u32 }
    }
}

/// The greatest number that divides both.
const fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}
