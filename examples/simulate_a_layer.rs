//! Simulates one forward pass through the MoE layers of a model, vanilla and MoE++, on a built-in cluster.
//!
//! `cargo run --release --example simulate_a_layer`

use std::error::Error;

use moesim::config::{Overrides, ScenarioSource};
use moesim::studies::study;

#[allow(clippy::print_stdout)]
fn main() -> Result<(), Box<dyn Error>> {
    let overrides = ["counted=moe-layer", "workload.batch.micro_batches=1"];
    let overrides = Overrides::new(overrides.map(str::to_owned).to_vec());
    let scenario = ScenarioSource::open("paper", overrides)?.load()?;
    let seed = 1;
    for case in &scenario.cases {
        let moepp = case.moepp.iter().take(1);
        for workload in std::iter::once(&case.vanilla).chain(moepp) {
            let outcome = study::run(&scenario, workload, scenario.overheads, seed)?;
            println!("{:12} {:8.3} ms", workload.name, 1e3 * outcome.counted_secs());
        }
    }
    Ok(())
}
