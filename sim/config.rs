//! TOML files → validated inputs: the only module that knows serde, paths and line numbers.
//!
//! Domain types do not derive `Deserialize`; the modules below mirror each file's layout, check it,
//! and build the domain type, which cannot be built invalid.

mod source;
mod topology;
mod written;

pub use source::{MAX_FILE_BYTES, Mistake, Source};
pub use topology::{built_in_topologies, built_in_topology, read_topology};
pub use written::{Count, Number, Written};

#[cfg(test)]
mod tests;
