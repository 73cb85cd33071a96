//! A discrete-event simulator of distributed Mixture-of-Experts execution.
//!
//! ```text
//!   TOML, Parquet ─ config ─▶ topology   workload   kernels::profile
//!                                 └─────────┼───────────┘
//!                     studies ─▶ execution::run::simulate(inputs, seed) ─▶ Outcome
//!                                 │        gate, placement: tokens → experts → GPUs
//!                                 │        kernels: shape × profile → time
//!                                 │        network: bytes × links → deliveries
//!                     output::report ◀── what studies found: a result type for each command
//!                          └─▶ text, JSON, output::pictures, output::timeline
//! ```
//!
//! | to | begin with |
//! |---|---|
//! | read files | [`config::ScenarioSource`], [`config::read_topology`], [`config::workload`] |
//! | make one run | [`studies::study::run`], or [`execution::run::simulate`] with inputs of one's own |
//! | ask many runs | [`studies`]: study, sweep, compare, planner, flows, validate |
//! | share links alone | [`network::fluid::solve`] |
//! | draw experts alone | [`gate::Gate`] |
//! | show results | [`output::report`], [`output::pictures`] |
//! | ask what a command asks | [`commands`] |
//!
//! Simulated times of MoE layers with and without zero-computation experts:
//!
//! ```
//! use moesim::config::{Overrides, ScenarioSource};
//! use moesim::studies::study;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let changes = ["counted=moe-layer", "workload.batch.micro_batches=1"].map(str::to_owned);
//! let scenario = ScenarioSource::open("paper", Overrides::new(changes.to_vec()))?.load()?;
//! let pair = &scenario.cases[0];
//! let seed = 1;
//! let vanilla = study::run(&scenario, &pair.vanilla, scenario.overheads, seed)?;
//! let moepp = study::run(&scenario, &pair.moepp[0], scenario.overheads, seed)?;
//! assert!(moepp.counted_secs() < vanilla.counted_secs());
//! # Ok(())
//! # }
//! ```
//!
//! `examples/` has more. Each room below uses only rooms above it in the table of ARCHITECTURE.md, which
//! `tests/tidy.rs` checks. The command line is a separate program (`cli/`) on top of this library.
pub mod base;
pub mod commands;
pub mod config;
pub mod execution;
pub mod gate;
pub mod kernels;
pub mod network;
pub mod output;
pub mod placement;
pub mod studies;
pub mod topology;
pub mod workload;
