//! The batch of a step, and what of it speculative decoding drafts.

use super::{Dtype, Workload};

/// What one GPU does before results are needed.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Tokens on each GPU in one micro-batch.
    pub tokens_per_gpu: u32,
    /// Micro-batches, one after another.
    pub micro_batches: u32,
    /// Tokens in one sequence, for attention.
    pub sequence_tokens: u32,
    /// Tokens that each sequence had before this batch, where that is said: they take memory.
    pub context: Option<u32>,
    /// In speculative decoding, with what probability a draft is accepted if those before it were. All tokens of a
    /// sequence but the first are drafts then.
    pub acceptance: Option<f64>,
    /// Number format that experts and dense products compute in, and of parameters.
    pub dtype: Dtype,
    /// Number format in which attention multiplies, and keeps keys and values.
    pub attention_dtype: Dtype,
    /// Number format of tokens on their way to their experts.
    pub dispatch_dtype: Dtype,
    /// Number format of results on their way back.
    pub combine_dtype: Dtype,
}

impl Workload {
    /// Layers with experts that a micro-batch passes: the model's, and once for each draft the layer that predicts one
    /// more token [deepseekv3, §2.2].
    #[must_use]
    pub const fn layers_passed(&self) -> u32 {
        self.model.layers + self.drafts()
    }

    /// Tokens of a sequence that a decode step checks and did not have to compute one by one.
    #[must_use]
    pub const fn drafts(&self) -> u32 {
        if self.batch.acceptance.is_some() { self.batch.sequence_tokens - 1 } else { 0 }
    }

    /// Tokens that a step yields, as a share of those it computes: (1 + p + … + pᵏ)/(1 + k) with k drafts, each accepted
    /// with probability p if those before it were [leviathan23, eq. 1]; else all.
    #[must_use]
    pub fn yielded_share(&self) -> f64 {
        let Some(p) = self.batch.acceptance else { return 1.0 };
        let yielded: f64 = (0..=self.drafts()).map(|draft| p.powi(draft as i32)).sum();
        yielded / f64::from(1 + self.drafts())
    }
}
