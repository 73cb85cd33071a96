//! Randomness by name: one seed a run, one stream of numbers a consumer.
//!
//! A stream is named for what draws from it (`"gate/layer=3"`), so a draw added in one place
//! never shifts the draws of another, and results do not depend on the order in which streams
//! are used or on the number of threads. The generator is ChaCha with 8 rounds; the name selects
//! its 64-bit stream through FNV-1a, so two names collide with probability 2⁻⁶⁴.

use std::fmt;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::hashes::{FNV_START, fnv1a, fnv1a_on};

/// The named random streams of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Streams {
    seed: u64,
}

impl Streams {
    /// The streams of the run with this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The stream of this name, from its beginning.
    #[must_use]
    pub fn named(self, name: &str) -> ChaCha8Rng {
        self.of_hash(fnv1a(name.as_bytes()))
    }

    /// The same of a name in parts, as `format_args!` gives it: where many are begun, none is written out.
    #[must_use]
    pub fn named_in_parts(self, name: fmt::Arguments<'_>) -> ChaCha8Rng {
        let mut hash = Hash(FNV_START);
        fmt::write(&mut hash, name).expect("a hash takes any text");
        self.of_hash(hash.0)
    }

    fn of_hash(self, hash: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(hash);
        rng
    }
}

/// The hash of the text that is written to it.
struct Hash(u64);

impl fmt::Write for Hash {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.0 = fnv1a_on(self.0, part.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn a_stream_depends_on_its_name_and_seed_alone() {
        let first = |seed, name: &str| Streams::new(seed).named(name).next_u64();
        assert_eq!(first(1, "gate/layer=3"), first(1, "gate/layer=3"));
        assert_ne!(first(1, "gate/layer=3"), first(1, "gate/layer=4"));
        assert_ne!(first(1, "gate/layer=3"), first(2, "gate/layer=3"));
        let (layer, mut whole) = (3, Streams::new(1).named("gate/layer=3"));
        let mut in_parts = Streams::new(1).named_in_parts(format_args!("gate/layer={layer}"));
        assert_eq!(in_parts.next_u64(), whole.next_u64());
    }
}
