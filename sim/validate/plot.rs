//! Predicted against measured times, as an SVG that any browser shows.
//!
//! Both axes are logarithmic and alike; the diagonal is a perfect prediction, the band ±10 %. Text
//! is left to the viewer's fonts, so that no font need be shipped. Of large tables every n-th row
//! is drawn.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use super::{Judged, Report};

/// Side of the square of axes, and its margin, in pixels.
const SIDE: f64 = 560.0;
const MARGIN: f64 = 60.0;
/// Points drawn at most.
const POINTS: usize = 4000;

/// Writes `FILE.svg` into a folder: to a temporary file, then renamed.
pub(super) fn write(report: &Report, folder: &Path) -> io::Result<()> {
    let Some(svg) = svg(report) else { return Ok(()) };
    let name = report.file.trim_end_matches(".parquet");
    let (part, path) = (folder.join(format!("{name}.svg.tmp")), folder.join(format!("{name}.svg")));
    std::fs::create_dir_all(folder)?;
    std::fs::write(&part, svg)?;
    std::fs::rename(part, path)
}

/// The picture; none of nothing.
fn svg(report: &Report) -> Option<String> {
    let times = report.judged.iter().flat_map(|j| [j.predicted, j.measured]);
    let logs = times.filter(|t| *t > 0.0).map(|t| (t * 1e6).log10());
    let (least, most) =
        logs.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
    if least > most {
        return None;
    }
    let (low, high) = (least.floor(), most.ceil().max(least.floor() + 1.0));
    let at = |us: f64| (us.log10() - low) / (high - low) * SIDE;
    let (x, y) = (|us: f64| MARGIN + at(us), |us: f64| MARGIN + SIDE - at(us));
    let size = SIDE + 2.0 * MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{size}\" height=\"{size}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let (a, b) = (10_f64.powf(low), 10_f64.powf(high));
    for (factor, colour) in [(0.9, "#bbb"), (1.0, "#444"), (1.1, "#bbb")] {
        let _ = writeln!(
            out,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/>",
            x(a),
            y(a * factor),
            x(b),
            y(b * factor)
        );
    }
    ticks(&mut out, low as i32, high as i32, &x, &y);
    let every = report.judged.len().div_ceil(POINTS).max(1);
    for Judged { predicted, measured, .. } in report.judged.iter().step_by(every) {
        let (x, y) = (x(measured * 1e6), y((predicted * 1e6).max(a)));
        let _ = writeln!(
            out,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"1.5\" fill=\"#1f77b4\" fill-opacity=\"0.4\"/>"
        );
    }
    let (middle, bottom) = (size / 2.0, size - 12.0);
    let title = format!("{}, by profile {}", report.file, report.profile);
    for (x, y, turn, text) in [
        (middle, 24.0, 0, title.as_str()),
        (middle, bottom, 0, "measured, us"),
        (16.0, middle, -90, "predicted, us"),
    ] {
        let _ = writeln!(
            out,
            "<text x=\"{x}\" y=\"{y}\" transform=\"rotate({turn} {x} {y})\" text-anchor=\"middle\">{}</text>",
            text.replace('&', "&amp;").replace('<', "&lt;")
        );
    }
    out.push_str("</svg>\n");
    Some(out)
}

/// A grid line and a label for every power of ten.
fn ticks(out: &mut String, low: i32, high: i32, x: &impl Fn(f64) -> f64, y: &impl Fn(f64) -> f64) {
    for power in low..=high {
        let us = 10_f64.powi(power);
        let (x, y, end) = (x(us), y(us), MARGIN + SIDE);
        let _ = writeln!(
            out,
            "<path d=\"M{x:.1} {MARGIN}V{end}M{MARGIN} {y:.1}H{end}\" stroke=\"#eee\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{us}</text>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{us}</text>",
            end + 18.0,
            MARGIN - 6.0,
            y + 4.0
        );
    }
}
