//! Questions that take many runs: a study, a sweep, a comparison of clusters, a choice of τ, and how well
//! predictions agree with measurements.

pub mod advise;
pub mod bounds;
pub mod compare;
pub mod flows;
pub mod goodput;
pub mod layouts;
pub mod paper;
pub mod planner;
pub mod study;
pub mod sweep;
pub mod validate;
