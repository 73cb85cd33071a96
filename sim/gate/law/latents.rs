//! Drawing the latents of a sequence.
//!
//! A recorded sequence is drawn in proportion to its tokens. Where latents have few dimensions the rest of what
//! sequences differ by is noise, and they are blurred, so that a draw is never quite one that was recorded:
//!
//! ```text
//!   h = √(1−β) h_s + √β e,     e ~ N(0, 1)                                                    (1)
//! ```
//!
//! which keeps their mean and variance. Where each dimension is a recorded sequence, a draw is one of them as it was,
//! and takes its deviations from one row however many there are. Blur of a twentieth gave no better loads on other
//! sequences, and let one expert take nearly all of a sequence's tokens half as often again.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::workload::{Latents, Law};

/// β of (1).
const BLUR: f64 = 0.1;

/// The latents of one sequence.
#[derive(Clone, Debug)]
pub(in crate::gate) enum Drawn {
    /// By dimension.
    All(Vec<f64>),
    /// One dimension and its latent, all others being zero.
    One(usize, f64),
}

impl Drawn {
    /// These latents with a share of their variance taken by others that all sequences have in common.
    pub(in crate::gate) fn drifted(self, share: f64, common: &[f64]) -> Self {
        let kept = (1.0 - share).sqrt();
        let mut all = common.to_vec();
        match self {
            Self::All(own) => all.iter_mut().zip(own).for_each(|(h, own)| *h += kept * own),
            Self::One(k, own) => all[k] += kept * own,
        }
        Self::All(all)
    }
}

impl Law {
    /// Draws the latents of a sequence.
    pub(in crate::gate) fn latents(&self, rng: &mut ChaCha8Rng) -> Drawn {
        let at = match self.latents {
            Latents::Normal => 0.0,
            Latents::Recorded(..) | Latents::Sequences(_) => rng.random(),
        };
        self.latents_at(at, rng)
    }

    /// The same for the recorded sequence within which this share of all tokens ends.
    pub(in crate::gate) fn latents_at(&self, share: f64, rng: &mut ChaCha8Rng) -> Drawn {
        let mut normal = || -> f64 { StandardNormal.sample(rng) };
        match &self.latents {
            Latents::Normal => Drawn::All((0..self.rank).map(|_| normal()).collect()),
            Latents::Recorded(of, lengths) => {
                let of = of[lengths.at(share)].iter();
                Drawn::All(of.map(|h| (1.0 - BLUR).sqrt() * h + BLUR.sqrt() * normal()).collect())
            }
            Latents::Sequences(lengths) => {
                Drawn::One(lengths.at(share), ((lengths.sequences() - 1) as f64).sqrt())
            }
        }
    }

    /// Latents of `number` sequences, as evenly spread over the recorded ones as can be.
    pub(in crate::gate) fn even_latents(&self, number: usize, rng: &mut ChaCha8Rng) -> Vec<Drawn> {
        let share = |at: usize| (at as f64 + 0.5) / number as f64;
        (0..number).map(|at| self.latents_at(share(at), rng)).collect()
    }
}
