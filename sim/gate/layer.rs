//! What is the same for all tokens of a layer: popularity, weights and the choice of class.

use rand_distr::{Distribution, Gamma, StandardNormal};

use super::classes::{Classes, SlotsTable};
use super::{inclusion, sample};
use crate::base::streams::Streams;
use crate::workload::{Experts, Gating, LayerLaw, Popularity, Scheme};

/// Slots of a class, of K, below which its experts' weights no longer depend on their number.
const LEAST_SLOTS: f64 = 1e-6;

/// What is the same for all tokens of a layer.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// Share of the FFN slots that each FFN expert gets.
    pub(super) ffn_shares: Vec<f64>,
    /// Share of the other slots that each other expert gets.
    pub(super) other_shares: Vec<f64>,
    /// Weights of the other experts, summing to one.
    pub(super) other_weights: Vec<f64>,
    /// FFN share of all slots.
    pub(super) share: f64,
    /// Weights of a token of mean difficulty [(1)], as mean times of arrival 1/w_i.
    pub(super) mean_times: Vec<f64>,
    /// P(0), …, P(K) FFN slots of a token.
    pub(super) ffn_slots: Vec<f64>,
    /// Of FFN and other experts: c of `sample`, (1), over the variance that asks for it, of tokens with as many slots of the
    /// class as they have on average (`sample::widening`).
    pub(super) widening: [Vec<f64>; 2],
    /// The same by offset, for sequences that differ.
    pub(super) slots_table: SlotsTable,
}

impl Layer {
    /// A layer whose popularity is drawn from `streams`.
    pub(super) fn new(experts: &Experts, gating: &Gating, streams: Streams, layer: u32) -> Self {
        let others = other_shares(experts, gating.zero_computation_weights);
        let share = ffn_share(experts, gating, layer as usize);
        Self::of(experts, gating, popularity(experts, gating, streams, layer), others, share)
    }

    /// A layer whose experts are as popular as those of a fitted law, of FFN experts alone or of all.
    pub(super) fn of_law(
        experts: &Experts,
        gating: &Gating,
        (law, layer): (&LayerLaw, usize),
        slots: f64,
    ) -> Self {
        let ffn = experts.ffn as usize;
        let mut shares = law.shares();
        if shares.len() == ffn {
            let others = other_shares(experts, gating.zero_computation_weights);
            return Self::of(experts, gating, shares, others, ffn_share(experts, gating, layer));
        }
        let mut inclusion = vec![];
        inclusion::from_rates(&shares, slots, &mut inclusion);
        let mut others = shares.split_off(ffn);
        let share = inclusion[..ffn].iter().sum::<f64>() / slots;
        for class in [&mut shares, &mut others] {
            let total: f64 = class.iter().sum();
            class.iter_mut().for_each(|share| *share /= total);
        }
        Self::of(experts, gating, shares, others, share)
    }

    /// A layer whose experts have these shares of the slots of their class, FFN experts this of all.
    fn of(
        experts: &Experts,
        gating: &Gating,
        ffn_shares: Vec<f64>,
        other_shares: Vec<f64>,
        share: f64,
    ) -> Self {
        let top_k = f64::from(experts.top_k);
        let mut scratch = vec![];
        let mut weights = |shares: &[f64], slots: f64| {
            // A class that is never chosen still has weights within it.
            let slots = slots.clamp(LEAST_SLOTS, shares.len() as f64);
            inclusion::capped(shares, slots, &mut scratch);
            inclusion::weights_for(&scratch)
        };
        let ffn = weights(&ffn_shares, share * top_k);
        if other_shares.is_empty() {
            let mean_times = ffn.iter().map(|w| 1.0 / w).collect();
            return Self {
                widening: [sample::widening(&ffn_shares, top_k), vec![]],
                ffn_shares,
                other_shares,
                other_weights: vec![],
                share,
                mean_times,
                ffn_slots: vec![],
                slots_table: SlotsTable::default(),
            };
        }
        let others = weights(&other_shares, (1.0 - share) * top_k);
        let classes = Classes::new(&ffn, &others, experts.top_k as usize, gating.difficulty_sd);
        let offset = classes.offset_for(share);
        let tilted = others.iter().map(|u| u * offset.exp());
        let mean_times = ffn.iter().copied().chain(tilted).map(|w| 1.0 / w).collect();
        let ffn_slots = classes.distribution(offset);
        let [of_ffn, of_others] = slots_each(&ffn_slots);
        Self {
            mean_times,
            widening: [
                sample::widening(&ffn_shares, of_ffn),
                sample::widening(&other_shares, of_others),
            ],
            ffn_slots,
            // Of two slots, sequences know the law itself (`classes`, (3)).
            slots_table: if experts.top_k == 2 { SlotsTable::default() } else { classes.table() },
            share,
            ffn_shares,
            other_shares,
            other_weights: others,
        }
    }
}

/// Slots of FFN and of other experts of the tokens that have any, of the chances of 0, 1, …, K slots of FFN experts.
fn slots_each(ffn_slots: &[f64]) -> [f64; 2] {
    let forward = ffn_slots.iter().zip(0u32..).map(|(p, f)| p * f64::from(f));
    let backward = ffn_slots.iter().rev().zip(0u32..).map(|(p, f)| p * f64::from(f));
    let each = |slots: f64, with: f64| if with > 0.0 { slots / with } else { 0.0 };
    let sums: [f64; 2] = [forward.sum(), backward.sum()];
    let without = [ffn_slots.first(), ffn_slots.last()].map(|p| p.copied().unwrap_or(0.0));
    std::array::from_fn(|class| each(sums[class], 1.0 - without[class]))
}

/// φ' of the module's documentation: the mean share of a layer's slots that go to FFN experts.
#[must_use]
pub fn ffn_share(experts: &Experts, gating: &Gating, layer: usize) -> f64 {
    if experts.zero_computation.total() == 0 {
        return 1.0;
    }
    gating.ffn_share.unwrap_or_else(|| {
        let (ffn, others) = (f64::from(experts.ffn), f64::from(experts.zero_computation.total()));
        let share = match gating.scheme {
            // The controller holds it there.
            Scheme::Controlled { ffn_slots } => return ffn_slots / f64::from(experts.top_k),
            // Null experts are balanced as one, each as loaded as a real expert on average.
            Scheme::NullExperts => ffn / (ffn + others),
            _ => experts.ffn_share_at_balance(),
        };
        let shift = gating.ffn_logit_shift.iter().cycle().nth(layer).copied().unwrap_or(0.0);
        let odds_against = (1.0 - share) / share * (-shift).exp();
        1.0 / (1.0 + odds_against)
    })
}

/// Shares of the FFN slots of one layer, by expert.
fn popularity(experts: &Experts, gating: &Gating, streams: Streams, layer: u32) -> Vec<f64> {
    let mut rng = streams.named(&format!("gate/popularity/layer={layer}"));
    let mut draw = || match gating.popularity {
        Popularity::LogNormal { sd } => {
            let z: f64 = StandardNormal.sample(&mut rng);
            (sd * z).exp()
        }
        // Gamma variables in proportion are Dirichlet; the floor keeps a dead expert above zero.
        Popularity::Dirichlet { concentration } => {
            Gamma::new(concentration, 1.0).map_or(1.0, |law| law.sample(&mut rng)).max(1e-30)
        }
    };
    let loads: Vec<f64> = (0..experts.ffn).map(|_| draw()).collect();
    let total: f64 = loads.iter().sum();
    loads.iter().map(|load| load / total).collect()
}

/// Shares of the other slots: zero, copy, constant.
fn other_shares(experts: &Experts, weights: [f64; 3]) -> Vec<f64> {
    let kinds = experts.zero_computation;
    let numbers = [kinds.zero, kinds.copy, kinds.constant];
    let each: Vec<f64> =
        numbers.iter().zip(weights).flat_map(|(&n, w)| vec![w; n as usize]).collect();
    let total: f64 = each.iter().sum();
    each.iter().map(|w| w / total).collect()
}
