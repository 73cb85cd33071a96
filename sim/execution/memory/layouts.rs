//! Whether a workload fits, and the nearest layouts that do.

use super::{Ledger, hottest_rows, in_gb, row_bounds};
use crate::base::units::Bytes;
use crate::execution::Scope;
use crate::topology::Topology;
use crate::workload::{Recompute, Workload};

/// Whether the fullest GPU holds what a workload puts on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It does.
    Fits,
    /// The topology does not state how much memory its GPUs have.
    NotStated,
    /// It does not: the arithmetic, and what to do.
    TooLarge {
        /// The sum and what it is compared with.
        found: String,
        /// The nearest layouts that fit.
        help: String,
    },
}

/// Layouts that are named to the user.
const NAMED: usize = 3;

/// Whether a workload fits; gates are drawn under `seed` only where the answer depends on them.
#[must_use]
pub fn fit(topology: &Topology, workload: &Workload, counted: Scope, seed: u64) -> Fit {
    let Some(memory) = topology.gpu().memory else { return Fit::NotStated };
    let gpus = topology.gpus();
    let [least, most] = row_bounds(workload);
    if Ledger::of(workload, (counted, gpus), most).total() <= memory {
        return Fit::Fits;
    }
    let mut ledger = Ledger::of(workload, (counted, gpus), least);
    if ledger.total() <= memory {
        ledger = Ledger::of(workload, (counted, gpus), hottest_rows(workload, seed));
    }
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
    Fit::TooLarge { found, help: remedy(topology, workload, counted, memory) }
}

fn remedy(topology: &Topology, workload: &Workload, counted: Scope, memory: Bytes) -> String {
    let (fitting, least) = others(topology.gpus(), workload, counted, memory);
    let anyway = "--allow-oom runs it anyway";
    let recomputed = if counted.has_backward() {
        recomputing(topology, workload, counted, memory)
    } else {
        None
    };
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
            "no layout of these {} GPUs fits{least}: take more GPUs, fewer tokens or a narrower dtype; \
             {anyway}",
            topology.gpus()
        );
    }
    let named: Vec<String> = fitting
        .into_iter()
        .take(NAMED)
        .map(|([experts, stages], bytes)| {
            format!("expert_parallel = {experts}, pipeline_parallel = {stages} ({})", in_gb(bytes))
        })
        .collect();
    format!("nearest layouts that fit with even loads: {}; {anyway}", named.join(", or "))
}

/// The least recomputation with which the layout fits as it is, in words.
fn recomputing(
    topology: &Topology,
    workload: &Workload,
    counted: Scope,
    memory: Bytes,
) -> Option<String> {
    [Recompute::Selective, Recompute::Full].into_iter().find_map(|recompute| {
        let mut other = workload.clone();
        other.training.recompute = recompute;
        let rows = row_bounds(&other)[0];
        let bytes = Ledger::of(&other, (counted, topology.gpus()), rows).total();
        let word = recompute.word();
        (bytes <= memory).then(|| {
            format!(
                "with training.recompute = \"{word}\" it needs {} with even loads",
                in_gb(bytes)
            )
        })
    })
}

/// A layout, and the bytes of its fullest GPU with even loads.
type Sized = ([u32; 2], Bytes);

/// Layouts of this many GPUs that fit, the nearest first, and the smallest of all.
fn others(
    gpus: u32,
    workload: &Workload,
    counted: Scope,
    memory: Bytes,
) -> (Vec<Sized>, Option<(Bytes, [u32; 2])>) {
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
            let mut other = workload.clone();
            other.layout.expert_parallel = experts;
            other.layout.pipeline_parallel = stages;
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
