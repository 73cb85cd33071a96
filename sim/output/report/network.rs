//! Results about the network alone: flows over a cluster, and what a cluster is.

pub mod flows;
pub mod topology;
