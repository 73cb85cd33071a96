//! Decisions: which cluster, which τ, and why.

pub(super) mod compare;
pub(super) mod explain;
pub(super) mod plan;
