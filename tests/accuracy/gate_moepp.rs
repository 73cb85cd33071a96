//! Do gates of MoE++ give as many slots to FFN experts as published figures and two small models say?
//!
//! A pass says that shares by layer, and how many of a token's two slots go to FFN experts, are those of the small
//! models once their λ is given, and that the published layer is met. It does not say what λ the layers of a large
//! model have: one of them is published.

use std::sync::Arc;

use moesim::base::streams::Streams;
use moesim::gate::Gate;
use moesim::gate::fit::{DEFAULT_RANK, fit};
use moesim::workload::{Origin, Recording, Sampling};

use super::gate_traces::{recording, shipped};

const STREAMS: Streams = Streams::new(1);

/// The small models with their τ.
const SMALL: [(&str, f64); 2] =
    [("tiny_moepp_tau075.parquet", 0.75), ("tiny_moepp_tau025.parquet", 0.25)];

/// FFN experts per token in MoE++ 7B: 1.486 to 1.590 over tasks at τ = 0.75 [moepp, fig. 4], and an
/// sd of 0.18 over words [moepp, fig. 5].
///
/// The published mean is 1.545: eq. 7 gives 1.5, and the observed shift of 0.12 the rest.
#[test]
fn the_published_model_uses_as_many_ffn_experts() {
    let mut workload = shipped("moepp-7b");
    workload.gating.ffn_logit_shift = vec![0.12];
    let counts = Gate::new(&workload, Streams::new(4)).counts(12, 0, 0..8);
    let tokens = |f: usize| (0..8).map(|gpu| f64::from(counts.tokens_with(gpu, f))).sum::<f64>();
    let mean = (tokens(1) + 2.0 * tokens(2)) / (tokens(0) + tokens(1) + tokens(2));
    assert!((1.49..=1.59).contains(&mean), "{mean}");
    // Loads of one zero, copy and constant expert over the mean of all selections, 1/20: 1.64,
    // 0.92 and 1.04 in fig. 4; ours sum to less by the shift (0.2273 against 0.2319 of selections).
    let all: u64 = (0..20).map(|expert| counts.load(expert)).sum();
    let relative = |expert: usize| counts.load(expert) as f64 * 20.0 / all as f64;
    for (expert, published) in [(16, 1.64), (17, 0.92), (18, 1.04), (19, 1.04)] {
        let got = relative(expert);
        assert!((got / published - 1.0).abs() < 0.05, "expert {expert}: {got}, not {published}");
    }
}

/// The small MoE++ models: the language loss pulls the FFN share of nearly every layer above φ(τ), by a shift λ of
/// up to 0.5 logits, and a gate with these λ by layer draws their shares.
///
/// One λ for all layers is up to 0.08 off: shares are 0.59 to 0.71 where φ = 0.60, 0.38 to 0.45 where it is 0.33.
#[test]
fn shares_of_the_small_models_are_those_of_a_shifted_balance() {
    for (name, tau) in SMALL {
        let counts = recording(name).counts();
        let seen: Vec<f64> =
            (0..4).map(|layer| counts.inclusion(layer)[..8].iter().sum::<f64>() / 2.0).collect();
        let balance: f64 = tau * 8.0 / (tau * 8.0 + 4.0);
        let logit = |p: f64| (p / (1.0 - p)).ln();
        let mut workload = shipped("moepp-0.6b");
        workload.model.experts.tau = Some(tau);
        let shifts: Vec<f64> = seen.iter().map(|share| logit(*share) - logit(balance)).collect();
        assert!(shifts.iter().all(|shift| (-0.1..0.5).contains(shift)), "{name}: λ = {shifts:?}");
        workload.gating.ffn_logit_shift = shifts;
        let gate = Gate::new(&workload, STREAMS);
        // Layers beyond those given begin again with the first.
        for layer in 0..8 {
            let drawn = gate.counts(layer, 0, 0..8);
            let ffn: u64 = (0..8).map(|expert| drawn.load(expert)).sum();
            let (got, seen) = (ffn as f64 / (8.0 * 8192.0 * 2.0), seen[layer as usize % 4]);
            // A standard error of 0.35/√65536 = 0.0014 at most; three of them.
            assert!((got - seen).abs() < 0.005, "{name} {layer}: {got}, not {seen}");
        }
    }
}

/// Shares of tokens with 0, 1 and 2 FFN slots, mean over layers.
fn slots_of(recording: &Recording) -> [f64; 3] {
    let mut shares = [0.0; 3];
    for token in 0..recording.tokens() {
        for layer in 0..recording.layers() {
            let ffn = recording.chosen(token, layer).iter().filter(|&&id| id < 8).count();
            shares[ffn] += 1.0 / (recording.tokens() * recording.layers()) as f64;
        }
    }
    shares
}

/// As many tokens have 0, 1 and 2 FFN slots under a law of all experts as were recorded, whether drawn one by one or as
/// counts: a sequence that likes few experts of a class picks its second of the other more often.
///
/// Within 3.5 % of the tokens: the spread of difficulty over tokens, which is a published model's, accounts for 2 %. With
/// what is left of a class taken from the layer, 5 and 6 % too few had one.
#[test]
fn tokens_mix_their_slots_as_those_of_the_small_models() {
    for (name, tau) in SMALL {
        let recording = recording(name);
        let law = fit(&recording.counts(), DEFAULT_RANK, STREAMS);
        let law = Arc::new(law.with_persistence_of(&recording, STREAMS));
        let seen = slots_of(&recording);
        for sampling in [Sampling::Counts, Sampling::Exact] {
            let mut workload = shipped("moepp-0.6b");
            workload.model.experts.tau = Some(tau);
            workload.batch.sequence_tokens = 512;
            workload.gating.sampling = sampling;
            workload.gating.origin = Origin::Law(law.clone());
            let gate = Gate::new(&workload, STREAMS);
            let mut drawn = [0.0; 3];
            for layer in 0..4 {
                let counts = gate.counts(layer, 0, 0..32);
                for (slots, drawn) in drawn.iter_mut().enumerate() {
                    let tokens = (0..32).map(|gpu| f64::from(counts.tokens_with(gpu, slots)));
                    *drawn += tokens.sum::<f64>() / (4.0 * 32.0 * 8192.0);
                }
            }
            for (drawn_share, seen_share) in drawn.iter().zip(&seen) {
                let off = (drawn_share - seen_share).abs();
                assert!(off < 0.035, "{name} {sampling:?}: {drawn:?}, recorded {seen:?}");
            }
        }
    }
}
