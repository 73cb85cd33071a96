//! Statistics and the numerical methods that fits share: one definition each, with its rule stated.
//!
//! Sums run in the order of the values, and no value is left out, so that results are the same to the
//! last bit wherever they are computed. That is why these few lines stand here and statrs, from which
//! distributions are taken, does not compute means and variances (it updates them value by value), nor
//! nalgebra decompositions (it works by blocks whose order depends on the processor).

mod estimate;
pub mod linear;
mod moments;
mod quantile;
mod rising;
pub mod roots;

pub use estimate::{COVERAGE, Estimate, Range};
pub use moments::{mean, squared_deviations, variance};
pub use quantile::{Rule, quantile, quantile_of_sorted};
pub use rising::rising;
