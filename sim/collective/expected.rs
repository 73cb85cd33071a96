//! How many destinations tokens reach, where only numbers of slots are known.
//!
//! A gate without favourites that picks `k` of `E` experts without repetition, `E/G` in each of `G`
//! groups, reaches
//!
//! ```text
//!   E[distinct] = G·(1 − C(E − E/G, k) / C(E, k))                                 (1)
//! ```
//!
//! of the groups. A gate with favourites is described by the slots it gave each expert. Among all
//! ways to choose `k` distinct experts we take the one of greatest entropy for these slots: the set
//! `A` has a probability in proportion to `Π_{e ∈ A} w_e` [hajek81]. With `T_k` tokens of `k` slots
//! and `e_k` the elementary symmetric polynomial of the weights, `P_k(e ∈ A) = w_e·e_{k−1}(w∖e) / e_k(w)`,
//! and the weights are solved so that the slots come out as they are. A token misses group `g` with
//!
//! ```text
//!   P_k(A ∩ g = ∅) = [z^k] Π_{e ∉ g} (1 + w_e z) / [z^k] Π_e (1 + w_e z)             (2)
//!   copies to g    = Σ_k T_k · (1 − P_k(A ∩ g = ∅))                                  (3)
//! ```
//!
//! which is (1) where all weights are equal. A slot that found its expert full is not sent: where a
//! share `d_e` of an expert's slots was dropped, the product over `e ∈ g` of `1 + w_e·d_e·z` stays in
//! the numerator of (2). (3) is concave in `k`, so bytes × (share of FFN slots) would promise too
//! much saving.

/// How many of `groups` equal groups of `experts` a token with `slots` distinct experts touches on
/// average under a balanced gate, equation (1).
///
/// # Panics
/// If the groups do not divide the experts or there are fewer experts than slots.
#[must_use]
pub fn expected_distinct(groups: u32, experts: u32, slots: u32) -> f64 {
    assert!(groups > 0 && experts.is_multiple_of(groups), "{groups} groups of {experts} experts");
    assert!(slots <= experts, "{slots} slots for {experts} experts");
    let elsewhere = experts - experts / groups;
    // C(elsewhere, k) / C(experts, k) as a product, which neither overflows nor cancels.
    let missed = (0..slots).fold(1.0, |missed, k| {
        missed * (f64::from(elsewhere) - f64::from(k)).max(0.0) / f64::from(experts - k)
    });
    f64::from(groups) * (1.0 - missed)
}

/// [`expected_distinct`] over a law of the number of slots: `law[k]` is the share of tokens with `k`.
#[must_use]
pub fn expected_distinct_over(groups: u32, experts: u32, law: &[f64]) -> f64 {
    let each =
        (0..).zip(law).map(|(slots, share)| share * expected_distinct(groups, experts, slots));
    each.sum()
}

/// What the tokens of one GPU chose, where only counts are known.
#[derive(Clone, Copy, Debug)]
pub struct Chosen<'a> {
    /// Slots of each expert, dropped ones included.
    pub slots: &'a [f64],
    /// The share of these that was dropped.
    pub dropped: &'a [f64],
    /// Tokens by their number of slots among these experts, `T_0`, `T_1`, ….
    pub tokens: &'a [f64],
}

/// Rounds of solving for the weights; each takes off at least half of what is missing.
const ROUNDS: usize = 12;

impl Chosen<'_> {
    /// Copies to each of `groups`, equation (3), where expert `e` lives in `group_of[e]`.
    ///
    /// # Panics
    /// If the lists do not fit each other.
    #[must_use]
    pub fn copies(&self, group_of: &[usize], groups: usize) -> Vec<f64> {
        let experts = self.slots.len();
        assert!(group_of.len() == experts && self.dropped.len() == experts, "{experts} experts");
        let weights = self.weights();
        let terms = self.tokens.len();
        // Π (1 + w z) over the experts of each group, and the same with w·d.
        let mut chosen = vec![Series::one(terms); groups];
        let mut lost = vec![Series::one(terms); groups];
        for (e, &weight) in weights.iter().enumerate() {
            chosen[group_of[e]].times_one_plus(weight);
            lost[group_of[e]].times_one_plus(weight * self.dropped[e]);
        }
        // Products of all groups before and after each, so that one can be left out.
        let mut after = vec![Series::one(terms); groups + 1];
        for g in (0..groups).rev() {
            after[g] = after[g + 1].times(&chosen[g]);
        }
        let whole = after[0].clone();
        let mut before = Series::one(terms);
        let mut copies = Vec::with_capacity(groups);
        for g in 0..groups {
            let without = before.times(&after[g + 1]).times(&lost[g]);
            let hit = |k: usize| {
                let missed = without.0[k] / whole.0[k];
                if whole.0[k] > 0.0 { (1.0 - missed).clamp(0.0, 1.0) } else { 0.0 }
            };
            copies.push((1..terms).map(|k| self.tokens[k] * hit(k)).sum());
            before = before.times(&chosen[g]);
        }
        copies
    }

    /// Weights under which each expert's slots are expected to be what they are.
    fn weights(&self) -> Vec<f64> {
        let total: f64 = self.slots.iter().sum();
        if total <= 0.0 {
            return vec![0.0; self.slots.len()];
        }
        // Scaled to a sum of one, which (2) does not depend on.
        let mut weights: Vec<f64> = self.slots.iter().map(|slots| slots / total).collect();
        let terms = self.tokens.len();
        for _ in 0..ROUNDS {
            let mut all = Series::one(terms);
            weights.iter().for_each(|&weight| all.times_one_plus(weight));
            let mut off: f64 = 0.0;
            let scale: Vec<f64> = (0..terms)
                .map(|k| if all.0[k] > 0.0 { self.tokens[k] / all.0[k] } else { 0.0 })
                .collect();
            for (weight, &slots) in weights.iter_mut().zip(self.slots) {
                // e_k(w∖e) = e_k(w) − w_e·e_{k−1}(w∖e), from the bottom.
                let (mut without, mut expected) = (1.0, 0.0);
                for (scale, all) in scale.iter().zip(&all.0).take(terms).skip(1) {
                    expected += scale * *weight * without;
                    without = (all - *weight * without).max(0.0);
                }
                if expected > 0.0 {
                    off = off.max((slots / expected - 1.0).abs());
                    *weight *= slots / expected;
                }
            }
            let sum: f64 = weights.iter().sum();
            weights.iter_mut().for_each(|weight| *weight /= sum);
            if off < 1e-6 {
                break;
            }
        }
        weights
    }
}

/// A polynomial cut off behind its first terms.
#[derive(Clone, Debug)]
struct Series(Vec<f64>);

impl Series {
    fn one(terms: usize) -> Self {
        let mut series = vec![0.0; terms.max(1)];
        series[0] = 1.0;
        Self(series)
    }

    /// Multiplies by `1 + w z`.
    fn times_one_plus(&mut self, weight: f64) {
        for k in (1..self.0.len()).rev() {
            self.0[k] += weight * self.0[k - 1];
        }
    }

    fn times(&self, other: &Self) -> Self {
        let terms = self.0.len();
        let of = |k: usize| (0..=k).map(|i| self.0[i] * other.0[k - i]).sum();
        Self((0..terms).map(of).collect())
    }
}
