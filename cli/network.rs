//! The network alone: clusters, and flows over them.

pub(super) mod flows;
pub(super) mod topology;
