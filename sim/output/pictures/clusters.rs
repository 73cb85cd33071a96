//! What `moesim compare` found: throughput on each cluster, and against what it costs.

use crate::config::Diagnostic;
use crate::output::plot::{Axis, Bar, Ray, Spot, Spots, StackedBars};
use crate::output::report::comparison::{ComparedCluster, Comparison};
use crate::studies::compare::Equal;

/// Throughput at equal GPUs, cost or power: vanilla, and what MoE++ adds.
#[must_use]
pub fn throughput_chart(comparison: &Comparison) -> StackedBars {
    let unit = comparison.equal.unit();
    let mut bars = Vec::new();
    for cluster in &comparison.clusters {
        let per = comparison.per(cluster).unwrap_or_default();
        let Some(vanilla) = cluster.vanilla_tokens_per_s else {
            bars.push(Bar { name: cluster.cluster.clone(), parts: vec![per] });
            continue;
        };
        let vanilla = per * vanilla / cluster.tokens_per_s;
        let name = format!("{} vanilla", cluster.cluster);
        bars.push(Bar { name, parts: vec![vanilla, 0.0] });
        let parts = vec![vanilla.min(per), (per - vanilla).max(0.0)];
        bars.push(Bar { name: "MoE++".to_owned(), parts });
    }
    StackedBars {
        title: title(&comparison.clusters, unit, comparison.few_seeds()),
        below: below(comparison),
        axis: Axis::from_zero(unit),
        parts: match comparison.vanilla {
            Some(_) => vec!["vanilla".to_owned(), "gained by MoE++".to_owned()],
            None => vec![comparison.workload.clone()],
        },
        bars,
        shades: Vec::new(),
    }
}

/// The best cluster, and whether it is known to be the best.
fn title(clusters: &[ComparedCluster], unit: &str, few: Option<u64>) -> String {
    let Some(best) = clusters.first() else { return "no cluster".to_owned() };
    let best = &best.cluster;
    match clusters.get(1) {
        None => format!("{unit} on {best}"),
        Some(second) if !second.differs_from_best => match few {
            Some(seeds) => {
                format!(
                    "{best} gives the most {unit} in the mean; {seeds} seeds do not make it sure"
                )
            }
            None => format!("{best} and {}: within noise in {unit}", second.cluster),
        },
        Some(_) => format!("{best} gives the most {unit}"),
    }
}

/// What is compared, and where seeds are few, how open the second cluster's place is.
fn below(comparison: &Comparison) -> String {
    let compared = workloads(comparison);
    let open = comparison.clusters.get(1).filter(|own| !own.differs_from_best);
    match (comparison.few_seeds(), open.and_then(|own| Some((own, own.ratio_to_best.interval()?))))
    {
        (Some(_), Some((own, (low, high)))) => {
            format!(
                "{compared}; {}: {:.2} to {high:.2} of the best (95 %)",
                own.cluster,
                low.max(0.0)
            )
        }
        _ => compared,
    }
}

fn workloads(comparison: &Comparison) -> String {
    match &comparison.vanilla {
        Some(vanilla) => format!("{} against {vanilla}", comparison.workload),
        None => format!("{} alone", comparison.workload),
    }
}

/// Throughput against cost (or power): the more a cluster gives for its price, the steeper its ray.
///
/// # Errors
/// If a cluster has no price: `place` says of which result.
pub fn cost_chart(comparison: &Comparison, place: &str) -> Result<Spots, Diagnostic> {
    let power = comparison.equal == Equal::Power;
    let each = if power { "W" } else { "USD" };
    let mut spots = Vec::new();
    for cluster in &comparison.clusters {
        let name = &cluster.cluster;
        let x = if power { cluster.watts } else { cluster.usd };
        let Some(x) = x.filter(|x| *x > 0.0) else {
            return Err(Diagnostic::of(
                place,
                format!("{name} has no price, so throughput cannot be drawn against it"),
                "draw --kind throughput, or compare clusters that the price book knows",
            ));
        };
        spots.push(Spot {
            name: name.clone(),
            x,
            y: cluster.tokens_per_s / 1e6,
            interval: None,
            before: cluster.vanilla_tokens_per_s.map(|tokens| tokens / 1e6),
        });
    }
    let ratio = |spot: &Spot| spot.y / spot.x;
    let best = spots.iter().max_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    let most = spots.iter().max_by(|a, b| a.y.total_cmp(&b.y));
    let (Some(best), Some(most)) = (best, most) else {
        return Err(Diagnostic::of(place, "compares no cluster", "name one or more"));
    };
    let title = if best.name == most.name {
        format!("{} gives the most, and the most for each {each}", best.name)
    } else {
        format!("{} gives most for each {each}, {} most in all", best.name, most.name)
    };
    let ray =
        Ray { name: format!("{:.1} tokens/s per {each}", 1e6 * ratio(best)), slope: ratio(best) };
    let label =
        if power { "power, W, by the price book" } else { "cost, US dollars, by the price book" };
    Ok(Spots {
        title,
        below: format!(
            "{}{}. What the price book counts: moesim topology",
            workloads(comparison),
            if comparison.vanilla.is_some() { "; open marks: vanilla" } else { "" }
        ),
        x: Axis::from_zero(label),
        y: Axis::from_zero("million tokens/s"),
        spots,
        rays: vec![ray],
    })
}
