//! Draws the gate of a built-in workload and prints how uneven the loads of the FFN experts are.
//!
//! `cargo run --release --example loads_of_experts`

use std::error::Error;

use moesim::base::streams::Streams;
use moesim::config::{Kind, built_in, workload};
use moesim::gate::Gate;
use moesim::gate::statistics::Uneven;

#[allow(clippy::print_stdout)]
fn main() -> Result<(), Box<dyn Error>> {
    let source = built_in(Kind::Workload, "moepp-1b").ok_or("a built-in workload")?;
    let workload = workload(&source)?;
    let gate = Gate::new(&workload, Streams::new(1));
    let ffn = workload.model.experts.ffn as usize;
    for layer in 0..workload.gates() {
        // Micro-batch 0 of GPUs 0 to 7.
        let counts = gate.counts(layer, 0, 0..8);
        let loads: Vec<u64> = (0..ffn).map(|expert| counts.load(expert)).collect();
        let uneven = Uneven::of(&loads);
        println!("layer {layer:2}: max/mean {:.2}, cv {:.2}", uneven.peak, uneven.cv);
    }
    Ok(())
}
