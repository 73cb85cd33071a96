//! The slow twin: progressive filling by the plainest means, rates anew at every event.

use moesim::network::fluid::Problem;
use proptest::prelude::*;

/// Finish times are the same within a relative error.
pub fn assert_close(got: &[f64], want: &[f64], relative: f64) -> Result<(), TestCaseError> {
    for (flow, (&got, &want)) in got.iter().zip(want).enumerate() {
        let error = (got - want).abs() / want.max(1e-300);
        prop_assert!(error <= relative, "flow {flow} ends at {got}, not {want}: {error:.2e}");
    }
    Ok(())
}

/// Weighted max–min fair rates of the flows marked, over links of these capacities.
///
/// Raise one water level for all flows together, freeze the flows that meet a full link or their
/// ceiling, repeat with the rest.
pub fn share(problem: &Problem, capacity: &[f64], running: &[bool]) -> Vec<f64> {
    let mut free = capacity.to_vec();
    let mut rate = vec![0.0; problem.flows()];
    let mut rising: Vec<usize> = (0..problem.flows()).filter(|&f| running[f]).collect();
    while !rising.is_empty() {
        let mut pull = vec![0.0; free.len()];
        for &f in &rising {
            for link in problem.route(f) {
                pull[link.index()] += problem.weight(f);
            }
        }
        let limit = |f: usize| {
            let links = problem.route(f).iter().map(|l| free[l.index()] / pull[l.index()]);
            links.fold(problem.ceiling(f) / problem.weight(f), f64::min)
        };
        let level = rising.iter().map(|&f| limit(f)).fold(f64::INFINITY, f64::min).max(0.0);
        let (frozen, still): (Vec<usize>, Vec<usize>) =
            rising.iter().partition(|&&f| limit(f) <= level * (1.0 + 1e-12));
        assert!(!frozen.is_empty(), "water level {level} froze no flow");
        for &f in &frozen {
            rate[f] = level * problem.weight(f);
            for link in problem.route(f) {
                free[link.index()] = (free[link.index()] - rate[f]).max(0.0);
            }
        }
        rising = still;
    }
    rate
}

/// When every flow ends, in seconds.
pub fn finish_times(problem: &Problem) -> Vec<f64> {
    let flows = problem.flows();
    let mut left: Vec<f64> = (0..flows).map(|f| problem.bytes(f)).collect();
    let mut finish: Vec<f64> = (0..flows).map(|f| problem.start_s(f)).collect();
    let mut capacity = problem.capacities().to_vec();
    let mut changes = problem.changes().to_vec();
    changes.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
    let mut now = 0.0;
    loop {
        while changes.first().is_some_and(|change| change.at_s <= now) {
            let change = changes.remove(0);
            capacity[change.link.index()] = change.capacity;
        }
        let running: Vec<bool> =
            (0..flows).map(|f| left[f] > 0.0 && problem.start_s(f) <= now).collect();
        let rate = share(problem, &capacity, &running);
        let ends =
            (0..flows).filter(|&f| running[f] && rate[f] > 0.0).map(|f| now + left[f] / rate[f]);
        let starts = (0..flows).map(|f| problem.start_s(f)).filter(|&start| start > now);
        let next = ends
            .chain(starts)
            .chain(changes.first().map(|change| change.at_s))
            .fold(f64::INFINITY, f64::min);
        if next == f64::INFINITY {
            assert!(left.iter().all(|&left| left <= 0.0), "some flow never ends");
            return finish;
        }
        for f in (0..flows).filter(|&f| running[f]) {
            let end = now + left[f] / rate[f];
            if end <= next * (1.0 + 1e-13) {
                left[f] = 0.0;
                finish[f] = next;
            } else {
                left[f] -= rate[f] * (next - now);
            }
        }
        now = next;
    }
}
