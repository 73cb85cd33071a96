//! Laws of the gate fitted to recordings of real models, and judged on what they did not see.

pub mod domains;
pub mod fit;
pub mod judge;
mod persistence;
pub mod statistics;
pub mod summary;
