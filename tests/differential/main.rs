//! Do two independent ways agree?

#[path = "../common/mod.rs"]
mod common;
mod network_differential_simgrid;
mod network_flows_in_flight;
mod network_in_runs;
