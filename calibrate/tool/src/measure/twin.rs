//! CPU twins: what kernels must compute, in 64 bits and by the plainest means.
//!
//! Twins take inputs as [`Numbers`], any element of which can be computed where it is needed, so a
//! product of large matrices is checked at a few elements without ever holding the matrices.

use moesim::base::threads::{self, in_parallel};

use super::kernels::NONE;
use super::numbers::Numbers;

/// Element (r, c) of A·B, A rows × k, B k × n.
#[must_use]
pub fn product(
    a: impl Fn(u64) -> f64,
    b: impl Fn(u64) -> f64,
    n: u64,
    k: u64,
    (r, c): (u64, u64),
) -> f64 {
    (0..k).map(|j| a(r * k + j) * b(j * n + c)).sum()
}

/// x / (1 + e^−x).
#[must_use]
pub fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

/// What the gate decided for one token.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The K experts, best first.
    pub experts: Vec<u32>,
    /// Their weights.
    pub weights: Vec<f64>,
}

/// The K best experts by score and their weights: softmax over all, zero for the last `zeros`
/// experts, renormalised over the chosen, as the public code of MoE++ does.
#[must_use]
pub fn choose(scores: &[f64], top_k: usize, zeros: usize) -> Choice {
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exponents: Vec<f64> = scores.iter().map(|s| (s - most).exp()).collect();
    let total: f64 = exponents.iter().sum();
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    order.truncate(top_k);
    let share = |&e: &usize| if e + zeros >= scores.len() { 0.0 } else { exponents[e] / total };
    let shares: Vec<f64> = order.iter().map(share).collect();
    let sum: f64 = shares.iter().sum();
    let weights = shares.iter().map(|s| if sum > 0.0 { s / sum } else { 0.0 }).collect();
    Choice { experts: order.iter().map(|&e| e as u32).collect(), weights }
}

/// The rank of each slot at its expert, in order of slots, and how many each expert takes.
#[must_use]
pub fn order(ids: &[u32], capacity: impl Fn(u32) -> u32, experts: u32) -> (Vec<u32>, Vec<u32>) {
    let mut counts = vec![0; experts as usize];
    let rank = |&id: &u32| {
        let count = &mut counts[id as usize];
        if *count >= capacity(id) {
            return NONE;
        }
        *count += 1;
        *count - 1
    };
    let ranks = ids.iter().map(rank).collect();
    (ranks, counts)
}

/// Rows of slots sorted by expert: the row of each slot, and the slot of each row.
#[must_use]
pub fn place(ids: &[u32], ranks: &[u32], counts: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let before = |id: u32| counts[..id as usize].iter().sum::<u32>();
    let row = |(&id, &rank): (&u32, &u32)| if rank == NONE { NONE } else { before(id) + rank };
    let positions: Vec<u32> = ids.iter().zip(ranks).map(row).collect();
    let mut slots = vec![0; counts.iter().sum::<u32>() as usize];
    for (slot, &at) in (0..).zip(&positions) {
        if at != NONE {
            slots[at as usize] = slot;
        }
    }
    (positions, slots)
}

/// Products of fewer multiplications are not worth threads.
const WORTH_THREADS: u64 = 1 << 20;

/// The weights of SwiGLU experts, however they are laid out.
#[derive(Clone, Copy, Debug)]
pub enum Experts {
    /// W₁ and W₃ side by side, experts × D × 2H; W₂ experts × H × D.
    Merged {
        /// W₁ and W₃.
        up: Numbers,
        /// W₂.
        down: Numbers,
    },
    /// W₁ and W₃ apart, experts × D × H each.
    Apart {
        /// W₁.
        gate: Numbers,
        /// W₃.
        up: Numbers,
        /// W₂.
        down: Numbers,
    },
}

impl Experts {
    /// The H numbers between the two products of one expert, for a token `x`.
    #[must_use]
    pub fn inner(&self, expert: u64, x: &[f64], h: u64) -> Vec<f64> {
        let d = x.len() as u64;
        let (gate, up, width, shift) = match *self {
            Self::Merged { up, .. } => (up, up, 2 * h, h),
            Self::Apart { gate, up, .. } => (gate, up, h, 0),
        };
        let dot = |w: Numbers, column: u64| -> f64 {
            (0..d).map(|j| x[j as usize] * w.at((expert * d + j) * width + column)).sum()
        };
        let columns = |from: u64, to: u64| -> Vec<f64> {
            (from..to).map(|c| silu(dot(gate, c)) * dot(up, shift + c)).collect()
        };
        if d * h < WORTH_THREADS {
            return columns(0, h);
        }
        let threads = threads::available();
        let part = h.div_ceil(threads as u64);
        let parts = in_parallel(threads, threads, |i| {
            columns((i as u64 * part).min(h), ((i as u64 + 1) * part).min(h))
        });
        parts.into_iter().flatten().collect()
    }

    /// Element `c` of the expert's output, from what lies between its products.
    #[must_use]
    pub fn outer(&self, expert: u64, inner: &[f64], d: u64, c: u64) -> f64 {
        let (Self::Merged { down, .. } | Self::Apart { down, .. }) = *self;
        let h = inner.len() as u64;
        (0..h).map(|j| inner[j as usize] * down.at((expert * h + j) * d + c)).sum()
    }
}

/// α₁ of a constant expert for a token: the first of two softmaxed scores \[moepp, eq. 5\].
#[must_use]
pub fn constant_share(x: &[f64], map: impl Fn(u64) -> f64) -> f64 {
    let dot =
        |column: u64| -> f64 { x.iter().zip(0..).map(|(v, j)| v * map(2 * j + column)).sum() };
    1.0 / (1.0 + (dot(1) - dot(0)).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_on_paper() {
        // [1 2; 3 4] · [5 6; 7 8] = [19 22; 43 50]
        let (a, b) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
        let at = |r, c| product(|i| a[i as usize], |i| b[i as usize], 2, 2, (r, c));
        assert_eq!([at(0, 0), at(0, 1), at(1, 0), at(1, 1)], [19.0, 22.0, 43.0, 50.0]);
    }

    #[test]
    fn the_zero_expert_gives_its_weight_to_the_other() {
        // Scores 0, ln 3, ln 4 (zero expert): chosen are 2 and 1, and all weight falls to 1.
        let chosen = choose(&[0.0, 3_f64.ln(), 4_f64.ln()], 2, 1);
        assert_eq!(chosen, Choice { experts: vec![2, 1], weights: vec![0.0, 1.0] });
        // Without zero experts: 4/7 and 3/7.
        let chosen = choose(&[0.0, 3_f64.ln(), 4_f64.ln()], 2, 0);
        assert!((chosen.weights[0] - 4.0 / 7.0).abs() < 1e-12);
        // All weight at zero experts: nothing is left to share.
        assert_eq!(choose(&[0.0, 1.0, 2.0], 2, 2).weights, [0.0, 0.0]);
    }

    #[test]
    fn slots_beyond_capacity_are_dropped_in_order() {
        let ids = [1, 0, 1, 1, 2, 0];
        let (ranks, counts) = order(&ids, |e| if e == 1 { 2 } else { 9 }, 3);
        assert_eq!(
            (ranks.as_slice(), counts.as_slice()),
            (&[0, 0, 1, NONE, 0, 1][..], &[2, 2, 1][..])
        );
        let (positions, slots) = place(&ids, &ranks, &counts);
        assert_eq!(positions, [2, 0, 3, NONE, 4, 1]);
        assert_eq!(slots, [1, 5, 0, 2, 4]);
    }
}
