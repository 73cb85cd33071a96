//! A sweep as a table and as pictures.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use crate::base::near::advice;
use crate::base::order::ascending;
use crate::base::statistics::Estimate;
use crate::config::{Diagnostic, Drawing, SweepPlan};
use crate::output::plot::{Axis, LineChart, Point, Series};
use crate::output::report::shared::setting::slower;
use crate::output::report::shared::wrapped::wrapped;
use crate::studies::sweep::{Cell, Results, changed_nothing, summarise};

/// The most lines of a table on a terminal; all are in the files.
const MOST_LINES: usize = 40;
/// The most characters of a cell.
const WIDEST: usize = 24;

/// Writes the time and increase of every point and workload, mean over seeds: within 80 columns where cells are
/// short.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_sweep(out: &mut dyn Write, plan: &SweepPlan, results: &Results) -> io::Result<()> {
    let varied: Vec<&str> =
        plan.axes.iter().flat_map(|axis| &axis.keys).map(String::as_str).collect();
    let mut by = varied.clone();
    by.extend(["workload", if varied.contains(&"tau") { "run_tau" } else { "tau" }, "point"]);
    let lines = summarise(results, &by, &["time_ms", "throughput_increase_percent"]);
    let room = 80_usize.saturating_sub(2 + 12 + 6 + 16 + 18);
    let each = (room / varied.len().max(1)).clamp(6, WIDEST);
    // A cell is shown whole: the last characters of `50 Gb/s` and `100 Gb/s` are alike.
    let shown = || lines.iter().take(MOST_LINES);
    let widest = |at: usize| shown().map(|line| line.by[at].text().chars().count()).max();
    let width = |at: usize, least: usize| widest(at).unwrap_or(0).clamp(least, WIDEST.max(least));
    let widths: Vec<usize> = (0..varied.len()).map(|at| width(at, each)).collect();
    let names = width(varied.len(), 12);
    writeln!(out, "{}", plan.name)?;
    for (key, each) in varied.iter().zip(&widths) {
        write!(out, "{:>each$} ", last(key, *each))?;
    }
    writeln!(out, "{:<names$} {:>5} {:>15} {:>17}", "workload", "τ", "time, ms", "increase, %")?;
    for line in lines.iter().take(MOST_LINES) {
        for (cell, each) in line.by.iter().zip(&widths) {
            write!(out, "{:>each$} ", last(&cell.text(), *each))?;
        }
        let [workload, tau] = [&line.by[varied.len()], &line.by[varied.len() + 1]].map(Cell::text);
        let tau = if tau.is_empty() { "-".to_owned() } else { tau };
        let [time, increase] = [line.values[0], line.values[1]].map(with_interval);
        writeln!(out, "{:<names$} {tau:>5} {time:>15} {increase:>17}", last(&workload, names))?;
    }
    if lines.len() > MOST_LINES {
        writeln!(out, "… and {} more lines in the files", lines.len() - MOST_LINES)?;
    }
    notes(out, plan, results, &varied)
}

/// What is said below the table: axes that changed nothing, and kernels that are far from the fastest.
fn notes(
    out: &mut dyn Write,
    plan: &SweepPlan,
    results: &Results,
    varied: &[&str],
) -> io::Result<()> {
    for axis in plan.axes.iter().filter(|axis| changed_nothing(results, varied, &axis.keys)) {
        writeln!(
            out,
            "{} changed no result: nothing that is counted depends on it",
            axis.keys.join(", ")
        )?;
    }
    if let Some(said) = slower_at(plan) {
        wrapped(out, "", &said)?;
    }
    Ok(())
}

/// That a measured kernel of experts takes far longer than grouped products would, at the first step of an axis where it
/// does.
fn slower_at(plan: &SweepPlan) -> Option<String> {
    let mut stride = plan.points() as usize;
    let steps = plan.axes.iter().flat_map(|axis| {
        stride /= axis.steps.len();
        let stride = stride;
        (0..axis.steps.len()).map(move |step| step * stride)
    });
    let points: BTreeSet<usize> = std::iter::once(0).chain(steps).collect();
    points.into_iter().find_map(|point| slower(&plan.scenario_at(point).ok()?))
}

fn with_interval(value: Option<Estimate>) -> String {
    match value {
        None => "-".to_owned(),
        Some(Estimate { mean, half_width: Some(half) }) => format!("{mean:.1} ± {half:.1}"),
        Some(Estimate { mean, half_width: None }) => format!("{mean:.1}"),
    }
}

/// The last characters of a text that is too long, which tell keys of one file apart, and a mark of that.
fn last(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    "…".chars().chain(text.chars().skip(count + 1 - most)).collect()
}

/// Refuses drawings of columns that results will not have, before anything is run.
///
/// # Errors
/// If a column is unknown.
pub fn check_drawings(plan: &SweepPlan) -> Result<(), Diagnostic> {
    let varied: Vec<&str> =
        plan.axes.iter().flat_map(|axis| &axis.keys).map(String::as_str).collect();
    let results = Results::of(&varied, &BTreeMap::new());
    plan.drawings.iter().try_for_each(|drawing| {
        check_drawing(&results, drawing).map_err(|mistake| {
            let key = mistake.key.clone();
            plan.mistake_at_key(&key, mistake.found, mistake.help)
        })
    })
}

fn check_drawing(results: &Results, drawing: &Drawing) -> Result<(), Diagnostic> {
    let axes = [("x", Some(&drawing.x)), ("y", Some(&drawing.y)), ("hue", drawing.hue.as_ref())];
    for (axis, column) in axes {
        let Some(column) = column else { continue };
        if results.column(column).is_none() {
            let known: Vec<&str> = results.columns.iter().map(|(name, _)| name.as_str()).collect();
            return Err(Diagnostic {
                key: format!("plot.{}.{axis}", drawing.name),
                ..Diagnostic::of(
                    "",
                    format!("there is no column `{column}`"),
                    advice(column, "columns", &known),
                )
            });
        }
    }
    Ok(())
}

/// What to draw of results whose plan asks for no picture: what is named, and of the rest the first column
/// that varies, the gain (or the time) over it, and the next column that varies as lines.
///
/// # Errors
/// If nothing varies and no column is named.
pub fn any_drawing(
    results: &Results,
    [x, y, hue]: [Option<&str>; 3],
    log: [bool; 2],
) -> Result<Drawing, Diagnostic> {
    let mut open = varying(results);
    open.retain(|name| ![x, y, hue].contains(&Some(name.as_str())));
    let numeric = |name: &String| {
        let at = results.column(name);
        let number =
            |cell: &Cell| cell.number().is_some() || leading_number(&cell.text()).is_some();
        at.is_some_and(|at| results.rows.iter().all(|row| number(&row[at])))
    };
    let taken = open.iter().position(numeric).or_else(|| (!open.is_empty()).then_some(0));
    let x = match (x, taken) {
        (Some(x), _) => x.to_owned(),
        (None, Some(at)) => open.remove(at),
        (None, None) => {
            let help = "name the column to draw over with --x";
            return Err(Diagnostic::of("", "no column varies", help));
        }
    };
    let has = |name: &str| {
        let at = results.column(name);
        at.is_some_and(|at| results.rows.iter().any(|row| row[at].number().is_some()))
    };
    let gain = "throughput_increase_percent";
    let y = y.unwrap_or(if has(gain) { gain } else { "time_ms" }).to_owned();
    let hue = hue.map(str::to_owned).or_else(|| open.into_iter().next());
    let drawing = Drawing { name: "lines".to_owned(), x, y, hue, log_x: log[0], log_y: log[1] };
    check_drawing(results, &drawing)
        .map_err(|mistake| Diagnostic { key: String::new(), ..mistake })?;
    Ok(drawing)
}

/// Columns in front of `point`, and the model, that have more than one value.
fn varying(results: &Results) -> Vec<String> {
    let several = |name: &str| {
        let Some(at) = results.column(name) else { return false };
        let first = results.rows.first().map(|row| &row[at]);
        results.rows.iter().any(|row| Some(&row[at]) != first)
    };
    let front = results.columns.iter().map(|(name, _)| name.as_str());
    let front =
        front.take_while(|name| *name != "point").filter(|_| results.column("point").is_some());
    let tau = if results.column("run_tau").is_some() { None } else { Some("tau") };
    front.chain(["model"]).chain(tau).filter(|name| several(name)).map(str::to_owned).collect()
}

/// Draws lines of one column over another: means over everything else, with their intervals.
///
/// # Errors
/// If a column is unknown.
pub fn chart(results: &Results, drawing: &Drawing) -> Result<LineChart, Diagnostic> {
    check_drawing(results, drawing)?;
    let hue = drawing.hue.as_deref().unwrap_or("");
    let lines = summarise(results, &[hue, &drawing.x], &[&drawing.y]);
    let unit = unit_of(results, &drawing.x);
    let mut series: BTreeMap<usize, Series> = BTreeMap::new();
    let mut names: Vec<String> = Vec::new();
    let mut texts: Vec<String> = Vec::new();
    for line in lines {
        let Some(y) = line.values[0] else { continue };
        let name = line_name(hue, &line.by[0].text());
        let at = names.iter().position(|known| *known == name).unwrap_or_else(|| {
            names.push(name.clone());
            names.len() - 1
        });
        let x = line.by[1].number().or_else(|| {
            let text = line.by[1].text();
            unit.as_ref().and(leading_number(&text)).or_else(|| {
                let at = texts.iter().position(|known| *known == text).unwrap_or_else(|| {
                    texts.push(text.clone());
                    texts.len() - 1
                });
                Some(at as f64)
            })
        });
        let interval = y.half_width.map(|_| (y.low(), y.high()));
        let series = series.entry(at).or_insert_with(|| Series::new(name, Vec::new()));
        series.points.push(Point { x: x.unwrap_or_default(), y: y.mean, interval });
    }
    for line in series.values_mut() {
        ascending(&mut line.points, |one| one.x);
    }
    let scale = |log: bool, label: String| if log { Axis::log(label) } else { Axis::linear(label) };
    let named: Vec<String> =
        texts.iter().enumerate().map(|(at, text)| format!("{at} = {text}")).collect();
    // What is not told apart is averaged over: the reader must know.
    let drawn = [drawing.x.as_str(), drawing.y.as_str(), hue];
    let mut over: Vec<String> = varying(results);
    over.retain(|name| !drawn.contains(&name.as_str()) && *name != drawing.y);
    over.insert(0, "seeds".to_owned());
    let mut below = vec![format!("bands: 95 % over {}", over.join(", "))];
    if !hue.is_empty() {
        below.insert(0, format!("lines: {}", if words(hue) == "τ" { "τ" } else { hue }));
    }
    below.extend((!named.is_empty()).then(|| named.join(", ")));
    let below = below.join("; ");
    let series: Vec<Series> = series.into_values().collect();
    let x = match unit {
        Some(unit) => format!("{}, {unit}", words(&drawing.x)),
        None => words(&drawing.x),
    };
    Ok(LineChart {
        title: finding(&x, &words(&drawing.y), &series),
        below,
        x: scale(drawing.log_x, x),
        y: scale(drawing.log_y, words(&drawing.y)),
        series,
    })
}

/// `"400 Gb/s"` → 400.
fn leading_number(text: &str) -> Option<f64> {
    text.split_once(' ').and_then(|(number, _)| number.parse().ok())
}

/// What all texts of a column have behind their numbers: `Gb/s`; none where they differ, or are no such texts.
fn unit_of(results: &Results, column: &str) -> Option<String> {
    let at = results.column(column)?;
    let texts: Vec<String> = results.rows.iter().map(|row| row[at].text()).collect();
    let unit =
        |text: &String| leading_number(text).and_then(|_| Some(text.split_once(' ')?.1.to_owned()));
    let first = unit(texts.first()?)?;
    texts.iter().all(|text| unit(text).as_ref() == Some(&first)).then_some(first)
}

/// A line's name: of τ with its letter, since a number alone does not say what it is.
fn line_name(hue: &str, value: &str) -> String {
    match words(hue).as_str() {
        "τ" => format!("τ = {value}"),
        _ => value.to_owned(),
    }
}

/// What the lines show: where the steepest goes from and to.
fn finding(x: &str, y: &str, series: &[Series]) -> String {
    let ends = |line: &Series| Some((*line.points.first()?, *line.points.last()?));
    let moved = |line: &Series| ends(line).map_or(0.0, |(a, b)| (b.y - a.y).abs());
    let most = series.iter().max_by(|a, b| moved(a).total_cmp(&moved(b)));
    let Some((most, (first, last))) = most.and_then(|most| Some((most, ends(most)?))) else {
        return format!("{y} over {x}");
    };
    let [(x, x_unit), (y, y_unit)] = [x, y].map(parted);
    let [from, to] = [number(first.y), number(last.y)];
    let goes = match (from == to, last.y > first.y) {
        (true, _) => format!("stays at {from}{y_unit}"),
        (false, true) => format!("rises from {from} to {to}{y_unit}"),
        (false, false) => format!("falls from {from} to {to}{y_unit}"),
    };
    let of = if most.name.is_empty() { String::new() } else { format!(" ({})", most.name) };
    let [from, to] = [number(first.x), number(last.x)];
    format!("{} {goes} as {x} goes from {from} to {to}{x_unit}{of}", capital(y))
}

/// A label's words, and its unit behind a space.
fn parted(label: &str) -> (&str, String) {
    label
        .rsplit_once(", ")
        .map_or((label, String::new()), |(name, unit)| (name, format!(" {unit}")))
}

/// As a sentence begins.
fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn number(value: f64) -> String {
    let digits = if value.abs() >= 100.0 {
        0
    } else if value.abs() >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A column's name as people say it.
fn words(column: &str) -> String {
    let mut steps = column.rsplit('.');
    let last = steps.next().unwrap_or(column);
    let spoken = match (last, steps.next()) {
        // Of which link it is.
        ("bandwidth" | "latency", Some(of)) => format!("{of} {last}"),
        _ => last.to_owned(),
    };
    let spoken = spoken.replace('_', " ");
    for (suffix, unit) in [(" percent", "%"), (" ms", "ms"), (" s", "s"), (" mb", "MB")] {
        if let Some(name) = spoken.strip_suffix(suffix) {
            return format!("{name}, {unit}");
        }
    }
    if spoken == "tau" { "τ".to_owned() } else { spoken }
}
