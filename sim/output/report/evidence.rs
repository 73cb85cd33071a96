//! Results about what was measured and recorded: how gates spread tokens, and how far off predictions are.

pub mod law;
pub mod loads;
pub mod validation;
