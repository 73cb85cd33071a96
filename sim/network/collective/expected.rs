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
//! which is (1) where all weights are equal. Where a gate binds blocks `b` of experts, the sets that it
//! allows alone count, and `Π_e (1 + w_e z)` gives way, with `B_b = Π_{e ∈ b} (1 + w_e z)`, to
//!
//! ```text
//!   at most M blocks (DeepSeek-V3):   [y^0] + … + [y^M] of Π_b (1 + y (B_b − 1))   (4)
//!   c slots in every block (Pangu):   Π_b z^c [z^c] B_b                            (5)
//! ```
//!
//! A slot that found its expert full is not sent: where a
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
    /// The block of each expert, and what the gate allows of blocks; none where it is free.
    pub blocks: Option<(&'a [usize], Allowed)>,
}

/// What a gate allows a token to choose of blocks of experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Experts of at most this many blocks, equation (4).
    AtMost(usize),
    /// So many experts of every block, equation (5).
    Each(usize),
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
        self.solved().copies(group_of, groups)
    }

    /// The same choices with their weights, for several ways to group the experts.
    #[must_use]
    pub fn solved(&self) -> Solved<'_> {
        let (members, weights) = (self.members(), self.weights());
        let blocks = self.blocks_of(&members, &weights);
        Solved { chosen: self, members, weights, blocks }
    }

    /// The experts of each block.
    fn members(&self) -> Vec<Vec<usize>> {
        let experts = self.slots.len();
        let Some((block_of, _)) = self.blocks else { return vec![(0..experts).collect()] };
        let mut members = vec![Vec::new(); block_of.iter().max().map_or(0, |last| last + 1)];
        (0..experts).for_each(|e| members[block_of[e]].push(e));
        members
    }

    /// `B_b` of each block.
    fn blocks_of(&self, members: &[Vec<usize>], weights: &[f64]) -> Vec<Series> {
        let block = |members: &Vec<usize>| {
            let mut series = Series::one(self.tokens.len());
            members.iter().for_each(|&e| series.times_one_plus(weights[e]));
            series
        };
        members.iter().map(block).collect()
    }

    /// (4) or (5) over these blocks, or their product.
    fn allowed(&self, blocks: &[Series]) -> Series {
        let terms = self.tokens.len();
        match self.blocks.map(|(_, allowed)| allowed) {
            None => blocks.iter().fold(Series::one(terms), |all, block| all.times(block)),
            Some(Allowed::Each(c)) => {
                let all =
                    blocks.iter().map(|block| block.0.get(c).copied().unwrap_or(0.0)).product();
                Series::term(terms, c * blocks.len(), all)
            }
            Some(Allowed::AtMost(most)) => ByBlocks::of(terms, blocks.iter(), most).up_to(most),
        }
    }

    /// What the other blocks bring to a token that has an expert in `block`.
    fn others(&self, blocks: &[Series], block: usize) -> Series {
        let terms = self.tokens.len();
        let rest = || blocks.iter().enumerate().filter(|(b, _)| *b != block).map(|(_, s)| s);
        match self.blocks.map(|(_, allowed)| allowed) {
            None => rest().fold(Series::one(terms), |all, block| all.times(block)),
            Some(Allowed::Each(c)) => {
                let all = rest().map(|block| block.0.get(c).copied().unwrap_or(0.0)).product();
                Series::term(terms, c * (blocks.len() - 1), all)
            }
            Some(Allowed::AtMost(most)) => {
                let fewer = most.saturating_sub(1);
                ByBlocks::of(terms, rest(), fewer).up_to(fewer)
            }
        }
    }

    /// Weights under which each expert's slots are expected to be what they are.
    fn weights(&self) -> Vec<f64> {
        let total: f64 = self.slots.iter().sum();
        if total <= 0.0 {
            return vec![0.0; self.slots.len()];
        }
        // Scaled to a sum of one, which (2) does not depend on.
        let mut weights: Vec<f64> = self.slots.iter().map(|slots| slots / total).collect();
        let members = self.members();
        for _ in 0..ROUNDS {
            let blocks = self.blocks_of(&members, &weights);
            let all = self.allowed(&blocks);
            let mut off: f64 = 0.0;
            for (b, members) in members.iter().enumerate() {
                let tails = self.tails(&all, &self.others(&blocks, b));
                for &e in members {
                    // B_b without e, from the bottom: B_b = (1 + w z)·(B_b without e).
                    let (mut without, mut expected) = (1.0, 0.0);
                    for (tail, term) in tails.iter().zip(&blocks[b].0).skip(1) {
                        expected += tail * weights[e] * without;
                        without = (term - weights[e] * without).max(0.0);
                    }
                    if expected > 0.0 {
                        off = off.max((self.slots[e] / expected - 1.0).abs());
                        weights[e] *= self.slots[e] / expected;
                    }
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

    /// For each number `j` of slots in a block, tokens over all ways to choose, times the ways to
    /// choose the other slots elsewhere.
    fn tails(&self, all: &Series, others: &Series) -> Vec<f64> {
        let terms = self.tokens.len();
        let allowed = |j: usize| match self.blocks {
            Some((_, Allowed::Each(c))) => j == c,
            _ => true,
        };
        let tail = |j: usize| -> f64 {
            let of = |k: usize| {
                if all.0[k] > 0.0 { self.tokens[k] / all.0[k] * others.0[k - j] } else { 0.0 }
            };
            if allowed(j) { (j..terms).map(of).sum() } else { 0.0 }
        };
        (0..terms).map(tail).collect()
    }
}

/// Choices with the weights that explain them.
#[derive(Debug)]
pub struct Solved<'a> {
    chosen: &'a Chosen<'a>,
    /// The experts of each block.
    members: Vec<Vec<usize>>,
    weights: Vec<f64>,
    /// `B_b` of each block.
    blocks: Vec<Series>,
}

impl Solved<'_> {
    /// Copies to each of `groups`, equation (3), where expert `e` lives in `group_of[e]`.
    ///
    /// # Panics
    /// If the lists do not fit each other.
    #[must_use]
    pub fn copies(&self, group_of: &[usize], groups: usize) -> Vec<f64> {
        let Chosen { slots, dropped, tokens, .. } = self.chosen;
        let experts = slots.len();
        assert!(group_of.len() == experts && dropped.len() == experts, "{experts} experts");
        // For each group, the blocks that have experts in it, as they are without these.
        let mut without: Vec<Vec<(usize, Series)>> = vec![Vec::new(); groups];
        for (block, members) in self.members.iter().enumerate() {
            self.leave_out(members, group_of, |group, series| without[group].push((block, series)));
        }
        let whole = self.chosen.allowed(&self.blocks);
        let mut rests: Vec<Option<[Series; 2]>> = vec![None; self.blocks.len()];
        let mut copies = |without: &Vec<(usize, Series)>| -> f64 {
            let left = self.left(without, &mut rests);
            let hit = |k: usize| match whole.0[k] {
                all if all > 0.0 => (1.0 - left.0[k] / all).clamp(0.0, 1.0),
                _ => 0.0,
            };
            (1..tokens.len()).map(|k| tokens[k] * hit(k)).sum()
        };
        without.iter().map(&mut copies).collect()
    }

    /// The numerator of (2), with these blocks in place of their own. With R_m = (4) of the other blocks and at
    /// most m of them, one block alone makes R_M + R_(M−1) (B_b − 1): `rests` keeps these of each block.
    fn left(&self, without: &[(usize, Series)], rests: &mut [Option<[Series; 2]>]) -> Series {
        let allowed = self.chosen.blocks.map(|(_, allowed)| allowed);
        if let (Some(Allowed::AtMost(most)), [(block, series)]) = (allowed, without)
            && most > 0
        {
            let [all, fewer] = rests[*block].get_or_insert_with(|| {
                let rest = self.blocks.iter().enumerate().filter(|(b, _)| b != block);
                let terms = self.chosen.tokens.len();
                let rest = ByBlocks::of(terms, rest.map(|(_, series)| series), most);
                [rest.up_to(most), rest.up_to(most - 1)]
            });
            let mut some = series.clone();
            some.0[0] -= 1.0;
            let mut left = fewer.times(&some);
            left.add(all);
            return left;
        }
        let mut left = self.blocks.clone();
        without.iter().for_each(|(block, series)| left[*block].clone_from(series));
        self.chosen.allowed(&left)
    }

    /// For each group with experts in a block: the block's series when nothing is sent to the group.
    fn leave_out(
        &self,
        members: &[usize],
        group_of: &[usize],
        mut then: impl FnMut(usize, Series),
    ) {
        let (terms, weights) = (self.chosen.tokens.len(), &self.weights);
        let mut here: Vec<usize> = members.iter().map(|&e| group_of[e]).collect();
        here.sort_unstable();
        here.dedup();
        // Π (1 + w z) over the experts of each group, and the same with w·d.
        let mut chosen = vec![Series::one(terms); here.len()];
        let mut lost = chosen.clone();
        for &e in members {
            let at = here.partition_point(|&group| group < group_of[e]);
            chosen[at].times_one_plus(weights[e]);
            lost[at].times_one_plus(weights[e] * self.chosen.dropped[e]);
        }
        // Products of all groups before and after each, so that one can be left out.
        let mut after = vec![Series::one(terms); here.len() + 1];
        for at in (0..here.len()).rev() {
            after[at] = after[at + 1].times(&chosen[at]);
        }
        let mut before = Series::one(terms);
        for (at, group) in here.into_iter().enumerate() {
            then(group, before.times(&after[at + 1]).times(&lost[at]));
            before = before.times(&chosen[at]);
        }
    }
}

/// Coefficients of y in Π_b (1 + y (B_b − 1)), each a series in z.
struct ByBlocks {
    terms: usize,
    /// One series after another, `y^0` first.
    of: Vec<f64>,
}

impl ByBlocks {
    /// Of these blocks, up to `y^most`.
    fn of<'s>(terms: usize, blocks: impl Iterator<Item = &'s Series>, most: usize) -> Self {
        let terms = terms.max(1);
        let mut of = vec![0.0; (most + 1) * terms];
        of[0] = 1.0;
        for block in blocks {
            for y in (1..=most).rev() {
                let (fewer, these) = of[(y - 1) * terms..].split_at_mut(terms);
                // B_b − 1 begins with z, so y blocks begin with z^y.
                for k in y..terms {
                    let pairs = fewer[y - 1..k].iter().zip(block.0[1..=k + 1 - y].iter().rev());
                    these[k] += pairs.map(|(a, b)| a * b).sum::<f64>();
                }
            }
        }
        Self { terms, of }
    }

    /// `[y^0] + … + [y^most]`.
    fn up_to(&self, most: usize) -> Series {
        let mut all = Series::zero(self.terms);
        for series in self.of.chunks_exact(self.terms).take(most + 1) {
            all.0.iter_mut().zip(series).for_each(|(to, term)| *to += term);
        }
        all
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

    fn zero(terms: usize) -> Self {
        Self(vec![0.0; terms.max(1)])
    }

    /// `factor · z^k`, or nothing if that is cut off.
    fn term(terms: usize, k: usize, factor: f64) -> Self {
        let mut series = Self::zero(terms);
        series.0.iter_mut().skip(k).take(1).for_each(|term| *term = factor);
        series
    }

    fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(to, term)| *to += term);
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
