//! When the experts of a group arrive for one token, drawn one after another as they are asked for.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};

/// The rates of the experts of a group.
pub(super) trait Weights {
    fn experts(&self) -> usize;
    fn sum(&self) -> f64;
    fn rate(&self, expert: usize) -> f64;
    /// What makes the rates of all groups' experts sum to one.
    fn scale(&self) -> f64;

    /// One of those that have not come, whose rates sum to `left`, in proportion to their rates.
    fn next(&self, left: f64, come: &[(f64, usize)], rng: &mut ChaCha8Rng) -> usize {
        let mut mass = left * rng.random::<f64>();
        let mut last = 0;
        for expert in 0..self.experts() {
            if has_come(come, expert) {
                continue;
            }
            last = expert;
            mass -= self.rate(expert);
            if mass < 0.0 {
                break;
            }
        }
        last
    }
}

fn has_come(come: &[(f64, usize)], expert: usize) -> bool {
    come.iter().any(|&(_, other)| other == expert)
}

/// Rates one by one, with their scale.
pub(super) struct Rates<'a>(pub(super) &'a [f64], pub(super) f64);

impl Weights for Rates<'_> {
    fn experts(&self) -> usize {
        self.0.len()
    }

    fn sum(&self) -> f64 {
        self.0.iter().sum::<f64>()
    }

    fn rate(&self, expert: usize) -> f64 {
        self.0[expert]
    }

    fn scale(&self) -> f64 {
        self.1
    }
}

/// Rates to scale, added up from the group's first expert on.
pub(super) struct Sums<'a>(pub(super) &'a [f32]);

impl Weights for Sums<'_> {
    fn experts(&self) -> usize {
        self.0.len()
    }

    fn sum(&self) -> f64 {
        self.0.last().copied().unwrap_or(0.0).into()
    }

    fn rate(&self, expert: usize) -> f64 {
        let before = if expert == 0 { 0.0 } else { self.0[expert - 1] };
        f64::from(self.0[expert]) - f64::from(before)
    }

    fn scale(&self) -> f64 {
        1.0
    }

    /// By trying until one is found that has not come, while these are most of the rates.
    fn next(&self, left: f64, come: &[(f64, usize)], rng: &mut ChaCha8Rng) -> usize {
        let sum = self.sum();
        if left < 0.25 * sum {
            let rates: Vec<f64> = (0..self.experts()).map(|expert| self.rate(expert)).collect();
            return Rates(&rates, 1.0).next(left, come, rng);
        }
        loop {
            let mass = (sum * rng.random::<f64>()) as f32;
            // Compared with all at once, which is sooner than to search among few.
            let below = self.0.iter().map(|sum| u32::from(*sum <= mass)).sum::<u32>();
            let expert = (below as usize).min(self.experts() - 1);
            if !has_come(come, expert) {
                return expert;
            }
        }
    }
}

/// The arrivals of the experts of one group for one token, drawn one after another as they are asked for: the next
/// comes after a wait with the rate of those that have not come, and is each of them in proportion to its rate.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// What has come: when, and who.
    seen: Vec<(f64, usize)>,
    /// Rates of those that have not.
    left: f64,
}

impl Arrivals {
    pub(super) fn begin(&mut self, weights: &impl Weights) {
        self.seen.clear();
        self.left = weights.sum();
    }

    /// When expert number `at` to come does; nothing where fewer have any rate.
    pub(super) fn time(
        &mut self,
        weights: &impl Weights,
        at: usize,
        rng: &mut ChaCha8Rng,
    ) -> Option<f64> {
        while self.seen.len() <= at {
            if self.seen.len() == weights.experts() || self.left <= 0.0 {
                return None;
            }
            let wait: f64 = Exp1.sample(rng);
            let before = self.seen.last().map_or(0.0, |(time, _)| *time);
            let expert = weights.next(self.left, &self.seen, rng);
            self.seen.push((before + wait / (self.left * weights.scale()), expert));
            self.left -= weights.rate(expert);
        }
        Some(self.seen[at].0)
    }

    /// When expert number `at` came, if it has.
    pub(super) fn known(&self, at: usize) -> Option<f64> {
        self.seen.get(at).map(|(time, _)| *time)
    }

    /// Who came as number `at`.
    pub(super) fn who(&self, at: usize) -> usize {
        self.seen[at].1
    }
}
