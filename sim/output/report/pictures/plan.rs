//! What `moesim plan --json` printed: quality against throughput, and the Pareto front.

use super::Part;
use crate::config::Diagnostic;
use crate::output::plot::{Axis, LineChart, Point, Series};

/// Candidates of each cluster, those that none beats in both, the target and what is recommended.
///
/// # Errors
/// If the result lacks what is drawn.
pub fn front_chart(plan: &Part<'_>) -> Result<LineChart, Diagnostic> {
    let place = |candidate: &Part<'_>| -> Result<(f64, f64), Diagnostic> {
        Ok((candidate.number("tokens_per_s")? / 1e6, candidate.number("quality")?))
    };
    let plain = |(x, y)| Point { x, y, interval: None };
    let mut front = Vec::new();
    for candidate in plan.list("front")? {
        front.push(plain(place(&candidate)?));
    }
    front.sort_by(|a, b| a.x.total_cmp(&b.x));
    let front_style = 6;
    let mut own = Series::new("Pareto front", front);
    (own.marked, own.style) = (false, Some(front_style));
    let mut series = vec![own];
    // What does not fit into memory is no choice.
    let fits = |candidate: &Part<'_>| !candidate.has("too_large");
    for candidate in plan.list("candidates")?.into_iter().filter(fits) {
        let name = candidate.text("cluster")?;
        let at = series.iter().position(|own| own.name == name).unwrap_or_else(|| {
            let mut own = Series::new(name, Vec::new());
            (own.joined, own.style) = (false, Some(series.len() - 1));
            series.push(own);
            series.len() - 1
        });
        series[at].points.push(plain(place(&candidate)?));
    }
    for own in &mut series {
        own.points.sort_by(|a, b| a.x.total_cmp(&b.x));
    }
    let met = plan.has("recommended");
    let told = plan.part(if met { "recommended" } else { "closest" })?;
    let ((x, y), noise) = (place(&told)?, told.number("quality_noise")?);
    let spoken = told.maybe("tau").map_or("vanilla".to_owned(), |tau| format!("τ = {tau:.3}"));
    let bar = Point { x, y, interval: Some((y - noise, y + noise)) };
    let mut taken = Series::new(spoken.clone(), vec![bar]);
    (taken.joined, taken.style) = (false, Some(3));
    let target = told.number("target_tokens_per_s")? / 1e6;
    let all = || series.iter().flat_map(|own| &own.points).map(|point| point.y);
    let (low, high) = (all().fold(y - noise, f64::min), all().fold(y + noise, f64::max));
    let mut line = Series::new("target", [low, high].map(|y| plain((target, y))).to_vec());
    (line.marked, line.style) = (false, Some(1));
    series.extend([line, taken]);
    let cluster = told.text("cluster")?;
    Ok(LineChart {
        title: if met {
            format!("{spoken} on {cluster} meets the target at the best quality")
        } else {
            format!("No τ meets the target; {spoken} on {cluster} comes closest")
        },
        below: format!(
            "with probability {:.2} (asked: {}); bar: ± noise of quality, as large as most of the trend",
            told.number("probability")?,
            plan.number("asked_probability")?
        ),
        x: Axis::linear("million tokens/s"),
        y: Axis::linear("quality"),
        series,
    })
}
