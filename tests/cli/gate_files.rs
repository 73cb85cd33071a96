//! Workload files: the shipped ones are valid, and each mistake has its message.
//!
//! A pass says nothing about whether the figures in the shipped files are true; they cite sources.

use moesim::base::streams::Streams;
use moesim::config::{built_in_workload, built_in_workloads, workload};
use moesim::gate::Gate;

/// Every shipped workload is valid, is named as its file, and its gate can be drawn.
#[test]
fn every_shipped_workload_is_valid() {
    for source in built_in_workloads() {
        let workload = workload(&source).unwrap_or_else(|mistake| panic!("{mistake}"));
        assert_eq!(workload.name, source.name());
        assert_eq!(Gate::new(&workload, Streams::new(0)).counts(0, 0, 0..2).gpus(), 2);
    }
}

/// The paper's parameter counts follow from the shipped shapes, so no shape is mistyped.
///
/// Per layer: N_FFN SwiGLU experts, 3·D vectors and 2·D maps of constants, the gate; attention
/// 4·D·(heads·head_dim); two embeddings. The paper rounds to two digits after the point.
#[test]
fn shapes_give_the_published_parameter_counts() {
    for (name, billions) in
        [("moepp-0.6b", 0.58), ("moepp-1b", 1.03), ("moepp-2b", 1.94), ("moepp-7b", 7.68)]
    {
        let model = workload(&built_in_workload(name).unwrap()).unwrap().model;
        let [d, h] = [model.hidden, model.intermediate].map(f64::from);
        let heads = f64::from(model.heads * model.head_dim);
        let layer = 3.0 * d * h * f64::from(model.experts.ffn) + 4.0 * d * heads;
        let params = f64::from(model.layers) * layer + 2.0 * d * f64::from(model.vocabulary);
        assert!((params / 1e9 - billions).abs() < 0.006, "{name}: {params}");
    }
}

/// What each wrong workload is told.
#[test]
fn each_mistake_in_a_workload_has_its_message() {
    for (base, changes, want) in MISTAKES {
        let source = built_in_workload(base).unwrap().with_overrides(changes.iter().copied());
        let got = workload(&source).map(|_| ()).unwrap_err().to_string();
        assert_eq!(&got, want);
    }
}

const MISTAKES: &[(&str, &[&str], &str)] = &[
    (
        "moe-1b",
        &["schema=2"],
        "--set schema=2: schema: found 2\n  help: give 1, the only one that this moesim reads",
    ),
    (
        "moe-1b",
        &["name=\"\""],
        "--set name=\"\": name: is not a usable name\n  help: give a name of 1 to 64 printable characters",
    ),
    (
        "moe-1b",
        &["model.layers=0"],
        "--set model.layers=0: model.layers: found 0\n  help: give a whole number from 1 to 512",
    ),
    (
        "moe-1b",
        &["model.hidden=99999999999"],
        "--set model.hidden=99999999999: model.hidden: found 99999999999\n  help: give a whole number from 1 to 65536",
    ),
    (
        "moe-1b",
        &["model.colour=3"],
        "--set model.colour=3: model.colour: unknown key `colour`\n  help: known keys here: `name`, `layers`, `hidden`, `intermediate`, `gated`, `biases`, `clamped_activation`, `heads`, `head_dim`, `value_dim`, `vocabulary`, `tied`, `key_value_heads`, `query_rank`, `key_value_rank`, `rope_dim`, `sliding_window`, `sliding_window_pattern`",
    ),
    (
        "moe-1b",
        &["layout.expert_parallel=5"],
        "--set layout.expert_parallel=5: layout.expert_parallel: 16 FFN experts do not spread evenly over 5 GPUs\n  help: give a divisor of experts.ffn = 16",
    ),
    (
        "moe-1b",
        &["layout.pipeline_parallel=7"],
        "--set layout.pipeline_parallel=7: layout.pipeline_parallel: 12 layers do not split evenly into 7 stages\n  help: give a divisor of model.layers = 12",
    ),
    (
        "moe-1b",
        &["experts.top_k=17"],
        "--set experts.top_k=17: experts.top_k: a token cannot choose 17 of 16 experts\n  help: give at most 16",
    ),
    (
        "moe-1b",
        &["experts.tau=0.75"],
        "--set experts.tau=0.75: experts.tau: does not apply to a vanilla model, which has no zero-computation experts\n  help: remove it, or give experts.zero, experts.copy or experts.constant",
    ),
    (
        "moe-1b",
        &["experts.zero_computation=local"],
        "--set experts.zero_computation=local: experts.zero_computation: does not apply to a vanilla model, which has no zero-computation experts\n  help: remove it, or give experts.zero, experts.copy or experts.constant",
    ),
    (
        "moe-1b",
        &["gate.difficulty_sd=0.1"],
        "--set gate.difficulty_sd=0.1: gate.difficulty_sd: does not apply to a vanilla model, which has no zero-computation experts\n  help: remove it, or give experts.zero, experts.copy or experts.constant",
    ),
    (
        "moepp-1b",
        &["experts.tau=0"],
        "--set experts.tau=0: experts.tau: found 0\n  help: give a number from 0.001 to 1000",
    ),
    (
        "moepp-1b",
        &["experts.tau=-1"],
        "--set experts.tau=-1: experts.tau: found -1\n  help: give a number from 0.001 to 1000",
    ),
    (
        "moepp-1b",
        &["experts.tau=nan"],
        "--set experts.tau=nan: experts.tau: found NaN\n  help: give a number from 0.001 to 1000",
    ),
    (
        "moepp-1b",
        &["experts.tau=inf"],
        "--set experts.tau=inf: experts.tau: found inf\n  help: give a number from 0.001 to 1000",
    ),
    (
        "moepp-1b",
        &["experts.tau=high"],
        "--set experts.tau=high: experts.tau: found the text \"high\"\n  help: give a number from 0.001 to 1000",
    ),
    (
        "moepp-1b",
        &["experts.execution=parallel"],
        "--set experts.execution=parallel: experts.execution: unknown choice `parallel`\n  help: choose from: `sequential`, `grouped`",
    ),
    (
        "moepp-1b",
        &["gate.ffn_share=1.5"],
        "--set gate.ffn_share=1.5: gate.ffn_share: found 1.5\n  help: give a number from 0 to 1",
    ),
    (
        "moepp-1b",
        &["gate.ffn_logit_shift=0.1", "gate.ffn_share=0.7"],
        "--set gate.ffn_share=0.7: gate.ffn_share: contradicts gate.ffn_logit_shift\n  help: give a measured ffn_share or a shift of τ's share, not both",
    ),
    (
        "moepp-1b",
        &["gate.popularity_concentration=2"],
        "--set gate.popularity_concentration=2: gate.popularity_concentration: contradicts gate.popularity_sd\n  help: give popularity_sd (log-normal) or popularity_concentration (Dirichlet)",
    ),
    (
        "longcat-flash",
        &["slots.factor=1.1"],
        "--set slots.factor=1.1: slots.factor: does not apply where no slot is dropped\n  help: remove it, or give slots.policy = \"drop\" or \"drop-and-pad\"",
    ),
    (
        "longcat-flash",
        &["slots.of=tokens"],
        "--set slots.of=tokens: slots.of: does not apply where no slot is dropped\n  help: remove it, or give slots.policy = \"drop\" or \"drop-and-pad\"",
    ),
    (
        "longcat-flash",
        &["slots.policy=drop"],
        "longcat-flash: slots.factor: is missing, and policy \"drop\" needs it\n  help: add a capacity factor, such as factor = 1.1",
    ),
    (
        "moepp-1b",
        &["slots.policy=drop", "slots.factor=0"],
        "--set slots.factor=0: slots.factor: found 0\n  help: give a number from 0.001 to 1000",
    ),
    (
        "longcat-flash",
        &["slots.by=probability"],
        "--set slots.by=probability: slots.by: does not apply where no slot is dropped\n  help: remove it, or give slots.policy = \"drop\" or \"drop-and-pad\"",
    ),
    (
        "longcat-flash",
        &["scheme.ffn_slots=13"],
        "--set scheme.ffn_slots=13: scheme.ffn_slots: 13 of 12 slots cannot go to FFN experts\n  help: give a number from 0.001 to 12",
    ),
    (
        "deepseek-v3",
        &["scheme.groups=7"],
        "--set scheme.groups=7: scheme.groups: 256 experts do not form 7 groups\n  help: give a divisor of experts.ffn = 256",
    ),
    (
        "deepseek-v3",
        &["scheme.rounds=2"],
        "--set scheme.rounds=2: scheme.rounds: does not apply to the scheme \"group-limited\"\n  help: remove it, or give another scheme.kind",
    ),
    (
        "moe-1b",
        &["scheme.kind=chain"],
        "moe-1b: scheme.rounds: is missing, and the scheme \"chain\" needs it\n  help: give scheme.rounds",
    ),
    (
        "moepp-1b",
        &["scheme.kind=expert-choice"],
        "--set scheme.kind=expert-choice: scheme.kind: is a scheme without zero-computation experts\n  help: remove experts.zero, experts.copy and experts.constant, or the scheme",
    ),
    (
        "moe-1b",
        &["layout.places=replicated"],
        "moe-1b: layout.redundant: is missing, and places = \"replicated\" needs it\n  help: give the number of places beyond one for each expert",
    ),
    (
        "moe-1b",
        &["layout.places=replicated", "layout.redundant=3"],
        "--set layout.redundant=3: layout.redundant: 19 places do not spread evenly over 8 GPUs\n  help: give a number that, added to experts.ffn = 16, is a multiple of 8; at most 112",
    ),
    (
        "moe-1b",
        &["layout.seen_ago=3"],
        "--set layout.seen_ago=3: layout.seen_ago: does not apply where no load is looked at\n  help: remove it, or give layout.places = \"load-aware\" or \"replicated\"",
    ),
    (
        "mixtral-8x7b",
        &["model.key_value_heads=5"],
        "--set model.key_value_heads=5: model.key_value_heads: 32 heads do not share 5 evenly\n  help: give a divisor of model.heads = 32",
    ),
    (
        "moe-1b",
        &["model.rope_dim=64"],
        "--set model.rope_dim=64: model.rope_dim: is a key of latent attention, and others are missing\n  help: give key_value_rank and rope_dim (query_rank is optional), or none",
    ),
    (
        "moe-1b",
        &["dense.leading_layers=3"],
        "moe-1b: dense.intermediate: is missing, and leading_layers, between or shortcut needs it\n  help: give the intermediate size of the dense feed-forward networks",
    ),
    (
        "gpt-oss-120b",
        &["gate.law=nowhere.json"],
        "--set gate.law=nowhere.json: gate.law: contradicts gate.preset\n  help: a law and a trace bring their own popularity and sequences: give one alone",
    ),
    (
        "moepp-1b",
        &["gate.trace=nowhere.parquet"],
        "--set gate.trace=nowhere.parquet: gate.trace: contradicts gate.popularity_sd\n  help: a law and a trace bring their own popularity and sequences: give one alone",
    ),
    (
        "moepp-1b",
        &["batch.tokens_per_gpu=1e9"],
        "--set batch.tokens_per_gpu=1e9: batch.tokens_per_gpu: found 1000000000.0\n  help: give a whole number from 1 to 16777216",
    ),
    (
        "moepp-1b",
        &["batch.dtype=fp64"],
        "--set batch.dtype=fp64: batch.dtype: unknown choice `fp64`\n  help: choose from: `bf16`, `fp8`",
    ),
];
