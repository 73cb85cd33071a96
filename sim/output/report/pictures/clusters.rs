//! What `moesim compare --json` printed: throughput on each cluster, and against what it costs.

use super::Part;
use crate::config::Diagnostic;
use crate::output::plot::{Axis, Bar, Ray, Spot, Spots, StackedBars};

/// What clusters are compared at equal amounts of: the key of throughput, and its unit.
fn measure(equal: &str) -> (&'static str, &'static str) {
    match equal {
        "cost" => ("tokens_per_s_per_usd", "tokens/s a USD"),
        "power" => ("tokens_per_s_per_w", "tokens/s a W"),
        _ => ("tokens_per_s_per_gpu", "tokens/s a GPU"),
    }
}

/// Throughput at equal GPUs, cost or power: vanilla, and what MoE++ adds.
///
/// # Errors
/// If the result lacks what is drawn.
pub fn throughput_chart(comparison: &Part<'_>) -> Result<StackedBars, Diagnostic> {
    let (key, unit) = measure(comparison.text("equal")?);
    let clusters = comparison.list("clusters")?;
    let mut bars = Vec::new();
    for cluster in &clusters {
        let per = cluster.number(key)?;
        let (own, base) =
            (cluster.number("tokens_per_s")?, cluster.number("vanilla_tokens_per_s")?);
        let vanilla = per * base / own;
        let name = cluster.text("cluster")?;
        bars.push(Bar { name: format!("{name} vanilla"), parts: vec![vanilla, 0.0] });
        let parts = vec![vanilla.min(per), (per - vanilla).max(0.0)];
        bars.push(Bar { name: "MoE++".to_owned(), parts });
    }
    let best = clusters.first().map_or(Ok("no cluster"), |cluster| cluster.text("cluster"))?;
    Ok(StackedBars {
        title: title(&clusters, best, unit)?,
        below: workloads(comparison)?,
        axis: Axis::from_zero(unit),
        parts: vec!["vanilla".to_owned(), "gained by MoE++".to_owned()],
        bars,
    })
}

/// The best cluster, and whether it is known to be the best.
fn title(clusters: &[Part<'_>], best: &str, unit: &str) -> Result<String, Diagnostic> {
    let Some(second) = clusters.get(1) else { return Ok(format!("{unit} on {best}")) };
    let differs = second.value.get("differs_from_best").and_then(serde_json::Value::as_bool);
    if differs == Some(false) {
        let second = second.text("cluster")?;
        return Ok(format!("{best} and {second}: no difference shown in {unit}"));
    }
    Ok(format!("{best} gives the most {unit}"))
}

fn workloads(comparison: &Part<'_>) -> Result<String, Diagnostic> {
    Ok(format!("{} against {}", comparison.text("workload")?, comparison.text("vanilla")?))
}

/// Throughput against cost (or power): the more a cluster gives for its price, the steeper its ray.
///
/// # Errors
/// If the result lacks what is drawn, or a cluster has no price.
pub fn cost_chart(comparison: &Part<'_>) -> Result<Spots, Diagnostic> {
    let power = comparison.text("equal")? == "power";
    let (key, each) = if power { ("watts", "W") } else { ("usd", "USD") };
    let mut spots = Vec::new();
    for cluster in comparison.list("clusters")? {
        let x = cluster.number(key)?;
        if x <= 0.0 {
            let name = cluster.text("cluster")?;
            return Err(Diagnostic::of(
                comparison.file,
                format!("{name} has no price, so throughput cannot be drawn against it"),
                "draw --kind throughput, or compare clusters that the price book knows",
            ));
        }
        spots.push(Spot {
            name: cluster.text("cluster")?.to_owned(),
            x,
            y: cluster.number("tokens_per_s")? / 1e6,
            interval: None,
            before: Some(cluster.number("vanilla_tokens_per_s")? / 1e6),
        });
    }
    let ratio = |spot: &Spot| spot.y / spot.x;
    let best = spots.iter().max_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    let most = spots.iter().max_by(|a, b| a.y.total_cmp(&b.y));
    let (Some(best), Some(most)) = (best, most) else {
        return Err(comparison.missing("clusters", "cluster"));
    };
    let title = if best.name == most.name {
        format!("{} gives the most, and the most for each {each}", best.name)
    } else {
        format!("{} gives most for each {each}, {} most in all", best.name, most.name)
    };
    let ray =
        Ray { name: format!("{:.1} tokens/s a {each}", 1e6 * ratio(best)), slope: ratio(best) };
    let label =
        if power { "power, W, by the price book" } else { "cost, US dollars, by the price book" };
    Ok(Spots {
        title,
        below: format!(
            "{}; open marks: vanilla. What the price book counts: moesim topology",
            workloads(comparison)?
        ),
        x: Axis::from_zero(label),
        y: Axis::from_zero("million tokens/s"),
        spots,
        rays: vec![ray],
    })
}
