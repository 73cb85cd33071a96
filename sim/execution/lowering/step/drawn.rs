//! What the gates of one workload decided under one seed, kept for runs that differ in other things.
//!
//! Runs that ask what another link or startup would bring, and a run made again with another network engine, draw
//! the same counts, plan the same places and send the same bytes: these are functions of the workload, the seed and
//! the way of an all-to-all alone. They are kept up to [`MOST_CELLS`]; what is beyond is drawn again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::super::dispatch::Dispatch;
use crate::gate::Counts;
use crate::placement::Placement;

/// Cells of count and traffic matrices that are kept: about 60 MB.
const MOST_CELLS: usize = 8 << 20;

/// Steps that were planned before, by round, micro-batch, group, first GPU and part.
#[derive(Debug)]
pub struct Drawn {
    kept: Mutex<Kept>,
    /// Cells that are kept at most.
    most: usize,
}

impl Default for Drawn {
    fn default() -> Self {
        Self::one_of(1)
    }
}

#[derive(Debug, Default)]
struct Kept {
    cells: usize,
    steps: BTreeMap<[u32; 5], Arc<Decided>>,
}

/// What was decided in one step.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) counts: Counts,
    pub(super) dispatch: Dispatch,
    /// Where it was planned from loads.
    pub(super) placement: Option<Placement>,
}

impl Drawn {
    /// One of so many that together keep no more than one does alone.
    #[must_use]
    pub fn one_of(number: usize) -> Self {
        Self { kept: Mutex::default(), most: MOST_CELLS / number.max(1) }
    }

    pub(super) fn of(&self, step: [u32; 5]) -> Option<Arc<Decided>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).steps.get(&step).cloned()
    }

    pub(super) fn keep(&self, step: [u32; 5], decided: impl FnOnce() -> Decided) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.cells < self.most && !kept.steps.contains_key(&step) {
            let decided = decided();
            let (gpus, experts) = (decided.counts.gpus(), decided.counts.experts());
            kept.cells += gpus * (2 * experts + 2 * gpus) + decided.counts.drawn_cells() / 2;
            kept.steps.insert(step, Arc::new(decided));
        }
    }
}
