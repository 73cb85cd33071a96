//! From models, layouts and gates to programs: what each GPU does, in order, on its streams.
//!
//! ```text
//!   gate ─ counts ─▶ step ─ work of each member, bytes of two exchanges ─▶ forward | training ─▶ commands
//! ```

mod dense_backward;
mod dispatch;
mod forward;
mod parallel_grid;
mod rebalance;
mod replicas;
mod sampled;
pub mod schedule;
mod step;
mod totals;
mod training;

pub use dispatch::AllToAll;
pub use forward::Forward;
pub use parallel_grid::ParallelGrid;
pub use rebalance::Rebalancing;
pub use replicas::Replicas;
pub use sampled::SampledSteps;
pub use step::{At, Drawn, ExchangePhase, Step, StepMeeting, StepPlanner};
pub use totals::Totals;
pub use training::{Grid, TrainingStep, draws_of};
