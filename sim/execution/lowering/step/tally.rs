//! What gates decided, summed.

use super::super::dispatch::Dispatch;
use super::super::totals::Totals;
use crate::gate::Counts;
use crate::workload::Workload;

/// What the gate decided in a step, or in a part of one, and the bytes of it.
pub(super) fn tally(workload: &Workload, counts: &Counts, dispatch: &Dispatch) -> Totals {
    let ffn = workload.model.experts.ffn as usize;
    let mut totals = Totals::default();
    let sum = |cells: &[u32]| cells.iter().map(|&slots| u64::from(slots)).sum::<u64>();
    for gpu in 0..counts.gpus() {
        let (kept, dropped) = (counts.kept_by(gpu), counts.dropped_by(gpu));
        let kept_of_ffn = sum(&kept[..ffn]);
        totals.ffn_slots += kept_of_ffn + sum(&dropped[..ffn]);
        totals.zero_computation_slots += sum(&kept[ffn..]) + sum(&dropped[ffn..]);
        totals.dropped_slots += sum(dropped);
        if counts.is_padded() {
            let computed = |expert| u64::from(counts.computed(gpu, expert));
            totals.padded_rows += (0..ffn).map(computed).sum::<u64>() - kept_of_ffn;
        }
    }
    totals.dropped_weight += counts.lost_weight();
    let chunks = workload.stack.overlap.parts();
    let tokens = workload.batch.tokens_per_gpu / chunks;
    totals.gated_tokens += counts.gpus() as u64 * u64::from(tokens);
    totals.dispatched_bytes += dispatch.bytes();
    totals
}
