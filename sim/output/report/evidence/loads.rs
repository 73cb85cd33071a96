//! The result of `moesim gate show`: loads by expert and layer.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::shared::made_by::MadeBy;
use super::super::shared::table::{Column, Table};
use super::super::shared::wrapped::wrapped;

/// Columns of a terminal, those of figures before the capacity factors with the gap behind them, and the least for a
/// picture.
const WIDTH: usize = 80;
const FIGURES: usize = 33;
const NARROWEST: usize = 20;

/// Loads of every layer over some batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
        writeln!(out)?;
        wrapped(out, "load of FFN experts over their mean: ", &shades.join(", "))?;
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
        let each = self.experts_a_character(factors.len());
        let head =
            if each == 1 { "load by expert".to_owned() } else { format!("busiest of each {each}") };
        table.row(heads.chain([head]));
        for (at, layer) in self.layers.iter().enumerate() {
            let picture = picture(&layer.slots_by_expert, self.ffn_experts, each);
            table.row(cells(at.to_string(), layer).into_iter().chain([picture]));
        }
        table.row(cells("mean".to_owned(), &self.mean_layer()));
        table.write(out)
    }

    /// How many experts a character stands for, so that all fit beside this many capacity factors.
    fn experts_a_character(&self, factors: usize) -> usize {
        let room = WIDTH.saturating_sub(FIGURES + 9 * factors).max(NARROWEST);
        let all = self.layers.iter().map(|layer| layer.slots_by_expert.len()).max().unwrap_or(0);
        let zero_computation = all.saturating_sub(self.ffn_experts);
        let characters = |each: usize| {
            let behind = if zero_computation > 0 { 1 + zero_computation.div_ceil(each) } else { 0 };
            self.ffn_experts.div_ceil(each) + behind
        };
        (1..=all.max(1)).find(|&each| characters(each) <= room).unwrap_or(all.max(1))
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
            let text = format!("{slots:.3} ({})", shares.join(", "));
            wrapped(out, "FFN experts per token: ", &text)?;
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

/// A character for each of so many experts, that of the busiest.
fn picture(load: &[u64], ffn: usize, each: usize) -> String {
    let (ffn_load, others) = load.split_at(ffn.min(load.len()));
    let mean = ffn_load.iter().sum::<u64>() as f64 / ffn as f64;
    let shade = |loads: &[u64]| {
        let most = loads.iter().copied().max().unwrap_or(0);
        let ratio = if mean > 0.0 { most as f64 / mean } else { 0.0 };
        let shade = SHADES.iter().rev().find(|(least, _)| ratio >= *least);
        shade.map_or(' ', |(_, shade)| *shade)
    };
    let mut text: String = ffn_load.chunks(each).map(shade).collect();
    if !others.is_empty() {
        text.push('|');
        text.extend(others.chunks(each).map(shade));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_shows_the_busiest_of_its_experts() {
        assert_eq!(picture(&[1, 1, 1, 5, 2, 2, 2, 2], 8, 1), "░░░█▒▒▒▒");
        assert_eq!(picture(&[2, 2, 2, 2, 0, 9], 4, 1), "▒▒▒▒|·#");
        assert_eq!(picture(&[2, 2, 2, 2, 0, 9], 4, 2), "▒▒|#");
        assert_eq!(picture(&[0, 0], 2, 1), "··");
    }
}
