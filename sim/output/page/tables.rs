//! Pages of sweeps and validations.

use super::facts::{left_out, rounded};
use super::{Block, Drawing, Page, Table};
use crate::config::Diagnostic;
use crate::output::pictures::errors_chart;
use crate::output::plot::PlotError;
use crate::output::report::{any_drawing, chart};
use crate::studies::sweep::Results;
use crate::studies::validate::summary::FileErrors;

/// Rows of a sweep that a page shows.
const MOST_ROWS: usize = 500;

impl Page {
    /// Of a sweep's table.
    ///
    /// # Errors
    /// If a picture cannot be drawn.
    pub fn of_sweep(name: &str, results: &Results) -> Result<Self, PlotError> {
        let rows = results.rows.len();
        let mut page = Self {
            title: "A sweep".to_owned(),
            question: format!("How do results vary over {}?", last_step(name)),
            ..Self::default()
        };
        let drawn: Result<_, Diagnostic> = any_drawing(results, [None; 3], [false; 2])
            .and_then(|drawing| chart(results, &drawing));
        if let Ok(chart) = drawn {
            page.answer.push(format!("{}.", chart.title));
            page.draw(Drawing::of(&chart.title.clone(), &chart)?);
        }
        page.answer.push(format!("{rows} rows, one for each run."));
        page.part("Rows", vec![Block::Table(sweep_rows(results))]);
        page.part("What is left out", left_out(more(rows)));
        Ok(page)
    }

    /// Of a validation.
    ///
    /// # Errors
    /// If a picture cannot be drawn.
    pub fn of_errors(files: &[FileErrors]) -> Result<Self, PlotError> {
        let mut page = Self {
            title: "Predicted against measured".to_owned(),
            question: "How far off are predictions of measured times?".to_owned(),
            ..Self::default()
        };
        if let Ok(chart) = errors_chart(files, "") {
            page.answer.push(format!("{}.", chart.title));
            page.draw(Drawing::of("Errors by file", &chart)?);
        }
        let predictions: usize = files.iter().map(|file| file.predictions).sum();
        page.answer.push(format!("{predictions} predictions in {} files.", files.len()));
        page.part("Files", vec![Block::Table(errors(files))]);
        let skipped = files.iter().flat_map(|file| {
            let one = |(why, rows): (&String, &usize)| {
                format!("{}: {rows} rows skipped: {why}", file.file)
            };
            file.skipped_by_reason.iter().map(one)
        });
        page.part("What is left out", left_out(skipped.collect()));
        Ok(page)
    }
}

/// The last step of a path, which is what a reader elsewhere can use of it.
fn last_step(name: &str) -> String {
    let last = std::path::Path::new(name).file_name();
    last.map_or_else(|| name.to_owned(), |last| last.to_string_lossy().into_owned())
}

fn more(rows: usize) -> Vec<String> {
    let left = rows.saturating_sub(MOST_ROWS);
    if left == 0 {
        Vec::new()
    } else {
        vec![format!("{left} more rows: they are in the table itself")]
    }
}

/// What people look for in a row, in front of what else differs.
const WANTED: [&str; 8] = [
    "workload",
    "tau",
    "run_tau",
    "seed",
    "time_ms",
    "throughput_increase_percent",
    "tokens_per_s",
    "waiting_share",
];

/// Columns that differ from row to row: what varies, what people look for, then the rest.
fn sweep_columns(results: &Results) -> Vec<usize> {
    let shown = |at: &usize| {
        let name = results.columns[*at].0.as_str();
        let differs = results.rows.windows(2).any(|pair| pair[0][*at] != pair[1][*at]);
        differs && !name.starts_with("blame") && !["task", "point"].contains(&name)
    };
    let own = |at: &usize| {
        let name = results.columns[*at].0.as_str();
        let varied = results.column("point").is_some_and(|point| *at < point);
        let wanted = WANTED.iter().position(|wanted| *wanted == name);
        if varied { 0 } else { wanted.map_or(1 + WANTED.len(), |wanted| 1 + wanted) }
    };
    let mut columns: Vec<usize> = (0..results.columns.len()).filter(shown).collect();
    columns.sort_by_key(own);
    columns.truncate(MOST_COLUMNS);
    columns
}

fn sweep_rows(results: &Results) -> Table {
    let columns = sweep_columns(results);
    let head = columns.iter().map(|&at| results.columns[at].0.clone());
    let mut table =
        Table::of("What varies from row to row; the table itself has more columns", head);
    for row in results.rows.iter().take(MOST_ROWS) {
        let cell = |&at: &usize| match row[at].number() {
            Some(number) if results.columns[at].0.ends_with("tau") => number.to_string(),
            Some(number) if number.fract() != 0.0 => rounded(number),
            _ => row[at].text(),
        };
        table.row(columns.iter().map(cell));
    }
    table
}

/// Columns of a sweep that a page shows.
const MOST_COLUMNS: usize = 9;

fn errors(files: &[FileErrors]) -> Table {
    let head = [
        "file",
        "profile",
        "predictions",
        "median, %",
        "nine in ten within, %",
        "bias, %",
        "within 10 %",
        "covered",
    ];
    let mut table = Table::of("Errors of predictions, in percent", head);
    for file in files {
        // Hundredths of a percent are below what was measured; what is less is said so.
        let percent = |share: Option<f64>| match share.map(|share| 100.0 * share) {
            None => "–".to_owned(),
            Some(share) if share > 0.0 && share < 0.01 => "<0.01".to_owned(),
            Some(share) if share < 10.0 => format!("{share:.2}"),
            Some(share) => format!("{share:.1}"),
        };
        let bias = file.bias.map_or_else(|| "–".to_owned(), |bias| format!("{:+.1}", 100.0 * bias));
        table.row([
            file.file.clone(),
            file.profile.clone(),
            file.predictions.to_string(),
            percent(file.median_abs_error),
            percent(file.p90_abs_error),
            bias,
            format!("{:.0} %", 100.0 * file.within_10_percent),
            percent(file.interval_90_coverage),
        ]);
    }
    table
}
