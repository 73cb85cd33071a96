//! One run: events in order of time, what each part of a layer costs, and what happened.
//!
//! ```text
//!   Inputs, seed ─ run::simulate ─▶ machine (calendar, cost) ─▶ outcome (blame of every GPU)
//! ```

pub mod blame;
pub mod calendar;
pub mod cost;
pub mod machine;
pub mod memory;
pub mod outcome;
pub mod provenance;
pub mod run;
