//! What `moesim gate show` prints.

use std::io::Write;

use serde_json::{Value, json};

use super::super::Failure;
use super::loads::{Layer, Loads};

pub(super) fn json(loads: &Loads) -> Value {
    let layers: Vec<_> = loads
        .layers
        .iter()
        .zip(&loads.load)
        .map(|(layer, load)| {
            let drop = loads.factors.iter().zip(&layer.drop);
            json!({
                "slots_by_expert": load, "max_over_mean": layer.peak, "cv": layer.cv,
                "gini": layer.gini,
                "drop_by_factor": drop.map(|(factor, drop)| json!([factor, drop])).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "title": loads.title, "ffn_experts": loads.ffn, "top_k": loads.top_k,
        "dropped_share": loads.dropped.map(|dropped| dropped.0),
        "dropped_weight_share": loads.dropped.map(|dropped| dropped.1),
        "tokens_by_ffn_slots": loads.ffn_slots, "ffn_experts_per_token": mean_slots(loads),
        "imbalance_correlation": loads.correlation, "layers": layers,
    })
}

fn mean_slots(loads: &Loads) -> Option<f64> {
    let mean = loads.ffn_slots.iter().enumerate().map(|(f, share)| f as f64 * share).sum();
    (!loads.ffn_slots.is_empty()).then_some(mean)
}

pub(super) fn text(loads: &Loads, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "{}\n", loads.title)?;
    let drops: Vec<String> =
        loads.factors.iter().map(|factor| format!("{:>9}", format!("drop@{factor}"))).collect();
    writeln!(
        out,
        "layer  max/mean    cv   gini {}  load of each expert over the mean",
        drops.join("")
    )?;
    let number = loads.layers.len() as f64;
    let mut mean = Layer { drop: vec![0.0; loads.factors.len()], ..Layer::default() };
    for (at, (layer, load)) in loads.layers.iter().zip(&loads.load).enumerate() {
        mean.peak += layer.peak / number;
        mean.cv += layer.cv / number;
        mean.gini += layer.gini / number;
        mean.drop.iter_mut().zip(&layer.drop).for_each(|(mean, drop)| *mean += drop / number);
        writeln!(out, "{at:>5} {}  {}", columns(layer), picture(load, loads.ffn))?;
    }
    writeln!(out, " mean {}", columns(&mean))?;
    let shades: Vec<String> =
        SHADES.iter().map(|(least, shade)| format!("{shade} ≥ {least}")).collect();
    writeln!(out, "\nFFN experts, over their mean: {}", shades.join("  "))?;
    if loads.load.first().is_some_and(|load| load.len() > loads.ffn) {
        writeln!(out, "behind |: zero, copy and constant experts, over the mean of FFN experts")?;
    }
    if let Some(slots) = mean_slots(loads) {
        let shares: Vec<String> = loads
            .ffn_slots
            .iter()
            .enumerate()
            .filter(|(_, share)| **share >= 5e-4)
            .map(|(f, share)| format!("{f}: {:.1} %", 100.0 * share))
            .collect();
        writeln!(out, "FFN experts per token: {slots:.3} ({})", shares.join(", "))?;
    }
    if let Some(correlation) = loads.correlation {
        writeln!(out, "correlation of layers' max/mean over batches: {correlation:.2}")?;
    }
    if let Some((slots, weight)) = loads.dropped {
        writeln!(
            out,
            "dropped by the workload's capacity: {:.2} % of slots, {:.2} % of mixing weight",
            100.0 * slots,
            100.0 * weight
        )?;
    }
    Ok(())
}

fn columns(layer: &Layer) -> String {
    let drops: Vec<String> =
        layer.drop.iter().map(|drop| format!("{:>7.1} %", 100.0 * drop)).collect();
    format!("{:>9.2} {:>5.2} {:>6.3}{}", layer.peak, layer.cv, layer.gini, drops.join(""))
}

/// The least load over the mean that each character stands for.
const SHADES: [(f64, char); 6] =
    [(0.0, '·'), (0.25, '░'), (0.75, '▒'), (1.25, '▓'), (2.0, '█'), (4.0, '#')];

fn picture(load: &[u64], ffn: usize) -> String {
    let mean = load[..ffn].iter().sum::<u64>() as f64 / ffn as f64;
    let mut text = String::new();
    for (expert, &n) in load.iter().enumerate() {
        if expert == ffn {
            text.push('|');
        }
        let ratio = if mean > 0.0 { n as f64 / mean } else { 0.0 };
        let shade = SHADES.iter().rev().find(|(least, _)| ratio >= *least);
        text.push(shade.map_or(' ', |(_, shade)| *shade));
    }
    text
}
