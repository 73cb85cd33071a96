//! Decisions: does MoE++ pay, which cluster, which τ, and why.

pub(super) mod advise;
pub(super) mod compare;
pub(super) mod explain;
pub(super) mod goodput;
pub(super) mod layouts;
pub(super) mod plan;
