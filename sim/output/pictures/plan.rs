//! What `moesim plan` found: quality against throughput, and the Pareto front.

use crate::base::order::ascending;
use crate::config::Diagnostic;
use crate::output::plot::{Axis, LineChart, Point, Series};
use crate::output::report::plan::{PlanCandidate, PlanResult, sure};

/// Candidates of each cluster, those that none beats in both, the target and what is recommended.
///
/// # Errors
/// If no candidate has a quality: `place` says of which result.
pub fn front_chart(plan: &PlanResult, place: &str) -> Result<LineChart, Diagnostic> {
    if plan.candidates.iter().all(|one| one.quality.is_none()) {
        let found = "has no quality to draw against throughput";
        return Err(Diagnostic::of(place, found, "give --quality FILE, or a model of the paper"));
    }
    let mut series = candidates(plan);
    let told = plan.told();
    let spoken = told.spoken();
    let bar = placed(told).map(|(x, y)| {
        let interval = told.quality_noise.map(|noise| (y - noise, y + noise));
        Point { x, y, interval }
    });
    let ends = bar.iter().flat_map(|bar| bar.interval).flat_map(|(low, high)| [low, high]);
    let all = series.iter().flat_map(|own| &own.points).map(|point| point.y).chain(ends);
    let (low, high) =
        all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| (low.min(y), high.max(y)));
    let mut taken = Series::new(spoken.clone(), bar.into_iter().collect());
    (taken.joined, taken.style) = (false, Some(3));
    let target = told.target_tokens_per_s / 1e6;
    let ends = if low <= high { vec![low, high] } else { Vec::new() };
    let line = ends.into_iter().map(|y| plain((target, y))).collect();
    let mut line = Series::new("target", line);
    (line.marked, line.style) = (false, Some(1));
    series.extend([line, taken]);
    let cluster = &told.cluster;
    Ok(LineChart {
        title: if plan.met {
            format!("{spoken} on {cluster} meets the target at the best quality")
        } else {
            format!("No τ meets the target; {spoken} on {cluster} comes closest")
        },
        below: format!(
            "with probability {} (asked: {}); bar: ± noise of quality, where known",
            sure(told.probability, 2),
            plan.asked_probability
        ),
        x: Axis::linear("million tokens/s"),
        y: Axis::linear("quality"),
        series,
    })
}

/// Where a candidate stands, if its quality is known.
fn placed(candidate: &PlanCandidate) -> Option<(f64, f64)> {
    Some((candidate.tokens_per_s / 1e6, candidate.quality?))
}

fn plain((x, y): (f64, f64)) -> Point {
    Point { x, y, interval: None }
}

/// The front, then the candidates of each cluster.
fn candidates(plan: &PlanResult) -> Vec<Series> {
    let mut front: Vec<Point> = plan.front.iter().filter_map(placed).map(plain).collect();
    ascending(&mut front, |one| one.x);
    let front_style = 6;
    let mut own = Series::new("Pareto front", front);
    (own.marked, own.style) = (false, Some(front_style));
    let mut series = vec![own];
    // What does not fit into memory is no choice, and what has no known quality no place.
    let (vanilla, moepp): (Vec<_>, Vec<_>) =
        plan.candidates.iter().filter(|one| one.fits).partition(|one| one.tau.is_none());
    for candidate in moepp.into_iter().chain(vanilla) {
        let Some(place) = placed(candidate) else { continue };
        let name = match candidate.tau {
            Some(_) => candidate.cluster.clone(),
            None => format!("{}, vanilla", candidate.cluster),
        };
        let at = series.iter().position(|own| own.name == name).unwrap_or_else(|| {
            let mut own = Series::new(name, Vec::new());
            let style = if candidate.tau.is_some() { series.len() - 1 } else { 4 };
            (own.joined, own.style) = (false, Some(style));
            series.push(own);
            series.len() - 1
        });
        series[at].points.push(plain(place));
    }
    for own in &mut series {
        ascending(&mut own.points, |one| one.x);
    }
    series
}
