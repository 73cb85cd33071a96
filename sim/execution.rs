//! One run: events in order of time, what each part of a layer costs, and what happened.
//!
//! ```text
//!   Inputs, seed ─ run::simulate ─▶ lowering (gate, cost) ─ program ─▶ machine (calendar) ─▶ outcome
//! ```

pub mod blame;
pub mod calendar;
pub mod cost;
pub mod lowering;
pub mod machine;
pub mod memory;
pub mod outcome;
pub mod program;
pub mod provenance;
pub mod run;
mod scope;

pub use scope::Scope;
