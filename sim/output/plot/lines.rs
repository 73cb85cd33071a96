//! Lines of one quantity over another, with intervals and names at their ends.

use plotters::element::{Circle, Cross, PathElement, Polygon, Rectangle, TriangleMarker};
use plotters::prelude::DrawingBackend;
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, RGBColor};

use super::axis::{Laid, figures};
use super::frame::{Frame, title, under_title, width_of, write};
use super::{Area, Axis, Chart, Hint, PlotError, colour, failed};
use crate::base::order::ascending;

/// A value over another, with an interval if there is one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Along the horizontal axis.
    pub x: f64,
    /// Along the vertical one.
    pub y: f64,
    /// The interval of `y`.
    pub interval: Option<(f64, f64)>,
}

/// Points that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name, written beside it.
    pub name: String,
    /// Its points, in order of `x`.
    pub points: Vec<Point>,
    /// Whether points are joined; what was observed is better left as points.
    pub joined: bool,
    /// Whether each point is marked.
    pub marked: bool,
    /// Which colour, dash and marker; the series' place if absent. Series that belong together, such as
    /// what was predicted and what was published, share one.
    pub style: Option<usize>,
}

impl Series {
    /// A joined and marked series.
    #[must_use]
    pub fn new(name: impl Into<String>, points: Vec<Point>) -> Self {
        Self { name: name.into(), points, joined: true, marked: true, style: None }
    }

    /// Whether it is a line upright or a mark, whose name belongs beside it and not in the margin.
    fn stands_at_one_place(&self) -> bool {
        let upright = self.points.windows(2).all(|pair| pair[0].x == pair[1].x);
        upright && (self.points.len() > 1 || !self.joined)
    }
}

/// Lines over two axes.
#[derive(Clone, Debug, PartialEq)]
pub struct LineChart {
    /// The finding.
    pub title: String,
    /// What the reader must know: cluster, seeds, source.
    pub below: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The lines.
    pub series: Vec<Series>,
}

impl Chart for LineChart {
    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Result<(), PlotError> {
        let top = title(area, &self.title, &self.below)?;
        let laid = self.laid();
        let frame = self.frame(&laid, area.dim_in_pixel(), top);
        frame.draw(area, &self.x.label, &self.y.label)?;
        for (at, series) in self.series.iter().enumerate() {
            draw_series(area, &frame, series, series.style.unwrap_or(at))?;
        }
        self.name_lines(area, &frame)
    }

    fn hints(&self) -> Vec<Hint> {
        let laid = self.laid();
        let size = self.size();
        let frame = self.frame(&laid, size, under_title(&self.title, &self.below, size.0));
        let points =
            self.series.iter().flat_map(|own| own.points.iter().map(|point| (&own.name, *point)));
        let told = points.filter_map(|(name, point)| {
            let place = frame.pixel(laid.0.at(point.x)?, laid.1.at(point.y)?);
            let ends = point.interval.map_or_else(String::new, |(low, high)| {
                format!(" ({} to {})", figures(low), figures(high))
            });
            let own = if name.is_empty() { String::new() } else { format!("{name}: ") };
            let [x, y] = [figures(point.x), figures(point.y)];
            let text = format!("{own}{} {y}{ends} at {} {x}", self.y.label, self.x.label);
            Some(Hint::around(place, 9, text))
        });
        told.collect()
    }
}

impl LineChart {
    /// Both axes over all points.
    fn laid(&self) -> (Laid, Laid) {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = self.x.over(points().map(|point| point.x));
        let y = self.y.over(points().flat_map(|point| {
            let (low, high) = point.interval.unwrap_or((point.y, point.y));
            [point.y, low, high]
        }));
        (x, y)
    }

    /// The part of a picture inside the axes, below its title.
    fn frame<'a>(&self, laid: &'a (Laid, Laid), size: (u32, u32), top: i32) -> Frame<'a> {
        let (width, height) = (size.0 as i32, size.1 as i32);
        let names = self.series.iter().map(|series| width_of(&series.name, 14)).max().unwrap_or(0);
        Frame {
            x: &laid.0,
            y: &laid.1,
            left: 88,
            right: width - 30 - names.min(width / 3),
            top: top + 4,
            bottom: height - 62,
        }
    }

    /// Where lines stand upright, such as a target, in pixels.
    fn upright<'a>(&'a self, frame: &'a Frame<'_>) -> impl Iterator<Item = i32> + 'a {
        let lines = self
            .series
            .iter()
            .filter(|own| own.joined && own.points.len() > 1 && own.stands_at_one_place());
        lines.filter_map(|own| {
            let x = frame.x.at(own.points.first()?.x)?;
            Some(frame.pixel(x, frame.y.ends.0).0)
        })
    }

    /// Writes each name beside its last point in the margin, moved apart where they would overlap; what stands at one
    /// place has it there.
    fn name_lines<DB: DrawingBackend>(
        &self,
        area: &Area<DB>,
        frame: &Frame<'_>,
    ) -> Result<(), PlotError> {
        let mut names = Vec::new();
        for (at, series) in self.series.iter().enumerate() {
            let shown =
                |point: &&Point| frame.x.at(point.x).is_some() && frame.y.at(point.y).is_some();
            let Some(last) = series.points.iter().rfind(shown) else { continue };
            let (x, y) = frame.pixel(
                frame.x.at(last.x).unwrap_or_default(),
                frame.y.at(last.y).unwrap_or_default(),
            );
            let style = series.style.unwrap_or(at);
            if series.stands_at_one_place() {
                // Above a mark, so that no line which crosses it runs through the name.
                let row = if series.joined { y } else { y - 11 };
                let crossed = x + 8..x + 12 + width_of(&series.name, 14);
                let (x, side) = match self.upright(frame).any(|line| crossed.contains(&line)) {
                    true => (x - 8, HPos::Right),
                    false => (x + 8, HPos::Left),
                };
                let shade = darker(colour(style));
                write(area, &series.name, (x, row), 14, shade, (side, VPos::Center))?;
                continue;
            }
            names.push((y, &series.name, style));
        }
        ascending(&mut names, |name| f64::from(name.0));
        let rows = spread(names.iter().map(|name| name.0).collect(), 17, frame.top, frame.bottom);
        for (row, (_, name, style)) in rows.into_iter().zip(names) {
            let at = (frame.right + 10, row);
            write(area, name, at, 14, darker(colour(style)), (HPos::Left, VPos::Center))?;
        }
        Ok(())
    }
}

/// Rows at least `apart` from each other, near where they were, within bounds if they fit.
fn spread(mut rows: Vec<i32>, apart: i32, top: i32, bottom: i32) -> Vec<i32> {
    for at in 1..rows.len() {
        rows[at] = rows[at].max(rows[at - 1] + apart);
    }
    let mut below = bottom;
    for row in rows.iter_mut().rev() {
        *row = (*row).min(below).max(top.min(below));
        below = *row - apart;
    }
    rows
}

/// A colour that is read on white even where the palette's own is pale.
fn darker(RGBColor(r, g, b): RGBColor) -> RGBColor {
    let less = |channel: u8| (f64::from(channel) * 0.72) as u8;
    RGBColor(less(r), less(g), less(b))
}

fn draw_series<DB: DrawingBackend>(
    area: &Area<DB>,
    frame: &Frame<'_>,
    series: &Series,
    style: usize,
) -> Result<(), PlotError> {
    let colour = colour(style);
    let place = |x: f64, y: f64| Some(frame.pixel(frame.x.at(x)?, frame.y.at(y)?));
    let shown: Vec<(i32, i32)> =
        series.points.iter().filter_map(|point| place(point.x, point.y)).collect();
    let bound = |end: fn((f64, f64)) -> f64| {
        let ends = series.points.iter();
        ends.filter_map(|point| place(point.x, end(point.interval?))).collect::<Vec<_>>()
    };
    let (low, high) = (bound(|ends| ends.0), bound(|ends| ends.1));
    if series.joined && low.len() > 1 {
        let band: Vec<_> = low.iter().chain(high.iter().rev()).copied().collect();
        area.draw(&Polygon::new(band, colour.mix(0.18))).map_err(failed)?;
    } else {
        for (&low, &high) in low.iter().zip(&high) {
            area.draw(&PathElement::new(vec![low, high], colour.stroke_width(2)))
                .map_err(failed)?;
        }
    }
    if series.joined {
        for dash in dashes(&shown, style) {
            area.draw(&PathElement::new(dash, colour.stroke_width(2))).map_err(failed)?;
        }
    }
    if series.marked {
        shown.iter().try_for_each(|&at| mark(area, at, style, series.joined))?;
    }
    Ok(())
}

/// A marker of the n-th style: filled on a line, open where points stand alone.
pub(super) fn mark<DB: DrawingBackend>(
    area: &Area<DB>,
    at: (i32, i32),
    style: usize,
    filled: bool,
) -> Result<(), PlotError> {
    let colour = colour(style);
    let shape = if filled { colour.filled() } else { colour.stroke_width(2) };
    match style % 4 {
        0 => area.draw(&Circle::new(at, 4, shape)),
        1 => {
            let corners = [(at.0 - 4, at.1 - 4), (at.0 + 4, at.1 + 4)];
            area.draw(&Rectangle::new(corners, shape))
        }
        2 => area.draw(&TriangleMarker::new(at, 6, shape)),
        _ => area.draw(&Cross::new(at, 4, colour.stroke_width(2))),
    }
    .map_err(failed)
}

/// The pieces of a line under the n-th style: whole, long dashes, short dashes.
fn dashes(line: &[(i32, i32)], style: usize) -> Vec<Vec<(i32, i32)>> {
    let (on, off): (f64, f64) = match style % 4 {
        0 => return vec![line.to_vec()],
        1 => (12.0, 5.0),
        2 => (4.0, 4.0),
        _ => (18.0, 3.0),
    };
    let mut pieces = Vec::new();
    let mut piece = Vec::new();
    let (mut drawn, mut pen) = (0.0, true);
    for pair in line.windows(2) {
        let [a, b] = [pair[0], pair[1]].map(|(x, y)| (f64::from(x), f64::from(y)));
        let length = (b.0 - a.0).hypot(b.1 - a.1);
        let mut done = 0.0;
        while done < length {
            let step = (if pen { on } else { off } - drawn).min(length - done);
            let at = |share: f64| {
                let x = a.0 + (b.0 - a.0) * share;
                let y = a.1 + (b.1 - a.1) * share;
                (x.round() as i32, y.round() as i32)
            };
            if pen {
                if piece.is_empty() {
                    piece.push(at(done / length));
                }
                piece.push(at((done + step) / length));
            }
            done += step;
            drawn += step;
            if drawn >= if pen { on } else { off } - 1e-9 {
                if pen {
                    pieces.push(std::mem::take(&mut piece));
                }
                (pen, drawn) = (!pen, 0.0);
            }
        }
    }
    if piece.len() > 1 {
        pieces.push(piece);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_moved_apart_and_stay_inside() {
        assert_eq!(spread(vec![10, 12, 100], 17, 0, 200), [10, 27, 100]);
        assert_eq!(spread(vec![195, 196, 197], 17, 0, 200), [166, 183, 200]);
    }

    #[test]
    fn dashes_cover_part_of_a_line() {
        let pieces = dashes(&[(0, 0), (100, 0)], 1);
        assert_eq!(pieces.len(), 6, "{pieces:?}");
        assert!(dashes(&[], 1).is_empty());
    }
}
