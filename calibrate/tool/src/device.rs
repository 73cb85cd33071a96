//! Data sheets, as the simulator knows them.

pub use moesim::kernels::devices::{DEVICES, DataSheet};
