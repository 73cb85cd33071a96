//! Boxes joined by lines, darker where more of a line is used: a network at work.

use plotters::element::PathElement;
use plotters::prelude::DrawingBackend;
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::figures;
use super::frame::{filled, title, width_of, write};
use super::heat::{key_of_used, used};
use super::{Area, Chart, FAINT, GRID, Hint, INK, PlotError, WHITE, failed};

/// A named box.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// What is written in it.
    pub name: String,
    /// Its middle, in pixels.
    pub at: (f64, f64),
}

/// A line from one place to another, drawn beside the one that leads back.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    /// Its name.
    pub name: String,
    /// Where it begins.
    pub from: (f64, f64),
    /// What it bends towards: the control point of a quadratic curve; halfway, and the line is straight.
    pub by: (f64, f64),
    /// Where it ends.
    pub to: (f64, f64),
    /// How much of it is used.
    pub share: f64,
}

/// Places and what joins them.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagram {
    /// The finding.
    pub title: String,
    /// What the reader must know.
    pub below: String,
    /// What darkness is, in percent.
    pub value: String,
    /// Width and height of the drawing without its title and key.
    pub size: (f64, f64),
    /// The boxes.
    pub places: Vec<Place>,
    /// The lines.
    pub stretches: Vec<Stretch>,
}

/// Room above for the title, and below for the key.
const ABOVE: i32 = 60;
const BELOW: i32 = 60;
/// Half the size of a box.
const HALF: (i32, i32) = (26, 13);
/// How far a line lies beside the middle, so that there and back are both seen.
const ASIDE: f64 = 2.5;
/// Lines of which less is used are grey.
const HARDLY: f64 = 0.002;
/// Straight pieces that a curve is drawn in.
const STEPS: u32 = 12;

impl Chart for Diagram {
    fn size(&self) -> (u32, u32) {
        (self.size.0 as u32, self.size.1 as u32 + (ABOVE + BELOW) as u32)
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Result<(), PlotError> {
        title(area, &self.title, &self.below)?;
        for own in &self.stretches {
            let line: Vec<(i32, i32)> = (0..=STEPS).map(|step| own.point(step)).collect();
            // What is hardly used would be white on white.
            let (shade, width) = if own.share < HARDLY { (GRID, 1) } else { (used(own.share), 3) };
            area.draw(&PathElement::new(line, shade.stroke_width(width))).map_err(failed)?;
        }
        for place in &self.places {
            let (x, y) = (place.at.0 as i32, place.at.1 as i32 + ABOVE);
            let corners =
                |by: i32| [(x - HALF.0 - by, y - HALF.1 - by), (x + HALF.0 + by, y + HALF.1 + by)];
            filled(area, corners(1), FAINT)?;
            filled(area, corners(0), WHITE)?;
            write(
                area,
                &place.name,
                (x, y),
                name_size(&place.name),
                INK,
                (HPos::Center, VPos::Center),
            )?;
        }
        let row = self.size.1 as i32 + ABOVE;
        key_of_used(area, (20, row), 100.0, &self.value)
    }

    fn hints(&self) -> Vec<Hint> {
        // What is drawn last lies above, and of what lies there and back the two halves are told apart.
        let told = self.stretches.iter().map(|own| {
            let text = format!("{}: {} {}", own.name, figures(100.0 * own.share), self.value);
            Hint::around(own.point(STEPS / 3), 7, text)
        });
        told.collect()
    }
}

/// As large as a name may be within its box: large clusters are seen small.
fn name_size(name: &str) -> u32 {
    (11..=16).rev().find(|&size| width_of(name, size) < 2 * HALF.0).unwrap_or(11)
}

impl Stretch {
    /// A point of the line, in pixels of the picture.
    fn point(&self, step: u32) -> (i32, i32) {
        let ((x, y), (to_x, to_y)) = (self.from, self.to);
        let length = (to_x - x).hypot(to_y - y).max(1.0);
        let aside = (-(to_y - y) / length * ASIDE, (to_x - x) / length * ASIDE);
        let t = f64::from(step) / f64::from(STEPS);
        let mix =
            |a: f64, b: f64, c: f64| (1.0 - t).powi(2) * a + 2.0 * t * (1.0 - t) * b + t * t * c;
        let (x, y) = (mix(x, self.by.0, to_x), mix(y, self.by.1, to_y));
        ((x + aside.0) as i32, (y + aside.1) as i32 + ABOVE)
    }
}
