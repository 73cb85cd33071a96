//! Fitting how tokens persist: step 8 of `fit`, (b, φ) of each layer and c of all.
//!
//! (b, φ) are such that the overlap of tokens 1 and 4 apart is the recording's in the layer, and c such that the
//! information of first choices [`DEPTH_LAG`] layers apart is right, each against what the law gives at a ladder of values.

use rand_distr::{Distribution, StandardNormal};

use super::super::law::{Law, LayerLaw, exponential_of};
use super::super::sample::Race;
use super::statistics::{depth_information, overlap_by_layer};
use crate::base::statistics::mean;
use crate::base::streams::Streams;
use crate::workload::{Persistence, Recording};

/// Correlations of scores at which the law's overlap is computed.
const LADDER: [f64; 9] = [0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.85, 0.93, 0.98];
/// Pairs of tokens drawn for each layer and correlation: standard error 0.003 over 24 layers.
const PAIRS: usize = 400;
/// Layers between the choices whose information c is fitted on, where there are this many.
const DEPTH_LAG: usize = 4;
/// Sequences, and tokens of each, that are drawn to see what a value of c gives.
const WALKED: (usize, u32) = (100, 60);

impl Law {
    /// Step 8: the same law with the persistence that this recording shows.
    #[must_use]
    pub fn with_persistence_of(mut self, recording: &Recording, streams: Streams) -> Self {
        let seen = [1, 4].map(|gap| overlap_by_layer(recording, gap));
        let [Some(near), Some(far)] = seen else { return self };
        let rungs = LADDER.map(|rho| self.overlap_at(rho, streams));
        for (number, layer) in self.layers.iter_mut().enumerate() {
            let ladder = std::array::from_fn(|rung| rungs[rung][number]);
            layer.persistence = Some(persistence(&ladder, [near[number], far[number]]));
        }
        let ladder = std::array::from_fn(|rung| mean(&rungs[rung]));
        let (share, decay) = persistence(&ladder, [mean(&near), mean(&far)]);
        self.persistence = Persistence { share, decay, depth: 0.0 };
        let lag = DEPTH_LAG.min(self.layers.len() - 1);
        if let Some(seen) = depth_information(recording, lag).filter(|_| lag > 0) {
            self.persistence.depth = correlation_for(&self.depth_ladder(lag, streams), seen);
        }
        self
    }

    /// The information of first choices `lag` layers apart, at each value of the ladder.
    fn depth_ladder(&self, lag: usize, streams: Streams) -> [f64; 9] {
        let near = lag.max(self.layers.len() / 2);
        let pair = [near - lag, near].map(|layer| self.layers[layer].clone());
        LADDER.map(|depth| {
            let persistence = Persistence { depth, ..self.persistence };
            let (layers, latents) = (pair.to_vec(), self.latents.clone());
            let law = Self { layers, latents, persistence, ..*self };
            depth_information(&law.recording(&[WALKED.1; WALKED.0], streams), 1).unwrap_or(0.0)
        })
    }

    /// The mean overlap, by layer, of two tokens of a sequence whose scores correlate by `rho`.
    fn overlap_at(&self, rho: f64, streams: Streams) -> Vec<f64> {
        let top_k = self.slots.round() as usize;
        let mut rates = vec![];
        let of_layer = |(layer, law): (usize, &LayerLaw)| {
            let mut common = 0;
            let mut rng = streams.named(&format!("gate/fit/overlap/layer={layer}"));
            let mut races = [Race::new(top_k), Race::new(top_k)];
            for latents in self.even_latents(PAIRS, &mut rng) {
                law.rates(&latents, &mut rng, &mut rates);
                let mut times = [vec![], vec![]];
                for rate in &rates {
                    let [x, y]: [f64; 2] = std::array::from_fn(|_| StandardNormal.sample(&mut rng));
                    let other = rho * x + (1.0 - rho * rho).sqrt() * y;
                    times[0].push(exponential_of(x) / rate);
                    times[1].push(exponential_of(other) / rate);
                }
                for (race, times) in races.iter_mut().zip(&times) {
                    race.finish(times.iter().copied());
                }
                let [a, b] = &races;
                common += a.winners().filter(|&i| b.winners().any(|j| i == j)).count();
            }
            common as f64 / (PAIRS * top_k) as f64
        };
        self.layers.iter().enumerate().map(of_layer).collect()
    }
}

/// (b, φ) with which a law of this ladder has these overlaps of tokens 1 and 4 apart.
fn persistence(ladder: &[f64; 9], seen: [f64; 2]) -> (f64, f64) {
    let [near, far] = seen.map(|seen| correlation_for(ladder, seen));
    // bφ = ρ(1) and bφ⁴ = ρ(4), with b at most one.
    let decay = if near > 0.0 { (far / near).clamp(0.0, 1.0).cbrt().max(near) } else { 0.0 };
    (if decay > 0.0 { near / decay } else { 0.0 }, decay)
}

/// The correlation at which the ladder's overlap is `seen`, by linear interpolation.
fn correlation_for(ladder: &[f64; 9], seen: f64) -> f64 {
    let Some(above) = ladder.iter().position(|&overlap| overlap > seen) else {
        return LADDER[LADDER.len() - 1];
    };
    if above == 0 {
        return 0.0;
    }
    let (low, high) = (ladder[above - 1], ladder[above]);
    LADDER[above - 1] + (LADDER[above] - LADDER[above - 1]) * (seen - low) / (high - low)
}
