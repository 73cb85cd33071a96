//! What arguments of several commands share.

pub(super) mod choice;
pub(super) mod comparison;
pub(super) mod negative;
