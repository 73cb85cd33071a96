//! How sequences differ: the law from which gates of real models seem to draw.
//!
//! Tokens of one sequence like the same experts, in every layer. For sequence s, layer l and FFN
//! expert i, with latents h_s of a few dimensions that all layers share, normal or drawn
//! from those of recorded sequences (see `latents`):
//!
//! ```text
//!   z_sli = μ_li + Σ_k W_lik h_sk + R_li u_sli,      u ~ N(0, 1)                               (1)
//!   π_sli = 1 − e^{−t w_sli},   w = e^z,   t such that Σ_i π_sli is the mean number of slots   (2)
//! ```
//!
//! π is the share of the sequence's tokens that choose i (see `inclusion`). μ is such that the mean of
//! π over sequences is the popularity. W carries what layers have in common, which makes their
//! imbalances move together; R what is a layer's own. Domains add a fixed deviation to z for
//! all sequences of a domain; drift moves the mean of h from micro-batch to micro-batch (both in
//! `preset`).
//!
//! Tokens persist: the arrival time of expert i for token t of a sequence is exponential for every
//! token, but its normal score x follows, within a sequence and layer,
//!
//! ```text
//!   x_t = √b v_t + √(1−b) e_t,     v_t = φ v_{t−1} + √(1−φ²) e'_t,     E_t = −ln Φ(x_t)           (3)
//! ```
//!
//! so that the overlap of tokens' experts falls from its value at ρ = bφ to that of independent
//! tokens. A share c of the variance of v and e is one draw for all layers, given to the experts of
//! each layer in order of popularity (ids mean nothing across layers), so the choices of a token in
//! one layer tell of those in others. (2) holds to the last digit whatever b, φ and c
//! are: how tokens persist changes no load. b and φ are a layer's own where they were fitted.
//!
//! Tested on a recording of gpt-oss-20b (`tests/accuracy/gate_traces.rs`). What it leaves out: that near layers
//! tell more of each other than far ones (0.38 at lag 1, 0.21 at lag 16 there; one value here); slow
//! drift inside a sequence.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::{exponentials, inclusion, sample};
use crate::base::streams::Streams;
pub use crate::workload::{Latents, Law, LayerLaw, Lengths};
use crate::workload::{Persistence, Recording, SequenceCounts};

mod latents;
pub(super) mod steps;
mod walk;

pub(super) use latents::Drawn;
pub(super) use steps::Kept;
pub(super) use walk::{Walk, exponential_of};

/// Words of random numbers that one sequence may use of a layer's stream.
pub(super) const SEQUENCE_BITS: u32 = 20;

/// Dimensions of drawn latents: what recordings of gpt-oss-20b need.
pub(super) const DRAWN_RANK: usize = 8;

impl LayerLaw {
    /// The rates w of one sequence [(1)] from its latents and the layer's own draws, divided by the
    /// largest, whose logarithm is returned.
    pub(super) fn rates(&self, latents: &Drawn, rng: &mut ChaCha8Rng, out: &mut Vec<f64>) -> f64 {
        self.deviations(latents, rng, out);
        for (z, mu) in out.iter_mut().zip(&self.log_weights) {
            *z += mu;
        }
        exponentials::over_largest(out)
    }

    /// The law of some of the experts, whose latents have `rank` dimensions.
    pub(super) fn part(&self, rank: usize, experts: Range<usize>) -> Self {
        Self {
            log_weights: self.log_weights[experts.clone()].to_vec(),
            loadings: self.loadings[experts.start * rank..experts.end * rank].to_vec(),
            own: self.own[experts].to_vec(),
            persistence: self.persistence,
        }
    }

    /// A law under which all sequences are alike.
    pub(super) fn even(log_weights: Vec<f64>, rank: usize) -> Self {
        let experts = log_weights.len();
        let (loadings, own) = (vec![0.0; experts * rank], vec![0.0; experts]);
        Self { log_weights, loadings, own, persistence: None }
    }

    /// What one sequence's logits differ by from μ [(1)].
    pub(super) fn deviations(&self, latents: &Drawn, rng: &mut ChaCha8Rng, out: &mut Vec<f64>) {
        out.clear();
        let latents = match latents {
            Drawn::All(latents) => latents,
            Drawn::One(k, h) => {
                let rank = self.loadings.len() / self.own.len();
                out.extend(self.loadings.chunks_exact(rank).map(|row| row[*k] * h));
                return self.add_own(rng, out);
            }
        };
        let rank = latents.len();
        if let Ok(latents) = <&[f64; DRAWN_RANK]>::try_from(latents.as_slice()) {
            // A number of dimensions that the compiler knows takes half the time.
            let rows = self.loadings.as_chunks::<DRAWN_RANK>().0;
            out.extend(rows.iter().map(|row| {
                row.iter().zip(latents).fold(0.0, |sum, (loading, h)| sum + loading * h)
            }));
            return self.add_own(rng, out);
        }
        // Four experts at once, each summed in the same order as alone.
        let mut four = self.loadings.chunks_exact(4 * rank.max(1));
        for loadings in &mut four {
            let mut shared = [0.0; 4];
            for (k, h) in latents.iter().enumerate() {
                for (sum, row) in shared.iter_mut().zip(loadings.chunks_exact(rank)) {
                    *sum += row[k] * h;
                }
            }
            out.extend(shared);
        }
        for loadings in four.remainder().chunks_exact(rank.max(1)) {
            out.push(loadings.iter().zip(latents).map(|(w, h)| w * h).sum());
        }
        out.resize(self.own.len(), 0.0);
        self.add_own(rng, out);
    }

    fn add_own(&self, rng: &mut ChaCha8Rng, out: &mut [f64]) {
        for (z, own) in out.iter_mut().zip(&self.own) {
            let u: f64 = if *own > 0.0 { StandardNormal.sample(rng) } else { 0.0 };
            *z += own * u;
        }
    }

    /// Shares of the slots by expert, for a sequence like the mean of all.
    pub(super) fn shares(&self) -> Vec<f64> {
        let weights: Vec<f64> = self.log_weights.iter().map(|mu| mu.exp()).collect();
        let total: f64 = weights.iter().sum();
        weights.iter().map(|weight| weight / total).collect()
    }

    /// Experts, most popular first.
    pub(super) fn by_popularity(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.log_weights.len()).collect();
        order.sort_by(|&a, &b| self.log_weights[b].total_cmp(&self.log_weights[a]));
        order
    }

    /// Moves μ until the mean inclusion of `deviations` (`[sample × expert]`) is `target`.
    ///
    /// A fixed point: each round adds the logarithm of what is wanted over what is had.
    pub(super) fn recentre(&mut self, deviations: &[f64], target: &[f64], rounds: usize) {
        let experts = target.len();
        let slots: f64 = target.iter().sum();
        let samples = deviations.len() / experts;
        let (mut rates, mut pi) = (vec![0.0; experts], vec![]);
        for _ in 0..rounds {
            let mut mean = vec![0.0; experts];
            for deviation in deviations.chunks_exact(experts) {
                for ((rate, d), mu) in rates.iter_mut().zip(deviation).zip(&self.log_weights) {
                    *rate = (mu + d).exp();
                }
                inclusion::from_rates(&rates, slots, &mut pi);
                for (mean, pi) in mean.iter_mut().zip(&pi) {
                    *mean += pi / samples as f64;
                }
            }
            for ((mu, want), have) in self.log_weights.iter_mut().zip(target).zip(&mean) {
                *mu += want.max(LEAST_SHARE).ln() - have.max(LEAST_SHARE).ln();
            }
        }
    }
}

/// Shares of tokens below this are not told apart.
const LEAST_SHARE: f64 = 1e-6;

impl Law {
    /// The same law without differences between sequences: independent tokens of these shares.
    #[must_use]
    pub fn without_sequences(&self, inclusion: &[Vec<f64>]) -> Self {
        let even = |shares: &Vec<f64>| LayerLaw {
            log_weights: inclusion::weights_for(shares).iter().map(|w| w.ln()).collect(),
            loadings: vec![],
            own: vec![0.0; shares.len()],
            persistence: None,
        };
        let (layers, latents) = (inclusion.iter().map(even).collect(), Latents::Normal);
        Self { rank: 0, slots: self.slots, layers, latents, persistence: Persistence::default() }
    }

    /// Draws the latents of sequence number `sequence`, all of which are spread evenly over the recorded ones.
    fn latents_of(&self, rng: &mut ChaCha8Rng, sequence: usize) -> Drawn {
        // Multiples of the golden ratio, less whole numbers, leave no gap.
        const GOLDEN: f64 = 0.618_033_988_749_894_9;
        rng.set_word_pos((sequence as u128) << SEQUENCE_BITS);
        self.latents_at((GOLDEN * (sequence as f64 + 0.5)).fract(), rng)
    }

    /// Counts of sequences of these lengths.
    #[must_use]
    pub fn counts(&self, tokens: &[u32], streams: Streams) -> SequenceCounts {
        let (layers, experts) = (self.layers.len(), self.layers[0].log_weights.len());
        let top_k = self.slots.round() as usize;
        let mut counts = vec![0; tokens.len() * layers * experts];
        let mut shared = streams.named("gate/latents");
        let (mut rates, mut pi) = (vec![], vec![]);
        let mut expected = sample::Expected::default();
        let latents: Vec<Drawn> =
            (0..tokens.len()).map(|s| self.latents_of(&mut shared, s)).collect();
        for (layer, law) in self.layers.iter().enumerate() {
            let mut own = streams.named(&format!("gate/own/layer={layer}"));
            for (sequence, &length) in tokens.iter().enumerate() {
                own.set_word_pos((sequence as u128) << SEQUENCE_BITS);
                law.rates(&latents[sequence], &mut own, &mut rates);
                inclusion::from_rates(&rates, self.slots, &mut pi);
                let out = &mut counts[(sequence * layers + layer) * experts..][..experts];
                let slots = u64::from(length) * top_k as u64;
                expected.set(length.into(), &pi);
                sample::counts_with_sum(&mut own, length, slots, &mut expected, out);
            }
        }
        SequenceCounts { layers, experts, top_k, tokens: tokens.to_vec(), counts }
    }

    /// Choices, token by token, of sequences of these lengths.
    #[must_use]
    pub fn recording(&self, tokens: &[u32], streams: Streams) -> Recording {
        let (layers, experts) = (self.layers.len(), self.layers[0].log_weights.len());
        let top_k = self.slots.round() as usize;
        let starts: Vec<usize> = std::iter::once(0)
            .chain(tokens.iter().scan(0, |sum, &n| {
                *sum += n as usize;
                Some(*sum)
            }))
            .collect();
        let mut ids = vec![0; starts[tokens.len()] * layers * top_k];
        let mut shared = streams.named("gate/latents");
        let mut rates = vec![];
        for (sequence, &length) in tokens.iter().enumerate() {
            let latents = self.latents_of(&mut shared, sequence);
            for (layer, law) in self.layers.iter().enumerate() {
                let mut rng = streams.named(&format!("gate/tokens/{sequence}/{layer}"));
                // The same draws for every layer.
                let common = streams.named(&format!("gate/tokens/{sequence}"));
                law.rates(&latents, &mut rng, &mut rates);
                let mean_times = rates.iter().map(|rate| 1.0 / rate).collect();
                let mut walk = Walk::new(
                    mean_times,
                    top_k,
                    self.persistence_of(layer),
                    law.by_popularity(),
                    [rng, common],
                );
                for token in 0..length as usize {
                    let at = ((starts[sequence] + token) * layers + layer) * top_k;
                    for (slot, winner) in ids[at..][..top_k].iter_mut().zip(walk.next()) {
                        *slot = winner as u16;
                    }
                }
            }
        }
        Recording::new(experts, layers, top_k, starts, ids)
    }
}
