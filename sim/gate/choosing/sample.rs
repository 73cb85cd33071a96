//! Drawing counts without drawing tokens, and drawing tokens.
//!
//! `trials` tokens include expert i with probability π_i each, and all together fill exactly
//! `total` = Σ π_i · trials slots. The counts n_i then have
//!
//! ```text
//!   E n_i = π_i · trials      Var n_i = π_i (1 − π_i) · trials      Σ_i n_i = total             (1)
//! ```
//!
//! A multinomial over π_i/K, the usual shortcut, has variances too large by (1 − π_i/K)/(1 − π_i):
//! 17 % at 8 experts and K = 2. Here each n_i is drawn independently with variance c_i, and the sum
//! is then corrected in proportion to c_i, which leaves the variance c_i (1 − c_i / Σc) as in the
//! maximum-entropy design of this size [hajek81]; c_i is solved so that this is (1)'s.
//!
//! A single n_i is binomial; where its variance is at least [`NORMAL_FROM`] a normal variable with
//! the Cornish–Fisher correction for skewness stands for it, rounded to a whole number.

use std::cmp::Ordering;

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution, Exp1, StandardNormal};

use crate::workload::Scoring;

/// Variance from which a count is drawn as a corrected normal: skewness is then below 1/4, and
/// what the correction leaves out is of order skewness², under 2 % of a standard deviation.
pub(in crate::gate) const NORMAL_FROM: f64 = 16.0;

/// Rounds in which c is solved for.
const ROUNDS: usize = 4;

/// Tokens that are expected of a class that has none but for rounding.
const NEVER: f64 = 1e-11;

/// Means and variances of counts, summed over tokens of one or several kinds.
#[derive(Clone, Debug, Default)]
pub(in crate::gate) struct Expected {
    mean: Vec<f64>,
    variance: Vec<f64>,
    /// c of these variances, where they were asked for since these last changed.
    spread: Vec<f64>,
}

impl Expected {
    /// Expects nothing of `experts` experts.
    pub(in crate::gate) fn clear(&mut self, experts: usize) {
        self.spread.clear();
        for sums in [&mut self.mean, &mut self.variance] {
            sums.clear();
            sums.resize(experts, 0.0);
        }
    }

    /// Adds `tokens` tokens with these inclusion probabilities [(1)].
    pub(in crate::gate) fn add(&mut self, tokens: f64, inclusion: &[f64]) {
        self.spread.clear();
        for ((mean, variance), p) in self.mean.iter_mut().zip(&mut self.variance).zip(inclusion) {
            *mean += tokens * p;
            *variance += tokens * p * (1.0 - p);
        }
    }

    /// Adds `tokens` tokens that choose one expert with this probability.
    pub(in crate::gate) fn add_one(&mut self, expert: usize, tokens: f64, p: f64) {
        self.spread.clear();
        self.mean[expert] += tokens * p;
        self.variance[expert] += tokens * p * (1.0 - p);
    }

    /// Expects this many slots in place of what there is, in the same proportions.
    pub(in crate::gate) fn scale_to(&mut self, slots: f64) {
        self.spread.clear();
        let sum: f64 = self.mean.iter().sum();
        let scale = if sum > 0.0 { slots / sum } else { 0.0 };
        self.mean.iter_mut().chain(&mut self.variance).for_each(|x| *x *= scale);
    }

    /// Means and variances of some of the experts.
    pub(in crate::gate) fn part(&self, experts: std::ops::Range<usize>) -> Self {
        let [mean, variance] =
            [&self.mean, &self.variance].map(|sums| sums[experts.clone()].to_vec());
        Self { mean, variance, spread: vec![] }
    }

    /// Expects of `tokens` tokens these means and variances each.
    pub(in crate::gate) fn set_each(&mut self, tokens: f64, mean: &[f64], variance: &[f64]) {
        self.spread.clear();
        for (sums, each) in [(&mut self.mean, mean), (&mut self.variance, variance)] {
            sums.clear();
            sums.extend(each.iter().map(|x| tokens * x));
        }
    }

    /// Means, and the c of (1) that their variances ask for.
    pub(in crate::gate) fn mean_and_spread(&mut self) -> (&[f64], &[f64]) {
        if self.spread.len() != self.variance.len() {
            spreads(&self.variance, &mut self.spread);
        }
        (&self.mean, &self.spread)
    }

    /// Means, by expert.
    pub(in crate::gate) fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Variances, by expert.
    pub(in crate::gate) fn variance(&self) -> &[f64] {
        &self.variance
    }

    /// Expects just these tokens.
    pub(in crate::gate) fn set(&mut self, tokens: f64, inclusion: &[f64]) {
        self.clear(inclusion.len());
        self.add(tokens, inclusion);
    }
}

/// Draws counts of this mean and variance that sum to `total` into `out`.
///
/// # Panics
/// If `total` slots do not fit `trials` of each expert.
pub(in crate::gate) fn counts_with_sum(
    rng: &mut ChaCha8Rng,
    trials: u32,
    total: u64,
    expected: &mut Expected,
    out: &mut [u32],
) {
    let (mean, spread) = expected.mean_and_spread();
    let room = u64::from(trials) * out.len() as u64;
    assert!(total <= room, "{total} slots of {trials} tokens over {} experts", out.len());
    let mut sum = 0;
    for ((n, &mean), &c) in out.iter_mut().zip(mean).zip(spread) {
        *n = one_count(rng, trials, mean, c);
        sum += u64::from(*n);
    }
    correct_sum(trials, total as i64 - sum as i64, spread, out);
}

/// The c_i whose corrected variances are these.
fn spreads(variance: &[f64], spread: &mut Vec<f64>) {
    spread.clear();
    spread.extend_from_slice(variance);
    // Converges by a factor of about the largest c_i/Σc a round. That ratio cannot pass one half
    // in a design of fixed size with negative correlations; the floor keeps others finite.
    for _ in 0..ROUNDS {
        let sum: f64 = spread.iter().sum();
        if sum <= 0.0 {
            break;
        }
        for (c, &v) in spread.iter_mut().zip(variance) {
            *c = v / (1.0 - *c / sum).max(0.5);
        }
    }
}

/// c of (1) over the variance that asks for it, of experts with these shares of a token's `slots`.
///
/// It serves GPUs whose tokens have more or fewer slots: with 1 % more each, variances were off by at most 0.04 % at 16
/// experts, 0.3 % at 8 and 0.9 % at 4, of 240 random popularities each (log-normal, σ = 0.3).
pub(in crate::gate) fn widening(shares: &[f64], slots: f64) -> Vec<f64> {
    let chances = shares.iter().map(|share| (share * slots).min(1.0));
    let variance: Vec<f64> = chances.map(|p| p * (1.0 - p)).collect();
    let mut spread = vec![];
    spreads(&variance, &mut spread);
    let over = |(c, v): (&f64, &f64)| if *v > 0.0 { c / v } else { 1.0 };
    spread.iter().zip(&variance).map(over).collect()
}

/// One count of this mean and variance, between 0 and `trials`.
fn one_count(rng: &mut ChaCha8Rng, trials: u32, mean: f64, variance: f64) -> u32 {
    let p = (mean / f64::from(trials)).clamp(0.0, 1.0);
    if variance < NORMAL_FROM {
        return small_binomial(rng, trials, p);
    }
    let z: f64 = StandardNormal.sample(rng);
    let skewed = variance.sqrt() * z + (1.0 - 2.0 * p) / 6.0 * (z * z - 1.0);
    // The cast cuts off at zero and rounds down: adding a half rounds to the nearest.
    (mean + skewed + 0.5).min(trials.into()) as u32
}

/// A binomial count by inversion; takes about as many steps as its mean.
pub(in crate::gate) fn small_binomial(rng: &mut impl Rng, trials: u32, p: f64) -> u32 {
    if p > 0.5 {
        return trials - small_binomial(rng, trials, 1.0 - p);
    }
    let odds = p / (1.0 - p);
    let mut chance = (f64::from(trials) * (-p).ln_1p()).exp();
    let mut left: f64 = rng.random();
    let mut n = 0;
    while left >= chance && n < trials {
        left -= chance;
        n += 1;
        chance *= odds * f64::from(trials - n + 1) / f64::from(n);
    }
    n
}

/// Spreads `excess` over the counts in proportion to `spread`, each staying within the trials.
fn correct_sum(trials: u32, mut excess: i64, spread: &[f64], out: &mut [u32]) {
    let sum: f64 = spread.iter().sum();
    if excess != 0 && sum > 0.0 {
        let (whole, mut along, mut given) = (excess as f64, 0.0, 0);
        for (n, &c) in out.iter_mut().zip(spread) {
            along += whole * c / sum;
            // Rounded away from zero at a half, as `round` does, without its call.
            let due = (along + 0.5_f64.copysign(along)) as i64 - given;
            given += due;
            excess -= shift(n, due, trials);
        }
    }
    // What hit a bound goes wherever there is room, in order; rare and small.
    for n in out.iter_mut() {
        excess -= shift(n, excess, trials);
    }
    assert!(excess == 0, "{excess} slots found no room");
}

/// Adds `by` to `n` as far as 0 and `most` admit; returns what was added.
fn shift(n: &mut u32, by: i64, most: u32) -> i64 {
    let old = i64::from(*n);
    let new = (old + by).clamp(0, most.into());
    *n = new as u32;
    new - old
}

/// Draws how many of `trials` tokens fall into each class of probability `p`, into `out`.
pub(in crate::gate) fn multinomial(rng: &mut ChaCha8Rng, trials: u32, p: &[f64], out: &mut [u32]) {
    let (mut left, mut mass) = (u64::from(trials), 1.0_f64);
    out.fill(0);
    for (n, &p) in out.iter_mut().zip(p) {
        if left == 0 {
            break;
        }
        let chance = if mass > 0.0 { (p / mass).clamp(0.0, 1.0) } else { 0.0 };
        let drawn = if chance < 1.0 && left as f64 * (1.0 - chance) < NEVER {
            // Rounding left a chance of others: a draw by inversion takes a number and gives them nothing.
            let _: f64 = rng.random();
            left
        } else {
            Binomial::new(left, chance).map_or(0, |law| law.sample(rng))
        };
        *n = drawn as u32;
        left -= drawn;
        mass -= p;
    }
    // Probabilities sum to one up to rounding; a token that this leaves over is in the last class.
    if let Some(last) = out.last_mut() {
        *last += left as u32;
    }
}

/// The experts of one token: the first K of the arrivals with these rates, in order.
///
/// The K largest of ln(rate) + Gumbel(1) are the K first of exponential arrivals.
pub(in crate::gate) struct Race {
    first: Vec<(f64, usize)>,
}

impl Race {
    pub(in crate::gate) fn new(top_k: usize) -> Self {
        Self { first: vec![(f64::INFINITY, 0); top_k] }
    }

    /// Runs the race once; `mean_times[i]` is one over expert i's rate.
    pub(in crate::gate) fn run(
        &mut self,
        rng: &mut ChaCha8Rng,
        mean_times: impl Iterator<Item = f64>,
    ) {
        self.finish(mean_times.map(|mean| {
            let wait: f64 = Exp1.sample(rng);
            wait * mean
        }));
    }

    /// A race in which these arrived, first to last: as many as it has places.
    pub(in crate::gate) fn set(&mut self, arrivals: impl Iterator<Item = (f64, usize)>) {
        self.first.clear();
        self.first.extend(arrivals);
    }

    /// Runs the race with these arrival times.
    pub(in crate::gate) fn finish(&mut self, times: impl Iterator<Item = f64>) {
        self.first.fill((f64::INFINITY, usize::MAX));
        for (i, time) in times.enumerate() {
            let mut at = self.first.len();
            if time.partial_cmp(&self.first[at - 1].0) != Some(Ordering::Less) {
                continue;
            }
            // Those behind it move up, the last one out.
            at -= 1;
            while at > 0 && time < self.first[at - 1].0 {
                self.first[at] = self.first[at - 1];
                at -= 1;
            }
            self.first[at] = (time, i);
        }
    }

    /// The experts that the last race chose with their mixing weights, which sum to one: those of
    /// the scores −ln(time), whose softmax is in proportion to 1/time.
    pub(in crate::gate) fn weights(&self, scoring: Scoring) -> impl Iterator<Item = (usize, f64)> {
        let weight = move |time: f64| match scoring {
            Scoring::Softmax => 1.0 / time,
            Scoring::Sigmoid => 1.0 / (1.0 + time),
        };
        let total: f64 = self.first.iter().map(|&(time, _)| weight(time)).sum();
        self.first.iter().map(move |&(time, i)| (i, weight(time) / total))
    }

    /// The experts that the last race chose, first to last.
    pub(in crate::gate) fn winners(&self) -> impl Iterator<Item = usize> {
        self.first.iter().map(|&(_, i)| i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::streams::Streams;

    /// Variances of tokens with 1 % more or fewer slots than those for which c was solved, against (1).
    #[test]
    fn c_of_the_mean_serves_tokens_near_it() {
        for (experts, most) in [(4_u32, 0.003), (8, 0.000_4), (16, 0.000_1)] {
            let shares: Vec<f64> =
                (0..experts).map(|e| 0.7 + 0.6 * f64::from(e) / f64::from(experts - 1)).collect();
            let shares: Vec<f64> = shares.iter().map(|share| share / f64::from(experts)).collect();
            for slots in [1.1, 1.5, 1.9] {
                let widening = widening(&shares, slots);
                for slots in [0.99 * slots, 1.01 * slots] {
                    let variance = shares.iter().map(|share| share * slots * (1.0 - share * slots));
                    let variance: Vec<f64> = variance.collect();
                    let c: Vec<f64> = variance.iter().zip(&widening).map(|(v, w)| v * w).collect();
                    let sum: f64 = c.iter().sum();
                    for (c, v) in c.iter().zip(&variance) {
                        let off = c * (1.0 - c / sum) / v - 1.0;
                        assert!(off.abs() < most, "{experts} experts, {slots} slots: {off}");
                    }
                }
            }
        }
    }

    /// As by the law itself, number by number, where rounding leaves others a chance.
    #[test]
    fn the_last_class_takes_the_rest_and_a_number() {
        let [mut rng, mut by_law] = [(); 2].map(|()| Streams::new(1).named("rest"));
        for p in [[0.3, 0.7 - 3e-16], [0.5, 0.5], [0.1, 0.9 - 1e-15]] {
            let mut out = [0; 2];
            multinomial(&mut rng, 1_000, &p, &mut out);
            let first = Binomial::new(1_000, p[0]).unwrap().sample(&mut by_law);
            let chance = (p[1] / (1.0 - p[0])).clamp(0.0, 1.0);
            let rest = Binomial::new(1_000 - first, chance).unwrap().sample(&mut by_law);
            assert_eq!(out.map(u64::from), [first, rest]);
            assert_eq!(rng.get_word_pos(), by_law.get_word_pos(), "{p:?}");
        }
    }
}
