//! What several results hold: values with intervals, what was asked and taken, what times stand on, how full links are.

pub mod beside;
pub mod health;
pub mod knobs;
pub mod link_use;
pub mod made_by;
pub mod sampled;
pub mod setting;
pub mod stands_on;
pub(super) mod table;
pub mod value;
pub mod word;
pub mod wrapped;
