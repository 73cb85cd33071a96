//! What a picture says of a place that readers point at, and pictures that lie within a page.

use super::{Chart, Format, PlotError, render};

/// A place in a picture, and what is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Hint {
    /// Its left upper corner, in pixels.
    pub at: (i32, i32),
    /// Its width and height.
    pub size: (i32, i32),
    /// What is there, with its numbers.
    pub text: String,
}

impl Hint {
    /// A place around a point.
    pub(super) fn around((x, y): (i32, i32), half: i32, text: String) -> Self {
        Self { at: (x - half, y - half), size: (2 * half, 2 * half), text }
    }

    /// A place between two corners, at least a few pixels wide and high.
    pub(super) fn between(from: (i32, i32), to: (i32, i32), text: String) -> Self {
        const LEAST: i32 = 3;
        Self { at: from, size: ((to.0 - from.0).max(LEAST), (to.1 - from.1).max(LEAST)), text }
    }
}

/// What is inside the element `svg` of a picture, to lie within a page that draws the element itself.
///
/// # Errors
/// If it cannot be drawn.
pub fn inline(chart: &impl Chart) -> Result<String, PlotError> {
    let whole = render(chart, Format::Svg)?;
    let text = String::from_utf8_lossy(&whole);
    let inside = text.split_once('>').and_then(|(_, rest)| rest.rsplit_once("</svg>"));
    let unknown = || PlotError::Drawing("the picture is no SVG element".to_owned());
    inside.map(|(inside, _)| inside.to_owned()).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::super::{Axis, Bar, LineChart, Point, Series, StackedBars};
    use super::*;

    #[test]
    fn hints_lie_where_what_they_name_is_drawn() {
        let bars = StackedBars {
            title: "t".to_owned(),
            below: String::new(),
            axis: Axis::from_zero("time, ms"),
            parts: vec!["experts".to_owned(), "waiting".to_owned()],
            bars: vec![Bar { name: "vanilla".to_owned(), parts: vec![3.0, 1.0] }],
            shades: Vec::new(),
        };
        let hints = bars.hints();
        assert_eq!(hints.len(), 2, "{hints:?}");
        assert_eq!(hints[0].text, "vanilla: experts 3 of 4 (75 %); time, ms");
        let drawn = inline(&bars).unwrap();
        for hint in &hints {
            let corner = format!("x=\"{}\" y=\"{}\"", hint.at.0, hint.at.1);
            assert!(drawn.contains(&corner), "{corner}: {drawn}");
        }
        let point = Point { x: 0.5, y: 12.345_6, interval: Some((12.0, 13.0)) };
        let lines = LineChart {
            title: "t".to_owned(),
            below: String::new(),
            x: Axis::linear("τ"),
            y: Axis::linear("gain, %"),
            series: vec![Series::new("1B", vec![point])],
        };
        let hints = lines.hints();
        assert_eq!(hints[0].text, "1B: gain, % 12.35 (12 to 13) at τ 0.5");
        let middle = (hints[0].at.0 + hints[0].size.0 / 2, hints[0].at.1 + hints[0].size.1 / 2);
        let circle = format!("cx=\"{}\" cy=\"{}\"", middle.0, middle.1);
        let drawn = inline(&lines).unwrap();
        assert!(drawn.contains(&circle), "{circle}: {drawn}");
        assert!(!drawn.contains("<svg") && !drawn.contains("</svg"));
    }
}
