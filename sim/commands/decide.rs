//! Decisions: does MoE++ pay, which cluster, which layout, which τ, and why.

pub mod advise;
pub mod compare;
pub mod comparison;
pub mod explain;
pub mod goodput;
pub mod layouts;
pub mod plan;
