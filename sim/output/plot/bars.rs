//! Bars in parts: where a total goes, side by side.

use plotters::prelude::DrawingBackend;
use plotters::style::RGBColor;
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::{Laid, figures, short};
use super::frame::{filled, line, title, under_title, write};
use super::{Area, Axis, Chart, FAINT, Hint, INK, PlotError, WHITE, colour};

/// One bar: a name, and the size of each part.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Its name, at its left.
    pub name: String,
    /// The size of each of the chart's parts.
    pub parts: Vec<f64>,
}

/// Horizontal bars, each the sum of the same parts.
#[derive(Clone, Debug, PartialEq)]
pub struct StackedBars {
    /// The finding.
    pub title: String,
    /// What the reader must know.
    pub below: String,
    /// What lengths are, with its unit.
    pub axis: Axis,
    /// Names of the parts.
    pub parts: Vec<String>,
    /// The bars, from top to bottom.
    pub bars: Vec<Bar>,
    /// Which shade each part has, so that it has the same in other pictures; empty, and they go by their order.
    pub shades: Vec<usize>,
}

const ROW: i32 = 40;
const LEGEND_ROW: i32 = 22;

impl StackedBars {
    /// Parts that are seen: at least a thousandth of the longest bar.
    fn shown(&self) -> Vec<usize> {
        let longest = self.longest();
        let seen = |&part: &usize| {
            self.bars.iter().any(|bar| bar.parts.get(part).copied().unwrap_or(0.0) > longest * 1e-3)
        };
        (0..self.parts.len()).filter(seen).collect()
    }

    /// The shade of a part that is the n-th of those seen.
    fn shade_of(&self, part: usize, nth: usize) -> RGBColor {
        shade(self.shades.get(part).copied().unwrap_or(nth))
    }

    fn longest(&self) -> f64 {
        self.bars.iter().map(|bar| bar.parts.iter().sum()).fold(0.0, f64::max)
    }

    fn legend_rows(&self) -> i32 {
        (self.shown().len() as i32).div_euclid(3) + 1
    }
}

impl Chart for StackedBars {
    fn size(&self) -> (u32, u32) {
        let rows = ROW * self.bars.len() as i32 + LEGEND_ROW * self.legend_rows();
        (900, (rows + 190) as u32)
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Result<(), PlotError> {
        let mut row = title(area, &self.title, &self.below)?;
        let shown = self.shown();
        row = self.legend(area, &shown, row)?;
        let along = self.along(area.dim_in_pixel().0);
        let (left, right) = (along.left, along.right);
        let place = |value: f64| along.place(value);
        let bottom = row + ROW * self.bars.len() as i32;
        for (at, label) in &along.laid.ticks {
            line(area, (place(*at), row), (place(*at), bottom), super::GRID)?;
            write(area, label, (place(*at), bottom + 8), 14, FAINT, (HPos::Center, VPos::Top))?;
        }
        for bar in &self.bars {
            let middle = row + ROW / 2;
            write(area, &bar.name, (left - 10, middle), 15, INK, (HPos::Right, VPos::Center))?;
            let mut from = 0.0;
            for (at, &part) in shown.iter().enumerate() {
                let value = bar.parts.get(part).copied().unwrap_or(0.0);
                let corners = [(place(from), row + 6), (place(from + value), row + ROW - 6)];
                from += value;
                filled(area, corners, self.shade_of(part, at))?;
                line(area, (corners[1].0, row + 6), (corners[1].0, row + ROW - 6), WHITE)?;
            }
            let total = (place(from) + 6, middle);
            write(area, &short(from), total, 14, INK, (HPos::Left, VPos::Center))?;
            row += ROW;
        }
        let middle = i32::midpoint(left, right);
        write(area, &self.axis.label, (middle, bottom + 30), 15, INK, (HPos::Center, VPos::Top))
    }

    fn hints(&self) -> Vec<Hint> {
        let (width, _) = self.size();
        let (shown, along) = (self.shown(), self.along(width));
        let mut row = under_title(&self.title, &self.below, width) + self.legend_height();
        let mut hints = Vec::new();
        for bar in &self.bars {
            let whole: f64 = bar.parts.iter().sum();
            let mut from = 0.0;
            for &part in &shown {
                let value = bar.parts.get(part).copied().unwrap_or(0.0);
                let ends = [along.place(from), along.place(from + value)];
                from += value;
                if value <= 0.0 {
                    continue;
                }
                let text = format!(
                    "{}: {} {} of {} ({:.0} %); {}",
                    bar.name,
                    self.parts[part],
                    figures(value),
                    figures(whole),
                    100.0 * value / whole,
                    self.axis.label
                );
                hints.push(Hint::between((ends[0], row + 6), (ends[1], row + ROW - 6), text));
            }
            row += ROW;
        }
        hints
    }
}

/// Where bars and spans begin and end.
pub(super) struct Along {
    pub(super) left: i32,
    pub(super) right: i32,
    pub(super) laid: Laid,
}

impl Along {
    pub(super) fn place(&self, value: f64) -> i32 {
        let share = (value - self.laid.ends.0) / (self.laid.ends.1 - self.laid.ends.0);
        self.left + (f64::from(self.right - self.left) * share).round() as i32
    }
}

impl StackedBars {
    fn along(&self, width: u32) -> Along {
        let width = width as i32;
        let longest_name = self.bars.iter().map(|bar| bar.name.chars().count()).max().unwrap_or(0);
        let left = 30 + (longest_name as i32 * 8).min(width / 3);
        let laid = Axis::from_zero("").over(std::iter::once(self.longest()));
        Along { left, right: width - 70, laid }
    }

    fn legend_height(&self) -> i32 {
        self.legend_rows() * LEGEND_ROW + 10
    }

    fn legend<DB: DrawingBackend>(
        &self,
        area: &Area<DB>,
        shown: &[usize],
        row: i32,
    ) -> Result<i32, PlotError> {
        for (at, &part) in shown.iter().enumerate() {
            let x = 14 + (at as i32 % 3) * 290;
            let y = row + (at as i32 / 3) * LEGEND_ROW;
            filled(area, [(x, y + 2), (x + 14, y + 16)], self.shade_of(part, at))?;
            let name = &self.parts[part];
            write(area, name, (x + 20, y + 9), 14, INK, (HPos::Left, VPos::Center))?;
        }
        Ok(row + self.legend_height())
    }
}

/// Colours of parts: the palette, then paler ones, darker ones, and the palest.
pub(in crate::output) fn shade(part: usize) -> RGBColor {
    let RGBColor(r, g, b) = colour(part);
    let of = |channel: fn(u8) -> u8| RGBColor(channel(r), channel(g), channel(b));
    match part / super::PALETTE.len() % 4 {
        0 => of(|channel| channel),
        1 => of(|channel| channel / 2 + 110),
        2 => of(|channel| (u16::from(channel) * 3 / 5) as u8),
        _ => of(|channel| channel / 4 + 180),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn thirty_parts_have_a_shade_each() {
        let all: BTreeSet<[u8; 3]> =
            (0..30).map(shade).map(|RGBColor(r, g, b)| [r, g, b]).collect();
        assert_eq!(all.len(), 30);
    }
}
