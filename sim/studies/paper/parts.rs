//! What the time of one row is made of.
//!
//! Without overlap a run is linear in the overheads of its loop, so that one run says what all overheads would give
//! (`execution::cost`, eq. 8–10):
//!
//! ```text
//! device = products + κ·traffic + s·slots + zero-computation;   host = v·visits + l·layers     (1)
//! time   = (device^p + host^p)^(1/p)                                                          (2)
//! ```
//!
//! Exact for p = 1. Otherwise (2) of sums over GPUs and layers stands for the sum of each; they differ in
//! the second order of how unevenly experts are loaded (a test bounds it).

use crate::base::statistics::mean;
use crate::base::units::{Bytes, SimDuration};
use crate::config::Scenario;
use crate::execution::blame::Reason;
use crate::execution::cost::Overheads;
use crate::execution::outcome::TooLong;
use crate::studies::study;
use crate::workload::Workload;

/// Micro-batches that are simulated to learn the parts of a row: their mean is known to a percent, as each holds
/// thousands of slots of every expert.
const MICRO_BATCHES: u32 = 4;

/// A cost of one microsecond.
const UNIT: f64 = 1.0;

/// The same in traffic: a hundred thousand bytes, about what a slot costs.
const UNIT_TRAFFIC: u64 = 100_000;

/// Parts of a row, in milliseconds, mean over GPUs; counts as milliseconds for each unit of their cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parts {
    products: f64,
    traffic: f64,
    zero_computation: f64,
    slots: f64,
    visits: f64,
    layers: f64,
}

impl Parts {
    /// The parts of `workload` in a scenario that counts experts alone, its tokens in micro-batches of
    /// `tokens_per_gpu`, or its own; none where these do not divide them.
    ///
    /// # Errors
    /// If a run exceeds representable time.
    pub fn of(
        scenario: &Scenario,
        workload: &Workload,
        tokens_per_gpu: Option<u32>,
    ) -> Result<Option<Self>, TooLong> {
        let batch = &workload.batch;
        let tokens_per_gpu = tokens_per_gpu.unwrap_or(batch.tokens_per_gpu);
        let tokens = u64::from(batch.tokens_per_gpu) * u64::from(batch.micro_batches);
        let whole = tokens / u64::from(tokens_per_gpu);
        if whole == 0 || whole * u64::from(tokens_per_gpu) != tokens {
            return Ok(None);
        }
        let mut workload = workload.clone();
        workload.batch.tokens_per_gpu = tokens_per_gpu;
        workload.batch.micro_batches = whole.min(MICRO_BATCHES.into()) as u32;
        let times = whole as f64 / f64::from(workload.batch.micro_batches);
        let unit = SimDuration::from_us(UNIT);
        let slot_traffic = Bytes(UNIT_TRAFFIC);
        let units = Overheads { expert_visit: unit, slot_traffic, ..Overheads::NONE };
        let outcome = study::run(scenario, &workload, units, 0)?;
        let of = |reason| times * outcome.mean_blame_ms(reason);
        let rounds = workload.layers_per_gpu() * workload.gating.scheme.rounds();
        let passes = u64::from(rounds) * u64::from(workload.batch.micro_batches);
        Ok(Some(Self {
            products: of(Reason::FfnGemm),
            traffic: of(Reason::FfnMemory),
            zero_computation: of(Reason::ZeroComputation),
            slots: of(Reason::FfnIndexing),
            visits: of(Reason::Launch),
            // Every GPU comes through every round of every micro-batch once, whatever its gate decides; added up as blame is.
            layers: times * mean(&vec![unit.times(passes).ms(); outcome.blame.len()]),
        }))
    }

    /// Equation (2), in milliseconds.
    #[must_use]
    pub fn time_ms(&self, overheads: &Overheads) -> f64 {
        let &Overheads { traffic_factor, slot_traffic, expert_visit, layer, overlap } = overheads;
        let device = self.products
            + traffic_factor * self.traffic
            + slot_traffic.0 as f64 / UNIT_TRAFFIC as f64 * self.slots
            + self.zero_computation;
        let host = expert_visit.us() * self.visits + layer.us() * self.layers;
        (device.powf(overlap) + host.powf(overlap)).powf(overlap.recip())
    }
}
