//! A grid of cells, darker where there is more.

use plotters::prelude::DrawingBackend;
use plotters::style::RGBColor;
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::{figures, short};
use super::frame::{filled, title, under_title, upright, write};
use super::{Area, Chart, FAINT, Hint, INK, PlotError};

/// A quantity over two sets of things.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    /// The finding.
    pub title: String,
    /// What the reader must know.
    pub below: String,
    /// What columns are.
    pub x: String,
    /// What rows are.
    pub y: String,
    /// What darkness is, with its unit.
    pub value: String,
    /// Names of columns; empty to number them.
    pub columns: Vec<String>,
    /// Names of rows; empty to number them.
    pub rows: Vec<String>,
    /// `cells[row][column]`, from the top; NaN where there is nothing.
    pub cells: Vec<Vec<f64>>,
    /// What darkness goes to, alike in all pictures of the quantity; none, and it goes to the greatest cell.
    pub up_to: Option<f64>,
}

impl HeatMap {
    /// From the least to the greatest value, and how darkness rises between them.
    fn range(&self) -> (f64, f64) {
        if let Some(most) = self.up_to {
            return (0.0, most);
        }
        let cells = || self.cells.iter().flatten().copied().filter(|cell| cell.is_finite());
        let (low, high) = (cells().fold(f64::INFINITY, f64::min), cells().fold(0.0, f64::max));
        let low = if low.is_finite() { low.min(0.0) } else { 0.0 };
        (low, if high > low { high } else { low + 1.0 })
    }

    fn columns(&self) -> usize {
        self.cells.iter().map(Vec::len).max().unwrap_or(0).max(1)
    }
}

impl Chart for HeatMap {
    fn size(&self) -> (u32, u32) {
        (900, (self.cells.len() as u32 * 16).clamp(240, 700) + 210)
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Result<(), PlotError> {
        let top = title(area, &self.title, &self.below)?;
        let (low, high) = self.range();
        let (rows, columns) = (self.cells.len().max(1), self.columns());
        let grid = self.grid(area.dim_in_pixel(), top);
        let Grid { left, right, bottom, .. } = grid;
        let (x, y) = (|column: usize| grid.x(column), |row: usize| grid.y(row));
        for (r, cells) in self.cells.iter().enumerate() {
            for (c, &cell) in cells.iter().enumerate() {
                let share = if cell.is_finite() { (cell - low) / (high - low) } else { f64::NAN };
                let shade = if self.up_to.is_some() { used(share) } else { heat(share) };
                filled(area, [(x(c), y(r)), (x(c + 1), y(r + 1))], shade)?;
            }
        }
        for r in (0..rows).step_by(every(rows, (bottom - top) / 16)) {
            let middle = i32::midpoint(y(r), y(r + 1));
            let name = name_of(&self.rows, r);
            write(area, &name, (left - 6, middle), 13, FAINT, (HPos::Right, VPos::Center))?;
        }
        let widest = self.columns.iter().map(|name| name.chars().count()).max().unwrap_or(3) as i32;
        for c in (0..columns).step_by(every(columns, (right - left) / (widest * 8 + 8))) {
            let middle = i32::midpoint(x(c), x(c + 1));
            let name = name_of(&self.columns, c);
            write(area, &name, (middle, bottom + 6), 13, FAINT, (HPos::Center, VPos::Top))?;
        }
        let middle = i32::midpoint(left, right);
        write(area, &self.x, (middle, bottom + 26), 15, INK, (HPos::Center, VPos::Top))?;
        upright(area, &self.y, (14, i32::midpoint(top, bottom)))?;
        match self.up_to {
            Some(most) => key_of_used(area, (left, bottom + 62), most, &self.value),
            None => key(area, (left, bottom + 62), (low, high), &self.value),
        }
    }

    fn hints(&self) -> Vec<Hint> {
        let columns = self.columns();
        if self.cells.len() * columns > MOST_HINTS {
            return Vec::new();
        }
        let size = self.size();
        let grid = self.grid(size, under_title(&self.title, &self.below, size.0));
        let mut hints: Vec<Hint> = Vec::new();
        for (r, cells) in self.cells.iter().enumerate() {
            // Neighbours alike are one place.
            let mut from = 0;
            for run in cells.chunk_by(|a, b| a == b) {
                let to = from + run.len();
                if run[0].is_finite() {
                    let (own, name) = (name_of(&self.rows, r), name_of(&self.columns, from));
                    let column = if name.is_empty() {
                        String::new()
                    } else {
                        format!(", {} {name}", self.x)
                    };
                    let text = format!("{own}{column}: {} {}", figures(run[0]), self.value);
                    let corners = [(grid.x(from), grid.y(r)), (grid.x(to), grid.y(r + 1))];
                    hints.push(Hint::between(corners[0], corners[1], text));
                }
                from = to;
            }
        }
        hints
    }
}

/// Cells of more are not told one by one.
const MOST_HINTS: usize = 4096;

/// Where cells lie.
struct Grid {
    left: i32,
    right: i32,
    top: i32,
    bottom: i32,
    rows: usize,
    columns: usize,
}

impl Grid {
    fn x(&self, column: usize) -> i32 {
        self.left + ((self.right - self.left) as usize * column / self.columns) as i32
    }

    fn y(&self, row: usize) -> i32 {
        self.top + ((self.bottom - self.top) as usize * row / self.rows) as i32
    }
}

impl HeatMap {
    fn grid(&self, (width, height): (u32, u32), top: i32) -> Grid {
        let names = self.rows.iter().map(|name| name.chars().count() as i32 * 7).max();
        Grid {
            left: 60 + names.unwrap_or(24).clamp(24, width as i32 / 4),
            right: width as i32 - 30,
            top,
            bottom: height as i32 - 118,
            rows: self.cells.len().max(1),
            columns: self.columns(),
        }
    }
}

/// What darkness means: from `low` to `high`, and of what.
pub(super) fn key<DB: DrawingBackend>(
    area: &Area<DB>,
    (left, row): (i32, i32),
    (low, high): (f64, f64),
    value: &str,
) -> Result<(), PlotError> {
    const STEPS: i32 = 60;
    for step in 0..STEPS {
        let corners = [(left + step * 4, row), (left + step * 4 + 4, row + 14)];
        filled(area, corners, heat(f64::from(step) / f64::from(STEPS - 1)))?;
    }
    let below = row + 18;
    write(area, &short(low), (left, below), 13, FAINT, (HPos::Left, VPos::Top))?;
    let right = (left + STEPS * 4, below);
    write(area, &short(high), right, 13, FAINT, (HPos::Right, VPos::Top))?;
    let beside = (left + STEPS * 4 + 14, row + 7);
    write(area, value, beside, 14, INK, (HPos::Left, VPos::Center))
}

/// What darkness means where it is how much is used of something: the same in every picture.
pub(super) fn key_of_used<DB: DrawingBackend>(
    area: &Area<DB>,
    (left, row): (i32, i32),
    most: f64,
    value: &str,
) -> Result<(), PlotError> {
    const WIDTH: i32 = 300;
    for x in 0..WIDTH / 3 {
        let at = f64::from(3 * x) / f64::from(WIDTH);
        let corners = [(left + 3 * x, row), (left + 3 * x + 3, row + 14)];
        filled(area, corners, used(at * at))?;
    }
    for part in [0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0_f64] {
        let x = left + (part.sqrt() * f64::from(WIDTH)).round() as i32;
        filled(area, [(x, row + 12), (x + 1, row + 17)], FAINT)?;
        let at = (x, row + 18);
        write(area, &short(part * most), at, 13, FAINT, (HPos::Center, VPos::Top))?;
    }
    write(area, value, (left + WIDTH + 20, row + 7), 14, INK, (HPos::Left, VPos::Center))
}

/// The shade of a used share: its root, so that what is little used is told apart too.
pub(super) fn used(share: f64) -> RGBColor {
    heat(share.max(0.0).sqrt())
}

/// How many names to skip so that `room` of them fit.
fn every(names: usize, room: i32) -> usize {
    names.div_ceil(room.max(1) as usize).max(1)
}

fn name_of(names: &[String], at: usize) -> String {
    names.get(at).cloned().unwrap_or_else(|| at.to_string())
}

/// Off-white over orange and red to dark violet, its brightness falling evenly; grey for nothing.
pub(super) fn heat(share: f64) -> RGBColor {
    const STOPS: [[f64; 3]; 4] =
        [[250.0, 250.0, 245.0], [253.0, 210.0, 120.0], [200.0, 80.0, 80.0], [40.0, 20.0, 90.0]];
    if !share.is_finite() {
        return RGBColor(210, 210, 210);
    }
    let along = share.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let at = (along as usize).min(STOPS.len() - 2);
    let [from, to] = [STOPS[at], STOPS[at + 1]];
    let mix = |channel: usize| {
        (from[channel] + (to[channel] - from[channel]) * (along - at as f64)).round() as u8
    };
    RGBColor(mix(0), mix(1), mix(2))
}
