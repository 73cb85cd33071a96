//! What a forward pass computes while tokens travel, beside shared and zero-computation experts.

use std::borrow::Cow;
use std::fmt;

use super::Workload;

/// What exchanges of a forward pass run beside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Overlap {
    /// What every GPU does for its own tokens alone: shared, copy and constant experts, a shortcut's dense block.
    #[default]
    None,
    /// Two-batch overlap [deepseekv3, §3.4; sglang]: the halves of each micro-batch take turns layer by layer, so that
    /// one computes while the other is exchanged.
    TwoBatch,
    /// Single-batch overlap [sglang, pull request 9660]: results travel back while experts compute their last product.
    SingleBatch,
    /// Chunked overlap [fastermoe; tutel]: the slots of a layer travel in this many chunks, at least 2, and experts
    /// compute one while the next arrives and the one before returns.
    Chunks(u32),
    /// The same in as many chunks of [`Self::TRIED`] as take least, chosen run by run [tutel].
    BestChunks,
}

impl Overlap {
    /// Numbers of chunks among which the best is found.
    pub const TRIED: [u32; 4] = [1, 2, 4, 8];

    /// Those of [`Self::TRIED`] that divide this many tokens.
    pub fn tried(tokens: u32) -> impl Iterator<Item = u32> {
        Self::TRIED.into_iter().filter(move |chunks| tokens.is_multiple_of(*chunks))
    }

    /// So many chunks; one is no overlap.
    #[must_use]
    pub const fn chunks(chunks: u32) -> Self {
        if chunks == 1 { Self::None } else { Self::Chunks(chunks) }
    }

    /// Parts that the tokens of a GPU's micro-batch are exchanged in.
    #[must_use]
    pub const fn parts(self) -> u32 {
        match self {
            Self::None | Self::SingleBatch | Self::BestChunks => 1,
            Self::TwoBatch => 2,
            Self::Chunks(chunks) => chunks,
        }
    }

    /// Its word in workload files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::TwoBatch => "two-batch",
            Self::SingleBatch => "single-batch",
            Self::Chunks(_) | Self::BestChunks => "chunks",
        }
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chunks(chunks) => write!(f, "{chunks} chunks"),
            Self::BestChunks => f.write_str("the best number of chunks"),
            other => f.write_str(other.word()),
        }
    }
}

impl Workload {
    /// The part of each micro-batch that is exchanged, and passes through experts, at once: all of it without overlap.
    #[must_use]
    pub fn exchanged_part(&self) -> Cow<'_, Self> {
        let parts = self.stack.overlap.parts();
        if parts == 1 {
            return Cow::Borrowed(self);
        }
        let mut part = self.clone();
        // What is derived of the number of tokens is derived of all.
        part.stack.phase = Some(self.phase());
        part.stack.overlap = Overlap::None;
        part.batch.tokens_per_gpu = self.batch.tokens_per_gpu / parts;
        Cow::Owned(part)
    }

    /// The part of each micro-batch that passes through everything else at once.
    #[must_use]
    pub fn batch_part(&self) -> Cow<'_, Self> {
        match self.stack.overlap {
            Overlap::TwoBatch => self.exchanged_part(),
            _ => Cow::Borrowed(self),
        }
    }
}
