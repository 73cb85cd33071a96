//! What the host does between steps and beside their kernels.
//!
//! ```text
//! in a graph      a decode step of T tokens runs as the smallest graph of G ≥ T: dense products, gates and what moves
//!                 whole rows take G rows; experts, exchanges and the cache of attention those of T          (1)
//! launched        a layer takes at least H, what the host needs to launch it; backward at least 2·H        (2)
//! between steps   the GPU waits for the host: sampling, scheduling, preparing the next batch               (3)
//! ```
//!
//! (2) compares H with what the layer's kernels take; the host launches on beside the layer's dispatch, under which the rest
//! hides as far as it goes, and no further beside its combine: an upper bound. The backward pass has about two kernels for one
//! forward. Slots of rows that only fill a graph are masked, as serving engines do.

use super::{Phase, Workload};
use crate::base::units::SimDuration;

/// What the host launches, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Tokens of the decode steps that were captured as graphs, ascending; empty: all are taken to be.
    pub graphs: Vec<u32>,
    /// H: what launching the kernels of a layer takes, where they run in no graph.
    pub layer_launch: SimDuration,
    /// What lies between two steps of an engine.
    pub step_gap: SimDuration,
}

impl Workload {
    /// The graph that a step runs as, where the workload names some and one is large enough.
    #[must_use]
    pub fn graph(&self) -> Option<u32> {
        let decodes = self.phase() == Phase::Decode;
        let fits = |&&tokens: &&u32| decodes && tokens >= self.batch.tokens_per_gpu;
        self.host.graphs.iter().find(fits).copied()
    }

    /// Rows of dense products: the batch's, or its graph's.
    #[must_use]
    pub fn computed_tokens(&self) -> u32 {
        self.graph().unwrap_or(self.batch.tokens_per_gpu)
    }

    /// H, or nothing in a graph.
    #[must_use]
    pub fn layer_launch(&self) -> SimDuration {
        if self.graph().is_some() { SimDuration::ZERO } else { self.host.layer_launch }
    }
}
