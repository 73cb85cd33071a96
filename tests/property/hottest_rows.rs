//! The rows of the rank that is given most, as a run finds them on its way, are those that are drawn for memory alone.

use moesim::execution::Scope;
use moesim::execution::memory::hottest_rows;
use moesim::execution::run::simulate;

use crate::common::{ideal, roofline, topology, workload};

const SEED: u64 = 5;

/// Two groups of four ranks and, with four layers, two micro-batches.
const BATCH: [&str; 5] = [
    "model.layers=4",
    "experts.ffn=8",
    "gate.popularity_sd=0.8",
    "batch.tokens_per_gpu=96",
    "batch.micro_batches=2",
];

/// What a run under `SEED` finds, and what is drawn.
fn both(counted: Scope, more: &[&str]) -> [Option<u64>; 2] {
    let load = workload(&[&BATCH[..], more].concat());
    let (cluster, kernels) = (topology(&["nodes.gpus_per_node=8"]), roofline(100.0, 1000.0));
    let run = simulate(&ideal(&cluster, &load, &kernels, counted), SEED).expect("short");
    [run.totals.hottest_rows, Some(hottest_rows(&load, SEED))]
}

#[test]
fn a_run_finds_the_rows_of_the_hottest_rank() {
    let measured = ["gate.sequence_sd=0.5", "layout.places=\"replicated\"", "layout.redundant=4"];
    let rounded = ["kernels.experts=\"grouped-gemm\"", "kernels.round_rows=16"];
    let cases: [(Scope, &[&str]); 7] = [
        (Scope::MoeLayer, &[]),
        (Scope::ModelForward, &[]),
        (Scope::ModelForward, &["layout.pipeline_parallel=2"]),
        (Scope::ModelForward, &measured),
        (Scope::ModelForward, &rounded),
        (Scope::ModelForward, &["scheme.kind=\"chain\"", "scheme.rounds=2"]),
        (Scope::TrainingStep, &[]),
    ];
    for (counted, more) in cases {
        let [found, drawn] = both(counted, more);
        assert_eq!(found, drawn, "{counted:?} {more:?}");
    }
}

#[test]
fn a_run_that_draws_other_parts_of_it_does_not_say() {
    let parts = ["exchange.overlap=\"two-batch\""];
    assert_eq!(both(Scope::ModelForward, &parts)[0], None);
}
