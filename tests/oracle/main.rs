//! Does a run take what pencil and paper say?

mod attention;
#[path = "../common/mod.rs"]
mod common;
mod epilogue;
mod gate_rebalance;
mod gate_runs;
mod memory;
mod network_bounds;
mod network_closed_form;
mod network_collective;
mod network_ecmp;
mod network_packets;
mod network_routes;
mod runs;
