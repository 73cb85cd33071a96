//! The loads that `moesim gate show` prints, draws and exports.

/// Loads of every layer over some batches.
pub(super) struct Loads {
    pub(super) title: String,
    /// FFN experts, which come first.
    pub(super) ffn: usize,
    pub(super) top_k: usize,
    /// `[layer][expert]`, all batches together.
    pub(super) load: Vec<Vec<u64>>,
    /// Mean unevenness of one batch, by layer.
    pub(super) layers: Vec<Layer>,
    /// Mean correlation of two layers' max/mean over batches.
    pub(super) correlation: Option<f64>,
    /// Share of slots that the workload's own capacity drops, and of mixing weight.
    pub(super) dropped: Option<(f64, f64)>,
    /// Share of tokens with 0, 1, … FFN slots.
    pub(super) ffn_slots: Vec<f64>,
    /// Capacity factors.
    pub(super) factors: Vec<f64>,
}

/// Means over batches, of one layer.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    pub(super) peak: f64,
    pub(super) cv: f64,
    pub(super) gini: f64,
    pub(super) drop: Vec<f64>,
}
