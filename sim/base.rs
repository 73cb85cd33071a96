//! What every room stands on: quantities with units, randomness by name, means with intervals, Parquet
//! tables, and files that are written whole or not at all. Nothing here knows a GPU or a model.

pub mod atomic_file;
pub mod choice;
pub mod estimate;
pub mod streams;
pub mod table;
pub mod units;
