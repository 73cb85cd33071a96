//! How many of a token's K slots go to FFN experts.
//!
//! A token's difficulty θ ~ N(0, σ_θ²) and an offset b tilt the choice between the two classes of
//! experts; within the sampling of K experts without replacement, the class of the next pick is
//!
//! ```text
//!   P(FFN | f FFN and j − f others picked) = m_F(f) / (m_F(f) + e^{b−θ} m_Z(j−f))           (1)
//! ```
//!
//! where m(f) is the mass that a class has left after f of its own were picked. For equal experts
//! m(f) = 1 − f/N exactly. For unequal ones it is the expected mass left, from the arrival picture
//! of successive sampling: each expert i of weight q_i arrives at an exponential time of rate q_i,
//! and picks are the first arrivals. At the time t_f when f are expected to have arrived,
//!
//! ```text
//!   Σ_i (1 − e^{−q_i t_f}) = f,      m(f) = Σ_i q_i e^{−q_i t_f},      Σ_i q_i = 1              (2)
//! ```
//!
//! Of two picks no more than m(1) is needed, which is known exactly: an expert is the first of its class with
//! probability q_i, and leaves 1 − q_i.
//!
//! ```text
//!   m(1) = 1 − Σ_i q_i²                                                                        (3)
//! ```
//!
//! b is solved so that the mean number of FFN slots over θ is K·φ'. The mean over θ is taken by
//! Gauss–Hermite quadrature with [`NODES`] nodes, exact for polynomials in θ up to degree 13.
//! What it leaves out: in (2) a random mass is replaced by its mean, which is exact for equal experts
//! and shifts P(1) by under 0.001 for K = 2 and the skews published for MoE++.

use crate::base::statistics::roots::Bracket;

/// Gauss–Hermite nodes and weights for a standard normal variable, 7 points
/// [abramowitz64, table 25.10], scaled by √2 and 1/√π.
const NODES: [(f64, f64); 7] = [
    (0.0, 0.457_142_857_142_857_1),
    (1.154_405_394_739_968, 0.240_123_178_605_012_7),
    (-1.154_405_394_739_968, 0.240_123_178_605_012_7),
    (2.366_759_410_734_541, 0.030_757_123_967_586_5),
    (-2.366_759_410_734_541, 0.030_757_123_967_586_5),
    (3.750_439_717_725_742, 0.000_548_268_855_972_2),
    (-3.750_439_717_725_742, 0.000_548_268_855_972_2),
];

/// Beyond this offset one class takes every pick it can, to the last bit.
const FARTHEST_OFFSET: f64 = 40.0;

/// Where offsets are looked for.
const OFFSETS: Bracket = Bracket { low: -FARTHEST_OFFSET, high: FARTHEST_OFFSET };

/// The two classes of experts of one layer, as seen by a token that chooses K of them.
#[derive(Clone, Debug)]
pub(super) struct Classes {
    top_k: usize,
    difficulty_sd: f64,
    /// m_F(f) for f = 0 … K, zero where the class is used up.
    ffn_left: Vec<f64>,
    /// m_Z(j) for j = 0 … K.
    others_left: Vec<f64>,
}

impl Classes {
    /// Classes whose experts have these weights within their class.
    pub(super) fn new(ffn: &[f64], others: &[f64], top_k: usize, difficulty_sd: f64) -> Self {
        let (ffn_left, others_left) = (mass_left(ffn, top_k), mass_left(others, top_k));
        Self { top_k, difficulty_sd, ffn_left, others_left }
    }

    /// The offset b at which a token has `share`·K FFN slots on average.
    ///
    /// A share that no offset can reach (more slots than a class has experts) gives the nearest.
    pub(super) fn offset_for(&self, share: f64) -> f64 {
        let wanted = share * self.top_k as f64;
        let mean = |b: f64| -> f64 {
            self.distribution(b).iter().enumerate().map(|(f, p)| f as f64 * p).sum()
        };
        OFFSETS.halved(60, |b| mean(b) > wanted).middle()
    }

    /// P(0), …, P(K) FFN slots of a token of unknown difficulty at offset `b`.
    pub(super) fn distribution(&self, b: f64) -> Vec<f64> {
        let mut mean = vec![0.0; self.top_k + 1];
        let mut given = vec![0.0; self.top_k + 1];
        for (node, weight) in NODES {
            self.distribution_given(b - self.difficulty_sd * node, &mut given);
            for (mean, given) in mean.iter_mut().zip(&given) {
                *mean += weight * given;
            }
        }
        mean
    }

    /// The distribution at offsets over the whole plausible range, for reading off quickly.
    pub(super) fn table(&self) -> SlotsTable {
        let rows = (0..=2 * STEPS).map(|at| {
            self.distribution((at as f64 - STEPS as f64) * FARTHEST_TABLED / STEPS as f64)
        });
        SlotsTable { slots: self.top_k + 1, p: rows.flatten().collect() }
    }

    /// P(0), …, P(K) FFN slots where the other class is tilted by `tilt` = b − θ [(1)].
    pub(super) fn distribution_given(&self, tilt: f64, p: &mut [f64]) {
        let factor = tilt.exp();
        p.fill(0.0);
        p[0] = 1.0;
        for picked in 0..self.top_k {
            // Backwards, so that p[f] still holds the state before this pick.
            for f in (0..=picked).rev() {
                let (ffn, others) = (self.ffn_left[f], factor * self.others_left[picked - f]);
                let to_ffn = if ffn + others > 0.0 { ffn / (ffn + others) } else { 0.0 };
                p[f + 1] += p[f] * to_ffn;
                p[f] *= 1.0 - to_ffn;
            }
        }
    }
}

/// P(0), P(1), P(2) FFN slots of a token that chooses two experts, at offset `b`, where FFN and other experts have
/// these masses left after one of their own was picked.
///
/// The mean mass left is 1 − Σ q², q being the shares of a class [(3)], and for two picks (1) needs no more of a
/// sequence: one that likes few experts of a class has less left of it and is more likely to pick of the other next.
pub(super) fn two_slots(difficulty_sd: f64, b: f64, [ffn_left, others_left]: [f64; 2]) -> [f64; 3] {
    let mut p = [0.0; 3];
    for (node, weight) in NODES {
        let tilt = (b - difficulty_sd * node).exp();
        let first = 1.0 / (1.0 + tilt);
        let again = ffn_left / (ffn_left + tilt);
        let after_other = 1.0 / (1.0 + tilt * others_left);
        p[0] += weight * (1.0 - first) * (1.0 - after_other);
        p[2] += weight * first * again;
    }
    p[1] = 1.0 - p[0] - p[2];
    p
}

/// The mean mass that is left of a class with these rates after a pick of its own.
pub(super) fn left_after_one(rates: &[f64]) -> f64 {
    let total: f64 = rates.iter().sum();
    (1.0 - rates.iter().map(|rate| rate * rate).sum::<f64>() / (total * total)).max(0.0)
}

/// The b at which the mean over sequences at offsets b + `ratio`, with these masses left, is `share` of two slots.
pub(super) fn offset_of_two(difficulty_sd: f64, share: f64, sequences: &[(f64, [f64; 2])]) -> f64 {
    let wanted = 2.0 * share * sequences.len() as f64;
    let sum = |b: f64| -> f64 {
        let slots = |&(ratio, left): &(f64, [f64; 2])| {
            let [_, one, two] = two_slots(difficulty_sd, b + ratio, left);
            one + 2.0 * two
        };
        sequences.iter().map(slots).sum()
    };
    OFFSETS.halved(40, |b| sum(b) > wanted).middle()
}

/// Beyond this offset distributions are taken as at it; steps of the table on either side of zero.
const FARTHEST_TABLED: f64 = 12.0;
const STEPS: usize = 120;

/// P(0), …, P(K) by offset, at steps of 0.1 with straight lines between: off by under 0.001.
#[derive(Clone, Debug, Default)]
pub(super) struct SlotsTable {
    slots: usize,
    p: Vec<f64>,
}

impl SlotsTable {
    /// P(0), …, P(K) at offset `b`, added to `out` with a weight.
    pub(super) fn add(&self, b: f64, weight: f64, out: &mut [f64]) {
        let at = (b / FARTHEST_TABLED + 1.0) * STEPS as f64;
        let at = at.clamp(0.0, 2.0 * STEPS as f64 - 1e-9);
        let (below, along) = (at as usize, at.fract());
        let rows = &self.p[below * self.slots..][..2 * self.slots];
        let (low, high) = rows.split_at(self.slots);
        for ((out, low), high) in out.iter_mut().zip(low).zip(high) {
            *out += weight * (low + along * (high - low));
        }
    }

    /// Mean FFN slots at offset `b`.
    pub(super) fn mean(&self, b: f64) -> f64 {
        let mut p = vec![0.0; self.slots];
        self.add(b, 1.0, &mut p);
        p.iter().enumerate().map(|(f, p)| f as f64 * p).sum()
    }

    /// The b at which the mean over sequences at offsets b + `ratio` is `share` of all slots.
    pub(super) fn offset_for(&self, share: f64, ratios: &[f64]) -> f64 {
        let wanted = share * (self.slots - 1) as f64;
        let sum = |b: f64| -> f64 { ratios.iter().map(|ratio| self.mean(b + ratio)).sum() };
        OFFSETS.halved(40, |b| sum(b) > wanted * ratios.len() as f64).middle()
    }
}

/// m(0), …, m(K) of a class with these weights [(2)].
fn mass_left(weights: &[f64], top_k: usize) -> Vec<f64> {
    let total: f64 = weights.iter().sum();
    let shares: Vec<f64> = weights.iter().map(|w| w / total).collect();
    let mut left = vec![0.0; top_k + 1];
    for (picked, left) in left.iter_mut().enumerate().take(shares.len().min(top_k + 1)) {
        let time = super::inclusion::arrival_time(&shares, picked as f64);
        *left = shares.iter().map(|q| q * (-q * time).exp()).sum();
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_experts_follow_the_hypergeometric_odds() {
        // 16 + 4 equal experts, two picks at a common weight: C(16,f)·C(4,2−f)/C(20,2).
        let classes = Classes::new(&[1.0; 16], &[1.0; 4], 2, 0.0);
        let p = classes.distribution(-(4.0_f64).ln());
        for (got, want) in p.iter().zip([6.0 / 190.0, 64.0 / 190.0, 120.0 / 190.0]) {
            assert!((got - want).abs() < 1e-12, "{p:?}");
        }
    }

    /// By integration over 4,001 points of θ, independently; seven nodes leave under 10⁻⁶.
    #[test]
    fn difficulty_spreads_slots_as_on_paper() {
        for (sd, want) in
            [(0.0, [0.050707, 0.398587, 0.550707]), (0.5, [0.058722, 0.382557, 0.558722])]
        {
            let classes = Classes::new(&[1.0; 16], &[1.0; 4], 2, sd);
            let p = classes.distribution(classes.offset_for(0.75));
            for (got, want) in p.iter().zip(want) {
                assert!((got - want).abs() < 2e-6, "{p:?} at sd {sd}");
            }
        }
    }
}
