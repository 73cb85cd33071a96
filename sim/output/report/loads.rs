//! The result of `moesim gate show`: loads by expert and layer.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::shared::made_by::MadeBy;
use super::shared::table::{Column, Table};

/// Loads of every layer over some batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateLoads {
    /// How it was made.
    #[serde(default)]
    pub made_by: MadeBy,
    /// Whose loads, and over how many batches.
    pub title: String,
    /// FFN experts, which come first.
    pub ffn_experts: usize,
    /// Slots of a token.
    pub top_k: usize,
    /// Share of slots that the workload's own capacity drops.
    pub dropped_share: Option<f64>,
    /// Share of mixing weight dropped with them.
    pub dropped_weight_share: Option<f64>,
    /// Share of tokens with 0, 1, … FFN slots.
    pub tokens_by_ffn_slots: Vec<f64>,
    /// Their mean.
    pub ffn_experts_per_token: Option<f64>,
    /// Mean correlation of two layers' max/mean over batches.
    pub imbalance_correlation: Option<f64>,
    /// Each layer.
    pub layers: Vec<LayerLoads>,
}

/// Loads of one layer: all batches together, and means over batches of how uneven one is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LayerLoads {
    /// Slots of each expert, all batches together.
    pub slots_by_expert: Vec<u64>,
    /// The largest load over the mean of FFN experts.
    pub max_over_mean: f64,
    /// Coefficient of variation.
    pub cv: f64,
    /// Gini coefficient.
    pub gini: f64,
    /// Capacity factors, and the share of slots that each would drop.
    pub drop_by_factor: Vec<[f64; 2]>,
}

impl GateLoads {
    /// A line per layer, their means, and what holds for all.
    ///
    /// # Errors
    /// If `out` cannot be written to.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}\n", self.title)?;
        self.write_layers(out)?;
        let shades: Vec<String> =
            SHADES.iter().map(|(least, shade)| format!("{shade} ≥ {least}")).collect();
        writeln!(out, "\nFFN experts, over their mean: {}", shades.join("  "))?;
        let first = self.layers.first();
        if first.is_some_and(|layer| layer.slots_by_expert.len() > self.ffn_experts) {
            writeln!(
                out,
                "behind |: zero, copy and constant experts, over the mean of FFN experts"
            )?;
        }
        self.write_shares(out)
    }

    fn write_layers(&self, out: &mut dyn Write) -> io::Result<()> {
        let factors = self.layers.first().map_or(&[][..], |layer| &layer.drop_by_factor);
        let figures = [10, 6, 7].map(Column::right).into_iter();
        let drops = factors.iter().map(|_| Column::right(9));
        let picture_at = Column::left(0).after(2);
        let columns = std::iter::once(Column::right(5).after(0)).chain(figures).chain(drops);
        let mut table = Table::of(columns.chain([picture_at]));
        let heads = ["layer", "max/mean", "cv", "gini"].map(str::to_owned).into_iter();
        let heads = heads.chain(factors.iter().map(|[factor, _]| format!("drop@{factor}")));
        table.row(heads.chain(["load of each expert over the mean".to_owned()]));
        for (at, layer) in self.layers.iter().enumerate() {
            let picture = picture(&layer.slots_by_expert, self.ffn_experts);
            table.row(cells(at.to_string(), layer).into_iter().chain([picture]));
        }
        table.row(cells("mean".to_owned(), &self.mean_layer()));
        table.write(out)
    }

    /// Means over layers.
    fn mean_layer(&self) -> LayerLoads {
        let number = self.layers.len() as f64;
        let mut mean = LayerLoads::default();
        for layer in &self.layers {
            mean.max_over_mean += layer.max_over_mean / number;
            mean.cv += layer.cv / number;
            mean.gini += layer.gini / number;
            mean.drop_by_factor.resize(layer.drop_by_factor.len(), [0.0; 2]);
            for (mean, [_, drop]) in mean.drop_by_factor.iter_mut().zip(&layer.drop_by_factor) {
                mean[1] += drop / number;
            }
        }
        mean
    }

    fn write_shares(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(slots) = self.ffn_experts_per_token {
            let shares = self.tokens_by_ffn_slots.iter().enumerate();
            let shares: Vec<String> = shares
                .filter(|(_, share)| **share >= 5e-4)
                .map(|(f, share)| format!("{f}: {:.1} %", 100.0 * share))
                .collect();
            writeln!(out, "FFN experts per token: {slots:.3} ({})", shares.join(", "))?;
        }
        if let Some(correlation) = self.imbalance_correlation {
            writeln!(out, "correlation of layers' max/mean over batches: {correlation:.2}")?;
        }
        let Some((slots, weight)) = self.dropped_share.zip(self.dropped_weight_share) else {
            return Ok(());
        };
        writeln!(
            out,
            "dropped by the workload's capacity: {:.2} % of slots, {:.2} % of mixing weight",
            100.0 * slots,
            100.0 * weight
        )
    }
}

fn cells(first: String, layer: &LayerLoads) -> Vec<String> {
    let LayerLoads { max_over_mean, cv, gini, .. } = layer;
    let drops = layer.drop_by_factor.iter();
    let drops = drops.map(|[_, drop]| format!("{:.1} %", 100.0 * drop));
    let own = [first, format!("{max_over_mean:.2}"), format!("{cv:.2}"), format!("{gini:.3}")];
    own.into_iter().chain(drops).collect()
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
