//! A discrete-event simulator of distributed Mixture-of-Experts execution.
pub mod calendar;
pub mod config;
pub mod devices;
pub mod kernel;
pub mod measurements;
pub mod network;
pub mod profile;
pub mod streams;
pub mod table;
pub mod units;
pub mod validate;
pub mod workload;
