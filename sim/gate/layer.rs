//! What is the same for all tokens of a layer: popularity, weights and the choice of class.

use rand_distr::{Distribution, Gamma, StandardNormal};

use super::classes::Classes;
use super::inclusion;
use crate::streams::Streams;
use crate::workload::{Experts, Gating, Popularity};

/// Slots of a class, of K, below which its experts' weights no longer depend on their number.
const LEAST_SLOTS: f64 = 1e-6;

/// What is the same for all tokens of a layer.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// Share of the FFN slots that each FFN expert gets.
    pub(super) ffn_shares: Vec<f64>,
    /// Share of the other slots that each other expert gets.
    pub(super) other_shares: Vec<f64>,
    /// Weights of a token of mean difficulty [(1)], as mean times of arrival 1/w_i.
    pub(super) mean_times: Vec<f64>,
    /// P(0), …, P(K) FFN slots of a token.
    pub(super) ffn_slots: Vec<f64>,
}

impl Layer {
    /// A layer whose popularity is drawn from `streams`.
    pub(super) fn new(experts: &Experts, gating: &Gating, streams: Streams, layer: u32) -> Self {
        Self::of_shares(experts, gating, popularity(experts, gating, streams, layer))
    }

    /// A layer whose FFN experts have these shares of the FFN slots.
    pub(super) fn of_shares(experts: &Experts, gating: &Gating, ffn_shares: Vec<f64>) -> Self {
        let top_k = f64::from(experts.top_k);
        let other_shares = other_shares(experts, gating.zero_computation_weights);
        let share = ffn_share(experts, gating);
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
            return Self { ffn_shares, other_shares, mean_times, ffn_slots: vec![] };
        }
        let others = weights(&other_shares, (1.0 - share) * top_k);
        let classes = Classes::new(&ffn, &others, experts.top_k as usize, gating.difficulty_sd);
        let offset = classes.offset_for(share);
        let tilted = others.iter().map(|u| u * offset.exp());
        let mean_times = ffn.iter().copied().chain(tilted).map(|w| 1.0 / w).collect();
        Self { mean_times, ffn_slots: classes.distribution(offset), ffn_shares, other_shares }
    }
}

/// φ' of the module's documentation: the mean share of slots that go to FFN experts.
#[must_use]
pub fn ffn_share(experts: &Experts, gating: &Gating) -> f64 {
    if experts.zero_computation.total() == 0 {
        return 1.0;
    }
    gating.ffn_share.unwrap_or_else(|| {
        let share = experts.ffn_share_at_balance();
        let odds_against = (1.0 - share) / share * (-gating.ffn_logit_shift).exp();
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
