//! Predicted against measured: points around the line where both are the same.

use plotters::element::{Circle, PathElement};
use plotters::prelude::DrawingBackend;
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::{Laid, figures};
use super::frame::{Frame, title, under_title, write};
use super::{Area, Axis, Chart, FAINT, Hint, INK, PlotError, colour, failed};

/// Points of one kind, as (measured, predicted).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cloud {
    /// What they are.
    pub name: String,
    /// Measured and predicted, in the chart's unit.
    pub points: Vec<(f64, f64)>,
    /// What each point is, where few are drawn and readers may point at them; nothing otherwise.
    pub names: Vec<String>,
}

/// Predicted against measured over logarithmic axes, with the band of ± 10 %.
#[derive(Clone, Debug, PartialEq)]
pub struct PredictedMeasured {
    /// The finding.
    pub title: String,
    /// What the reader must know.
    pub below: String,
    /// The quantity with its unit: "time, µs".
    pub quantity: String,
    /// The points.
    pub clouds: Vec<Cloud>,
}

impl Chart for PredictedMeasured {
    fn size(&self) -> (u32, u32) {
        (820, 780)
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Result<(), PlotError> {
        let top = title(area, &self.title, &self.below)?;
        let mut x = 14;
        for (at, cloud) in self.clouds.iter().enumerate() {
            area.draw(&Circle::new((x + 6, top + 6), 5, colour(at).filled())).map_err(failed)?;
            write(area, &cloud.name, (x + 16, top + 6), 14, INK, (HPos::Left, VPos::Center))?;
            x += 40 + cloud.name.chars().count() as i32 * 8;
        }
        let laid = self.laid();
        let frame = frame(&laid, top, area.dim_in_pixel());
        let measured = format!("measured {}", self.quantity);
        frame.draw(area, &measured, &format!("predicted {}", self.quantity))?;
        for factor in [0.9_f64, 1.0, 1.1] {
            let ends = [laid.ends.0, laid.ends.1].map(|at| frame.pixel(at, at + factor.log10()));
            let shade = if factor == 1.0 { INK } else { FAINT };
            let inside = clip(ends, &frame);
            area.draw(&PathElement::new(inside.to_vec(), shade.stroke_width(1))).map_err(failed)?;
        }
        let corner = (frame.right - 6, frame.bottom - 8);
        let key = "lines: equal, and 10 % apart";
        write(area, key, corner, 13, FAINT, (HPos::Right, VPos::Bottom))?;
        for (at, cloud) in self.clouds.iter().enumerate() {
            let dot = colour(at).mix(0.45).filled();
            // What readers may point at is few.
            let radius = if cloud.names.is_empty() { 2 } else { 5 };
            for &(measured, predicted) in &cloud.points {
                let (Some(x), Some(y)) = (laid.at(measured), laid.at(predicted)) else { continue };
                area.draw(&Circle::new(frame.pixel(x, y), radius, dot)).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn hints(&self) -> Vec<Hint> {
        let (laid, size) = (self.laid(), self.size());
        let frame = frame(&laid, under_title(&self.title, &self.below, size.0), size);
        let named = self.clouds.iter().flat_map(|cloud| cloud.points.iter().zip(&cloud.names));
        let told = named.filter_map(|(&(measured, predicted), name)| {
            let place = frame.pixel(laid.at(measured)?, laid.at(predicted)?);
            let (said, unit) = ([measured, predicted].map(figures), &self.quantity);
            let off = 100.0 * (predicted / measured - 1.0);
            let text =
                format!("{name}: predicted {} {unit}, measured {}: {off:+.1} %", said[1], said[0]);
            Some(Hint::around(place, 6, text))
        });
        told.collect()
    }
}

impl PredictedMeasured {
    /// Both axes, which are alike.
    fn laid(&self) -> Laid {
        let both = self.clouds.iter().flat_map(|cloud| &cloud.points);
        Axis::log("").over(both.flat_map(|&(measured, predicted)| [measured, predicted]))
    }
}

/// Room for the row of names that stands between title and frame.
const NAMES: i32 = 26;

fn frame(laid: &Laid, top: i32, (width, height): (u32, u32)) -> Frame<'_> {
    let (right, bottom) = (width as i32 - 30, height as i32 - 62);
    Frame { x: laid, y: laid, left: 88, right, top: top + NAMES, bottom }
}

/// The part of a rising line inside the frame.
fn clip(ends: [(i32, i32); 2], frame: &Frame<'_>) -> [(i32, i32); 2] {
    let [from, to] = ends.map(|(x, y)| (f64::from(x), f64::from(y)));
    let slope = (to.1 - from.1) / (to.0 - from.0);
    let at_row = |y: i32| from.0 + (f64::from(y) - from.1) / slope;
    let start = from.0.max(at_row(frame.bottom));
    let end = to.0.min(at_row(frame.top));
    [start, end].map(|x| (x.round() as i32, (from.1 + (x - from.0) * slope).round() as i32))
}
