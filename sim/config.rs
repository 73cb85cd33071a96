//! TOML files → validated inputs: the only module that knows serde, paths and line numbers.
//!
//! Domain types do not derive `Deserialize`; the modules below mirror each file's layout, check it,
//! and build the domain type, which cannot be built invalid.

mod profile;
mod source;
mod written;

pub use profile::{BuiltInProfile, built_in_profile, built_in_profiles, profile, read_profile};
pub use source::{MAX_FILE_BYTES, Mistake, Source};
pub use written::{Count, Number, Written};

#[cfg(test)]
mod tests;
