//! Tables of measurements: columns of whole numbers, numbers or texts, read from and written to
//! Parquet.
//!
//! What a file may hold is wider than what a table is: 32- and 64-bit physical types are widened,
//! booleans become 0 and 1, an absent value is `None`. Anything else (nested columns, decimals,
//! a column that is not there, a file cut short) is a [`TableError`] that names the file and the
//! column. A file is never trusted: its claims on sizes are bounded before memory is taken.

use std::fmt;
use std::path::Path;

mod read;
mod write;

/// The most bytes of Parquet that are read; the largest public table is a hundredth of this.
pub const MAX_TABLE_BYTES: u64 = 256 << 20;
/// The most rows that are read.
pub const MAX_ROWS: usize = 20_000_000;

/// Why a table cannot be had; its `Display` names the file, the column and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableError {
    /// The file, as the caller named it.
    pub table: String,
    /// The column, where one is concerned.
    pub column: Option<String>,
    /// What was found.
    pub found: String,
    /// How to fix it.
    pub help: String,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.table)?;
        if let Some(column) = &self.column {
            write!(f, "column `{column}`: ")?;
        }
        write!(f, "{}", self.found)?;
        if self.help.is_empty() { Ok(()) } else { write!(f, "\n  help: {}", self.help) }
    }
}

impl std::error::Error for TableError {}

/// The values of one column, `None` where the file has none.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Whole numbers.
    Integers(Vec<Option<i64>>),
    /// Numbers, possibly NaN or infinite: measurements are judged by their readers.
    Numbers(Vec<Option<f64>>),
    /// Texts, each distinct one stored once.
    Texts(Texts),
}

/// A column of texts with few distinct values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Texts {
    /// The distinct texts, in order of first appearance.
    pub words: Vec<String>,
    /// For each row, the index of its text.
    pub ids: Vec<Option<u32>>,
}

impl Texts {
    /// A column of these texts.
    #[must_use]
    pub fn of<T: AsRef<str>>(texts: impl IntoIterator<Item = Option<T>>) -> Self {
        let mut all = Self::default();
        let mut known = std::collections::BTreeMap::new();
        for text in texts {
            let id = text.map(|text| {
                *known.entry(text.as_ref().to_owned()).or_insert_with_key(|word| {
                    all.words.push(word.clone());
                    all.words.len() as u32 - 1
                })
            });
            all.ids.push(id);
        }
        all
    }
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Self::Integers(values) => values.len(),
            Self::Numbers(values) => values.len(),
            Self::Texts(texts) => texts.ids.len(),
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Integers(_) => "whole numbers",
            Self::Numbers(_) => "numbers",
            Self::Texts(_) => "texts",
        }
    }
}

/// Named columns of equal length.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    name: String,
    rows: usize,
    columns: Vec<(String, Column)>,
    notes: Vec<(String, String)>,
}

impl Table {
    /// An empty table to which columns are added.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), rows: 0, columns: Vec::new(), notes: Vec::new() }
    }

    /// Adds a column.
    ///
    /// # Panics
    /// If its length differs from that of the columns already there, or its name is taken.
    #[must_use]
    pub fn with(mut self, name: &str, column: Column) -> Self {
        let (rows, had) = (column.len(), self.rows);
        assert!(self.columns.is_empty() || rows == had, "column {name}: {rows} rows, not {had}");
        assert!(!self.has(name), "a second column {name}");
        self.rows = rows;
        self.columns.push((name.to_owned(), column));
        self
    }

    /// Adds descriptions, such as what each column holds; they are written as the file's key-value
    /// metadata and not read back.
    #[must_use]
    pub fn with_notes<'a>(mut self, notes: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        self.notes.extend(notes.into_iter().map(|(key, note)| (key.to_owned(), note.to_owned())));
        self
    }

    /// Reads a Parquet file.
    ///
    /// # Errors
    /// If it cannot be read or is no flat table of numbers and texts.
    pub fn read(path: &Path) -> Result<Self, TableError> {
        read::file(path)
    }

    /// Reads Parquet from memory; `name` is used in messages.
    ///
    /// # Errors
    /// If the bytes are no flat table of numbers and texts.
    pub fn from_bytes(name: &str, parquet: Vec<u8>) -> Result<Self, TableError> {
        read::bytes(name, parquet)
    }

    /// Writes a Parquet file, compressed with zstd: to a temporary file beside it, then renamed.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), TableError> {
        write::file(self, path)
    }

    /// The bytes of a Parquet file, compressed with zstd.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn to_parquet(&self) -> Result<Vec<u8>, TableError> {
        write::bytes(self, Path::new(&self.name))
    }

    /// The name it goes by in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of rows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// The columns' names and values, in the file's order.
    #[must_use]
    pub fn columns(&self) -> &[(String, Column)] {
        &self.columns
    }

    /// Whether there is a column of this name.
    #[must_use]
    pub fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|(name, _)| name == column)
    }

    /// A column of whole numbers.
    ///
    /// # Errors
    /// If it is missing or of another kind.
    pub fn integers(&self, column: &str) -> Result<&[Option<i64>], TableError> {
        match self.column(column)? {
            Column::Integers(values) => Ok(values),
            other => Err(self.wrong(column, other, "whole numbers")),
        }
    }

    /// A column of numbers; whole numbers will do.
    ///
    /// # Errors
    /// If it is missing or holds texts.
    pub fn numbers(&self, column: &str) -> Result<Vec<Option<f64>>, TableError> {
        match self.column(column)? {
            Column::Numbers(values) => Ok(values.clone()),
            Column::Integers(values) => Ok(values.iter().map(|v| v.map(|v| v as f64)).collect()),
            other @ Column::Texts(_) => Err(self.wrong(column, other, "numbers")),
        }
    }

    /// A column of texts.
    ///
    /// # Errors
    /// If it is missing or of another kind.
    pub fn texts(&self, column: &str) -> Result<Vec<Option<&str>>, TableError> {
        match self.column(column)? {
            Column::Texts(texts) => {
                let word = |id: &Option<u32>| id.map(|id| texts.words[id as usize].as_str());
                Ok(texts.ids.iter().map(word).collect())
            }
            other => Err(self.wrong(column, other, "texts")),
        }
    }

    fn column(&self, column: &str) -> Result<&Column, TableError> {
        let found = self.columns.iter().find(|(name, _)| name == column);
        found.map(|(_, values)| values).ok_or_else(|| {
            let known: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
            TableError {
                table: self.name.clone(),
                column: Some(column.to_owned()),
                found: "is missing".to_owned(),
                help: format!("the columns here are {}", known.join(", ")),
            }
        })
    }

    fn wrong(&self, column: &str, found: &Column, wanted: &str) -> TableError {
        TableError {
            table: self.name.clone(),
            column: Some(column.to_owned()),
            found: format!("holds {}", found.kind()),
            help: format!("give {wanted}"),
        }
    }
}

#[cfg(test)]
mod tests;
