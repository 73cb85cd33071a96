//! What gates decided, summed.

use super::super::dispatch::Dispatch;
use super::super::totals::Totals;
use crate::gate::Counts;
use crate::workload::Workload;

/// What the gate decided in a step, or in a part of one, and the bytes of it.
pub(super) fn tally(workload: &Workload, counts: &Counts, dispatch: &Dispatch) -> Totals {
    let ffn = workload.model.experts.ffn as usize;
    let mut totals = Totals::default();
    for gpu in 0..counts.gpus() {
        for expert in 0..counts.experts() {
            let (kept, dropped) = (counts.kept(gpu, expert), counts.dropped(gpu, expert));
            let chosen = u64::from(kept) + u64::from(dropped);
            if expert < ffn {
                totals.ffn_slots += chosen;
                totals.padded_rows += u64::from(counts.computed(gpu, expert) - kept);
            } else {
                totals.zero_computation_slots += chosen;
            }
            totals.dropped_slots += u64::from(dropped);
        }
    }
    totals.dropped_weight += counts.lost_weight();
    let chunks = workload.stack.overlap.parts();
    let tokens = workload.batch.tokens_per_gpu / chunks;
    totals.gated_tokens += counts.gpus() as u64 * u64::from(tokens);
    totals.dispatched_bytes += dispatch.bytes();
    totals
}
