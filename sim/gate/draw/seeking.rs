//! Streams of a layer and micro-batch, of which a draw reads some.

use std::fmt;

use rand_chacha::ChaCha8Rng;

use crate::base::streams::Streams;

/// What streams of a layer are named for.
#[derive(Clone, Copy)]
pub(super) enum Batch {
    Numbered(u32),
    Pool,
    Steps,
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numbered(number) => write!(f, "micro_batch={number}"),
            Self::Pool => f.write_str("pool"),
            Self::Steps => f.write_str("steps"),
        }
    }
}

/// A stream that is begun, and whose place is taken, only where it is read: either makes new numbers.
pub(in crate::gate) struct Seeking {
    streams: Streams,
    /// What is drawn from it.
    purpose: &'static str,
    /// What it is for: a layer alone, or all.
    of: Option<u32>,
    batch: Batch,
    rng: Option<ChaCha8Rng>,
    pub(super) ahead: Option<u128>,
}

impl Seeking {
    pub(super) const fn new(
        streams: Streams,
        purpose: &'static str,
        of: Option<u32>,
        batch: Batch,
    ) -> Self {
        Self { streams, purpose, of, batch, rng: None, ahead: None }
    }

    /// The stream at another place.
    pub(super) fn at(&mut self, word: u128) -> &mut ChaCha8Rng {
        self.ahead = Some(word);
        self.here()
    }

    /// The stream at its place.
    pub(in crate::gate) fn here(&mut self) -> &mut ChaCha8Rng {
        let (streams, purpose, batch) = (self.streams, self.purpose, self.batch);
        let rng = self.rng.get_or_insert_with(|| match self.of {
            Some(layer) => {
                streams.named_in_parts(format_args!("gate/{purpose}/layer={layer}/{batch}"))
            }
            None => streams.named_in_parts(format_args!("gate/{purpose}/{batch}")),
        });
        if let Some(word) = self.ahead.take() {
            rng.set_word_pos(word);
        }
        rng
    }
}
