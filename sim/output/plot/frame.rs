//! What all charts with two axes share: title, grid, ticks, and the map from data to pixels.

use plotters::element::{PathElement, Rectangle, Text};
use plotters::prelude::DrawingBackend;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontTransform, RGBColor};

use super::axis::Laid;
use super::{Area, FAINT, GRID, INK, PlotError, failed, text};

/// The part of a picture inside the axes.
pub(super) struct Frame<'a> {
    pub(super) x: &'a Laid,
    pub(super) y: &'a Laid,
    pub(super) left: i32,
    pub(super) right: i32,
    pub(super) top: i32,
    pub(super) bottom: i32,
}

impl Frame<'_> {
    /// Pixels of a pair of positions along the axes.
    pub(super) fn pixel(&self, x: f64, y: f64) -> (i32, i32) {
        let along = |at: f64, ends: (f64, f64)| (at - ends.0) / (ends.1 - ends.0);
        let wide = f64::from(self.right - self.left) * along(x, self.x.ends);
        let high = f64::from(self.bottom - self.top) * along(y, self.y.ends);
        (self.left + wide.round() as i32, self.bottom - high.round() as i32)
    }

    /// Grid, ticks and the names of both axes.
    pub(super) fn draw<DB: DrawingBackend>(
        &self,
        area: &Area<DB>,
        x_label: &str,
        y_label: &str,
    ) -> Result<(), PlotError> {
        for (at, label) in &self.x.ticks {
            let (x, _) = self.pixel(*at, self.y.ends.0);
            line(area, (x, self.top), (x, self.bottom), GRID)?;
            write(area, label, (x, self.bottom + 8), 14, FAINT, (HPos::Center, VPos::Top))?;
        }
        for (at, label) in &self.y.ticks {
            let (_, y) = self.pixel(self.x.ends.0, *at);
            line(area, (self.left, y), (self.right, y), GRID)?;
            write(area, label, (self.left - 8, y), 14, FAINT, (HPos::Right, VPos::Center))?;
        }
        line(area, (self.left, self.bottom), (self.right, self.bottom), INK)?;
        line(area, (self.left, self.top), (self.left, self.bottom), INK)?;
        let middle = i32::midpoint(self.left, self.right);
        write(area, x_label, (middle, self.bottom + 30), 15, INK, (HPos::Center, VPos::Top))?;
        upright(area, y_label, (14, i32::midpoint(self.top, self.bottom)))
    }
}

/// A title in the top left corner and a fainter line below it; returns the first free row.
pub(super) fn title<DB: DrawingBackend>(
    area: &Area<DB>,
    title: &str,
    below: &str,
) -> Result<i32, PlotError> {
    let (width, _) = area.dim_in_pixel();
    let (title, below) = heading(title, below, width);
    let mut row = FIRST_ROW;
    for part in &title {
        write(area, part, (14, row), 20, INK, (HPos::Left, VPos::Top))?;
        row += TITLE_ROW;
    }
    for part in &below {
        write(area, part, (14, row), 14, FAINT, (HPos::Left, VPos::Top))?;
        row += BELOW_ROW;
    }
    Ok(row + UNDER_TITLE)
}

const FIRST_ROW: i32 = 14;
const TITLE_ROW: i32 = 26;
const BELOW_ROW: i32 = 19;
const UNDER_TITLE: i32 = 12;

/// The first free row below a title and the line below it, in a picture of a width.
pub(super) fn under_title(title: &str, below: &str, width: u32) -> i32 {
    let (title, below) = heading(title, below, width);
    let rows = TITLE_ROW * title.len() as i32 + BELOW_ROW * below.len() as i32;
    FIRST_ROW + rows + UNDER_TITLE
}

/// The lines of a title, and those below it.
fn heading(title: &str, below: &str, width: u32) -> (Vec<String>, Vec<String>) {
    let below = (!below.is_empty()).then(|| wrap(below, width as usize / 7));
    (wrap(title, width as usize / 10), below.unwrap_or_default())
}

/// Lines of at most `most` characters, broken between words.
fn wrap(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("starts with one line");
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > most {
            lines.push(word.to_owned());
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}

pub(super) fn line<DB: DrawingBackend>(
    area: &Area<DB>,
    from: (i32, i32),
    to: (i32, i32),
    colour: RGBColor,
) -> Result<(), PlotError> {
    area.draw(&PathElement::new(vec![from, to], colour.stroke_width(1))).map_err(failed)
}

pub(super) fn filled<DB: DrawingBackend>(
    area: &Area<DB>,
    corners: [(i32, i32); 2],
    colour: RGBColor,
) -> Result<(), PlotError> {
    area.draw(&Rectangle::new(corners, colour.filled())).map_err(failed)
}

pub(super) fn write<DB: DrawingBackend>(
    area: &Area<DB>,
    words: &str,
    at: (i32, i32),
    size: u32,
    colour: RGBColor,
    anchor: (HPos, VPos),
) -> Result<(), PlotError> {
    let style = text(size, colour).pos(Pos::new(anchor.0, anchor.1));
    area.draw(&Text::new(words.to_owned(), at, style)).map_err(failed)
}

/// Writes upwards, centred.
pub(super) fn upright<DB: DrawingBackend>(
    area: &Area<DB>,
    words: &str,
    at: (i32, i32),
) -> Result<(), PlotError> {
    let style =
        text(15, INK).transform(FontTransform::Rotate270).pos(Pos::new(HPos::Center, VPos::Top));
    area.draw(&Text::new(words.to_owned(), at, style)).map_err(failed)
}

/// How many pixels a text of a size is wide, roughly.
pub(super) fn width_of(words: &str, size: u32) -> i32 {
    (words.chars().count() as f64 * f64::from(size) * 0.52) as i32
}
