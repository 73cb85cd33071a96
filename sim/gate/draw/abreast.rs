//! Counts of several GPUs abreast, where all sequences are alike: eight at once.
//!
//! Each GPU draws from numbers of its own, so that its counts are the same whichever GPUs are drawn beside it.

mod class;
mod drawing;
mod lanes;

use std::ops::Range;

use pulp::Arch;
use rand_chacha::rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::Draw;
use crate::gate::Counts;
use class::Shares;
pub(in crate::gate) use drawing::Space;
use drawing::{Drawing, Law};
use lanes::LANES;

/// Words of random numbers that begin a generator of one GPU.
const SEED_WORDS: u128 = 8;
/// Where those words begin that decide all but FFN experts.
const OTHERS_FROM: u128 = 1 << 40;

/// Rows of counts, one for each GPU: slots by expert, and tokens by their number of FFN slots.
struct Rows<'a> {
    chosen: &'a mut [u32],
    tokens: &'a mut [u32],
}

impl Draw<'_> {
    /// What tokens of these GPUs choose, of the law of [`Self::counts`]; says whether that was done, as it is where
    /// counts are drawn without tokens and all sequences have one law.
    pub(in crate::gate) fn counts_abreast(
        &mut self,
        gpus: Range<usize>,
        counts: &mut Counts,
        space: &mut Space,
    ) -> bool {
        let gate = self.gate;
        let by_counts = !gate.exact && gate.replay.is_none() && gate.is_top_k();
        if !by_counts || self.sequences.is_some() {
            return false;
        }
        let (all, most) = (counts.experts(), counts.most_slots());
        let begins = gpus.step_by(LANES);
        let rows = counts.kept.chunks_mut(LANES * all);
        let rows = rows.zip(counts.tokens.chunks_mut(LANES * (most + 1)));
        for (first, (chosen, tokens)) in begins.zip(rows) {
            let drawn = self.some_abreast(first, Rows { chosen, tokens }, space);
            let rows = chosen.chunks_exact_mut(all).zip(tokens.chunks_exact_mut(most + 1));
            for ((gpu, drawn), (chosen, tokens)) in (first..).zip(drawn).zip(rows) {
                if !drawn {
                    chosen.fill(0);
                    self.seek(gpu);
                    self.counts(chosen, tokens);
                }
            }
        }
        true
    }

    /// The same of up to eight GPUs; says which of them were drawn. Those are not of whose tokens more would have some expert
    /// than there are: [`Self::counts`] knows what such experts leave to others.
    fn some_abreast(&mut self, first: usize, rows: Rows<'_>, space: &mut Space) -> [bool; LANES] {
        let (gate, layer) = (self.gate, self.layer);
        let word = (first as u128) * SEED_WORDS;
        let rngs = [word, OTHERS_FROM + word].map(|word| {
            let stream = self.counts.at(word);
            std::array::from_fn(|_| Xoshiro256PlusPlus::from_rng(stream))
        });
        let law = Law {
            tokens: gate.tokens_per_gpu,
            top_k: gate.experts.top_k,
            slots: &layer.ffn_slots,
            classes: [
                Shares { of_slots: &layer.ffn_shares, widening: &layer.widening[0] },
                Shares { of_slots: &layer.other_shares, widening: &layer.widening[1] },
            ],
        };
        Arch::new().dispatch(Drawing { law, rngs, rows, space })
    }
}
