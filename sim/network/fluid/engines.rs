//! The engines that share links exactly or in steps: for any routes, and for parts of the shape of an all-to-all.

mod bits;
pub(super) mod dense;
pub(super) mod dense_exact;
pub(super) mod generic;
mod lanes;
pub(super) mod order;
pub(super) mod quantised;
pub(super) mod quantised_dense;
