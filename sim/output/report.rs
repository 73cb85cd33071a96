//! Results of commands: one type for each, which text, JSON, pictures and Python read.
//!
//! A result is made from what a study found, holds plain values in stated units, and is complete: its text, its
//! pictures and its JSON need nothing else. `serde` reads back what it wrote, so that a picture of a stored result
//! is that of a fresh one.

pub mod advice;
pub mod comparison;
pub mod evidence;
pub mod explanation;
pub mod goodput;
pub mod layouts;
pub mod memory;
pub mod network;
pub mod plan;
mod shared;
pub mod study;
mod sweep;

pub(super) use shared::link_use::shares;
pub use shared::link_use::{LinkGroup, link_use};
pub use shared::made_by::{Asked, MadeBy};
pub use shared::setting::{PhaseTaken, Setting};
pub use shared::stands_on::Basis;
pub use shared::value::{Mean, Predicted, digits, rounded, spoken};
pub use shared::wrapped::wrapped;
pub use sweep::{any_drawing, chart, check_drawings, write_sweep};
