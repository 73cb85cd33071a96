//! Small clusters and workloads with round figures, shared by tests.
#![allow(dead_code, reason = "each test file uses its own part")]

use moesim::base::units::{Bandwidth, FlopRate};
use moesim::config::{self, Source};
use moesim::execution::Scope;
use moesim::execution::cost::{Overheads, Roofline};
use moesim::execution::run::Inputs;
use moesim::network::collective::Algorithm;
use moesim::network::fluid::Engine;
use moesim::network::{NetworkChoice, NetworkRates};
use moesim::topology::Topology;
use moesim::workload::Workload;

/// GPUs of 100 TFLOP/s and 1 TB/s behind one non-blocking switch at 100 GB/s, no latency.
pub const SWITCH: &str = r#"
schema = 1
name   = "switch"
source = "made up: round figures"

[gpu]
name             = "round"
peak_bf16        = "100 TFLOP/s"
memory_bandwidth = "1000 GB/s"
memory           = "80 GB"
sms              = 100

[nodes]
count         = 1
gpus_per_node = 4

[nodes.scale-up.nvswitch]
bandwidth = "100 GB/s"
latency   = "0 ns"
"#;

/// Four FFN experts over four GPUs, one layer, one micro-batch, even popularity.
pub const WORKLOAD: &str = r#"
schema = 1
name   = "small"
source = "made up: round figures"

[model]
name         = "small"
layers       = 1
hidden       = 1000
intermediate = 2000
heads        = 10
head_dim     = 100
vocabulary   = 1000

[experts]
ffn       = 4
top_k     = 2
execution = "grouped"

[gate]
popularity_sd = 0

[batch]
tokens_per_gpu  = 4000
micro_batches   = 1
sequence_tokens = 1000
dtype           = "bf16"

[layout]
expert_parallel   = 4
pipeline_parallel = 1
"#;

pub fn topology(overrides: &[&str]) -> Topology {
    let source = Source::built_in("switch.toml", SWITCH).with_overrides(overrides.iter().copied());
    config::read_topology(&source).unwrap_or_else(|mistake| panic!("{mistake}"))
}

pub fn workload(overrides: &[&str]) -> Workload {
    let source = Source::built_in("small.toml", WORKLOAD).with_overrides(overrides.iter().copied());
    config::workload(&source).unwrap_or_else(|mistake| panic!("{mistake}"))
}

/// Ideal everything: data-sheet kernels, links at their peak, no overheads.
pub fn ideal<'a>(
    topology: &'a Topology,
    workload: &'a Workload,
    kernels: &'a Roofline,
    counted: Scope,
) -> Inputs<'a> {
    Inputs {
        topology,
        workload,
        kernels,
        overheads: Overheads::NONE,
        rates: NetworkRates::IDEAL.into(),
        exchange_sms: None,
        phases: None,
        all_to_all: Algorithm::Direct,
        network: NetworkChoice { engine: Some(Engine::ClosedForm), ..NetworkChoice::default() },
        counted,
        jitter: 0.0,
        without: None,
        uncertainty: None,
        steps: None,
        drawn: None,
    }
}

/// A roofline of this many TFLOP/s and GB/s.
pub fn roofline(tflops: f64, gb_per_sec: f64) -> Roofline {
    Roofline {
        peak: FlopRate::from_flops_per_sec(tflops * 1e12),
        memory_bandwidth: Bandwidth::from_bytes_per_sec(gb_per_sec * 1e9),
    }
}
