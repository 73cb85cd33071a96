//! A finished table read back: from Parquet, CSV, or the folder that holds them.

use std::path::Path;

use super::results::Results;
use super::row::{Cell, Row};
use crate::base::table::{Column, Table};
use crate::config::{Diagnostic, Kind};

impl Results {
    /// Reads a table that a sweep (or any other command) wrote.
    ///
    /// # Errors
    /// If it cannot be read, or holds no rows.
    pub fn read(path: &Path) -> Result<Self, Diagnostic> {
        let place = path.display().to_string();
        if path.is_dir() {
            let inside = path.join("results.parquet");
            if inside.exists() {
                return Self::read(&inside);
            }
            let begun = path.join(super::JOURNAL).exists();
            let help = if begun {
                "the sweep is not finished: go on with moesim sweep PLAN --resume"
            } else {
                "name a folder that moesim sweep wrote"
            };
            return Err(Diagnostic::of(place, "holds no results.parquet", help));
        }
        let results = match path.extension().and_then(|ending| ending.to_str()) {
            Some("csv") => Self::from_csv(&place, path)?,
            _ => {
                let table = Table::read(path);
                let other =
                    |error| Kind::misplaced_file(path).unwrap_or_else(|| Diagnostic::from(error));
                let table = table.map_err(other)?;
                Self::from_table(&table)
            }
        };
        if results.rows.is_empty() {
            return Err(Diagnostic::of(place, "has no rows", "name a table with results"));
        }
        Ok(results)
    }

    fn from_table(table: &Table) -> Self {
        let columns = table.columns();
        let rows = columns.first().map_or(0, |(_, column)| match column {
            Column::Integers(values) => values.len(),
            Column::Numbers(values) => values.len(),
            Column::Texts(texts) => texts.ids.len(),
        });
        let cell = |column: &Column, row: usize| match column {
            Column::Integers(values) => values[row].map_or(Cell::Absent(()), Cell::Integer),
            Column::Numbers(values) => values[row].map_or(Cell::Absent(()), Cell::Number),
            Column::Texts(texts) => {
                let word = texts.ids[row].map(|id| texts.words[id as usize].clone());
                word.map_or(Cell::Absent(()), Cell::Text)
            }
        };
        let row = |at| columns.iter().map(|(_, column)| cell(column, at)).collect::<Row>();
        Self {
            columns: columns.iter().map(|(name, _)| (name.clone(), String::new())).collect(),
            rows: (0..rows).map(row).collect(),
        }
    }

    fn from_csv(place: &str, path: &Path) -> Result<Self, Diagnostic> {
        let help = "name a CSV file with a header";
        let unfit = |error: csv::Error| {
            let line = error.position().map(|at| at.line() as usize);
            let mistake = match error.kind() {
                csv::ErrorKind::Io(error) => Diagnostic::unreadable_but(place, error, help),
                _ => Diagnostic::of(place, format!("cannot be read: {error}"), help),
            };
            Diagnostic { line, ..mistake }
        };
        let mut reader = csv::Reader::from_path(path).map_err(unfit)?;
        let head = reader.headers().map_err(unfit)?.clone();
        let mut rows = Vec::new();
        for line in reader.records() {
            rows.push(line.map_err(unfit)?.iter().map(cell_of).collect());
        }
        let columns = head.iter().map(|name| (name.to_owned(), String::new())).collect();
        Ok(Self { columns, rows })
    }
}

/// What a text of a CSV file stands for.
fn cell_of(text: &str) -> Cell {
    if text.is_empty() {
        return Cell::Absent(());
    }
    let whole = text.parse().map(Cell::Integer);
    let number = || text.parse::<f64>().ok().filter(|x| x.is_finite()).map(Cell::Number);
    whole.ok().or_else(number).unwrap_or_else(|| Cell::Text(text.to_owned()))
}
