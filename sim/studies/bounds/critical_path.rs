//! The critical path of a run: the chain of work, exchanges and messages that ends last, each link of which could only
//! begin when the one before had ended.
//!
//! Told forward from facts. A GPU's path grows by its own work. Where it waited, its path becomes that of the GPU whose
//! join or message decided when it could go on, as it was then, and what was carried since:
//!
//! ```text
//!   path(g, t) = path(g, t₀) + own work                     while g computes from t₀ to t
//!   path(g, t) = path(j, t_j) + exchange from t_j to t      where g waited until t for what j joined last, at t_j
//! ```
//!
//! So the times on the path of the GPU that ends last sum to the makespan. Under engines that share links between flows an
//! exchange is charged from the last join on, though single members may have received theirs earlier.

use std::collections::{BTreeMap, VecDeque};

use crate::base::units::{GpuId, SimDuration, SimTime};
use crate::execution::blame::{Blame, Reason};
use crate::execution::machine::{Fact, Observer, Released};

/// Joins of a GPU whose paths are remembered: more than exchanges in flight.
const REMEMBERED: usize = 32;

/// Time on a chain of dependencies, by what it went on and by GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// By reason.
    pub by_reason: Blame,
    /// Own work and exchanges that a GPU decided.
    pub by_gpu: BTreeMap<u32, SimDuration>,
}

impl Path {
    fn add(&mut self, gpu: GpuId, reason: Reason, time: SimDuration) {
        self.by_reason.add(reason, time);
        *self.by_gpu.entry(gpu.0).or_default() += time;
    }
}

/// What is known of one GPU.
#[derive(Clone, Debug, Default)]
struct Known {
    path: Path,
    clock: SimTime,
    /// What it was last delivered, and when.
    delivered: Option<(SimTime, Path)>,
    /// Its path when it joined or sent.
    joined: VecDeque<(SimTime, Path)>,
    finished: Option<SimTime>,
}

/// An observer that finds the critical path.
#[derive(Clone, Debug, Default)]
pub struct CriticalPath {
    gpus: Vec<Known>,
}

impl CriticalPath {
    /// The path of the GPU that ends last, the first of several; none before a run has ended.
    #[must_use]
    pub fn longest(&self) -> Option<&Path> {
        let ended = self.gpus.iter().filter_map(|gpu| Some((gpu.finished?, &gpu.path)));
        // The first of equals: `max_by_key` takes the last.
        ended.rev().max_by_key(|(at, _)| *at).map(|(_, path)| path)
    }

    fn gpu(&mut self, gpu: GpuId) -> &mut Known {
        if self.gpus.len() <= gpu.index() {
            self.gpus.resize_with(gpu.index() + 1, Known::default);
        }
        &mut self.gpus[gpu.index()]
    }

    /// Own work, or the end of a wait.
    fn spent(&mut self, gpu: GpuId, reason: Reason, [from, to]: [SimTime; 2]) {
        let known = self.gpu(gpu);
        let waited = reason.is_wait() || reason.is_exchange();
        if !waited {
            known.path.add(gpu, reason, to - from);
            known.clock = to;
        } else if let Some((at, path)) = known.delivered.as_ref().filter(|(at, _)| *at == to) {
            known.path = path.clone();
            known.clock = *at;
        }
    }

    /// A GPU joins or sends: after its own work, or after what came before on the same stream.
    fn joined(&mut self, gpu: GpuId, at: SimTime) {
        let known = self.gpu(gpu);
        let before = known.delivered.as_ref().filter(|(then, _)| *then == at && known.clock < at);
        let path = before.map_or_else(|| known.path.clone(), |(_, path)| path.clone());
        if known.joined.len() == REMEMBERED {
            known.joined.pop_front();
        }
        known.joined.push_back((at, path));
    }
}

impl Observer for CriticalPath {
    fn observe(&mut self, fact: Fact) {
        match fact {
            Fact::Spent { reason: Reason::Done, .. } => {}
            Fact::Spent { gpu, reason, from, to } => self.spent(gpu, reason, [from, to]),
            Fact::Joined { gpu, at, .. } => self.joined(gpu, at),
            Fact::Finished { gpu, at } => self.gpu(gpu).finished = Some(at),
        }
    }

    fn sent(&mut self, gpu: GpuId, at: SimTime) {
        self.joined(gpu, at);
    }

    fn released(&mut self, released: &Released) {
        let Released { gpu, decided_by, since, reason, at } = *released;
        let joined = self.gpu(decided_by).joined.iter().rev().find(|(then, _)| *then == since);
        let mut path = joined.map(|(_, path)| path.clone()).unwrap_or_default();
        path.add(decided_by, reason, at - since);
        self.gpu(gpu).delivered = Some((at, path));
    }
}
