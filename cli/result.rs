//! What can be done with a result or a run: draw it, tell it on a page, trace it, make it again.

pub(super) mod plot;
pub(super) mod report;
pub(super) mod reproduce;
pub(super) mod timeline;
