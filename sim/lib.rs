//! A discrete-event simulator of distributed Mixture-of-Experts execution.
pub mod calendar;
pub mod config;
pub mod gate;
pub mod network;
pub mod placement;
pub mod streams;
pub mod table;
pub mod units;
pub mod workload;
