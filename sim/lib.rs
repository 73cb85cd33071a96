//! A discrete-event simulator of distributed Mixture-of-Experts execution.
pub mod calendar;
pub mod config;
pub mod fluid;
pub mod network;
pub mod streams;
pub mod topology;
pub mod units;
pub mod workload;
