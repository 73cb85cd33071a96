//! Whether a workload fits, and the nearest layouts that do.
//!
//! One rule: the ledger of the rank that is given most under the first seed, which `moesim memory` prints. Bounds on
//! its rows spare the draw where any rows fit.

use super::{Ledger, hottest_rows, in_gb, row_bounds};
use crate::base::units::Bytes;
use crate::execution::Scope;
use crate::topology::Topology;
use crate::workload::{Attention, Recompute, Workload};

/// Whether the fullest GPU holds what a workload puts on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It does.
    Fits,
    /// The topology does not state how much memory its GPUs have.
    NotStated,
    /// It does not.
    TooLarge {
        /// The sum and what it is compared with.
        found: String,
        /// What the fullest GPU needs.
        bytes: Bytes,
    },
}

/// Layouts that are named to the user, and that are tried for it beyond those that fit with even loads.
const NAMED: usize = 3;
const TRIED: usize = 8;

/// Whether a workload fits; gates are drawn under `seed` only where the answer depends on them.
#[must_use]
pub fn fit(topology: &Topology, workload: &Workload, counted: Scope, seed: u64) -> Fit {
    let Some(memory) = topology.gpu().memory else { return Fit::NotStated };
    let gpus = workload.layout.in_use(topology.gpus());
    let most = row_bounds(workload)[1];
    if Ledger::of(workload, (counted, gpus), most).total() <= memory {
        return Fit::Fits;
    }
    let asked = Asked { counted, gpus, memory, seed };
    let ledger = asked.ledger(workload);
    if ledger.total() <= memory {
        return Fit::Fits;
    }
    let found = format!(
        "`{}` needs {} on a GPU of {}: {}",
        workload.name,
        in_gb(ledger.total()),
        in_gb(memory),
        ledger.arithmetic()
    );
    Fit::TooLarge { found, bytes: ledger.total() }
}

/// What is counted on how many GPUs of how much memory, and the seed of the gates.
#[derive(Clone, Copy)]
struct Asked {
    counted: Scope,
    gpus: u32,
    memory: Bytes,
    seed: u64,
}

impl Asked {
    /// The ledger of the rank that is given most.
    fn ledger(self, workload: &Workload) -> Ledger {
        Ledger::of(workload, (self.counted, self.gpus), hottest_rows(workload, self.seed))
    }
}

/// What to do about a workload that does not fit: the nearest layouts that do. Takes the draws of several.
#[must_use]
pub fn remedy(topology: &Topology, workload: &Workload, counted: Scope, seed: u64) -> String {
    let gpus = workload.layout.in_use(topology.gpus());
    let memory = topology.gpu().memory.unwrap_or_default();
    let asked = Asked { counted, gpus, memory, seed };
    let (even, least) = others(asked, workload);
    let sized = even.into_iter().take(TRIED).map(|([experts, stages], _)| {
        let other = laid_out(workload, [experts, stages]);
        ([experts, stages], asked.ledger(&other).total())
    });
    let fitting: Vec<Sized> = sized.filter(|(_, bytes)| *bytes <= memory).take(NAMED).collect();
    let anyway = "--allow-oom runs it anyway";
    let recomputed = if counted.has_backward() { recomputing(asked, workload) } else { None };
    if let Some(said) = recomputed {
        return format!("{said}; {anyway}");
    }
    if fitting.is_empty() {
        let least = least.map_or_else(String::new, |(bytes, [experts, stages])| {
            format!(
                " (the least, expert_parallel = {experts} and pipeline_parallel = {stages}, needs {})",
                in_gb(bytes)
            )
        });
        return format!(
            "no layout of these {gpus} GPUs fits{least}: take more GPUs, fewer tokens or a narrower dtype; \
             {anyway}"
        );
    }
    let named: Vec<String> = fitting
        .into_iter()
        .map(|([experts, stages], bytes)| {
            format!("expert_parallel = {experts}, pipeline_parallel = {stages} ({})", in_gb(bytes))
        })
        .collect();
    format!("nearest layouts that fit: {}; {anyway}", named.join(", or "))
}

/// The least recomputation with which the layout fits as it is, in words.
fn recomputing(asked: Asked, workload: &Workload) -> Option<String> {
    let latent = matches!(workload.model.attention, Attention::Latent { .. });
    let choices = [Recompute::Selective, Recompute::UpProjections, Recompute::Full].into_iter();
    let mut choices = choices.filter(|choice| latent || *choice != Recompute::UpProjections);
    choices.find_map(|recompute| {
        let mut other = workload.clone();
        other.training.recompute = recompute;
        let bytes = asked.ledger(&other).total();
        let word = recompute.word();
        (bytes <= asked.memory)
            .then(|| format!("with training.recompute = \"{word}\" it needs {}", in_gb(bytes)))
    })
}

/// A layout, and the bytes of its fullest GPU.
type Sized = ([u32; 2], Bytes);

/// The workload in another layout.
fn laid_out(workload: &Workload, [experts, stages]: [u32; 2]) -> Workload {
    let mut other = workload.clone();
    other.layout.expert_parallel = experts;
    other.layout.pipeline_parallel = stages;
    other
}

/// Layouts of this many GPUs that fit if loads are even, the nearest first, and the smallest of all.
fn others(asked: Asked, workload: &Workload) -> (Vec<Sized>, Option<(Bytes, [u32; 2])>) {
    let Asked { counted, gpus, memory, .. } = asked;
    let own = [workload.layout.expert_parallel, workload.layout.pipeline_parallel];
    let places = workload.model.experts.ffn + workload.layout.places.redundant();
    let (mut fitting, mut least) = (Vec::new(), None);
    for stages in (1..=gpus).filter(|n| gpus.is_multiple_of(*n)) {
        for experts in (1..=gpus / stages).filter(|n| (gpus / stages).is_multiple_of(*n)) {
            // Training deals layers out to stages as evenly as they come.
            let parts = stages.saturating_mul(workload.training.chunks);
            let spread = counted.has_backward() && parts <= workload.model.layers;
            let even = workload.model.layers.is_multiple_of(stages) || spread;
            if !places.is_multiple_of(experts) || !even || [experts, stages] == own {
                continue;
            }
            let other = laid_out(workload, [experts, stages]);
            let bytes = Ledger::of(&other, (counted, gpus), row_bounds(&other)[0]).total();
            if least.is_none_or(|(smallest, _)| bytes < smallest) {
                least = Some((bytes, [experts, stages]));
            }
            if bytes <= memory {
                fitting.push(([experts, stages], bytes));
            }
        }
    }
    let away = |layout: &[u32; 2]| -> f64 {
        let doublings = |at: usize| (f64::from(layout[at]) / f64::from(own[at])).log2().abs();
        // Stages bring bubbles, so they are the second thought.
        doublings(0) + 1.5 * doublings(1)
    };
    fitting.sort_by(|(a, _), (b, _)| away(a).total_cmp(&away(b)).then(a.cmp(b)));
    (fitting, least)
}
