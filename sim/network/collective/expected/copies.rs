//! Copies to groups of experts where a gate binds blocks, by the weights that explain what was chosen: eight groups side by side.

use pulp::{Arch, NullaryFnOnce};

use super::free::leave_out;
use super::side::{Row, SIDE, add, set_one, times, times_one_plus_in};
use super::weights::spread;
use super::{Allowed, Grouping, Solved};

impl Solved<'_> {
    /// Copies to each group, equation (3).
    pub(super) fn copies(&self, Grouping { group_of, groups }: &Grouping) -> Vec<f64> {
        Arch::new().dispatch(Copying { of: self, group_of, groups: *groups })
    }

    /// [(3)] of one group, with these ways to miss it of all ways to choose.
    #[inline(always)]
    fn hits(&self, whole: &[Row], left: impl Fn(usize) -> f64) -> f64 {
        let hit = |k: usize| match whole[k][0] {
            all if all > 0.0 => (1.0 - left(k) / all).clamp(0.0, 1.0),
            _ => 0.0,
        };
        let tokens = self.bound.chosen.tokens.iter().enumerate().skip(1);
        tokens.map(|(k, tokens)| tokens * hit(k)).sum()
    }
}

/// Counts copies.
struct Copying<'a> {
    of: &'a Solved<'a>,
    group_of: &'a [usize],
    groups: usize,
}

impl NullaryFnOnce for Copying<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn call(self) -> Vec<f64> {
        let Self { of, group_of, groups } = self;
        let Solved { bound, places, blocks, .. } = of;
        let without = Without::of(of, group_of, groups);
        let mut whole = vec![[0.0; SIDE]; bound.terms()];
        let mut left = whole.clone();
        let all = |block: usize, out: &mut [Row]| spread(blocks, block, out);
        bound.product(places.blocks, None, all, &mut whole);
        let mut copies = vec![0.0; groups];
        let most = match bound.allowed {
            Allowed::AtMost(most) => most,
            Allowed::Each(_) => 0,
        };
        let (single, several): (Vec<usize>, Vec<usize>) =
            (0..groups).partition(|&group| most > 0 && without.only_block_of(group).is_some());
        for eight in several.chunks(SIDE) {
            let fill = |block: usize, out: &mut [Row]| without.fill(blocks, block, eight, out);
            bound.product(places.blocks, None, fill, &mut left);
            for (lane, &group) in eight.iter().enumerate() {
                copies[group] = of.hits(&whole, |k| left[k][lane]);
            }
        }
        let rests = if single.is_empty() { vec![] } else { rests(of, most) };
        for eight in single.chunks(SIDE) {
            without.beside(&rests, eight, &mut left);
            for (lane, &group) in eight.iter().enumerate() {
                copies[group] = of.hits(&whole, |k| left[k][lane]);
            }
        }
        copies
    }
}

/// With R_m = (4) of the other blocks and at most m of them, one block alone makes R_M + R_(M−1) (B_b − 1): these two of
/// each block, eights of blocks one after another.
#[inline(always)]
fn rests(of: &Solved<'_>, most: usize) -> Vec<[Vec<Row>; 2]> {
    let all = |block: usize, out: &mut [Row]| spread(&of.blocks, block, out);
    let rest = |eight| {
        let rest = of.bound.by_blocks((of.places.blocks, Some(eight)), most, all);
        [most, most - 1].map(|most| {
            let mut sum = vec![[0.0; SIDE]; of.bound.terms()];
            rest.up_to(most, &mut sum);
            sum
        })
    };
    (0..of.places.eights()).map(rest).collect()
}

/// What blocks are where nothing is sent to a group: the numerator of (2).
struct Without {
    terms: usize,
    blocks: usize,
    /// `[group × block]`: where the series of the block without the group begins; nowhere if it has no expert there.
    begin: Vec<Option<u32>>,
    series: Vec<Row>,
}

impl Without {
    #[inline(always)]
    fn of(solved: &Solved<'_>, group_of: &[usize], groups: usize) -> Self {
        let (terms, blocks) = (solved.bound.terms(), solved.places.blocks);
        let (begin, series) = (vec![None; groups * blocks], vec![]);
        let mut without = Self { terms, blocks, begin, series };
        for eight in 0..solved.places.eights() {
            without.add_eight(solved, group_of, eight);
        }
        without
    }

    /// Adds the series of eight blocks.
    #[inline(always)]
    fn add_eight(&mut self, solved: &Solved<'_>, group_of: &[usize], eight: usize) {
        let (terms, places) = (self.terms, &solved.places);
        let experts = || (0..group_of.len()).filter(|&e| places.block_of(e) / SIDE == eight);
        let mut here: [Vec<usize>; SIDE] = Default::default();
        experts().for_each(|e| here[places.block_of(e) % SIDE].push(group_of[e]));
        here.iter_mut().for_each(|groups| {
            groups.sort_unstable();
            groups.dedup();
        });
        let most = here.iter().map(Vec::len).max().unwrap_or(0);
        // Π (1 + w z) over the experts of each group, and the same with w·d.
        let mut chosen = vec![[0.0; SIDE]; most * terms];
        chosen.chunks_exact_mut(terms).for_each(set_one);
        let shares = solved.bound.chosen.dropped;
        let mut lost = shares.iter().any(|share| *share > 0.0).then(|| chosen.clone());
        for e in experts() {
            let [row, lane] = places.cell(e);
            let weight = solved.weights[row][lane];
            let at = here[lane].partition_point(|&group| group < group_of[e]) * terms;
            times_one_plus_in(lane, weight, &mut chosen[at..][..terms]);
            if let Some(lost) = lost.as_mut().filter(|_| shares[e] > 0.0) {
                times_one_plus_in(lane, weight * shares[e], &mut lost[at..][..terms]);
            }
        }
        let first = self.series.len();
        for (lane, groups) in here.iter().enumerate() {
            for (at, &group) in groups.iter().enumerate() {
                self.begin[group * self.blocks + eight * SIDE + lane] =
                    Some((first + at * terms) as u32);
            }
        }
        self.series.resize(first + most * terms, [0.0; SIDE]);
        leave_out(terms, &chosen, lost.as_deref(), &mut self.series[first..]);
    }

    /// The one block that a group has experts in, if it is one.
    fn only_block_of(&self, group: usize) -> Option<usize> {
        let begin = &self.begin[group * self.blocks..][..self.blocks];
        let mut blocks = (0..self.blocks).filter(|&block| begin[block].is_some());
        blocks.next().filter(|_| blocks.next().is_none())
    }

    /// A block as it is without each of eight groups.
    #[inline(always)]
    fn fill(&self, whole: &[Row], block: usize, eight: &[usize], out: &mut [Row]) {
        let (terms, column) = (self.terms, block % SIDE);
        for (lane, &group) in eight.iter().enumerate() {
            let series = match self.begin[group * self.blocks + block] {
                Some(begin) => &self.series[begin as usize..][..terms],
                None => &whole[block / SIDE * terms..][..terms],
            };
            for (out, row) in out.iter_mut().zip(series) {
                out[lane] = row[column];
            }
        }
    }

    /// The numerators of groups that have experts in one block each.
    #[inline(always)]
    fn beside(&self, rests: &[[Vec<Row>; 2]], eight: &[usize], left: &mut [Row]) {
        let mut some = vec![[0.0; SIDE]; self.terms];
        let mut rest = [some.clone(), some.clone()];
        for (lane, &group) in eight.iter().enumerate() {
            let Some(block) = self.only_block_of(group) else { continue };
            let begin = self.begin[group * self.blocks + block].unwrap_or_default() as usize;
            for k in 0..self.terms {
                some[k][lane] = self.series[begin + k][block % SIDE];
                for (rest, of) in rest.iter_mut().zip(&rests[block / SIDE]) {
                    rest[k][lane] = of[k][block % SIDE];
                }
            }
        }
        some[0].iter_mut().for_each(|one| *one -= 1.0);
        times(&rest[1], &some, left);
        left.iter_mut().zip(&rest[0]).for_each(|(left, all)| add(left, all));
    }
}
