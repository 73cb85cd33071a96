//! What would let a cluster catch up with the best.

use super::{ClusterCase, ClusterResult, Equal, Knob, Ratio, best_first, break_even, ratio};
use crate::execution::outcome::TooLong;
use crate::topology::LinkClass;

/// How much faster its binding fabric would have to be for a cluster to catch up with the best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CatchUp {
    /// The class of link that matters most.
    pub class: LinkClass,
    /// The factor on its bandwidth; none if no bandwidth suffices.
    pub factor: Option<f64>,
    /// The slowest and the fastest of these links now, in GB/s.
    pub gb_per_s: [f64; 2],
}

/// For each cluster, in the order given, what would let it catch up; none for the best, for those within noise of it
/// or ahead of it per GPU, and where no link matters.
///
/// # Errors
/// If a run exceeds representable time.
pub fn catch_ups(
    cluster_cases: &[ClusterCase],
    results: &[ClusterResult],
    equal: Equal,
) -> Result<Vec<Option<CatchUp>>, TooLong> {
    let order = best_first(results, equal);
    let one = |at: usize| {
        let leader = &results[order[0]];
        let behind = at != order[0]
            && ratio(&results[at], leader, equal).differs()
            && is_behind(&ratio(&results[at], leader, Equal::Gpus));
        if behind { catch_up(&cluster_cases[at], &results[at], leader) } else { Ok(None) }
    };
    (0..results.len()).map(one).collect()
}

/// Whether a ratio is below one, beyond noise.
fn is_behind(ratio: &Ratio) -> bool {
    ratio.mean < 1.0 && ratio.differs()
}

fn catch_up(
    case: &ClusterCase,
    result: &ClusterResult,
    leader: &ClusterResult,
) -> Result<Option<CatchUp>, TooLong> {
    let link = result.sensitivities.iter().find_map(|&(knob, _)| match knob {
        Knob::Bandwidth(class) => Some(class),
        Knob::Startup => None,
    });
    let Some(class) = link else { return Ok(None) };
    let links = case.scenario.topology.links().iter().filter(|link| link.class == class);
    let rates: Vec<f64> = links.map(|link| link.bandwidth.gb_per_sec()).collect();
    let slowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
    let fastest = rates.iter().copied().fold(0.0, f64::max);
    let target = leader.moepp[0] / f64::from(leader.gpus);
    let factor = break_even(case, class, target)?;
    Ok(Some(CatchUp { class, factor, gb_per_s: [slowest.min(fastest), fastest] }))
}
