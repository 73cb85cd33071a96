//! Measures how far the engines that share links are off, against the exact one, and prints docs/engine-error.md.
//!
//! `cargo run --release --example engine_error > docs/engine-error.md`

use std::error::Error;

use moesim::base::units::Bytes;
use moesim::config::{built_in_topology, read_topology};
use moesim::network::fluid::{Choice, Engine, Problem, certificate, drain, solve};
use moesim::network::traffic::{Pattern, PatternKind, Traffic, Transfer, generate};
use moesim::network::{Transport, build_problem};
use moesim::topology::Topology;

/// Clusters: their names, what is set otherwise and how that is said, how many GPUs take part, and every how many-th.
const CLUSTERS: [(&str, &str, &str, u32, u32); 22] = [
    ("two-tier-8", "", "", 64, 1),
    ("a100-4x8", "", "", 32, 1),
    ("a100-4x8-shared-nics", "", "", 32, 1),
    ("h100-4x8-rail", "", "", 32, 1),
    ("h100-16x8-clos", "", "", 64, 1),
    ("h100-16x8-clos", "fabric.clos.uplink.oversubscription=4", " 4:1", 64, 1),
    ("h100-64x8-clos3-ecmp", "", "", 64, 7),
    ("h100-32x8-dual-plane", "", "", 64, 3),
    ("h100-32x8-rail-only", "", "", 48, 1),
    ("h100-72x8-dragonfly", "", "", 64, 9),
    ("h100-72x8-dragonfly-valiant", "", "", 64, 9),
    ("h100-32x8-dragonfly-plus", "", "", 64, 3),
    ("h100-16x8-hyperx", "", "", 64, 2),
    ("tpu-v4-512-torus", "", "", 48, 1),
    ("torus-16x16", "", "", 64, 4),
    ("full-mesh-16", "", "", 16, 1),
    ("gb200-nvl72", "", "", 72, 1),
    ("gb200-8xnvl72", "", "", 64, 9),
    ("gb200-nvl576", "", "", 64, 9),
    ("l40s-2x8-pcie", "", "", 16, 1),
    ("mi300x-4x8", "", "", 32, 1),
    ("ring-of-switches", "", "", 6, 1),
];

const PATTERNS: [(PatternKind, f64, &str); 5] = [
    (PatternKind::Uniform, 0.5, "uniform"),
    (PatternKind::Lognormal, 0.5, "log-normal, σ = 0.5"),
    (PatternKind::Lognormal, 1.0, "log-normal, σ = 1"),
    (PatternKind::HotDestination, 0.5, "hot destination"),
    (PatternKind::Zipf16, 0.5, "zipf16"),
];

const HEAD: &str = "# Measured error of the engines

Against the exact engine, every GPU sending to every other from time zero, 1 MiB
a pair on average. Remade by `cargo run --release --example engine_error >
docs/engine-error.md`. All figures in per cent; *c.f.* is the closed form, *cert.*
whether its certificate keeps it within 1 %; *q* the quantised engine with its ε. Of
large clusters only every n-th GPU takes part, so that traffic crosses all their links.

| topology | pattern | cert. | c.f. makespan | c.f. arrivals | q 1 % makespan | q 1 % flow worst (mean) | q 0.1 % flow worst (mean) |
|---|---|---|---|---|---|---|---|";

#[allow(clippy::print_stdout)]
fn main() -> Result<(), Box<dyn Error>> {
    println!("{HEAD}");
    for (name, set, said, gpus, every) in CLUSTERS {
        let source = built_in_topology(name).ok_or(name)?;
        let topology = read_topology(&source.with_overrides((!set.is_empty()).then_some(set)))?;
        let part = if every > 1 { format!(" (one in {every})") } else { String::new() };
        for (kind, sigma, pattern) in PATTERNS {
            let drawn = Pattern { kind, gpus, group: gpus, mean: Bytes(1 << 20), sigma, seed: 1 };
            let row = row(&topology, &drawn, every)?;
            println!("| {name}{said}, {gpus} GPUs{part} | {pattern} | {row} |");
        }
    }
    Ok(())
}

fn row(topology: &Topology, pattern: &Pattern, every: u32) -> Result<String, Box<dyn Error>> {
    let mut traffic = Traffic::with_room_for(pattern.transfers() as usize);
    for own in generate(pattern)?.iter() {
        let (source, destination) = (own.source * every, own.destination * every);
        traffic.push(Transfer { source, destination, ..own });
    }
    let problem = build_problem(topology, &traffic, &Transport::IDEAL, &[]);
    let exact = ends(&problem, Engine::Exact, 0.01)?;
    let closed = ends(&problem, Engine::ClosedForm, 0.01)?;
    let [coarse, fine] =
        [ends(&problem, Engine::Quantised, 0.01)?, ends(&problem, Engine::Quantised, 0.001)?];
    let certified = certificate(&problem, &drain(&problem)).holds();
    let arrivals = |ends: &[f64]| {
        let mut last = vec![0.0_f64; topology.gpus() as usize];
        for (transfer, &end) in traffic.iter().zip(ends) {
            let last = &mut last[transfer.destination as usize];
            *last = last.max(end);
        }
        last
    };
    let late: Vec<f64> = off(&arrivals(&closed), &arrivals(&exact)).collect();
    Ok(format!(
        "{} | {:+.3} | {:+.1} … {:+.1} | {:+.3} | {} | {}",
        if certified { "yes" } else { "no" },
        100.0 * (makespan(&closed) / makespan(&exact) - 1.0),
        late.iter().copied().fold(f64::INFINITY, f64::min),
        late.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        100.0 * (makespan(&coarse) / makespan(&exact) - 1.0),
        worst_and_mean(&coarse, &exact),
        worst_and_mean(&fine, &exact),
    ))
}

fn ends(problem: &Problem, engine: Engine, epsilon: f64) -> Result<Vec<f64>, Box<dyn Error>> {
    let choice = Choice { engine: Some(engine), epsilon, ..Choice::default() };
    Ok(solve(problem, &choice)?.finish_s)
}

fn makespan(ends: &[f64]) -> f64 {
    ends.iter().copied().fold(0.0, f64::max)
}

/// By how much each is off, in per cent, where there is something.
fn off(found: &[f64], exact: &[f64]) -> impl Iterator<Item = f64> {
    let both = found.iter().zip(exact).filter(|&(_, &exact)| exact > 0.0);
    both.map(|(found, exact)| 100.0 * (found / exact - 1.0))
}

fn worst_and_mean(found: &[f64], exact: &[f64]) -> String {
    let sizes = || off(found, exact).map(f64::abs);
    let mean = sizes().sum::<f64>() / exact.len() as f64;
    format!("{:.3} ({mean:.3})", sizes().fold(0.0, f64::max))
}
