//! What physics says of a kernel before anything is measured: equations with a few constants each.

pub mod experts;
pub mod gemm;
pub mod ramp;
pub mod skew;
