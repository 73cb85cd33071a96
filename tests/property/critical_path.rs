//! Laws of the critical path: it takes as long as the run, whatever the program and the engine.

use moesim::execution::Scope;
use moesim::execution::blame::Reason;
use moesim::execution::run::{Inputs, simulate, simulate_observed};
use moesim::network::NetworkChoice;
use moesim::network::fluid::Engine;
use moesim::studies::bounds::{CriticalPath, Path};
use moesim::workload::{Overlap, Workload};

use crate::common::{ideal, roofline, topology, workload};

/// The critical path of a run, and its makespan in picoseconds.
fn path_of(load: &Workload, counted: Scope, engine: Engine) -> (Path, u64) {
    let cluster = topology(&["nodes.gpus_per_node=8"]);
    let kernels = roofline(100.0, 2000.0);
    let network = NetworkChoice { engine: Some(engine), ..NetworkChoice::default() };
    let inputs = Inputs { network, ..ideal(&cluster, load, &kernels, counted) };
    let mut observer = CriticalPath::default();
    let outcome = simulate_observed(&inputs, 3, Some(&mut observer)).expect("short");
    (observer.longest().expect("it ended").clone(), outcome.makespan.ps())
}

fn assert_whole(load: &Workload, counted: Scope, what: &str) {
    for engine in [Engine::ClosedForm, Engine::Exact] {
        let (path, makespan) = path_of(load, counted, engine);
        assert_eq!(path.by_reason.total().ps(), makespan, "{what}, {engine:?}");
        let by_gpu: u64 = path.by_gpu.values().map(|time| time.ps()).sum();
        assert_eq!(by_gpu, makespan, "{what}, {engine:?}, by GPU");
    }
}

const SKEWED: [&str; 4] =
    ["model.layers=4", "gate.popularity_sd=0.7", "gate.sequence_sd=0.5", "batch.micro_batches=3"];

#[test]
fn it_takes_as_long_as_a_forward_pass() {
    for counted in [Scope::MoeLayer, Scope::ModelForward] {
        assert_whole(&workload(&SKEWED), counted, "plain");
    }
    for overlap in [Overlap::TwoBatch, Overlap::SingleBatch, Overlap::Chunks(4)] {
        let mut load = workload(&SKEWED);
        load.stack.overlap = overlap;
        assert_whole(&load, Scope::ModelForward, &overlap.to_string());
    }
    let stages = [&SKEWED[..], &["layout.pipeline_parallel=2"]].concat();
    assert_whole(&workload(&stages), Scope::ModelForward, "two stages");
}

#[test]
fn it_takes_as_long_as_a_training_step() {
    let step = |more: &[&str]| workload(&[&SKEWED[..], &["batch.micro_batches=4"], more].concat());
    for more in [
        &["training.paired=false"][..],
        &["training.paired=true"],
        &["training.recompute=\"full\"", "training.zero=2"],
        &["training.zero=3", "training.paired=true"],
        &["layout.pipeline_parallel=2", "training.schedule=\"zero-bubble-h1\""],
        &["layout.pipeline_parallel=2", "training.schedule=\"dualpipe\""],
        &["training.overlapped_gradients=false", "layout.expert_parallel=2"],
    ] {
        assert_whole(&step(more), Scope::TrainingStep, &more.join(" "));
    }
}

/// Parts on the path decide: without its kernels a run is as much shorter where one GPU works alone.
#[test]
fn without_a_part_a_lone_gpu_is_faster_by_what_it_took() {
    let cluster = topology(&["nodes.gpus_per_node=1"]);
    let kernels = roofline(100.0, 2000.0);
    let load = workload(&["layout.expert_parallel=1", "model.layers=3"]);
    let inputs = ideal(&cluster, &load, &kernels, Scope::ModelForward);
    let whole = simulate(&inputs, 1).expect("short");
    for reason in [Reason::Dense, Reason::FfnGemm, Reason::Gate] {
        let free = simulate(&Inputs { without: Some(reason), ..inputs }, 1).expect("short");
        let took = whole.blame[0].of(reason);
        assert!(took.ps() > 0 && free.makespan + took == whole.makespan, "{reason:?}");
    }
}
