//! What `moesim gate show --export` wrote: load by expert and layer.

use std::collections::BTreeMap;

use crate::config::Diagnostic;
use crate::output::plot::HeatMap;
use crate::studies::sweep::Results;

/// Whether a table holds counts of slots.
#[must_use]
pub fn is_counts(table: &Results) -> bool {
    ["round", "expert", "kept", "dropped"].iter().all(|name| table.column(name).is_some())
}

/// The load of each expert in each layer, over its mean.
///
/// # Errors
/// If there is not a number where one is drawn.
pub fn loads_chart(table: &Results, file: &str) -> Result<HeatMap, Diagnostic> {
    let mut load: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    let places = ["round", "expert", "kept", "dropped"].map(|name| table.column(name));
    for (n, row) in table.rows.iter().enumerate() {
        let cell = |column: usize| places[column].and_then(|at| row[at].number());
        let [Some(round), Some(expert), Some(kept), Some(dropped)] = [0, 1, 2, 3].map(cell) else {
            let found = format!("row {} is not a count of slots", n + 1);
            return Err(Diagnostic::of(
                file,
                found,
                "take it as moesim gate show --export wrote it",
            ));
        };
        *load.entry((round as usize, expert as usize)).or_default() += kept + dropped;
    }
    let rounds = load.keys().map(|key| key.0 + 1).max().unwrap_or(0);
    let experts = load.keys().map(|key| key.1 + 1).max().unwrap_or(0);
    if rounds.saturating_mul(experts) > 1 << 20 {
        let help = "draw fewer layers or experts";
        return Err(Diagnostic::of(file, "has more than a million cells to draw", help));
    }
    let mut cells = vec![vec![f64::NAN; experts]; rounds];
    let mut hottest = (0.0, 0, 0);
    for (round, cells) in cells.iter_mut().enumerate() {
        let own = load.range((round, 0)..(round + 1, 0));
        let mean = own.clone().map(|(_, n)| n).sum::<f64>() / own.clone().count().max(1) as f64;
        for (&(_, expert), n) in own {
            cells[expert] = n / mean;
            if n / mean > hottest.0 {
                hottest = (n / mean, round, expert);
            }
        }
    }
    Ok(HeatMap {
        title: format!(
            "Expert {} of layer {} has {:.1} times the mean load",
            hottest.2, hottest.1, hottest.0
        ),
        below: format!("{file}; dropped slots included, zero-computation experts too"),
        x: "expert".to_owned(),
        y: "layer".to_owned(),
        value: "load over the mean of the layer's experts".to_owned(),
        columns: Vec::new(),
        rows: Vec::new(),
        cells,
        up_to: None,
    })
}
