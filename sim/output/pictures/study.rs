//! What `moesim run` found: the gain over τ, and where the time goes.

use crate::execution::Scope;
use crate::execution::blame::Reason;
use crate::output::plot::{Axis, Bar, LineChart, Point, Series, StackedBars};
use crate::output::report::study::{StudyResult, StudyRow};

/// The gain over τ, a line a model with its interval over seeds, and what was published as open marks.
#[must_use]
pub fn gain_chart(run: &StudyResult) -> LineChart {
    let mut series: Vec<Series> = Vec::new();
    let mut published_of: Vec<Series> = Vec::new();
    for row in &run.results {
        let gain = &row.increase_percent;
        let (Some(tau), Some(percent)) = (row.tau(), gain.mean) else { continue };
        let name = &row.model;
        let at = series.iter().position(|own| own.name == *name).unwrap_or_else(|| {
            series.push(Series::new(name, Vec::new()));
            let mut known = Series::new(format!("{name} published"), Vec::new());
            known.joined = false;
            known.style = Some(series.len() - 1);
            published_of.push(known);
            series.len() - 1
        });
        series[at].points.push(Point { x: tau, y: percent, interval: gain.interval() });
        let known = row.published.published_throughput_increase_percent;
        published_of[at].points.extend(known.map(|y| Point { x: tau, y, interval: None }));
    }
    let title = finding(&series);
    published_of.retain(|known| !known.points.is_empty());
    let marks = if published_of.is_empty() { "" } else { "; open marks: published" };
    series.extend(published_of);
    LineChart {
        title,
        below: format!(
            "{} × {}, {}; bands: 95 % over seeds{marks}",
            run.gpus,
            run.gpu,
            counted(run.counted)
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
pub fn breakdown_chart(run: &StudyResult) -> StackedBars {
    let (apart, trains) = (run.counted == Scope::Experts, run.counted.has_backward());
    let shows =
        |reason: &Reason| !(apart && reason.is_wait()) && (trains || !reason.is_of_training());
    let reasons: Vec<Reason> = Reason::ALL.into_iter().filter(shows).collect();
    let wanted = run.breakdown_tau;
    let shown = |row: &&StudyRow| row.tau().is_none() || wanted.is_none() || row.tau() == wanted;
    let bar = |row: &StudyRow| {
        // Results of before a reason was known have no time of it.
        let part = |reason: &Reason| row.blame_ms(*reason).unwrap_or_default();
        let model = &row.model;
        let name = match row.tau() {
            None if row.increase_percent.mean.is_some() => format!("{model} MoE++"),
            None => format!("{model} vanilla"),
            Some(tau) => format!("{model} τ = {tau}"),
        };
        (row.tau().is_some(), Bar { name, parts: reasons.iter().map(part).collect() })
    };
    let bars: Vec<(bool, Bar)> = run.results.iter().filter(shown).map(bar).collect();
    StackedBars {
        title: most_shortened(&bars, &reasons),
        below: format!("mean over GPUs and seeds, {}", counted(run.counted)),
        axis: Axis::from_zero("time of a step, ms"),
        parts: reasons.iter().map(|reason| reason.label().to_owned()).collect(),
        bars: bars.into_iter().map(|(_, bar)| bar).collect(),
        shades: reasons.iter().map(|reason| super::shade_of(*reason)).collect(),
    }
}

/// The reason that MoE++ shortens most, over all models; each vanilla bar counts once for each of its
/// MoE++ bars.
fn most_shortened(bars: &[(bool, Bar)], reasons: &[Reason]) -> String {
    let mut saved = vec![0.0; reasons.len()];
    let mut vanilla: Option<&Bar> = None;
    for (moepp, bar) in bars {
        match (moepp, vanilla) {
            (true, Some(base)) => {
                let parts = saved.iter_mut().zip(base.parts.iter().zip(&bar.parts));
                parts.for_each(|(saved, (base, own))| *saved += base - own);
            }
            (true, None) => {}
            (false, _) => vanilla = Some(bar),
        }
    }
    let all: f64 = saved.iter().filter(|saved| **saved > 0.0).sum();
    match (0..reasons.len()).max_by(|&a, &b| saved[a].total_cmp(&saved[b])) {
        Some(at) if saved[at] > 0.0 => format!(
            "Most of what MoE++ saves is {}: {:.0} % of it",
            reasons[at].label(),
            100.0 * saved[at] / all
        ),
        _ => "Where the time goes".to_owned(),
    }
}

const fn counted(scope: Scope) -> &'static str {
    match scope {
        Scope::Experts => "expert forward time",
        Scope::MoeLayer => "MoE layers",
        Scope::ModelForward => "forward pass of the model",
        Scope::LayerTraining => "MoE layers, forward and backward",
        Scope::TrainingStep => "training step",
    }
}
