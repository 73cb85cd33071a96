//! A discrete-event simulator of distributed Mixture-of-Experts execution.
//!
//! ```text
//!   TOML, Parquet ─ config ─▶ topology   workload   kernels::profile
//!                                 └─────────┼───────────┘
//!                     studies ─▶ execution::run::simulate(inputs, seed) ─▶ Outcome
//!                                 │        gate, placement: tokens → experts → GPUs
//!                                 │        kernels: shape × profile → time
//!                                 │        network: bytes × links → deliveries
//!                     output  ◀── studies' results: tables, JSON, pictures, traces
//! ```
//!
//! Each room uses only rooms above it in the list below; `tests/tidy.rs` checks it.
//! The command line is a program of its own (`cli/`) on top of this library.
pub mod base;
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
