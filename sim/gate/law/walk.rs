//! The tokens of one sequence in one layer: scores that persist [`law`, (3)], and the first arrivals.
//!
//! Where a micro-batch is a step of decoding, one token of each sequence, scores go on from step to step. So that
//! any step can be drawn without those before it, each draws from a window of its own, and v begins anew n steps back,
//! where bφⁿ has fallen to [`FORGOTTEN`]. With s² = 1 − φ², v of the next step then correlates with it by
//!
//! ```text
//!   φ (1 − (1 − s) φ^{2n−2})                                                                  (1)
//! ```
//!
//! in place of φ: 2 % less at b = 0.5 and φ = 0.7, as gpt-oss-20b has them.
//!
//! [`law`]: super

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1, StandardNormal};

use super::super::pick::Picker;
use super::super::sample::Race;
use crate::workload::{Persistence, Scoring};

/// A correlation of scores that is as good as none.
const FORGOTTEN: f64 = 0.1;
/// Steps back of which scores still remember something, at most.
const REMEMBERED: u32 = 64;
/// Words of random numbers that a step of decoding may use of its stream.
pub(super) const STEP_BITS: u32 = 14;

/// The tokens of one sequence in one layer, one after another.
pub(in crate::gate) struct Walk {
    mean_times: Vec<f64>,
    persistence: Persistence,
    /// The layer's own scores, and those it has in common with others.
    scores: [Scores; 2],
    race: Race,
    /// Experts by popularity.
    order: Vec<usize>,
}

/// Scores of all experts that persist from token to token [(3)].
struct Scores {
    rng: ChaCha8Rng,
    lasting: Vec<f64>,
    begun: bool,
    /// Whether what lasts is that of the next token already.
    ready: bool,
}

impl Scores {
    /// Scores as after the steps of decoding before `step`.
    fn seek(&mut self, law: Persistence, step: u32) {
        let start = self.rng.get_word_pos();
        let back = memory(law).min(step);
        for before in (0..=back).rev() {
            self.rng.set_word_pos(start + (u128::from(step - before) << STEP_BITS));
            let kept = if before < back { law.decay } else { 0.0 };
            let fresh = (1.0 - kept * kept).sqrt();
            for v in &mut self.lasting {
                let z: f64 = StandardNormal.sample(&mut self.rng);
                *v = kept * *v + fresh * z;
            }
        }
        (self.begun, self.ready) = (true, true);
    }

    /// Moves on to the next token and adds `weight` times its scores to `out`, in this order.
    fn add_next(&mut self, law: Persistence, weight: f64, order: &[usize], out: &mut [f64]) {
        let kept = if self.begun { law.decay } else { 0.0 };
        let fresh = (1.0 - kept * kept).sqrt();
        let (lasting, passing) = (weight * law.share.sqrt(), weight * (1.0 - law.share).sqrt());
        self.begun = true;
        if std::mem::take(&mut self.ready) {
            for (v, &expert) in self.lasting.iter().zip(order) {
                let e: f64 = StandardNormal.sample(&mut self.rng);
                out[expert] += lasting * v + passing * e;
            }
            return;
        }
        for (v, &expert) in self.lasting.iter_mut().zip(order) {
            let [z, e]: [f64; 2] = std::array::from_fn(|_| StandardNormal.sample(&mut self.rng));
            *v = kept * *v + fresh * z;
            out[expert] += lasting * *v + passing * e;
        }
    }
}

/// Steps after which scores are forgotten.
pub(super) fn memory(law: Persistence) -> u32 {
    let left = |steps: u32| law.share * law.decay.powi(steps as i32);
    (0..REMEMBERED).find(|&steps| left(steps) <= FORGOTTEN).unwrap_or(REMEMBERED)
}

impl Walk {
    pub(in crate::gate) fn new(
        mean_times: Vec<f64>,
        top_k: usize,
        persistence: Persistence,
        order: Vec<usize>,
        rngs: [ChaCha8Rng; 2],
    ) -> Self {
        let lasting = vec![0.0; mean_times.len()];
        let scores =
            rngs.map(|rng| Scores { rng, lasting: lasting.clone(), begun: false, ready: false });
        Self { mean_times, persistence, scores, race: Race::new(top_k), order }
    }

    /// The same walk at a step of decoding, where each step is one token.
    pub(in crate::gate) fn at_step(mut self, step: u32) -> Self {
        if !self.is_memoryless() {
            self.scores.iter_mut().for_each(|scores| scores.seek(self.persistence, step));
        }
        self
    }

    /// The experts of the next token, first to last.
    pub(in crate::gate) fn next(&mut self) -> impl Iterator<Item = usize> {
        self.next_with(usize::MAX, 1.0)
    }

    /// The same for a token for which experts from `others` on take `slower` times as long.
    pub(in crate::gate) fn next_with(
        &mut self,
        others: usize,
        slower: f64,
    ) -> impl Iterator<Item = usize> {
        if self.is_memoryless() {
            let means = self.mean_times.iter().enumerate();
            let means = means.map(|(i, mean)| if i < others { *mean } else { mean * slower });
            self.race.run(&mut self.scores[0].rng, means);
        } else {
            let mut times = vec![];
            self.next_times(others, slower, &mut times);
            self.race.finish(times.into_iter());
        }
        self.race.winners()
    }

    /// When each expert arrives for the next token, appended to `out`.
    pub(in crate::gate) fn next_times(&mut self, others: usize, slower: f64, out: &mut Vec<f64>) {
        let factor = |expert: usize| if expert < others { 1.0 } else { slower };
        if self.is_memoryless() {
            let rng = &mut self.scores[0].rng;
            out.extend(self.mean_times.iter().enumerate().map(|(i, mean)| {
                let wait: f64 = Exp1.sample(rng);
                wait * mean * factor(i)
            }));
            return;
        }
        let depth = self.persistence.depth;
        let [own, common] = &mut self.scores;
        let mut x = vec![0.0; self.mean_times.len()];
        own.add_next(self.persistence, (1.0 - depth).sqrt(), &self.order, &mut x);
        if depth > 0.0 {
            common.add_next(self.persistence, depth.sqrt(), &self.order, &mut x);
        }
        let times = x.iter().zip(&self.mean_times).enumerate();
        out.extend(times.map(|(i, (x, mean))| exponential_of(*x) * mean * factor(i)));
    }

    /// The same tokens in law, where they are independent, by a quicker way.
    pub(in crate::gate) fn into_picker(self, ffn: usize, top_k: usize) -> Picker {
        let [own, _] = self.scores;
        Picker::new(self.mean_times, ffn, top_k, own.rng)
    }

    /// Whether tokens are independent.
    pub(in crate::gate) fn is_memoryless(&self) -> bool {
        self.persistence.share <= 0.0 && self.persistence.depth <= 0.0
    }

    /// Experts, and the mixing weight of each, that the last race chose.
    pub(in crate::gate) fn weights(&self, scoring: Scoring) -> impl Iterator<Item = (usize, f64)> {
        self.race.weights(scoring)
    }
}

/// The exponential variable at the same rank as a normal score: −ln(1 − tail), tail = 1 − Φ(x).
pub(in crate::gate) fn exponential_of(x: f64) -> f64 {
    let tail = 0.5 * statrs::function::erf::erfc(x * std::f64::consts::FRAC_1_SQRT_2);
    -(-tail).ln_1p()
}
