//! Laws of the host: graphs pad, launches bound a layer from below, gaps lie between steps.

use moesim::execution::Scope;
use moesim::execution::outcome::Outcome;
use moesim::execution::run::simulate;

use crate::common::{ideal, roofline, topology, workload};

const DECODE: [&str; 4] =
    ["batch.phase=\"decode\"", "batch.context=512", "batch.sequence_tokens=1", "model.layers=3"];

fn step(tokens: u32, more: &[&str]) -> Outcome {
    let tokens = format!("batch.tokens_per_gpu={tokens}");
    let load = workload(&[&DECODE[..], &[tokens.as_str()], more].concat());
    let (cluster, kernels) = (topology(&[]), roofline(1.0, 2000.0));
    simulate(&ideal(&cluster, &load, &kernels, Scope::ModelForward), 3).expect("short")
}

#[test]
fn a_step_runs_as_the_next_larger_graph() {
    let graphs = "host.graphs=[32, 64, 128]";
    let load = workload(&[&DECODE[..], &["batch.tokens_per_gpu=40", graphs]].concat());
    assert_eq!((load.graph(), load.computed_tokens()), (Some(64), 64));
    let [bare, padded, full] = [(40, ""), (40, graphs), (64, graphs)].map(|(tokens, graphs)| {
        step(tokens, if graphs.is_empty() { &[] } else { std::slice::from_ref(&graphs) }).makespan
    });
    assert!(bare < padded && padded < full, "{bare} {padded} {full}");
    assert_eq!(step(64, &[graphs]).makespan, step(64, &[]).makespan);
    // No graph holds so many tokens.
    assert_eq!(step(200, &[graphs]).makespan, step(200, &[]).makespan);
}

#[test]
fn launching_bounds_a_layer_from_below_and_graphs_need_none() {
    let free = step(64, &[]).makespan.ms();
    let bound = step(64, &["host.layer_launch=\"10 ms\""]).makespan.ms();
    assert!(bound >= 30.0 && bound < 30.0 + free, "{bound} ms, {free} ms without launches");
    assert_eq!(step(64, &["host.layer_launch=\"1 ns\""]).makespan.ms(), free);
    let captured = step(64, &["host.layer_launch=\"10 ms\"", "host.graphs=[64]"]);
    assert_eq!(captured.makespan.ms(), free);
}

#[test]
fn dense_layers_are_launched_too() {
    let dense = ["dense.intermediate=100", "dense.leading_layers=2", "dense.between=1"];
    let more = [&dense[..], &["host.layer_launch=\"10 ms\""]].concat();
    let [free, bound] = [step(64, &dense), step(64, &more)].map(|step| step.makespan.ms());
    // Three layers with experts, one dense in front of each, and two more before the first.
    assert!(bound >= 80.0 && bound < 80.0 + free, "{bound} ms, {free} ms without launches");
}

/// What a layer's kernels leave of its launches hides under the dispatch.
#[test]
fn launching_goes_on_beside_the_dispatch() {
    let cluster = topology(&["nodes.scale-up.nvswitch.bandwidth=\"0.001 GB/s\""]);
    let step = |more: &[&str]| {
        let load = workload(&[&DECODE[..], &["batch.tokens_per_gpu=64"], more].concat());
        let kernels = roofline(100.0, 100_000.0);
        let step = simulate(&ideal(&cluster, &load, &kernels, Scope::ModelForward), 3);
        step.expect("short").makespan
    };
    let free = step(&[]);
    assert_eq!(step(&["host.layer_launch=\"1 ms\""]), free);
    assert!(step(&["host.layer_launch=\"1 s\""]) > free);
}

/// Forward, and twice that backward, for each layer of each micro-batch.
#[test]
fn launching_bounds_the_layers_of_a_training_step() {
    let step = |more: &[&str]| {
        let fixed = ["training.zero=0", "model.layers=3", "batch.micro_batches=2"];
        let load = workload(&[&fixed[..], more].concat());
        let (cluster, kernels) = (topology(&[]), roofline(100.0, 100_000.0));
        let step = simulate(&ideal(&cluster, &load, &kernels, Scope::TrainingStep), 3);
        step.expect("short").makespan.ms()
    };
    let [free, bound] = [step(&[]), step(&["host.layer_launch=\"10 ms\""])];
    assert!(bound >= 180.0 && bound < 180.0 + free, "{bound} ms, {free} ms without launches");
}

#[test]
fn a_gap_lies_before_every_step() {
    let steps = ["batch.micro_batches=4"];
    let free = step(64, &steps).makespan.ms();
    let apart = step(64, &[steps[0], "host.step_gap=\"2 ms\""]).makespan.ms();
    assert!((apart - free - 8.0).abs() < 1e-6, "{apart} ms, {free} ms without gaps");
    // Layers alone have no steps.
    let layers = |more: &[&str]| {
        let load = workload(&[&DECODE[..], &["batch.tokens_per_gpu=64"], more].concat());
        let (cluster, kernels) = (topology(&[]), roofline(1.0, 2000.0));
        let run = simulate(&ideal(&cluster, &load, &kernels, Scope::MoeLayer), 3);
        run.expect("short").makespan
    };
    assert_eq!(layers(&["host.step_gap=\"2 ms\""]), layers(&[]));
}
