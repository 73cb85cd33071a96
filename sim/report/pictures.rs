//! A study as pictures: the gain over τ, and where the time goes.

use super::published;
use crate::blame::Reason;
use crate::config::Scenario;
use crate::machine::Counted;
use crate::plot::{Axis, Bar, LineChart, Point, Series, StackedBars};
use crate::study::Row;

/// The gain over τ, a line a model with its interval over seeds, and what was published as open marks.
#[must_use]
pub fn gain_chart(scenario: &Scenario, rows: &[Row]) -> LineChart {
    let mut series: Vec<Series> = Vec::new();
    let mut published_of: Vec<Series> = Vec::new();
    for row in rows {
        let (Some(tau), Some(gain)) = (row.tau(), row.increase_percent) else { continue };
        let name = &row.workload.model.name;
        let at = series.iter().position(|own| own.name == *name).unwrap_or_else(|| {
            series.push(Series::new(name.clone(), Vec::new()));
            let mut known = Series::new(format!("{name} published"), Vec::new());
            known.joined = false;
            known.style = Some(series.len() - 1);
            published_of.push(known);
            series.len() - 1
        });
        let interval = gain.half_width.map(|_| (gain.low(), gain.high()));
        series[at].points.push(Point { x: tau, y: gain.mean, interval });
        let known = published(row).and_then(|paper| paper.increase);
        let known = known.filter(|_| scenario.counted == Counted::Experts);
        published_of[at].points.extend(known.map(|y| Point { x: tau, y, interval: None }));
    }
    let title = finding(&series);
    series.extend(published_of.into_iter().filter(|known| !known.points.is_empty()));
    LineChart {
        title,
        below: format!(
            "{} × {}, {}; bands: 95 % over seeds; open marks: published",
            scenario.topology.gpus(),
            scenario.topology.gpu().name,
            counted(scenario.counted)
        ),
        x: Axis::linear("τ"),
        y: Axis::from_zero("throughput increase, %"),
        series,
    }
}

fn finding(series: &[Series]) -> String {
    let points = || series.iter().flat_map(|own| own.points.iter().map(move |p| (own, p)));
    let most = points().max_by(|a, b| a.1.y.total_cmp(&b.1.y));
    let least = points().min_by(|a, b| a.1.y.total_cmp(&b.1.y));
    match (most, least) {
        (Some((a, high)), Some((b, low))) => format!(
            "MoE++ gains from {:.0} % ({} at τ = {}) to {:.0} % ({} at τ = {})",
            low.y, b.name, low.x, high.y, a.name, high.x
        ),
        _ => "No MoE++ run to show".to_owned(),
    }
}

/// Where the time goes, vanilla beside MoE++ at the scenario's τ.
#[must_use]
pub fn breakdown_chart(scenario: &Scenario, rows: &[Row]) -> StackedBars {
    let apart = scenario.counted == Counted::Experts;
    let reasons: Vec<usize> =
        (0..Reason::ALL.len()).filter(|&at| !(apart && Reason::ALL[at].is_wait())).collect();
    let shown: Vec<&Row> = rows
        .iter()
        .filter(|row| row.tau().is_none() || row.tau() == scenario.breakdown_tau)
        .collect();
    let bars: Vec<Bar> = shown
        .iter()
        .map(|row| Bar {
            name: match row.tau() {
                None => format!("{} vanilla", row.workload.model.name),
                Some(tau) => format!("{} τ = {tau}", row.workload.model.name),
            },
            parts: reasons.iter().map(|&at| row.blame_ms[at]).collect(),
        })
        .collect();
    let title = most_shortened(&shown, &reasons);
    StackedBars {
        title,
        below: format!("mean over GPUs and seeds, {}", counted(scenario.counted)),
        axis: Axis::from_zero("time of a step, ms"),
        parts: reasons.iter().map(|&at| Reason::ALL[at].label().to_owned()).collect(),
        bars,
    }
}

/// The reason that MoE++ shortens most, over all models.
fn most_shortened(rows: &[&Row], reasons: &[usize]) -> String {
    let sum = |at: usize, moepp: bool| {
        let own = rows.iter().filter(|row| row.tau().is_some() == moepp);
        own.map(|row| row.blame_ms[at]).sum::<f64>()
    };
    let saved = |at: usize| sum(at, false) - sum(at, true);
    let all: f64 = reasons.iter().map(|&at| saved(at)).filter(|saved| *saved > 0.0).sum();
    match reasons.iter().copied().max_by(|&a, &b| saved(a).total_cmp(&saved(b))) {
        Some(at) if saved(at) > 0.0 => format!(
            "Most of what MoE++ saves is {}: {:.0} % of it",
            Reason::ALL[at].label(),
            100.0 * saved(at) / all
        ),
        _ => "Where the time goes".to_owned(),
    }
}

const fn counted(counted: Counted) -> &'static str {
    match counted {
        Counted::Experts => "expert forward time",
        Counted::MoeLayer => "MoE layers",
        Counted::ModelForward => "forward pass of the model",
    }
}
