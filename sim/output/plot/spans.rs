//! Spans of time in rows: who does what, and when.

use plotters::prelude::DrawingBackend;
use plotters::style::RGBColor;
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::figures;
use super::bars::{Along, shade};
use super::frame::{filled, line, title, under_title, write};
use super::{Area, Axis, Chart, FAINT, Hint, INK, PlotError};

/// A span of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// From when, in the chart's unit.
    pub from: f64,
    /// Until when.
    pub to: f64,
    /// Which of the chart's parts it is.
    pub part: usize,
}

/// The spans of one who acts, none over another.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanRow {
    /// Whose they are.
    pub name: String,
    /// The spans, in order.
    pub spans: Vec<Span>,
}

/// Rows of spans over one axis of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Spans {
    /// The finding.
    pub title: String,
    /// What the reader must know.
    pub below: String,
    /// What lengths are, with its unit.
    pub axis: Axis,
    /// Names of the parts, each with the shade that it has in other pictures too.
    pub parts: Vec<(String, usize)>,
    /// The rows, from top to bottom.
    pub rows: Vec<SpanRow>,
}

const ROW: i32 = 34;
const LEGEND_ROW: i32 = 22;
const IN_A_ROW: i32 = 3;

impl Chart for Spans {
    fn size(&self) -> (u32, u32) {
        let rows = ROW * self.rows.len() as i32;
        (900, (rows + self.legend_height() + 160) as u32)
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Result<(), PlotError> {
        let legend = title(area, &self.title, &self.below)?;
        for (at, (name, of)) in self.parts.iter().enumerate() {
            let (x, y) =
                (14 + (at as i32 % IN_A_ROW) * 290, legend + (at as i32 / IN_A_ROW) * LEGEND_ROW);
            filled(area, [(x, y + 2), (x + 14, y + 16)], shade(*of))?;
            write(area, name, (x + 20, y + 9), 14, INK, (HPos::Left, VPos::Center))?;
        }
        let along = self.along();
        let top = legend + self.legend_height();
        let bottom = top + ROW * self.rows.len() as i32;
        for (at, label) in &along.laid.ticks {
            let x = along.place(*at);
            line(area, (x, top), (x, bottom), super::GRID)?;
            write(area, label, (x, bottom + 8), 14, FAINT, (HPos::Center, VPos::Top))?;
        }
        for (at, row) in self.rows.iter().enumerate() {
            let middle = top + ROW * at as i32 + ROW / 2;
            let name = (along.left - 10, middle);
            write(area, &row.name, name, 15, INK, (HPos::Right, VPos::Center))?;
            for span in &row.spans {
                filled(area, along.corners(span, middle), self.shade_of(span))?;
            }
        }
        let middle = i32::midpoint(along.left, along.right);
        write(area, &self.axis.label, (middle, bottom + 30), 15, INK, (HPos::Center, VPos::Top))
    }

    fn hints(&self) -> Vec<Hint> {
        let along = self.along();
        let top = under_title(&self.title, &self.below, self.size().0) + self.legend_height();
        let mut hints = Vec::new();
        for (at, row) in self.rows.iter().enumerate() {
            let middle = top + ROW * at as i32 + ROW / 2;
            for span in &row.spans {
                let what = self.parts.get(span.part).map_or("", |(name, _)| name.as_str());
                let [from, to] = along.corners(span, middle);
                let length = figures(span.to - span.from);
                let text = format!(
                    "{}: {what}, {length} from {}; {}",
                    row.name,
                    figures(span.from),
                    self.axis.label
                );
                hints.push(Hint::between(from, to, text));
            }
        }
        hints
    }
}

impl Along {
    /// A span that is seen, were it ever so short.
    fn corners(&self, span: &Span, middle: i32) -> [(i32, i32); 2] {
        let from = self.place(span.from);
        let to = self.place(span.to).max(from + 1);
        [(from, middle - ROW / 2 + 5), (to, middle + ROW / 2 - 5)]
    }
}

impl Spans {
    fn shade_of(&self, span: &Span) -> RGBColor {
        self.parts.get(span.part).map_or(FAINT, |(_, of)| shade(*of))
    }

    fn along(&self) -> Along {
        let longest = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        let left = 30 + longest as i32 * 8;
        let ends =
            self.rows.iter().flat_map(|row| &row.spans).flat_map(|span| [span.from, span.to]);
        Along { left, right: 870, laid: Axis::linear("").over(ends) }
    }

    fn legend_height(&self) -> i32 {
        (self.parts.len() as i32 + IN_A_ROW - 1) / IN_A_ROW * LEGEND_ROW + 10
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Format, render};
    use super::*;

    #[test]
    fn each_span_is_drawn_and_says_what_it_is() {
        let span = |from: f64, to: f64, part: usize| Span { from, to, part };
        let row = |name: &str, spans: Vec<Span>| SpanRow { name: name.to_owned(), spans };
        let chart = Spans {
            title: "GPU 1 waits".to_owned(),
            below: String::new(),
            axis: Axis::linear("time, ms"),
            parts: vec![("experts".to_owned(), 5), ("waiting".to_owned(), 3)],
            rows: vec![
                row("GPU 0", vec![span(1.0, 3.0, 0)]),
                row("GPU 1", vec![span(1.0, 2.0, 0), span(2.0, 3.0, 1)]),
            ],
        };
        let hints = chart.hints();
        assert_eq!(hints.len(), 3);
        assert_eq!(hints[2].text, "GPU 1: waiting, 1 from 2; time, ms");
        // The last begins where the one before ends, and both are as long.
        assert_eq!(hints[1].at.0 + hints[1].size.0, hints[2].at.0);
        assert!((hints[1].size.0 - hints[2].size.0).abs() <= 1);
        let svg = String::from_utf8(render(&chart, Format::Svg).unwrap()).unwrap();
        assert!(svg.contains("GPU 0") && svg.contains("waiting"), "{svg}");
        let none = Spans { parts: Vec::new(), rows: Vec::new(), ..chart };
        render(&none, Format::Svg).unwrap();
    }
}
