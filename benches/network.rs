//! How fast are the network's engines? `cargo bench --bench network`.
//!
//! The all-to-alls of `two-tier-8`: 8 GPUs per node, 300 GB/s NVLink, 50 GB/s NICs. Laying flows over
//! links is not timed; finish times of all flows are found. `benches/simgrid/run.sh` compares
//! with SimGrid.

use divan::Bencher;
use moesim::base::units::Bytes;
use moesim::config::{built_in_topology, read_topology};
use moesim::network::fluid::{Choice, Engine, Problem, drain, solve};
use moesim::network::traffic::{Pattern, PatternKind, generate};
use moesim::network::{Transport, build_problem};

fn main() {
    divan::main();
}

fn problem(kind: PatternKind, gpus: u32, group: u32) -> Problem {
    let nodes = format!("nodes.count={}", gpus.div_ceil(8));
    let source = built_in_topology("two-tier-8").expect("built in").with_overrides([&nodes[..]]);
    let topology = read_topology(&source).expect("sound");
    let pattern = Pattern { kind, gpus, group, mean: Bytes(1 << 20), sigma: 0.5, seed: 1 };
    build_problem(&topology, &generate(&pattern).expect("sound"), &Transport::IDEAL, &[])
}

fn finish(problem: &Problem, engine: Engine, epsilon: f64) -> f64 {
    let choice = Choice { engine: Some(engine), epsilon, ..Choice::default() };
    solve(problem, &choice).expect("no link is down").makespan_s
}

#[divan::bench(sample_count = 3, sample_size = 1, args = [0.01, 0.001])]
fn quantised_1024_gpus(bencher: Bencher, epsilon: f64) {
    let problem = problem(PatternKind::Lognormal, 1024, 1024);
    bencher.bench(|| finish(&problem, Engine::Quantised, epsilon));
}

#[divan::bench(sample_count = 1, sample_size = 1, args = [64, 128, 256])]
fn exact_zipf16(bencher: Bencher, gpus: u32) {
    let problem = problem(PatternKind::Zipf16, gpus, gpus);
    bencher.bench(|| finish(&problem, Engine::Exact, 0.01));
}

/// Nearly all sizes different.
#[divan::bench(sample_count = 1, sample_size = 1, args = [64, 128, 256])]
fn exact_zipfc(bencher: Bencher, gpus: u32) {
    let problem = problem(PatternKind::Zipfc, gpus, gpus);
    bencher.bench(|| finish(&problem, Engine::Exact, 0.01));
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn drain_a_million_flows(bencher: Bencher) {
    let problem = problem(PatternKind::Lognormal, 1024, 1024);
    bencher.bench(|| drain(&problem).makespan_s);
}

#[divan::bench(sample_count = 1, sample_size = 1)]
fn quantised_100_032_gpus_in_groups_of_64(bencher: Bencher) {
    let problem = problem(PatternKind::Lognormal, 100_032, 64);
    bencher.bench(|| finish(&problem, Engine::Quantised, 0.01));
}
