//! Golden runs: three small runs, written down fact by fact.
//!
//! A pass says that every fact of a run happened at the recorded time in the recorded order: the
//! simulator does what it did. It does not say that the model is right; the oracle tests say that.
//! After a deliberate change, record again with `UPDATE_GOLDEN=1 cargo test --test golden`, and say
//! in the commit why times moved.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use moesim::base::units::SimTime;
use moesim::execution::Scope;
use moesim::execution::machine::{Fact, Moved, Observer};
use moesim::execution::run::{Inputs, simulate_observed};

mod common;

/// Facts as lines, in the order in which they became known.
#[derive(Default)]
struct Log(String);

impl Observer for Log {
    fn observe(&mut self, fact: Fact) {
        let written = match fact {
            Fact::Spent { gpu, reason, from, to } => {
                writeln!(self.0, "{} gpu{} spent on {reason:?} until {}", at(from), gpu.0, at(to))
            }
            Fact::Joined { gpu, reason, at: when } => {
                writeln!(self.0, "{} gpu{} joined {reason:?}", at(when), gpu.0)
            }
            Fact::Finished { gpu, at: when } => {
                writeln!(self.0, "{} gpu{} finished", at(when), gpu.0)
            }
        };
        written.expect("a string takes every line");
    }

    fn exchanged(&mut self, moved: &Moved) {
        writeln!(self.0, "{} exchange moved until {}", at(moved.from), at(moved.to))
            .expect("a string takes every line");
    }
}

/// Picoseconds, aligned.
fn at(time: SimTime) -> String {
    format!("{:>12}", (time - SimTime::ZERO).ps())
}

/// Runs `inputs` and compares its facts and its end with what is recorded under `name`.
fn check(name: &str, inputs: &Inputs<'_>) {
    let mut log = Log::default();
    let outcome = simulate_observed(inputs, 7, Some(&mut log)).expect("a short run");
    let text = format!("{}makespan {} ps\n", log.0, outcome.makespan.ps());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &text).expect("the folder of golden runs can be written");
    }
    let recorded = fs::read_to_string(&path).expect("a recorded run");
    for (number, (now, then)) in text.lines().zip(recorded.lines()).enumerate() {
        assert_eq!(now, then, "{name}:{}: recorded on the right", number + 1);
    }
    assert_eq!(text.lines().count(), recorded.lines().count(), "{name}: number of facts");
}

#[test]
fn one_layer_of_vanilla_moe_on_four_gpus() {
    let (topology, workload) = (common::topology(&[]), common::workload(&[]));
    let kernels = common::roofline(100.0, 1000.0);
    check("vanilla-layer.txt", &common::ideal(&topology, &workload, &kernels, Scope::MoeLayer));
}

#[test]
fn two_layers_of_moepp_with_local_zero_computation_experts() {
    let topology = common::topology(&[]);
    let workload = common::workload(&[
        "model.layers=2",
        "experts.zero=1",
        "experts.copy=1",
        "experts.constant=1",
        "experts.tau=0.5",
        "batch.micro_batches=2",
    ]);
    let kernels = common::roofline(100.0, 1000.0);
    check("moepp-layers.txt", &common::ideal(&topology, &workload, &kernels, Scope::MoeLayer));
}

#[test]
fn a_pipeline_of_two_stages_across_two_nodes() {
    let topology = common::topology(&[
        "nodes.count=2",
        "nodes.gpus_per_node=2",
        "nodes.nic.per_node=2",
        "nodes.nic.bandwidth=10 GB/s",
        "nodes.nic.latency=1 us",
        "fabric.rail-optimized.nodes_per_leaf=2",
        "fabric.rail-optimized.uplink.oversubscription=1",
        "fabric.rail-optimized.uplink.latency=300 ns",
    ]);
    let workload = common::workload(&[
        "model.layers=2",
        "batch.micro_batches=2",
        "layout.expert_parallel=2",
        "layout.pipeline_parallel=2",
    ]);
    let kernels = common::roofline(100.0, 1000.0);
    check("pipeline.txt", &common::ideal(&topology, &workload, &kernels, Scope::ModelForward));
}
