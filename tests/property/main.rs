//! Do laws hold for any input?

#[path = "../common/mod.rs"]
mod common;
mod critical_path;
mod cut_experts;
mod drafts;
mod fuzz_targets;
mod gate_pools;
mod gate_property;
mod gate_schemes;
mod gate_steps;
mod host;
mod hottest_rows;
mod kernels;
mod lockstep;
mod network_health;
mod network_metamorphic;
mod network_sharing;
mod network_sharing_large;
mod overlap;
#[path = "../support/plain.rs"]
mod plain;
mod rising;
mod runs_metamorphic;
mod training;
