//! What tokens of eight GPUs choose, in loops compiled for the widest vectors that the machine has: first how many slots of
//! FFN experts they have, then the experts of each class.

use pulp::NullaryFnOnce;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::Rows;
use super::class::{Asked, Class, Shares};
use super::lanes::{LANES, Lanes, corrected, draw_normals};
use crate::gate::sample::{NORMAL_FROM, small_binomial};

/// What tokens of every GPU choose.
#[derive(Clone, Copy)]
pub(super) struct Law<'a> {
    /// Tokens of a GPU, and slots of a token.
    pub(super) tokens: u32,
    pub(super) top_k: u32,
    /// How likely a token has 0, 1, …, K FFN slots.
    pub(super) slots: &'a [f64],
    /// FFN and other experts.
    pub(super) classes: [Shares<'a>; 2],
}

/// Memory that blocks of GPUs share: normal variables of FFN experts, of others, and of the choice between them.
#[derive(Debug, Default)]
pub(in crate::gate) struct Space {
    words: Vec<[u32; 2]>,
    normals: [Vec<f32>; 3],
    class: Class,
}

/// Draws the counts of up to eight GPUs into their rows; says of which they hold: not where more tokens would have some
/// expert than there are.
pub(super) struct Drawing<'a> {
    pub(super) law: Law<'a>,
    /// Of FFN experts and of all else, by GPU; those behind the last GPU are not used. Models that differ in other experts
    /// alone have the first in common.
    pub(super) rngs: [[Xoshiro256PlusPlus; LANES]; 2],
    pub(super) rows: Rows<'a>,
    pub(super) space: &'a mut Space,
}

impl NullaryFnOnce for Drawing<'_> {
    type Output = [bool; LANES];

    #[inline(always)]
    fn call(self) -> [bool; LANES] {
        let Self { law, mut rngs, rows: Rows { chosen, tokens }, space } = self;
        let Space { words, normals, class } = space;
        let [ffn, others] = law.classes.map(|class| class.of_slots.len());
        let choices = if others == 0 { 0 } else { law.top_k as usize };
        let gpus = tokens.len() / (law.top_k as usize + 1);
        let [of_ffn, of_rest] = rngs.each_mut().map(|rngs| &mut rngs[..gpus]);
        let [ffn_normals, other_normals, choice_normals] = normals;
        draw_normals(of_ffn, ffn, words, ffn_normals);
        draw_normals(of_rest, others, words, other_normals);
        draw_normals(of_rest, choices, words, choice_normals);
        let asked = law.tokens_by_slots(choice_normals, of_rest, tokens);
        let (mut free, mut begin) = ([true; LANES], 0);
        let normals = [ffn_normals, other_normals].into_iter().zip([of_ffn, of_rest]);
        for ((shares, (normals, rngs)), asked) in law.classes.into_iter().zip(normals).zip(&asked) {
            let experts = shares.of_slots.len();
            if experts == 0 {
                continue;
            }
            class.draw(shares, asked, normals, rngs);
            for (lane, row) in chosen.chunks_exact_mut(ffn + others).enumerate() {
                free[lane] &= class.write(lane, &mut row[begin..begin + experts]);
            }
            begin += experts;
        }
        free
    }
}

impl Law<'_> {
    /// Draws how many tokens have 0, 1, …, K FFN slots; what that asks of FFN and of other experts.
    #[inline(always)]
    fn tokens_by_slots(
        self,
        normals: &[f32],
        rngs: &mut [Xoshiro256PlusPlus],
        tokens: &mut [u32],
    ) -> [Asked; 2] {
        let (all, width) = (f64::from(self.tokens), self.top_k as usize + 1);
        let (mut left, mut mass) = ([all; LANES], 1.0);
        let (mut with_ffn, mut slots) = ([all; LANES], [0.0; LANES]);
        for (number, (z, p)) in
            normals.as_chunks().0.iter().zip(self.slots).take(width - 1).enumerate()
        {
            let chance: f64 = if mass > 0.0 { p / mass } else { 0.0 };
            let chance = chance.clamp(0.0, 1.0);
            let drawn = binomials(&left, chance, z, rngs);
            for lane in 0..LANES {
                left[lane] -= drawn[lane];
                slots[lane] += number as f64 * drawn[lane];
                with_ffn[lane] -= if number == 0 { drawn[lane] } else { 0.0 };
            }
            for (row, drawn) in tokens.chunks_exact_mut(width).zip(drawn) {
                row[number] = drawn as u32;
            }
            mass -= p;
        }
        let (top_k, mut asked) = (f64::from(self.top_k), [Asked::default(); 2]);
        for (row, left) in tokens.chunks_exact_mut(width).zip(left) {
            row[width - 1] = left as u32;
        }
        for lane in 0..LANES {
            let slots = slots[lane] + top_k * left[lane];
            let rest = [all - left[lane], all * top_k - slots];
            asked[0].tokens[lane] = with_ffn[lane];
            asked[0].slots[lane] = slots;
            [asked[1].tokens[lane], asked[1].slots[lane]] = rest;
        }
        asked
    }
}

/// Numbers of successes among so many trials, of the law of `sample`.
#[inline(always)]
fn binomials(
    trials: &Lanes,
    chance: f64,
    z: &[f32; LANES],
    rngs: &mut [Xoshiro256PlusPlus],
) -> Lanes {
    let mut drawn = [0.0; LANES];
    for lane in 0..LANES {
        let mean = trials[lane] * chance;
        let spread = (mean * (1.0 - chance)).sqrt();
        drawn[lane] = corrected(mean, spread, chance, z[lane].into(), trials[lane]);
    }
    for (lane, rng) in rngs.iter_mut().enumerate() {
        if trials[lane] * chance * (1.0 - chance) < NORMAL_FROM {
            drawn[lane] = small_binomial(rng, trials[lane] as u32, chance).into();
        }
    }
    drawn
}
