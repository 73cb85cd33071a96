//! What `moesim layouts` found: throughput against step time, of those that none beats.

use crate::base::order::ascending;
use crate::output::plot::{Axis, LineChart, Point, Series};
use crate::output::report::layouts::{LaidOut, LayoutsResult};

/// A line for each cluster and τ, named by what differs.
#[must_use]
pub fn layouts_chart(result: &LayoutsResult) -> LineChart {
    let first = result.front.first();
    let one_tau = result.front.iter().all(|one| Some(one.tau) == first.map(|own| own.tau));
    let one_cluster =
        result.front.iter().all(|one| Some(&one.cluster) == first.map(|own| &own.cluster));
    let name = |one: &LaidOut| match one.tau.filter(|_| !one_tau) {
        Some(tau) if one_cluster => format!("τ = {tau}"),
        Some(tau) => format!("{}, τ = {tau}", one.cluster),
        None => one.cluster.clone(),
    };
    let mut series: Vec<Series> = Vec::new();
    for one in &result.front {
        let point = Point { x: one.step_ms, y: one.tokens_per_s / 1e6, interval: None };
        match series.iter_mut().find(|own| own.name == name(one)) {
            Some(own) => own.points.push(point),
            None => series.push(Series::new(name(one), vec![point])),
        }
    }
    for own in &mut series {
        ascending(&mut own.points, |one| one.x);
    }
    let layout = |one: &LaidOut| {
        let sizes = (one.expert_parallel, one.tensor_parallel, one.pipeline_parallel);
        format!("EP {}, TP {}, PP {}, {} tokens", sizes.0, sizes.1, sizes.2, one.tokens_per_gpu)
    };
    let most = result.front.iter().max_by(|a, b| a.tokens_per_s.total_cmp(&b.tokens_per_s));
    let least = result.front.iter().min_by(|a, b| a.step_ms.total_cmp(&b.step_ms));
    LineChart {
        title: most.map_or_else(String::new, |one| format!("{} gives the most", layout(one))),
        below: format!(
            "{}; shortest step: {}; {}",
            result.workload,
            least.map_or_else(String::new, layout),
            result.counted()
        ),
        x: Axis::linear("step, ms"),
        y: Axis::linear("million tokens/s"),
        series,
    }
}
