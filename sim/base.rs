//! What every room stands on: quantities with units, hashes, order, randomness by name, jobs on several threads, statistics,
//! Parquet tables, files that are written whole or not at all, and names of those that
//! were read. Nothing here knows a GPU or a model.

pub mod atomic_file;
pub mod choice;
pub mod hashes;
pub mod inputs;
pub mod near;
pub mod order;
pub mod printable;
pub mod statistics;
pub mod streams;
pub mod table;
pub mod threads;
pub mod units;
