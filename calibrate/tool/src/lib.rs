//! Measures devices, and fits moesim's profiles to measurements.
//!
//! ```text
//!   measurements (Parquet) ─ rows ─┬─ fit constants (least_squares) ─┐
//!                                  └─ residuals of every shape ──────┴─ emit: TOML + Parquet
//! ```
//!
//! What is fitted are the constants of the priors in `moesim::kernels`; the same functions that a
//! simulation calls are called here, so a profile cannot mean one thing to its maker and another
//! to its reader. Every family is judged on whole shapes that were left out of constants and
//! residuals, and the profile carries the verdict.

pub mod commands;
pub mod compare;
pub mod device;
pub mod emit;
pub mod families;
pub mod fit;
pub mod fit_samples;
pub mod import;
pub mod links;
pub mod measure;
pub mod overheads;
pub mod residuals;

pub use families::{exchange, experts, gemm, nccl};
pub use residuals::{evidence, least_squares};
