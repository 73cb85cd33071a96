//! Scores of all sequences of a GPU at a step of decoding, each step a token of each sequence: the law of `walk`, drawn
//! for all cells at once.
//!
//! Scores that all layers have in common are drawn when the first layer asks for them, and kept; so is what a layer's
//! sequences like, for the next step.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::walk::{STEP_BITS, memory};
use crate::gate::choosing::normals::mix_in;
use crate::workload::Persistence;

/// Cells that are kept, of all GPUs: 32 MB.
const MOST_KEPT: usize = 1 << 23;

/// Cells by what decides them.
type Known = BTreeMap<[u64; 4], Arc<Vec<f32>>>;

/// What was drawn of a GPU's sequences and experts and is asked for again.
#[derive(Clone, Debug, Default)]
pub(in crate::gate) struct Kept(Arc<Mutex<Known>>);

impl Kept {
    /// So many cells of this key, drawn if nobody has asked before or room had to be made since.
    pub(in crate::gate) fn of(
        &self,
        key: [u64; 4],
        cells: usize,
        draw: impl FnOnce() -> Vec<f32>,
    ) -> Arc<Vec<f32>> {
        // A thread that panicked has not left cells half drawn.
        let held = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = held().get(&key).filter(|known| known.len() == cells) {
            return Arc::clone(known);
        }
        let (drawn, mut known) = (Arc::new(draw()), held());
        if (known.len() + 1) * cells > MOST_KEPT {
            known.clear();
        }
        known.insert(key, Arc::clone(&drawn));
        drawn
    }

    /// Scores that layers have in common on a GPU at a step, from the GPU's place in `rng`.
    pub(in crate::gate) fn scores(
        &self,
        law: Persistence,
        (step, gpu): (u32, usize),
        cells: usize,
        rng: impl FnOnce() -> ChaCha8Rng,
    ) -> Arc<Vec<f32>> {
        let [share, decay] = [law.share, law.decay].map(f64::to_bits);
        self.of([step.into(), gpu as u64, share, decay], cells, || {
            let mut drawn = vec![];
            draw(law, step, &mut rng(), (cells, &mut drawn));
            drawn
        })
    }
}

/// Draws scores of so many cells at a step [`law`, (3)] into `out`, from a stream at its place for all steps.
///
/// [`law`]: super
pub(in crate::gate) fn draw(
    law: Persistence,
    step: u32,
    rng: &mut ChaCha8Rng,
    (cells, out): (usize, &mut Vec<f32>),
) {
    out.clear();
    out.resize(cells, 0.0);
    let (start, back) = (rng.get_word_pos(), memory(law).min(step));
    for before in (0..=back).rev() {
        rng.set_word_pos(start + (u128::from(step - before) << STEP_BITS));
        let mut quick = Xoshiro256PlusPlus::from_rng(rng);
        let kept = if before < back { law.decay } else { 0.0 };
        mix_in(&mut quick, [kept, (1.0 - kept * kept).sqrt()].map(single), out);
        if before == 0 {
            // What passes, drawn behind what lasts.
            mix_in(&mut quick, [law.share.sqrt(), (1.0 - law.share).sqrt()].map(single), out);
        }
    }
    rng.set_word_pos(start);
}

const fn single(x: f64) -> f32 {
    x as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::streams::Streams;

    const LAW: Persistence = Persistence { share: 0.5, decay: 0.7, depth: 0.5 };
    const CELLS: usize = 200_000;

    fn drawn(step: u32) -> Vec<f32> {
        let (mut rng, mut out) = (Streams::new(3).named("steps"), vec![]);
        rng.set_word_pos(7 << 52);
        draw(LAW, step, &mut rng, (CELLS, &mut out));
        assert_eq!(rng.get_word_pos(), 7 << 52, "the stream is left at its place");
        out
    }

    fn correlation(a: &[f32], b: &[f32]) -> f64 {
        let sum: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum();
        sum / CELLS as f64
    }

    /// By (1) of `walk` for the next step, and bφᵏ for steps that remember all of each other.
    #[test]
    fn scores_of_steps_correlate_as_the_law_says() {
        let n = f64::from(memory(LAW));
        let s = (1.0 - LAW.decay * LAW.decay).sqrt();
        let next = LAW.decay * (1.0 - (1.0 - s) * LAW.decay.powf(2.0 * n - 2.0));
        let at = drawn(20);
        // Four standard deviations of such a mean are 0.009.
        for (step, want) in [(20, 1.0), (21, LAW.share * next), (19, LAW.share * next), (40, 0.0)] {
            let got = correlation(&at, &drawn(step));
            assert!((got - want).abs() < 0.013, "step {step}: {got}, not {want}");
        }
        // Before the first steps there is nothing to forget.
        for lag in 1..3 {
            let (got, want) =
                (correlation(&drawn(0), &drawn(lag)), LAW.share * LAW.decay.powi(lag as i32));
            assert!((got - want).abs() < 0.01, "{lag} after the first: {got}, not {want}");
        }
    }

    #[test]
    fn scores_in_common_are_those_of_their_step_and_gpu() {
        let common = Kept::default();
        let of = |step, gpu: usize| {
            let rng = || {
                let mut rng = Streams::new(3).named("steps");
                rng.set_word_pos((gpu as u128) << 52);
                rng
            };
            common.scores(LAW, (step, gpu), CELLS, rng)
        };
        assert_eq!(*of(20, 7), drawn(20));
        assert_ne!(of(20, 7), of(20, 8));
        assert_ne!(of(20, 7), of(21, 7));
        // What was kept is what is drawn, and room is made for more.
        for step in 0..60 {
            of(step, 0);
        }
        assert!(common.0.lock().unwrap().len() * CELLS <= MOST_KEPT);
        assert_eq!(*of(20, 7), drawn(20));
    }
}
