//! The table `[batch]`.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::stack::PhaseWord;
use crate::config::{Count, Diagnostic, Number, Source};
use crate::workload::{Batch, Dtype};

/// Far more than any model drafts at once.
const MOST_DRAFTS: u32 = 16;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchTable {
    /// Tokens of a micro-batch on one GPU.
    pub(super) tokens_per_gpu: Count<1, 16_777_216>,
    /// Micro-batches of a step.
    pub(super) micro_batches: Count<1, 65_536>,
    /// Tokens of a sequence; in decode 1, or with `acceptance` 1 and its drafts.
    sequence_tokens: Count<1, 16_777_216>,
    /// Tokens that each sequence had before the batch.
    context: Option<Count<0, 16_777_216>>,
    /// Speculative decoding: probability that a draft is accepted if those before it were. All tokens of a sequence but
    /// the first are drafts of a layer that predicts one more token.
    #[schemars(with = "Option<Number<0, 1000>>")]
    acceptance: Option<Spanned<Number<0, 1000>>>,
    /// What experts and dense products compute in.
    dtype: DtypeWord,
    /// What attention multiplies in and keeps keys and values in; bf16 if none is given.
    attention_dtype: Option<DtypeWord>,
    /// Tokens on their way to experts; `dtype` if none is given.
    dispatch_dtype: Option<DtypeWord>,
    /// Results on their way back; bf16 if none is given.
    combine_dtype: Option<DtypeWord>,
    /// What `auto` goes by; guessed from the batch if none is given.
    pub(super) phase: Option<PhaseWord>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum DtypeWord {
    Bf16,
    Fp8,
}

impl BatchTable {
    /// The batch.
    pub(super) fn batch(&self) -> Batch {
        Batch {
            tokens_per_gpu: self.tokens_per_gpu.0,
            micro_batches: self.micro_batches.0,
            sequence_tokens: self.sequence_tokens.0,
            context: self.context.map(|tokens| tokens.0),
            acceptance: self.acceptance.as_ref().map(|share| share.get_ref().0),
            dtype: self.dtype.into(),
            attention_dtype: self.attention_dtype.map_or(Dtype::Bf16, Into::into),
            dispatch_dtype: self.dispatch_dtype.unwrap_or(self.dtype).into(),
            combine_dtype: self.combine_dtype.map_or(Dtype::Bf16, Into::into),
        }
    }

    /// Drafts are checked in decode, with all layers on each GPU, and are tokens of their sequences.
    pub(super) fn check_drafts(&self, source: &Source, stages: u32) -> Result<(), Diagnostic> {
        let Some(acceptance) = &self.acceptance else { return Ok(()) };
        let (all, each) = (self.tokens_per_gpu.0, self.sequence_tokens.0);
        let (found, help) = if !matches!(self.phase, Some(PhaseWord::Decode)) {
            let found = "is of speculative decoding, and batch.phase does not say decode";
            (found.to_owned(), "write batch.phase = \"decode\", or leave acceptance out")
        } else if each > 1 + MOST_DRAFTS {
            let found = format!("accepts drafts, and batch.sequence_tokens is {each}");
            (found, "set batch.sequence_tokens to one more than the drafts of a step: at most 17")
        } else if !all.is_multiple_of(each) {
            let found = format!("needs whole sequences, and {all} tokens are not of {each} each");
            (found, "make batch.tokens_per_gpu a multiple of batch.sequence_tokens")
        } else if stages > 1 {
            let found = format!("drafts by a layer behind the last, and there are {stages} stages");
            (found, "set layout.pipeline_parallel = 1, or leave acceptance out")
        } else {
            return Ok(());
        };
        Err(source.mistake(acceptance.span(), found, help))
    }
}

impl From<DtypeWord> for Dtype {
    fn from(word: DtypeWord) -> Self {
        match word {
            DtypeWord::Bf16 => Self::Bf16,
            DtypeWord::Fp8 => Self::Fp8,
        }
    }
}
