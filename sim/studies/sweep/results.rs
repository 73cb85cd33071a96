//! The finished table of a sweep: Parquet and CSV, with a description of every column.

use std::collections::BTreeMap;

use super::columns::{COLUMNS, blame_column};
use super::row::{Cell, Row};
use crate::base::table::{Column, Table, TableError, Texts};
use crate::execution::blame::Reason;

/// All rows of a sweep, in order of point, case, seed and workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    /// Names and descriptions of the columns.
    pub columns: Vec<(String, String)>,
    /// The rows.
    pub rows: Vec<Row>,
}

impl Results {
    /// The rows of finished tasks, in order, under the columns of what varies and the fixed ones.
    #[must_use]
    pub fn of(varied: &[&str], tasks: &BTreeMap<usize, Vec<Row>>) -> Self {
        let varies = |key: &&str| ((*key).to_owned(), "what varies: this key's value".to_owned());
        let fixed = COLUMNS.iter().map(|column| (column.name.to_owned(), column.holds.to_owned()));
        let mut columns: Vec<(String, String)> = varied.iter().map(varies).chain(fixed).collect();
        columns.extend(Reason::ALL.map(blame_column));
        // A key that varies may be a fixed column too: τ, say. The one that varies gets its name.
        let names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
        for (name, _) in columns.iter_mut().skip(varied.len()) {
            if names[..varied.len()].contains(name) {
                *name = format!("run_{name}");
            }
        }
        Self { columns, rows: tasks.values().flatten().cloned().collect() }
    }

    /// The place of a column.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|(own, _)| own == name)
    }

    /// The bytes of `results.parquet`, `results.csv` and `columns.md`.
    ///
    /// # Errors
    /// If the Parquet file cannot be made.
    pub fn files(&self) -> Result<[(&'static str, Vec<u8>); 3], TableError> {
        let described = self.columns.iter().map(|(name, holds)| (name.as_str(), holds.as_str()));
        let parquet = self.table().with_notes(described).to_parquet()?;
        Ok([
            ("results.parquet", parquet),
            ("results.csv", self.csv()),
            ("columns.md", self.described().into_bytes()),
        ])
    }

    /// As typed columns.
    #[must_use]
    pub fn table(&self) -> Table {
        let mut table = Table::new("results");
        for (at, (name, _)) in self.columns.iter().enumerate() {
            table = table.with(name, self.typed(at));
        }
        table
    }

    /// A column in the narrowest type that holds all its cells.
    fn typed(&self, at: usize) -> Column {
        let cells = || self.rows.iter().map(|row| &row[at]);
        let absent = |cell: &Cell| matches!(cell, Cell::Absent(()));
        if cells().all(|cell| absent(cell) || matches!(cell, Cell::Integer(_))) {
            return Column::Integers(
                cells()
                    .map(|cell| match cell {
                        Cell::Integer(n) => Some(*n),
                        _ => None,
                    })
                    .collect(),
            );
        }
        if cells().all(|cell| absent(cell) || cell.number().is_some()) {
            return Column::Numbers(cells().map(Cell::number).collect());
        }
        Column::Texts(Texts::of(cells().map(|cell| (!absent(cell)).then(|| cell.text()))))
    }

    fn csv(&self) -> Vec<u8> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        // Writing to memory cannot fail but for want of it.
        let _ = writer.write_record(self.columns.iter().map(|(name, _)| name));
        for row in &self.rows {
            let _ = writer.write_record(row.iter().map(Cell::text));
        }
        writer.into_inner().unwrap_or_default()
    }

    fn described(&self) -> String {
        let mut text = String::from("# Columns of results.parquet and results.csv\n\n");
        text.push_str("A row a run. An absent value is empty.\n\n| column | holds |\n|---|---|\n");
        for (name, holds) in &self.columns {
            text.push_str(&format!("| `{name}` | {holds} |\n"));
        }
        text
    }
}
