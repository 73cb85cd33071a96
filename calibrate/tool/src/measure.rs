//! Measures a device: the MoE++ layer, its parts, and what moves data.
//!
//! ```text
//!   probes (question, points, steps, twin) ─┐
//!   kernels (WGSL and CUDA C side by side) ─┼─ session: check, then time ── samples (Parquet)
//!   device/wgpu, device/cuda: Backend ──────┘
//! ```
//!
//! A kernel's output is compared with its CPU twin's, in 64 bits and by the plainest means, on
//! fresh random inputs and over poisoned outputs; a kernel that is off by more than its format's
//! bound has no timing. Fast and wrong never reaches a profile.

pub mod backend;
pub mod bench;
pub mod device;
pub mod kernels;
pub mod layer;
pub mod numbers;
pub mod probe;
pub mod probes;
pub mod session;
pub mod shapes;
pub mod telemetry;
pub mod twin;

pub use session::{samples, timing};
