//! Laws of speculative decoding, and of attention in fp8: what a step yields, and what it costs.

use moesim::execution::Scope;
use moesim::execution::memory::{Ledger, What};
use moesim::execution::outcome::Outcome;
use moesim::execution::run::simulate;

use crate::common::{ideal, roofline, topology, workload};

const DECODE: [&str; 3] =
    ["batch.phase=\"decode\"", "batch.context=4096", "batch.tokens_per_gpu=64"];

fn step(more: &[&str]) -> Outcome {
    let load = workload(&[&DECODE[..], more].concat());
    let (cluster, kernels) = (topology(&[]), roofline(100.0, 2000.0));
    simulate(&ideal(&cluster, &load, &kernels, Scope::ModelForward), 3).expect("short")
}

/// 1 + p + p² of three tokens, at p = 1/2: 7/12 of those that are computed.
#[test]
fn a_step_yields_its_own_token_and_the_drafts_that_are_accepted() {
    let load = workload(
        &[
            &DECODE[..2],
            &["batch.tokens_per_gpu=96", "batch.sequence_tokens=3", "batch.acceptance=0.5"],
        ]
        .concat(),
    );
    assert_eq!(load.drafts(), 2);
    assert!((load.yielded_share() - 1.75 / 3.0).abs() < 1e-12);
    assert_eq!(load.layers_passed(), load.model.layers + 2);
    let plain = workload(&DECODE);
    assert_eq!((plain.drafts(), plain.yielded_share()), (0, 1.0));
}

#[test]
fn what_is_accepted_changes_what_a_step_yields_and_not_how_long_it_takes() {
    let drafted = |acceptance: &str| {
        let acceptance = format!("batch.acceptance={acceptance}");
        step(&["batch.sequence_tokens=2", &acceptance])
    };
    let [none, half, all] = ["0", "0.5", "1"].map(drafted);
    assert_eq!(none.makespan, half.makespan);
    assert_eq!(half.makespan, all.makespan);
    assert_eq!(half.tokens, 1.5 * none.tokens);
    assert_eq!(all.tokens, 2.0 * none.tokens);
    // Its last layer and output once more, for the draft of the next step.
    let unchecked = step(&["batch.sequence_tokens=2"]);
    assert!(all.makespan > unchecked.makespan);
    assert_eq!(all.tokens, unchecked.tokens);
}

/// Where a sweep over drafts begins.
#[test]
fn a_sequence_of_one_token_drafts_nothing() {
    let alone = "batch.sequence_tokens=1";
    let (drafting, plain) = (step(&[alone, "batch.acceptance=0.8"]), step(&[alone]));
    assert_eq!((drafting.makespan, drafting.tokens), (plain.makespan, plain.tokens));
}

#[test]
fn keys_and_values_in_fp8_take_half_the_memory() {
    let held = |format: &str| {
        let format = format!("batch.attention_dtype=\"{format}\"");
        let load = workload(&[&DECODE[..], &["batch.sequence_tokens=1", &format]].concat());
        Ledger::of(&load, (Scope::ModelForward, 4), 0).bytes(What::KvCache).0
    };
    assert_eq!(held("bf16"), 2 * held("fp8"));
}
