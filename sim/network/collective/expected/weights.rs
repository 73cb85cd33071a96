//! The weights under which each expert's slots are expected to be what they are, where a gate binds blocks: by rounds,
//! each block in a lane.

use pulp::NullaryFnOnce;

use super::side::{Row, SIDE, set_one, times_one_plus};
use super::{Allowed, Bound, Solved};

/// Rounds of solving for the weights; each takes off at least half of what is missing.
pub(super) const ROUNDS: usize = 12;

/// Where each expert stands: in which block, and as which of its members.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) blocks: usize,
    /// Members of the largest block.
    size: usize,
    of: Vec<[usize; 2]>,
}

impl Places {
    /// Of experts in these blocks.
    pub(super) fn of(block_of: &[usize]) -> Self {
        let mut sizes = vec![0; block_of.iter().max().map_or(0, |last| last + 1)];
        let place = |&block: &usize| {
            sizes[block] += 1;
            [block, sizes[block] - 1]
        };
        let of = block_of.iter().map(place).collect();
        Self { blocks: sizes.len(), size: sizes.into_iter().max().unwrap_or(0), of }
    }

    /// Eights of blocks.
    pub(super) fn eights(&self) -> usize {
        self.blocks.div_ceil(SIDE)
    }

    /// The block of an expert.
    pub(super) fn block_of(&self, expert: usize) -> usize {
        self.of[expert][0]
    }

    /// Row and lane of an expert.
    pub(super) fn cell(&self, expert: usize) -> [usize; 2] {
        let [block, member] = self.of[expert];
        [block / SIDE * self.size + member, block % SIDE]
    }

    /// A row for each member of a block, with what is told of each expert and zero where there is none.
    fn rows(&self, told: impl Fn(usize) -> f64) -> Vec<Row> {
        let mut rows = vec![[0.0; SIDE]; self.eights() * self.size];
        for expert in 0..self.of.len() {
            let [row, lane] = self.cell(expert);
            rows[row][lane] = told(expert);
        }
        rows
    }

    /// `B_b` of all blocks.
    #[inline(always)]
    fn blocks_of(&self, weights: &[Row], blocks: &mut [Row]) {
        let terms = blocks.len() / self.eights().max(1);
        for (eight, series) in blocks.chunks_exact_mut(terms.max(1)).enumerate() {
            set_one(series);
            let rows = &weights[eight * self.size..][..self.size];
            rows.iter().for_each(|row| times_one_plus(row, series));
        }
    }
}

/// One block of these, in all lanes.
#[inline(always)]
pub(super) fn spread(blocks: &[Row], block: usize, out: &mut [Row]) {
    let series = &blocks[block / SIDE * out.len()..];
    for (out, row) in out.iter_mut().zip(series) {
        *out = [row[block % SIDE]; SIDE];
    }
}

/// Solves for the weights.
pub(super) struct Solving<'a> {
    pub(super) bound: Bound<'a>,
    pub(super) places: Places,
}

impl<'a> NullaryFnOnce for Solving<'a> {
    type Output = Solved<'a>;

    #[inline(always)]
    fn call(self) -> Solved<'a> {
        let Self { bound, places } = self;
        let chosen = bound.chosen;
        let total: f64 = chosen.slots.iter().sum();
        // Scaled to a sum of one, which (2) does not depend on.
        let share = |expert: usize| if total > 0.0 { chosen.slots[expert] / total } else { 0.0 };
        let slots = places.rows(|expert| chosen.slots[expert]);
        let mut weights = places.rows(share);
        let mut blocks = vec![[0.0; SIDE]; places.eights() * bound.terms()];
        for _ in 0..if total > 0.0 { ROUNDS } else { 0 } {
            places.blocks_of(&weights, &mut blocks);
            let off = round(bound, &places, (&slots, &blocks), &mut weights);
            let cells = (0..places.of.len()).map(|expert| places.cell(expert));
            let sum: f64 = cells.map(|[row, lane]| weights[row][lane]).sum();
            weights.iter_mut().flatten().for_each(|weight| *weight /= sum);
            if off < 1e-6 {
                break;
            }
        }
        places.blocks_of(&weights, &mut blocks);
        Solved { bound, places, weights, blocks }
    }
}

/// Corrects each weight by what its expert's slots are over what they are expected to be; says how far off they were.
#[inline(always)]
fn round(
    bound: Bound<'_>,
    places: &Places,
    (slots, blocks): (&[Row], &[Row]),
    weights: &mut [Row],
) -> f64 {
    let terms = bound.terms();
    let (mut all, mut others) = (vec![[0.0; SIDE]; terms], vec![[0.0; SIDE]; terms]);
    let mut tails = others.clone();
    let fill = |block: usize, out: &mut [Row]| spread(blocks, block, out);
    bound.product(places.blocks, None, fill, &mut all);
    let mut off: f64 = 0.0;
    for eight in 0..places.eights() {
        bound.product(places.blocks, Some(eight), fill, &mut others);
        set_tails(bound, &all, &others, &mut tails);
        let terms_of = &blocks[eight * terms..][..terms];
        let rows = eight * places.size..(eight + 1) * places.size;
        for (weights, slots) in weights[rows.clone()].iter_mut().zip(&slots[rows]) {
            // B_b without the expert, from the bottom: B_b = (1 + w z)·(B_b without it).
            let (mut without, mut expected) = ([1.0; SIDE], [0.0; SIDE]);
            for (tail, term) in tails.iter().zip(terms_of).skip(1) {
                for lane in 0..SIDE {
                    expected[lane] += tail[lane] * weights[lane] * without[lane];
                    without[lane] = (term[lane] - weights[lane] * without[lane]).max(0.0);
                }
            }
            for lane in 0..SIDE {
                if expected[lane] > 0.0 {
                    let right = slots[lane] / expected[lane];
                    off = off.max((right - 1.0).abs());
                    weights[lane] *= right;
                }
            }
        }
    }
    off
}

/// For each number `j` of slots in a block, tokens over all ways to choose, times the ways to choose the other slots
/// elsewhere.
#[inline(always)]
fn set_tails(bound: Bound<'_>, all: &[Row], others: &[Row], tails: &mut [Row]) {
    tails.fill([0.0; SIDE]);
    for (k, &tokens) in bound.chosen.tokens.iter().enumerate() {
        // All lanes have the same.
        let ways = all[k][0];
        if tokens <= 0.0 || ways <= 0.0 {
            continue;
        }
        for (tail, others) in tails[..=k].iter_mut().zip(others[..=k].iter().rev()) {
            for lane in 0..SIDE {
                tail[lane] += tokens / ways * others[lane];
            }
        }
    }
    if let Allowed::Each(c) = bound.allowed {
        let other = tails.iter_mut().enumerate().filter(|&(j, _)| j != c);
        other.for_each(|(_, tail)| *tail = [0.0; SIDE]);
    }
}
