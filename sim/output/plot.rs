//! Pictures of results: charts as data, drawn to SVG or PNG alike.
//!
//! A chart says what it shows — a finding as its title, axes with units, series with their names —
//! and this module draws it: direct labels instead of legends where there is room, a palette that
//! colour-blind readers tell apart [okabe08], and a dash and a marker for each series, so that
//! nothing is said by colour alone. The font is shipped; no system font is needed.

use std::fmt;
use std::path::Path;

use plotters::backend::{BitMapBackend, SVGBackend};
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
pub use plotters::prelude::DrawingBackend;
use plotters::style::{Color, RGBColor, TextStyle};

use crate::base::atomic_file;

mod axis;
mod bars;
mod diagram;
mod frame;
mod heat;
mod hint;
mod lines;
mod scatter;
mod spans;
mod spots;

pub(super) use axis::figures;
pub use axis::{Axis, Scale};
#[cfg(test)]
pub(super) use bars::shade;
pub use bars::{Bar, StackedBars};
pub use diagram::{Diagram, Place, Stretch};
pub use heat::HeatMap;
pub use hint::{Hint, inline};
pub use lines::{LineChart, Point, Series};
pub use scatter::{Cloud, PredictedMeasured};
pub use spans::{Span, SpanRow, Spans};
pub use spots::{Ray, Spot, Spots};

/// Any area that charts draw on.
pub type Area<DB> = DrawingArea<DB, Shift>;

/// Something that can be drawn.
pub trait Chart {
    /// Width and height in pixels.
    fn size(&self) -> (u32, u32) {
        (900, 560)
    }

    /// Draws onto an area of that size.
    ///
    /// # Errors
    /// If the backend refuses.
    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Result<(), PlotError>;

    /// What readers who point at a part of the picture are told: its numbers, at their places.
    fn hints(&self) -> Vec<Hint> {
        Vec::new()
    }
}

/// Why a picture could not be made.
#[derive(Debug)]
pub enum PlotError {
    /// The file's name ends in neither `.svg` nor `.png`.
    Format,
    /// The drawing or its encoding failed.
    Drawing(String),
    /// The file could not be written.
    Output(std::io::Error),
}

impl fmt::Display for PlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format => write!(f, "a picture's name ends in .svg or .png"),
            Self::Drawing(why) => write!(f, "the picture cannot be drawn: {why}"),
            Self::Output(error) => write!(f, "the picture cannot be written: {error}"),
        }
    }
}

impl std::error::Error for PlotError {}

/// Turns any backend's error into ours.
fn failed(error: impl fmt::Display) -> PlotError {
    PlotError::Drawing(error.to_string())
}

/// How a picture is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Scalable vector graphics.
    Svg,
    /// Portable network graphics.
    Png,
}

impl Format {
    /// The format that a file's name asks for: SVG of standard output, and of devices without an ending.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        if atomic_file::is_stdout(path)
            || (path.extension().is_none() && path.metadata().is_ok_and(|at| !at.is_file()))
        {
            return Some(Self::Svg);
        }
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "svg" => Some(Self::Svg),
            "png" => Some(Self::Png),
            _ => None,
        }
    }
}

/// Draws a chart: the bytes of its file.
///
/// # Errors
/// If it cannot be drawn.
pub fn render(chart: &impl Chart, format: Format) -> Result<Vec<u8>, PlotError> {
    use_shipped_font();
    let (width, height) = chart.size();
    match format {
        Format::Svg => {
            let mut text = String::new();
            let area = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
            area.fill(&WHITE).map_err(failed)?;
            chart.draw(&area)?;
            area.present().map_err(failed)?;
            drop(area);
            Ok(in_xml(text).into_bytes())
        }
        Format::Png => {
            let mut pixels = vec![0; width as usize * height as usize * 3];
            let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
            area.fill(&WHITE).map_err(failed)?;
            chart.draw(&area)?;
            area.present().map_err(failed)?;
            drop(area);
            in_png(&pixels, [width, height]).map_err(failed)
        }
    }
}

/// Pixels of red, green and blue, row by row, as a PNG.
fn in_png(pixels: &[u8], [width, height]: [u32; 2]) -> Result<Vec<u8>, png::EncodingError> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(file)
}

/// Draws a chart to a file whole or not at all; the name's ending decides the format.
///
/// # Errors
/// If it cannot be drawn or written.
pub fn save(chart: &impl Chart, path: &Path) -> Result<(), PlotError> {
    let bytes = render(chart, Format::of(path).ok_or(PlotError::Format)?)?;
    atomic_file::write(path, bytes).map_err(PlotError::Output)
}

/// Names in users' files may hold what XML has no place for, not even escaped.
fn in_xml(text: String) -> String {
    let fits = |c: char| matches!(c, '\t' | '\n' | ' '..='\u{fffd}' | '\u{10000}'..);
    if text.chars().all(fits) {
        return text;
    }
    text.chars().map(|c| if fits(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

#[cfg(not(target_family = "wasm"))]
fn use_shipped_font() {
    use std::sync::Once;

    use plotters::style::{FontStyle, register_font};

    const FONT: &[u8] = include_bytes!("plot/font/LiberationSans-Regular.ttf");
    static ONCE: Once = Once::new();
    // The font is part of this program and known to be sound; were it not, drawing text would say so.
    ONCE.call_once(|| drop(register_font("sans-serif", FontStyle::Normal, FONT)));
}

/// In WebAssembly plotters asks for the size of a text elsewhere: `web/stand-ins/web-sys`, with the same font.
#[cfg(target_family = "wasm")]
const fn use_shipped_font() {}

const WHITE: RGBColor = RGBColor(255, 255, 255);
/// Text and axes.
const INK: RGBColor = RGBColor(40, 40, 40);
/// Ticks and second lines.
const FAINT: RGBColor = RGBColor(110, 110, 110);
/// Grid lines.
const GRID: RGBColor = RGBColor(225, 225, 225);

/// Colours that readers of all kinds of colour vision tell apart, in an order whose neighbours differ
/// in brightness too [okabe08].
const PALETTE: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
    RGBColor(204, 121, 167),
    RGBColor(70, 70, 70),
    RGBColor(240, 228, 66),
];

/// The colour of the n-th series.
const fn colour(series: usize) -> RGBColor {
    PALETTE[series % PALETTE.len()]
}

/// Text of a size in pixels and a colour.
fn text(size: u32, colour: RGBColor) -> TextStyle<'static> {
    TextStyle {
        font: ("sans-serif", f64::from(size)).into(),
        color: colour.to_backend_color(),
        pos: plotters::style::text_anchor::Pos::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> LineChart {
        let points = |factor: f64| {
            let at = |x: f64| Point {
                x,
                y: factor / x,
                interval: Some((0.9 * factor / x, 1.1 * factor / x)),
            };
            [0.1, 0.25, 0.5, 0.75, 1.0].map(at).to_vec()
        };
        LineChart {
            title: "The smaller τ, the larger the gain".to_owned(),
            below: "four sizes, 32 A100".to_owned(),
            x: Axis::linear("τ"),
            y: Axis::from_zero("throughput increase, %"),
            series: vec![Series::new("0.6B", points(16.0)), Series::new("1B", points(11.0))],
        }
    }

    #[test]
    fn a_chart_is_drawn_as_svg_and_png_with_the_shipped_font() {
        let svg = String::from_utf8(render(&lines(), Format::Svg).unwrap()).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("The smaller τ") && svg.contains("0.6B"));
        let png = render(&lines(), Format::Png).unwrap();
        assert_eq!(&png[1..4], b"PNG");
        let mut read = png::Decoder::new(std::io::Cursor::new(&png)).read_info().unwrap();
        let mut pixels = vec![0; read.output_buffer_size().unwrap()];
        let told = read.next_frame(&mut pixels).unwrap();
        assert_eq!(told.color_type, png::ColorType::Rgb);
        let dark = pixels.chunks_exact(3).filter(|pixel| pixel.iter().all(|&of| of < 90));
        assert!(dark.count() > 1_000, "text and axes are there");
    }

    #[test]
    fn charts_of_nothing_are_drawn_all_the_same() {
        let mut empty = lines();
        empty.series.clear();
        render(&empty, Format::Svg).unwrap();
        empty.series.push(Series::new("nothing", Vec::new()));
        render(&empty, Format::Png).unwrap();
        let heat = HeatMap {
            title: String::new(),
            below: String::new(),
            x: String::new(),
            y: String::new(),
            value: String::new(),
            columns: Vec::new(),
            rows: Vec::new(),
            cells: Vec::new(),
            up_to: None,
        };
        render(&heat, Format::Svg).unwrap();
        let bars = StackedBars {
            title: String::new(),
            below: String::new(),
            axis: Axis::from_zero("ms"),
            parts: Vec::new(),
            bars: Vec::new(),
            shades: Vec::new(),
        };
        render(&bars, Format::Svg).unwrap();
        let none = PredictedMeasured {
            title: String::new(),
            below: String::new(),
            quantity: "time, µs".to_owned(),
            clouds: Vec::new(),
        };
        render(&none, Format::Svg).unwrap();
    }

    #[test]
    fn a_picture_of_an_unknown_kind_is_refused_before_anything_is_written() {
        let error = save(&lines(), Path::new("gain.pdf")).unwrap_err();
        assert!(matches!(error, PlotError::Format), "{error}");
        assert!(save(&lines(), Path::new("no-such-folder/gain.svg")).is_err());
    }
}
