//! Are the shipped presets what the shipped data says?
//!
//! A pass says that fits of the data in `workloads/traces` give the figures in `workloads/gates.toml`. It
//! does not say that other traffic is like this data.

use std::path::Path;

use moesim::base::streams::Streams;
use moesim::config::{built_in_workload, read_domain_counts, read_recording, workload};
use moesim::gate::Gate;
use moesim::gate::summary::Summary;
use moesim::workload::{Popularity, Workload};

fn trace(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads/traces").join(name)
}

fn with_preset(name: &str) -> Workload {
    let line = format!("gate.preset={name}");
    workload(&built_in_workload("mixtral-8x7b").unwrap().with_overrides([line.as_str()])).unwrap()
}

#[test]
fn presets_by_domain_are_those_of_the_counts() {
    for (preset, model) in
        [("mixtral-mix", "mistral"), ("olmoe-mix", "olmoe"), ("olmoe-domain", "olmoe")]
    {
        let path = trace("olmoe_repo_expert_counts.csv");
        let counts = read_domain_counts(&path, Some(model), "expert_counts").unwrap();
        let number = counts.layers.len() as f64;
        let spreads: Vec<_> = (0..counts.layers.len()).map(|layer| counts.spread(layer)).collect();
        let popular = spreads.iter().map(|s| s.popularity_sd.0).sum::<f64>() / number;
        let domain = spreads.iter().map(|s| s.domain_sd.unwrap().0).sum::<f64>() / number;
        let gating = with_preset(preset).gating;
        let Popularity::LogNormal { sd } = gating.popularity else { panic!("{preset}") };
        assert!((sd - popular).abs() < 0.006, "{preset}: {sd}, fitted {popular}");
        let spread = gating.spread;
        assert!((spread.domain_sd - domain).abs() < 0.006, "{preset}: {domain} fitted");
        let domains = if preset == "olmoe-domain" { 1 } else { counts.domains.len() as u32 };
        assert_eq!(spread.domains, domains, "{preset}");
    }
}

/// Half of the sequences and all of them differ by some 5 % in these; the preset is within 10 % of all.
#[test]
fn the_serving_preset_is_that_of_the_recording() {
    let recording = read_recording(&trace("gpt_oss_20b_decode_20k.parquet")).unwrap();
    let summary = Summary::of(&recording.counts(), Streams::new(1));
    let gating = with_preset("gpt-oss-serving").gating;
    let common = gating.spread.common;
    assert!((common / summary.sequence_common - 1.0).abs() < 0.10, "{summary:?}");
}

/// Mean over 24 layers of max/mean load, as `moesim gate show` gives it.
fn shown(what: &str, options: &[&str]) -> f64 {
    let shown = std::process::Command::new(env!("CARGO_BIN_EXE_moesim"))
        .args(["gate", "show", what, "--json"])
        .args(options)
        .output()
        .unwrap();
    let json: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let layers = json["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 24);
    layers.iter().map(|layer| layer["max_over_mean"].as_f64().unwrap()).sum::<f64>() / 24.0
}

/// Loads drawn under the preset are those recorded: a pooled spread of logits made them 16 to 20 % too uneven, as
/// rare experts' logits count as much in it as popular ones'.
#[test]
fn loads_of_the_serving_preset_are_those_recorded() {
    let recording = trace("gpt_oss_20b_decode_20k.parquet");
    // Sequences of 256 tokens, about as long as the recorded ones.
    for (tokens, gpus, ranks) in [("512", "2", "2"), ("2048", "8", "8"), ("8192", "32", "8")] {
        let recorded = shown(recording.to_str().unwrap(), &["--tokens", tokens]);
        let ranks = format!("layout.expert_parallel={ranks}");
        let like = ["experts.ffn=32", "model.layers=24", "batch.tokens_per_gpu=256", &ranks];
        let like = like.into_iter().chain(["batch.sequence_tokens=256"]);
        let mut options = vec!["--gpus", gpus, "--micro-batches", "48"];
        like.for_each(|key| options.extend(["--set", key]));
        let drawn = shown("gpt-oss-120b", &options);
        assert!((drawn / recorded - 1.0).abs() < 0.08, "{tokens}: {drawn}, recorded {recorded}");
    }
}

#[test]
fn every_preset_can_be_named() {
    for name in ["mixtral-mix", "olmoe-mix", "olmoe-domain", "gpt-oss-serving", "moepp-7b"] {
        assert!(with_preset(name).gating.spread.sequence_sd > 0.0, "{name}");
    }
}

/// Words differ in how many FFN experts their tokens use at τ = 0.75: an sd of 0.178 about 1.551 over the 37
/// of [moepp, fig. 5] in MoE++ 7B, which were picked to differ; 0.196 over the types of a small model.
///
/// A token of difficulty θ uses m(θ) experts on average. Both of its two are FFN experts with a
/// probability of nearly (m/2)², less what choosing without replacement takes whatever θ is. At equal
/// means P(2) is therefore larger by Var(m)/4 than where no token differs. Over 4 M tokens P(2) has a
/// standard error of 0.00025, and so the sd one of 0.004.
#[test]
fn tokens_differ_in_their_ffn_experts_as_words_do() {
    let csv = std::fs::read_to_string(trace("moepp_fig5_ffn_per_token.csv")).unwrap();
    let words: Vec<f64> =
        csv.lines().filter_map(|line| line.rsplit(',').next()?.parse().ok()).collect();
    let mean = words.iter().sum::<f64>() / words.len() as f64;
    let squares = words.iter().map(|word| (word - mean).powi(2)).sum::<f64>();
    let published = (squares / words.len() as f64).sqrt();
    assert!(
        (published - 0.178).abs() < 0.002 && (mean - 1.551).abs() < 0.001,
        "{published} {mean}"
    );
    let of = |sampling: &str, difficulty: &str| {
        let overrides = [
            "gate.ffn_logit_shift=0.12",
            "batch.tokens_per_gpu=65536",
            &format!("gate.sampling={sampling}"),
            &format!("gate.difficulty_sd={difficulty}"),
        ];
        let source = built_in_workload("moepp-7b").unwrap().with_overrides(overrides);
        let gate = Gate::new(&workload(&source).unwrap(), Streams::new(3));
        let counts = gate.counts(12, 0, 0..64);
        let tokens = |f: usize| {
            (0..64).map(|gpu| f64::from(counts.tokens_with(gpu, f))).sum::<f64>() / (64.0 * 65536.0)
        };
        (tokens(1) + 2.0 * tokens(2), tokens(2))
    };
    for sampling in ["counts", "exact"] {
        let (alike, differing) = (of(sampling, "0"), of(sampling, "0.5"));
        assert!((1.49..=1.59).contains(&differing.0), "{sampling}: {differing:?}");
        assert!((alike.0 - differing.0).abs() < 0.003, "{sampling}: {alike:?} {differing:?}");
        // What is left between the means, d say, accounts for m/2·d of the difference.
        let by_means = alike.0 / 2.0 * (differing.0 - alike.0);
        let sd = 2.0 * (differing.1 - alike.1 - by_means).sqrt();
        assert!((sd / published - 1.0).abs() < 0.10, "{sampling}: {sd}, published {published}");
    }
}
