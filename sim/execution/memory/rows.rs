//! Rows that the most loaded rank of a group receives.

use crate::base::streams::Streams;
use crate::base::units::ExpertId;
use crate::gate::{Gate, ffn_share};
use crate::placement::Plans;
use crate::workload::Workload;

/// The least and the most rows that the most loaded rank can receive: all ranks alike, and all slots of
/// the group that one rank's experts can take.
#[must_use]
pub fn row_bounds(workload: &Workload) -> [u64; 2] {
    let tokens = u64::from(workload.batch.tokens_per_gpu);
    let slots = u64::from(workload.slots_per_round());
    let experts = workload.experts_of_round();
    let share = |layer: u32| ffn_share(&experts, &workload.gating, layer as usize);
    // In the layer that gives FFN experts most.
    let share = (0..workload.gates()).map(share).fold(0.0, f64::max);
    // Rows of all GPUs that an expert is cut over are on each.
    let split = f64::from(workload.layout.expert_tensor_parallel);
    let even = (tokens * slots) as f64 * share * split;
    let most = slots.min(u64::from(workload.experts_per_gpu()));
    [even as u64, u64::from(workload.layout.expert_group()) * tokens * most]
}

/// The most rows that a rank of the first group receives in any layer of the first micro-batch, padding
/// included, under this seed.
#[must_use]
pub fn hottest_rows(workload: &Workload, seed: u64) -> u64 {
    let gate = Gate::new(workload, Streams::new(seed));
    let mut plans = Plans::new(workload);
    let gpus = workload.layout.expert_group() as usize;
    let micro_batch = workload.layout.places.lead_in();
    let mut most = 0;
    for layer in 0..workload.gates() {
        let counts = gate.counts(layer, micro_batch, 0..gpus);
        let placement = plans.of(&gate, [layer, micro_batch, 0], 0);
        let mut rows = vec![0; placement.ranks() as usize];
        for expert in 0..workload.model.experts.ffn {
            for from in 0..gpus {
                let slots = counts.computed(from, expert as usize);
                for (host, slots) in placement.shares(ExpertId(expert), from, slots) {
                    rows[host] += u64::from(slots);
                }
            }
        }
        most = most.max(rows.into_iter().max().unwrap_or(0));
    }
    most
}
