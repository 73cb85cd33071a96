//! Choosing K of N without replacement: token by token, by arrival times, and as counts.

pub(super) mod exponentials;
pub(super) mod groups;
pub(super) mod inclusion;
pub(super) mod normals;
pub(super) mod pick;
pub(super) mod sample;
