//! What gates have decided, summed.

/// Sums over all steps planned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// Slots given to FFN experts, dropped ones included.
    pub ffn_slots: u64,
    /// Slots given to zero-computation experts, dropped ones included.
    pub zero_computation_slots: u64,
    /// Slots dropped.
    pub dropped_slots: u64,
    /// Mixing weight of the slots dropped, a token of a layer having one in all.
    pub dropped_weight: f64,
    /// Tokens gated, once for each gate that they pass.
    pub gated_tokens: u64,
    /// Rows computed for nothing, as padding.
    pub padded_rows: u64,
    /// Bytes dispatched from GPU to GPU, at every hop.
    pub dispatched_bytes: u64,
    /// The most rows that a rank of the first group received in any round of its first micro-batch, padding included;
    /// none where not all of that was planned, and never of a single step.
    pub hottest_rows: Option<u64>,
}

impl Totals {
    /// Adds another's.
    pub(super) fn add(&mut self, other: &Self) {
        self.ffn_slots += other.ffn_slots;
        self.zero_computation_slots += other.zero_computation_slots;
        self.dropped_slots += other.dropped_slots;
        self.dropped_weight += other.dropped_weight;
        self.gated_tokens += other.gated_tokens;
        self.padded_rows += other.padded_rows;
        self.dispatched_bytes += other.dispatched_bytes;
    }
}
