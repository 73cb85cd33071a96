//! Tokens one by one where they are independent: K experts without replacement by rejection.
//!
//! The first K of arrivals at rates w (see `inclusion`) are K picks, each with probability in
//! proportion to w among the experts not yet picked. A pick among all of them, thrown away if its
//! expert was picked before, is the same. It takes a class by the masses of the classes and an
//! expert within it by an alias table [walker77]: a few nanoseconds however many experts there are,
//! where drawing every arrival takes some for each. Where picks are thrown away too often, the rest of
//! a token's experts are found by their arrivals, which do not remember how long they were waited for.

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};

use super::sample::Race;

/// Picks of a token that may be thrown away before arrivals are drawn.
const PATIENCE: u32 = 16;

/// The experts of the tokens of one sequence in one layer.
pub(in crate::gate) struct Picker {
    rng: ChaCha8Rng,
    mean_times: Vec<f64>,
    /// FFN experts and the others.
    classes: [Alias; 2],
    picked: Vec<usize>,
}

impl Picker {
    /// Experts with these mean times of arrival, the first `ffn` of which compute.
    pub(in crate::gate) fn new(
        mean_times: Vec<f64>,
        ffn: usize,
        top_k: usize,
        rng: ChaCha8Rng,
    ) -> Self {
        let rates: Vec<f64> = mean_times.iter().map(|mean| 1.0 / mean).collect();
        let (own, others) = rates.split_at(ffn);
        let classes = [Alias::new(own, 0), Alias::new(others, ffn)];
        Self { rng, mean_times, classes, picked: Vec::with_capacity(top_k) }
    }

    /// The `top_k` experts of the next token, for which those that do not compute take `slower` times
    /// as long to arrive.
    pub(in crate::gate) fn next(&mut self, top_k: usize, slower: f64) -> &[usize] {
        let [ffn, others] = [self.classes[0].mass, self.classes[1].mass / slower];
        // An even number of 2⁶⁴, below which a class's pick lies.
        let bound = ffn / (ffn + others);
        self.picked.clear();
        let mut thrown = 0;
        while self.picked.len() < top_k {
            let of_ffn = others <= 0.0 || self.rng.random::<f64>() < bound;
            let expert = self.classes[usize::from(!of_ffn)].pick(&mut self.rng);
            if !self.picked.contains(&expert) {
                self.picked.push(expert);
                continue;
            }
            thrown += 1;
            if thrown > PATIENCE {
                self.wait_for_the_rest(top_k, slower);
            }
        }
        &self.picked
    }

    /// Runs a race as the next token does: its experts, and when they arrive.
    ///
    /// Whoever arrives next, the wait for it is exponential with the rates of all that have not arrived.
    pub(in crate::gate) fn next_in_time(&mut self, top_k: usize, race: &mut Race) {
        self.next(top_k, 1.0);
        let (mut left, mut time) = (self.classes[0].mass + self.classes[1].mass, 0.0);
        race.set(self.picked.iter().map(|&expert| {
            let (rate, wait): (f64, f64) =
                (1.0 / self.mean_times[expert], Exp1.sample(&mut self.rng));
            // Taking off one rate after another may leave a little less than the last.
            time += wait / left.max(rate);
            left -= rate;
            (time, expert)
        }));
    }

    /// Completes a token's experts by their arrivals.
    fn wait_for_the_rest(&mut self, top_k: usize, slower: f64) {
        let ffn = self.classes[0].len();
        let mut times: Vec<(f64, usize)> = vec![];
        for (expert, mean) in self.mean_times.iter().enumerate() {
            let wait: f64 = Exp1.sample(&mut self.rng);
            if !self.picked.contains(&expert) {
                times.push((wait * mean * if expert < ffn { 1.0 } else { slower }, expert));
            }
        }
        times.sort_by(|a, b| a.0.total_cmp(&b.0));
        let left = top_k - self.picked.len();
        self.picked.extend(times[..left].iter().map(|&(_, expert)| expert));
    }
}

/// A distribution from which one draw takes one random number [walker77].
struct Alias {
    /// For each cell, the share of it that is its own expert's, of 2³², and whose the rest is.
    cells: Vec<(u32, u32)>,
    first: usize,
    mass: f64,
}

impl Alias {
    /// Experts from `first` on, with these rates.
    fn new(rates: &[f64], first: usize) -> Self {
        let mass: f64 = rates.iter().sum();
        let scale = rates.len() as f64 / mass;
        let mut share: Vec<f64> = rates.iter().map(|rate| rate * scale).collect();
        let mut cells: Vec<(u32, u32)> = (0..rates.len() as u32).map(|i| (u32::MAX, i)).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..rates.len()).partition(|&i| share[i] < 1.0);
        while let (Some(low), Some(&high)) = (small.pop(), large.last()) {
            cells[low] = ((share[low] * 4_294_967_296.0) as u32, high as u32);
            share[high] -= 1.0 - share[low];
            if share[high] < 1.0 {
                large.pop();
                small.push(high);
            }
        }
        Self { cells, first, mass }
    }

    fn len(&self) -> usize {
        self.cells.len()
    }

    fn pick(&self, rng: &mut ChaCha8Rng) -> usize {
        let bits = rng.next_u64();
        let cell = ((bits >> 32) * self.cells.len() as u64) >> 32;
        let (own, other) = self.cells[cell as usize];
        let expert = if (bits as u32) <= own { cell as usize } else { other as usize };
        self.first + expert
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::streams::Streams;
    use crate::workload::Scoring;

    /// Mean and mean square of the mixing weight that each expert gets, 0 where it is not chosen, over 200,000 tokens.
    fn moments(experts: usize, mut next: impl FnMut(&mut Race)) -> Vec<[f64; 2]> {
        let (mut sums, mut race) = (vec![[0.0; 2]; experts], Race::new(2));
        for _ in 0..200_000 {
            next(&mut race);
            for (expert, weight) in race.weights(Scoring::Softmax) {
                sums[expert][0] += weight / 2e5;
                sums[expert][1] += weight * weight / 2e5;
            }
        }
        sums
    }

    #[test]
    fn picks_with_times_give_the_weights_of_a_race() {
        let means = vec![1.0, 0.2, 3.0, 1.0, 0.5];
        let mut rng = Streams::new(0).named("race");
        let raced = moments(5, |race| race.run(&mut rng, means.iter().copied()));
        let mut picker = Picker::new(means.clone(), 3, 2, Streams::new(0).named("picks"));
        let picked = moments(5, |race| picker.next_in_time(2, race));
        for (raced, picked) in raced.iter().flatten().zip(picked.iter().flatten()) {
            // Four standard deviations of the difference of two means of what lies between 0 and 1.
            assert!((raced - picked).abs() < 4.0 * (2.0 * raced / 2e5).sqrt(), "{raced} {picked}");
        }
    }
}
