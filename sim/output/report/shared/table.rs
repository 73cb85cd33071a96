//! A table for people: columns as wide as their longest cell, so that no name is cut or run into the next.

use std::io::{self, Write};

/// How a column stands.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    least: usize,
    gap: usize,
    left: bool,
}

impl Column {
    /// Of names: to the left, at least this wide.
    #[must_use]
    pub const fn left(least: usize) -> Self {
        Self { least, gap: 0, left: true }
    }

    /// Of figures: to the right, at least this wide with the gap of one before them.
    #[must_use]
    pub const fn right(least: usize) -> Self {
        Self { least, gap: 1, left: false }
    }

    /// The same with this gap before it.
    #[must_use]
    pub const fn after(self, gap: usize) -> Self {
        Self { gap, ..self }
    }
}

/// Rows of cells, headings among them.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table of no rows.
    #[must_use]
    pub fn of(columns: impl IntoIterator<Item = Column>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row; cells that are missing at its end are empty.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The lines.
    ///
    /// # Errors
    /// If `out` cannot be written to.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let widths: Vec<usize> = (0..self.columns.len()).map(|at| self.width(at)).collect();
        for row in &self.rows {
            let mut line = String::new();
            for ((column, width), cell) in self.columns.iter().zip(&widths).zip(row) {
                let room = width - column.gap;
                line.push_str(&" ".repeat(column.gap));
                if column.left {
                    line.push_str(&format!("{cell:<room$}"));
                } else {
                    line.push_str(&format!("{cell:>room$}"));
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    /// Columns of a terminal that its longest line takes at most.
    #[must_use]
    pub fn columns_wide(&self) -> usize {
        (0..self.columns.len()).map(|at| self.width(at)).sum()
    }

    fn width(&self, at: usize) -> usize {
        let column = self.columns[at];
        let cells = self.rows.iter().filter_map(|row| row.get(at));
        let longest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        column.least.max(longest + column.gap)
    }
}

/// A name of at most this many characters, its middle left out where it is longer.
#[must_use]
pub fn elided(name: &str, most: usize) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= most {
        return name.to_owned();
    }
    let end = (most - 1) / 2;
    let start = most - 1 - end;
    letters[..start].iter().chain(&['…']).chain(&letters[letters.len() - end..]).collect()
}

/// How many columns as wide as the longest of `names`, but no narrower than `least` and with a gap of one, fit into 80
/// characters beside labels of `labels`; at least one.
#[must_use]
pub fn fitting<'a>(labels: usize, least: usize, names: impl Iterator<Item = &'a str>) -> usize {
    let widest = names.map(|name| name.chars().count()).max().unwrap_or(0).max(least);
    (80_usize.saturating_sub(labels) / (widest + 1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_widen_their_column_and_are_neither_cut_nor_joined() {
        let mut table = Table::of([Column::left(6), Column::right(6), Column::left(4).after(2)]);
        table.row(["model", "expts", "by"]);
        table.row(["qwen3-30b-a3b", "128+32", "nvlink"]);
        table.row(["0.6B", "8+0"]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        let expected =
            "model          expts  by\nqwen3-30b-a3b 128+32  nvlink\n0.6B             8+0\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn long_names_lose_their_middle() {
        assert_eq!(elided("leaf1:nic25", 11), "leaf1:nic25");
        assert_eq!(elided("leaf1:nic25", 8), "leaf…c25");
        assert_eq!(elided("ααααβ", 3), "α…β");
    }

    #[test]
    fn as_many_columns_fit_as_their_names_leave_room_for() {
        assert_eq!(fitting(30, 11, ["0.6B", "1B"].into_iter()), 4);
        assert_eq!(fitting(30, 11, ["deepseek-v3.2-experimental"].into_iter()), 1);
        assert_eq!(fitting(28, 8, ["x"].into_iter()), 5);
    }
}
