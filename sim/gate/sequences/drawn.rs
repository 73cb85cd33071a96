//! Laws whose loadings are drawn, where no recording was fitted.

use rand::seq::SliceRandom;
use rand_distr::{Distribution, StandardNormal};
use statrs::distribution::{ContinuousCDF, Normal};

use super::super::inclusion;
use super::super::law::{DRAWN_RANK as RANK, Latents, Law, LayerLaw};
use super::super::layer::Layer;
use crate::base::streams::Streams;
use crate::workload::{Persistence, Spread};

/// Points of the normal distribution over which drawn laws are centred, and rounds of doing so.
const CENTRE: (usize, usize) = (32, 6);
/// Spread of top scores with gating residuals over that without: 0.105 / 0.12 [moepp, fig. 6].
const RESIDUAL_SPREAD: f64 = 0.875;

/// Spread of sequences and the share of it that layers have in common, residual or not.
fn spread_of(spread: Spread, residual: bool) -> (f64, f64) {
    if residual {
        (RESIDUAL_SPREAD * spread.sequence_sd, 1.0 - 0.5 * (1.0 - spread.common))
    } else {
        (spread.sequence_sd, spread.common)
    }
}

/// Laws of FFN experts with drawn loadings whose mean is the layers' popularity: what drawing one layer's takes.
#[derive(Clone, Debug)]
pub(super) struct FfnLaws {
    sd: f64,
    common: f64,
    /// By layer, how likely a token is to choose each expert.
    targets: Vec<Vec<f64>>,
    streams: Streams,
}

impl FfnLaws {
    pub(super) fn new(
        spread: Spread,
        slots: &[f64],
        layers: &[Layer],
        residual: bool,
        streams: Streams,
    ) -> Self {
        let (sd, common) = spread_of(spread, residual);
        let target = |(of, slots): (&Layer, &f64)| {
            let (experts, mut target) = (of.ffn_shares.len(), vec![]);
            inclusion::capped(&of.ffn_shares, slots.min(experts as f64), &mut target);
            target
        };
        Self { sd, common, targets: layers.iter().zip(slots).map(target).collect(), streams }
    }

    /// The law of one layer.
    pub(super) fn of_layer(&self, layer: usize) -> LayerLaw {
        let target = &self.targets[layer];
        let log_weights = inclusion::weights_for(target).iter().map(|w| w.ln()).collect();
        let name = format!("gate/loadings/layer={layer}");
        let mut law = layer_law(log_weights, self.sd, self.common, self.streams, &name);
        if self.sd > 0.0 {
            law.recentre(&stratified(&law, self.streams, layer), target, CENTRE.1);
        }
        law
    }

    /// What all layers' laws have in common.
    pub(super) fn in_common(slots: f64) -> Law {
        let persistence = Persistence::default();
        Law { rank: RANK, slots, layers: vec![], latents: Latents::Normal, persistence }
    }
}

/// The same for the other experts, each with the spread of an FFN expert.
pub(super) fn other_laws(
    spread: Spread,
    layers: &[Layer],
    residual: bool,
    streams: Streams,
) -> Vec<LayerLaw> {
    let (sd, common) = spread_of(spread, residual);
    let laws = layers.iter().enumerate().map(|(layer, of)| {
        let log_weights = of.other_weights.iter().map(|w| w.ln()).collect();
        let name = format!("gate/loadings/others/layer={layer}");
        layer_law(log_weights, sd, common, streams, &name)
    });
    laws.collect()
}

fn layer_law(
    log_weights: Vec<f64>,
    sd: f64,
    common: f64,
    streams: Streams,
    name: &str,
) -> LayerLaw {
    let mut rng = streams.named(name);
    let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
    let (experts, each) = (log_weights.len(), sd * (common / RANK as f64).sqrt());
    LayerLaw {
        loadings: (0..experts * RANK).map(|_| each * normal()).collect(),
        own: vec![sd * (1.0 - common).sqrt(); experts],
        log_weights,
        persistence: None,
    }
}

/// Deviations of a layer's experts, `[sample × expert]`, whose every column is normal to the last
/// moment that so few points can have: the same quantiles, each expert's in an order of its own.
///
/// That two experts' deviations correlate is left out; drawn loadings correlate by chance alone.
fn stratified(law: &LayerLaw, streams: Streams, layer: usize) -> Vec<f64> {
    let mut rng = streams.named(&format!("gate/centre/layer={layer}"));
    let (samples, experts) = (CENTRE.0, law.own.len());
    let normal = Normal::standard();
    let mut quantiles: Vec<f64> =
        (0..samples).map(|j| normal.inverse_cdf((j as f64 + 0.5) / samples as f64)).collect();
    // Midpoints of so few strata lack a little of the variance of the tails.
    let variance = quantiles.iter().map(|q| q * q).sum::<f64>() / samples as f64;
    quantiles.iter_mut().for_each(|q| *q /= variance.sqrt());
    let mut deviations = vec![0.0; samples * experts];
    for (expert, own) in law.own.iter().enumerate() {
        let loadings = &law.loadings[expert * RANK..][..RANK];
        let sd = (loadings.iter().map(|w| w * w).sum::<f64>() + own * own).sqrt();
        quantiles.shuffle(&mut rng);
        for (sample, q) in quantiles.iter().enumerate() {
            deviations[sample * experts + expert] = sd * q;
        }
    }
    deviations
}
