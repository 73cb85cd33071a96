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

use std::collections::BTreeMap;

use pulp::Arch;

mod copies;
mod free;
mod side;
mod weights;

use free::Free;
use side::{ByBlocks, Row, SIDE};
use weights::{Places, Solving};

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

/// A way to group experts: the group of each, and how many groups there are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Grouping {
    pub(super) group_of: Vec<usize>,
    pub(super) groups: usize,
}

/// Copies of what each of some GPUs chose to each group, for each way to group the experts: `[GPU][grouping][group]`.
/// GPUs whose gate is free are solved side by side.
pub(super) fn copies_of_each(of: &[(Chosen<'_>, Vec<Grouping>)]) -> Vec<Vec<Vec<f64>>> {
    let mut copies = vec![vec![]; of.len()];
    let mut alike: BTreeMap<(usize, &[Grouping]), Vec<usize>> = BTreeMap::new();
    for (at, (chosen, groupings)) in of.iter().enumerate() {
        chosen.check(groupings);
        if let Some((block_of, allowed)) = chosen.blocks {
            let bound = Bound { chosen, allowed };
            let places = Places::of(&block_of[..chosen.slots.len()]);
            let solved = Arch::new().dispatch(Solving { bound, places });
            copies[at] = groupings.iter().map(|grouping| solved.copies(grouping)).collect();
        } else {
            alike.entry((chosen.tokens.len(), groupings)).or_default().push(at);
        }
    }
    for ((_, groupings), gpus) in alike {
        for eight in gpus.chunks(SIDE) {
            let chosen: Vec<&Chosen<'_>> = eight.iter().map(|&at| &of[at].0).collect();
            let found = Arch::new().dispatch(Free { chosen: &chosen, groupings });
            eight.iter().zip(found).for_each(|(&at, found)| copies[at] = found);
        }
    }
    copies
}

impl Chosen<'_> {
    /// Copies to each of `groups`, equation (3), where expert `e` lives in `group_of[e]`.
    ///
    /// # Panics
    /// If the lists do not fit each other.
    #[must_use]
    pub fn copies(&self, group_of: &[usize], groups: usize) -> Vec<f64> {
        let grouping = Grouping { group_of: group_of.to_vec(), groups };
        copies_of_each(&[(*self, vec![grouping])]).into_iter().flatten().flatten().collect()
    }

    fn check(&self, groupings: &[Grouping]) {
        let experts = self.slots.len();
        let fits = |Grouping { group_of, .. }: &Grouping| group_of.len() == experts;
        assert!(self.dropped.len() == experts && groupings.iter().all(fits), "{experts} experts");
    }
}

/// What the tokens of one GPU chose where a gate binds blocks of experts.
#[derive(Clone, Copy, Debug)]
struct Bound<'a> {
    chosen: &'a Chosen<'a>,
    allowed: Allowed,
}

/// Choices with the weights that explain them.
#[derive(Debug)]
struct Solved<'a> {
    bound: Bound<'a>,
    places: Places,
    weights: Vec<Row>,
    /// `B_b` of each block.
    blocks: Vec<Row>,
}

impl Bound<'_> {
    fn terms(&self) -> usize {
        self.chosen.tokens.len().max(1)
    }

    /// (4) or (5) over so many blocks, or their product, in each lane; `fill` says what B_b is there. Where eight blocks
    /// are left out, a lane leaves out that of its own number among them.
    #[inline(always)]
    fn product(
        &self,
        blocks: usize,
        left_out: Option<usize>,
        fill: impl Fn(usize, &mut [Row]),
        out: &mut [Row],
    ) {
        let fewer = usize::from(left_out.is_some());
        match self.allowed {
            Allowed::Each(c) => {
                let (mut all, mut block) = ([1.0; SIDE], vec![[0.0; SIDE]; self.terms()]);
                for b in 0..blocks {
                    fill(b, &mut block);
                    let mut factor = block.get(c).copied().unwrap_or_default();
                    if Some(b / SIDE) == left_out {
                        factor[b % SIDE] = 1.0;
                    }
                    all.iter_mut().zip(factor).for_each(|(all, factor)| *all *= factor);
                }
                out.fill([0.0; SIDE]);
                out.iter_mut().skip(c * (blocks - fewer)).take(1).for_each(|term| *term = all);
            }
            Allowed::AtMost(most) => {
                let most = most.saturating_sub(fewer);
                self.by_blocks((blocks, left_out), most, fill).up_to(most, out);
            }
        }
    }

    /// The same by number of blocks, up to `y^most`.
    #[inline(always)]
    fn by_blocks(
        &self,
        (blocks, left_out): (usize, Option<usize>),
        most: usize,
        fill: impl Fn(usize, &mut [Row]),
    ) -> ByBlocks {
        let mut block = vec![[0.0; SIDE]; self.terms()];
        let mut all = ByBlocks::new(self.terms(), most);
        for b in 0..blocks {
            fill(b, &mut block);
            if Some(b / SIDE) == left_out {
                // B_b − 1 begins with z.
                block[1..].iter_mut().for_each(|row| row[b % SIDE] = 0.0);
            }
            all.times(&block);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten GPUs, one without slots and one that lost some: bit for bit what each is alone, however many rounds it takes.
    #[test]
    fn gpus_side_by_side_are_counted_as_each_alone() {
        let grouping = Grouping { group_of: (0..12).map(|e| e / 3).collect(), groups: 5 };
        let slots: Vec<Vec<f64>> = (0..10)
            .map(|gpu| (0..12).map(|e| f64::from(gpu * ((e * e + gpu) % 7 + 1))).collect())
            .collect();
        let dropped: Vec<[f64; 12]> =
            (0..10).map(|gpu| [if gpu == 4 { 0.25 } else { 0.0 }; 12]).collect();
        let tokens: Vec<[f64; 4]> = slots
            .iter()
            .map(|slots| slots.iter().sum::<f64>())
            .map(|all| [0.0, 0.0, all / 8.0, all / 4.0])
            .collect();
        let chosen: Vec<Chosen<'_>> = (0..10)
            .map(|gpu| Chosen {
                slots: &slots[gpu],
                dropped: &dropped[gpu],
                tokens: &tokens[gpu],
                blocks: None,
            })
            .collect();
        let of: Vec<_> = chosen.iter().map(|&chosen| (chosen, vec![grouping.clone()])).collect();
        let together = copies_of_each(&of);
        for (gpu, (chosen, together)) in chosen.iter().zip(&together).enumerate() {
            let alone = chosen.copies(&grouping.group_of, grouping.groups);
            assert_eq!(together, &[alone], "GPU {gpu}");
            assert_eq!(together[0].iter().all(|&copies| copies == 0.0), gpu == 0);
        }
    }
}
