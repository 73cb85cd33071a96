//! Data sheets, as the simulator knows them.

pub use moesim::devices::{DEVICES, DataSheet};
