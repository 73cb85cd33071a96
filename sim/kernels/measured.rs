//! What was measured on which device, and what no measurement can beat.

pub mod devices;
pub mod floor;
pub mod measurements;
