//! What `moesim plan` found: quality against throughput, and the Pareto front.

use crate::output::plot::{Axis, LineChart, Point, Series};
use crate::output::report::plan::{PlanCandidate, PlanResult};

/// Candidates of each cluster, those that none beats in both, the target and what is recommended.
#[must_use]
pub fn front_chart(plan: &PlanResult) -> LineChart {
    let place = |candidate: &PlanCandidate| (candidate.tokens_per_s / 1e6, candidate.quality);
    let plain = |(x, y)| Point { x, y, interval: None };
    let mut front: Vec<Point> = plan.front.iter().map(|own| plain(place(own))).collect();
    front.sort_by(|a, b| a.x.total_cmp(&b.x));
    let front_style = 6;
    let mut own = Series::new("Pareto front", front);
    (own.marked, own.style) = (false, Some(front_style));
    let mut series = vec![own];
    // What does not fit into memory is no choice.
    for candidate in plan.candidates.iter().filter(|candidate| candidate.fits) {
        let name = &candidate.cluster;
        let at = series.iter().position(|own| own.name == *name).unwrap_or_else(|| {
            let mut own = Series::new(name, Vec::new());
            (own.joined, own.style) = (false, Some(series.len() - 1));
            series.push(own);
            series.len() - 1
        });
        series[at].points.push(plain(place(candidate)));
    }
    for own in &mut series {
        own.points.sort_by(|a, b| a.x.total_cmp(&b.x));
    }
    let told = plan.told();
    let ((x, y), noise) = (place(told), told.quality_noise);
    let spoken = told.spoken();
    let bar = Point { x, y, interval: Some((y - noise, y + noise)) };
    let mut taken = Series::new(spoken.clone(), vec![bar]);
    (taken.joined, taken.style) = (false, Some(3));
    let target = told.target_tokens_per_s / 1e6;
    let all = || series.iter().flat_map(|own| &own.points).map(|point| point.y);
    let (low, high) = (all().fold(y - noise, f64::min), all().fold(y + noise, f64::max));
    let mut line = Series::new("target", [low, high].map(|y| plain((target, y))).to_vec());
    (line.marked, line.style) = (false, Some(1));
    series.extend([line, taken]);
    let cluster = &told.cluster;
    LineChart {
        title: if plan.met {
            format!("{spoken} on {cluster} meets the target at the best quality")
        } else {
            format!("No τ meets the target; {spoken} on {cluster} comes closest")
        },
        below: format!(
            "with probability {:.2} (asked: {}); bar: ± noise of quality, as large as most of the trend",
            told.probability, plan.asked_probability
        ),
        x: Axis::linear("million tokens/s"),
        y: Axis::linear("quality"),
        series,
    }
}
