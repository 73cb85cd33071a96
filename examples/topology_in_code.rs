//! Builds a cluster in code instead of TOML and asks it for a route.
//!
//! `cargo run --release --example topology_in_code`

use std::error::Error;

use moesim::base::units::{Bandwidth, Bytes, FlopRate, GpuId, SimDuration};
use moesim::topology::{Cable, Fabric, GpuSpec, Nics, Node, ScaleUp, Topology, Torus};

#[allow(clippy::print_stdout)]
fn main() -> Result<(), Box<dyn Error>> {
    let cable = |gb_per_sec: f64, ns: u64| Cable {
        bandwidth: Bandwidth::from_bytes_per_sec(gb_per_sec * 1e9),
        latency: SimDuration::from_ps(ns * 1000),
        lanes: 1,
    };
    let gpu = GpuSpec {
        name: "example".to_owned(),
        peak_bf16: FlopRate::from_flops_per_sec(1e15),
        peak_fp8: None,
        memory_bandwidth: Bandwidth::from_bytes_per_sec(3e12),
        memory: Some(Bytes(80_000_000_000)),
        sms: 132,
    };
    // Sixteen nodes of eight GPUs behind a switch, one NIC per node, the nodes on a 4 x 4 torus.
    let nics = Nics { per_node: 1, port: cable(50.0, 1000), slot: None };
    let node = Node { gpus: 8, scale_up: ScaleUp::Switched(cable(450.0, 300)), nics: Some(nics) };
    let fabric = Fabric::Torus(Torus { dims: vec![4, 4], link: cable(50.0, 500), terminals: None });
    let cluster = Topology::structured("example", "made up", gpu, 16, &node, &fabric)?;

    let mut route = Vec::new();
    cluster.route(GpuId(0), GpuId(127), &mut route);
    for link in &route {
        println!("{}", cluster.link_name(*link));
    }
    println!("{} links, {:?}", route.len(), cluster.latency(&route));
    Ok(())
}
