//! How far are predictions from measurements?

mod auto;
#[path = "../common/mod.rs"]
mod common;
mod exchanges;
mod experts;
mod gate_moepp;
mod gate_presets;
mod gate_traces;
mod hybrid;
mod parts;
mod precision;
mod study;
mod systems;
mod training;
mod uncertainty;
mod validate;
mod windows;
