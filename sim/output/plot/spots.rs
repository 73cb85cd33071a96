//! Named points over two axes, such as cost and throughput, with lines of equal ratio.

use plotters::element::PathElement;
use plotters::prelude::DrawingBackend;
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::{Laid, figures};
use super::frame::{Frame, title, under_title, width_of, write};
use super::lines::mark;
use super::{Area, Axis, Chart, FAINT, GRID, Hint, INK, PlotError, failed};
use crate::base::order::ascending;

/// A named point, and what it was before something was changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Spot {
    /// Its name, written beside it.
    pub name: String,
    /// Along the horizontal axis.
    pub x: f64,
    /// Along the vertical one.
    pub y: f64,
    /// The interval of `y`.
    pub interval: Option<(f64, f64)>,
    /// The vertical place before, drawn as an open mark joined to the point.
    pub before: Option<f64>,
}

/// A line from the origin along which `y / x` is the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Ray {
    /// What it stands for, written at its end.
    pub name: String,
    /// `y / x`.
    pub slope: f64,
}

/// Named points over two linear axes from zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Spots {
    /// The finding.
    pub title: String,
    /// What the reader must know.
    pub below: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The points.
    pub spots: Vec<Spot>,
    /// Lines of equal ratio.
    pub rays: Vec<Ray>,
}

impl Chart for Spots {
    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Result<(), PlotError> {
        let top = title(area, &self.title, &self.below)?;
        let laid = self.laid();
        let frame = frame(&laid, area.dim_in_pixel(), top);
        frame.draw(area, &self.x.label, &self.y.label)?;
        for ray in &self.rays {
            draw_ray(area, &frame, ray)?;
        }
        for (at, spot) in self.spots.iter().enumerate() {
            draw_spot(area, &frame, spot, at)?;
        }
        self.name_spots(area, &frame)
    }

    fn hints(&self) -> Vec<Hint> {
        let (laid, size) = (self.laid(), self.size());
        let frame = frame(&laid, size, under_title(&self.title, &self.below, size.0));
        let told = self.spots.iter().filter_map(|spot| {
            let place = frame.pixel(laid.0.at(spot.x)?, laid.1.at(spot.y)?);
            let before =
                spot.before.map_or_else(String::new, |y| format!(", before {}", figures(y)));
            let (x, y) = (figures(spot.x), figures(spot.y));
            let text =
                format!("{}: {} {y}{before} at {} {x}", spot.name, self.y.label, self.x.label);
            Some(Hint::around(place, 9, text))
        });
        told.collect()
    }
}

impl Spots {
    /// Writes each name beside its point, moved down where it would lie over another.
    fn name_spots<DB: DrawingBackend>(
        &self,
        area: &Area<DB>,
        frame: &Frame<'_>,
    ) -> Result<(), PlotError> {
        let mut names = Vec::new();
        for spot in &self.spots {
            let Some((x, y)) = frame.x.at(spot.x).zip(frame.y.at(spot.y)) else { continue };
            let (x, y) = frame.pixel(x, y);
            let width = width_of(&spot.name, 14);
            // A name that would leave the picture stands on the other side.
            let left = if x + 12 + width < frame.right + 36 { x + 12 } else { x - 12 - width };
            names.push(Name { left, right: left + width, row: y, text: &spot.name });
        }
        for name in apart(names) {
            let at = (name.left, name.row);
            write(area, name.text, at, 14, INK, (HPos::Left, VPos::Center))?;
        }
        Ok(())
    }

    /// Both axes over all points.
    fn laid(&self) -> (Laid, Laid) {
        // Room for names to the right of points.
        let x = self.x.over(self.spots.iter().map(|spot| spot.x * 1.08));
        let y = self.y.over(self.spots.iter().flat_map(|spot| {
            [Some(spot.y), spot.before, spot.interval.map(|ends| ends.1)].into_iter().flatten()
        }));
        (x, y)
    }
}

/// A name and the row and columns that it takes.
struct Name<'n> {
    left: i32,
    right: i32,
    row: i32,
    text: &'n str,
}

/// The names, those of later points moved down until no two overlap.
fn apart(mut names: Vec<Name<'_>>) -> Vec<Name<'_>> {
    const ROW: i32 = 17;
    ascending(&mut names, |name| f64::from(name.row));
    for at in 1..names.len() {
        let (before, own) = names.split_at_mut(at);
        let own = &mut own[0];
        for other in before.iter() {
            let beside = own.right < other.left || other.right < own.left;
            if !beside && own.row < other.row + ROW {
                own.row = other.row + ROW;
            }
        }
    }
    names
}

fn frame(laid: &(Laid, Laid), (width, height): (u32, u32), top: i32) -> Frame<'_> {
    let (right, bottom) = (width as i32 - 40, height as i32 - 62);
    Frame { x: &laid.0, y: &laid.1, left: 88, right, top: top + 4, bottom }
}

fn draw_ray<DB: DrawingBackend>(
    area: &Area<DB>,
    frame: &Frame<'_>,
    ray: &Ray,
) -> Result<(), PlotError> {
    if !(ray.slope > 0.0 && ray.slope.is_finite()) {
        return Ok(());
    }
    let end = frame.x.ends.1.min(frame.y.ends.1 / ray.slope);
    let start = frame.x.ends.0.max(frame.y.ends.0 / ray.slope);
    let ends = [start, end].map(|x| frame.pixel(x, x * ray.slope));
    area.draw(&PathElement::new(ends.to_vec(), FAINT.stroke_width(1))).map_err(failed)?;
    // Above the middle, where the line leaves room whatever its slope.
    let middle = (i32::midpoint(ends[0].0, ends[1].0) - 8, i32::midpoint(ends[0].1, ends[1].1) - 4);
    write(area, &ray.name, middle, 13, FAINT, (HPos::Right, VPos::Bottom))
}

fn draw_spot<DB: DrawingBackend>(
    area: &Area<DB>,
    frame: &Frame<'_>,
    spot: &Spot,
    style: usize,
) -> Result<(), PlotError> {
    let pixel = |y: f64| Some(frame.pixel(frame.x.at(spot.x)?, frame.y.at(y)?));
    let Some(at) = pixel(spot.y) else { return Ok(()) };
    if let Some(before) = spot.before.and_then(pixel) {
        area.draw(&PathElement::new(vec![before, at], GRID.stroke_width(2))).map_err(failed)?;
        mark(area, before, style, false)?;
    }
    if let Some((low, high)) = spot.interval.and_then(|ends| Some((pixel(ends.0)?, pixel(ends.1)?)))
    {
        area.draw(&PathElement::new(vec![low, high], INK.stroke_width(1))).map_err(failed)?;
    }
    mark(area, at, style, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_lie_over_each_other() {
        let name = |left, row| Name { left, right: left + 50, row, text: "x" };
        let rows = |names| apart(names).iter().map(|name| name.row).collect::<Vec<_>>();
        assert_eq!(rows(vec![name(0, 10), name(20, 12), name(40, 14)]), [10, 27, 44]);
        assert_eq!(rows(vec![name(0, 10), name(60, 12), name(0, 40)]), [10, 12, 40]);
    }
}
