//! Tokens of a step of decoding, one of each sequence, where scores are carried from step to step: all sequences of a
//! GPU at once, by when each expert arrives for each.

use std::sync::Arc;

use super::Draw;
use crate::gate::choosing::groups::GroupRule;
use crate::gate::choosing::normals::waits;
use crate::gate::law::steps;
use crate::gate::sample::Race;
use crate::gate::sequences::Cursor;
use crate::gate::{Gate, Scheme};

/// Where a GPU's tokens are counted.
pub(in crate::gate) struct Counting<'a> {
    /// Slots by expert, and tokens by their number of slots of FFN experts.
    pub(in crate::gate) chosen: &'a mut [u32],
    pub(in crate::gate) tokens: &'a mut [u32],
    /// What each token chose, where that is kept.
    pub(in crate::gate) drawn: &'a mut Option<Vec<u16>>,
}

impl Counting<'_> {
    /// Counts a token that chose these, of which those below `ffn` compute.
    fn count(&mut self, experts: impl Iterator<Item = usize>, ffn: usize) {
        let mut ffn_slots = 0;
        for expert in experts {
            self.chosen[expert] += 1;
            if let Some(drawn) = self.drawn {
                drawn.push(expert as u16);
            }
            ffn_slots += usize::from(expert < ffn);
        }
        self.tokens[ffn_slots] += 1;
    }
}

impl Gate {
    /// What tokens of a step choose on one GPU; the mixing weight that is lost with what is dropped, where it is known.
    pub(in crate::gate) fn draw_step(
        &self,
        draw: &mut Draw<'_>,
        step: u32,
        mut into: Counting<'_>,
    ) -> Option<f64> {
        let (all, ffn) = (into.chosen.len(), self.experts.ffn as usize);
        let mut times = std::mem::take(&mut draw.scores);
        draw.step_times(step, &mut times);
        let top_k = self.experts.top_k as usize;
        match self.scheme {
            Scheme::GroupLimited { groups, most } => {
                let rule = GroupRule { groups, most, slots: top_k as f64 };
                let (mut space, mut taken) = (vec![], vec![]);
                for times in times.chunks_exact_mut(all) {
                    rule.take_soonest(times, &mut space, &mut taken);
                    // As for every scheme but the K best of all, slots are counted whoever has them.
                    into.count(taken.iter().copied(), usize::MAX);
                }
            }
            _ if self.is_top_k() => {
                let limits = self.limits.as_ref();
                let mut weights = vec![vec![]; limits.map_or(0, |_| all)];
                let mut race = Race::new(top_k);
                for times in times.chunks_exact(all) {
                    race.finish(times.iter().map(|time| f64::from(*time)));
                    into.count(race.winners(), ffn);
                    if limits.is_some() {
                        let each = race.weights(self.scoring);
                        each.for_each(|(expert, weight)| weights[expert].push(weight));
                    }
                }
                draw.scores = times;
                return limits.map(|limits| limits.lost_of(&mut weights));
            }
            _ => {
                let choices = self.choose_by(times.iter().map(|time| f64::from(*time)).collect());
                for token in 0..choices.tokens() {
                    let of = choices.of_token(token).iter();
                    into.count(of.map(|&expert| usize::from(expert)), usize::MAX);
                }
            }
        }
        draw.scores = times;
        None
    }
}

impl Draw<'_> {
    /// When each expert arrives for the token of each sequence of this GPU, `[sequence × expert]`, into `times`.
    fn step_times(&mut self, step: u32, times: &mut Vec<f32>) {
        let (gate, law, of_sequences) = (self.gate, self.persistence, self.sequences());
        let experts = gate.experts.total() as usize;
        let cells = of_sequences.len() * experts;
        steps::draw(law, step, self.ffn.here(), (cells, times));
        if law.depth > 0.0 {
            let place = (step, self.gpu);
            let common = gate.kept[0].scores(law, place, cells, || self.common.here().clone());
            let ranks = self.ranks();
            let [own, shared] = [1.0 - law.depth, law.depth].map(|share| share.sqrt() as f32);
            let rows = times.chunks_exact_mut(experts).zip(common.chunks_exact(experts));
            for (times, common) in rows {
                for (x, &rank) in times.iter_mut().zip(&ranks) {
                    *x = own * *x + shared * common[rank as usize];
                }
            }
        }
        waits(times);
        let pooled = match (gate.scheme, self.pooled_rates()) {
            (Scheme::GroupLimited { groups, .. }, Some(rates)) => {
                Some((experts / groups as usize, rates))
            }
            _ => None,
        };
        if let Some((per_group, (sums, members))) = pooled {
            for (times, member) in times.chunks_exact_mut(experts).zip(members) {
                take_longer_by_sums(times, &sums[member * experts..][..experts], per_group);
            }
            return;
        }
        let ffn = gate.experts.ffn as usize;
        let means = self.step_means(&of_sequences);
        for (times, means) in times.chunks_exact_mut(experts).zip(means.chunks_exact(experts)) {
            let slower = self.slower() as f32;
            times.iter_mut().zip(means).for_each(|(time, mean)| *time *= mean);
            times[ffn..].iter_mut().for_each(|time| *time *= slower);
        }
    }

    /// Mean times of arrival of experts for the tokens of these sequences, `[sequence × expert]`: the same at every step,
    /// but where sequences drift.
    fn step_means(&mut self, sequences: &[(usize, u32)]) -> Arc<Vec<f32>> {
        let (gate, place) = (self.gate, [self.layer_number.into(), self.gpu as u64, 0, 0]);
        let drifts = self.sequences.as_ref().is_some_and(Cursor::drifts);
        let experts = gate.experts.total() as usize;
        let mut draw = || {
            let mut means = Vec::with_capacity(sequences.len() * experts);
            for (sequence, _) in sequences {
                means.extend(self.mean_times_of(*sequence).iter().map(|mean| *mean as f32));
            }
            means
        };
        if drifts {
            return Arc::new(draw());
        }
        gate.kept[1].of(place, sequences.len() * experts, draw)
    }

    /// The place of each expert of the layer, the most popular first.
    fn ranks(&self) -> Vec<u32> {
        let mut ranks = vec![0; self.layer.mean_times.len()];
        for (rank, expert) in self.by_popularity().into_iter().enumerate() {
            ranks[expert] = rank as u32;
        }
        ranks
    }
}

/// Turns waits at a rate of one into times at these rates, which are added up within each group.
fn take_longer_by_sums(waits: &mut [f32], sums: &[f32], per_group: usize) {
    for (waits, sums) in waits.chunks_exact_mut(per_group).zip(sums.chunks_exact(per_group)) {
        let mut before = 0.0;
        for (wait, &sum) in waits.iter_mut().zip(sums) {
            *wait /= (sum - before).max(NEXT_TO_NOTHING);
            before = sum;
        }
    }
}

/// Stands for a rate that is lost to rounding: whoever has it comes very late.
const NEXT_TO_NOTHING: f32 = 1e-30;
