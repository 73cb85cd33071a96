//! From Parquet to a [`Table`].

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use bytes::Bytes;
use parquet::basic::{LogicalType, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::{Column, MAX_ROWS, MAX_TABLE_BYTES, Table, TableError, Texts};

const BATCH: usize = 65_536;

pub(super) fn file(path: &Path) -> Result<Table, TableError> {
    let name = path.display().to_string();
    let unreadable = |e: std::io::Error| {
        whole(&name, format!("cannot be read: {e}"), "check the path and its permissions")
    };
    let meta = std::fs::metadata(path).map_err(unreadable)?;
    if !meta.is_file() {
        return Err(whole(&name, "is not a regular file".to_owned(), "name a Parquet file"));
    }
    if meta.len() > MAX_TABLE_BYTES {
        let help = format!("tables of up to {MAX_TABLE_BYTES} bytes are read");
        return Err(whole(&name, format!("is {} bytes long", meta.len()), &help));
    }
    bytes(&name, std::fs::read(path).map_err(unreadable)?)
}

pub(super) fn bytes(name: &str, parquet: Vec<u8>) -> Result<Table, TableError> {
    if parquet.is_empty() {
        return Err(whole(name, "is empty".to_owned(), "give a Parquet file"));
    }
    if !parquet.starts_with(b"PAR1") {
        return Err(whole(name, "is no Parquet file".to_owned(), "give a Parquet file"));
    }
    // The decoder promises errors, not the absence of panics on hostile pages: hold it to ours.
    match catch_unwind(AssertUnwindSafe(|| decode(name, Bytes::from(parquet)))) {
        Ok(outcome) => outcome,
        Err(_) => Err(corrupt(name, "its pages contradict its footer")),
    }
}

fn decode(name: &str, parquet: Bytes) -> Result<Table, TableError> {
    let reader = SerializedFileReader::new(parquet).map_err(|e| of_parquet(name, &e))?;
    let meta = reader.metadata().file_metadata();
    let schema = meta.schema_descr_ptr();
    let claimed: i64 = reader
        .metadata()
        .row_groups()
        .iter()
        .map(parquet::file::metadata::RowGroupMetaData::num_rows)
        .sum();
    let rows = usize::try_from(claimed).ok().filter(|rows| *rows <= MAX_ROWS);
    let Some(rows) = rows else {
        let help = format!("tables of up to {MAX_ROWS} rows are read");
        return Err(whole(name, format!("claims {claimed} rows"), &help));
    };
    let mut table = Table::new(name);
    for (index, descriptor) in schema.columns().iter().enumerate() {
        let column = descriptor.name();
        if table.has(column) {
            return Err(in_column(name, column, "appears twice", "name each column once"));
        }
        let mut builder = Builder::for_column(name, descriptor)?;
        for group in 0..reader.num_row_groups() {
            let pages = reader
                .get_row_group(group)
                .and_then(|group| group.get_column_reader(index))
                .map_err(|e| of_parquet(name, &e))?;
            builder.read(pages).map_err(|e| of_parquet(name, &e))?;
        }
        let values = builder.finish();
        if values.len() != rows {
            let found = format!("holds {} values for {rows} rows", values.len());
            return Err(in_column(name, column, &found, "copy the file again"));
        }
        table = table.with(column, values);
    }
    Ok(table)
}

/// A column under construction.
enum Builder {
    Integers(Vec<Option<i64>>),
    Numbers(Vec<Option<f64>>),
    Texts { words: Vec<String>, ids: Vec<Option<u32>>, known: BTreeMap<Vec<u8>, u32> },
}

impl Builder {
    fn for_column(name: &str, descriptor: &ColumnDescriptor) -> Result<Self, TableError> {
        let column = descriptor.name();
        if descriptor.max_rep_level() > 0 || descriptor.max_def_level() > 1 {
            return Err(in_column(name, column, "is nested", "give flat columns"));
        }
        let odd = descriptor.logical_type_ref().is_some_and(|logical| {
            matches!(logical, LogicalType::Decimal { .. } | LogicalType::Float16)
        });
        match descriptor.physical_type() {
            Physical::BOOLEAN | Physical::INT32 | Physical::INT64 if !odd => {
                Ok(Self::Integers(Vec::new()))
            }
            Physical::FLOAT | Physical::DOUBLE => Ok(Self::Numbers(Vec::new())),
            Physical::BYTE_ARRAY if !odd => {
                Ok(Self::Texts { words: Vec::new(), ids: Vec::new(), known: BTreeMap::new() })
            }
            other => {
                let found = format!("is stored as {other}");
                Err(in_column(name, column, &found, "store whole numbers, numbers or texts"))
            }
        }
    }

    fn read(&mut self, pages: ColumnReader) -> Result<(), ParquetError> {
        match (self, pages) {
            (Self::Integers(to), ColumnReader::BoolColumnReader(from)) => {
                each(from, to, |v| Ok(i64::from(v)))
            }
            (Self::Integers(to), ColumnReader::Int32ColumnReader(from)) => {
                each(from, to, |v| Ok(i64::from(v)))
            }
            (Self::Integers(to), ColumnReader::Int64ColumnReader(from)) => each(from, to, Ok),
            (Self::Numbers(to), ColumnReader::FloatColumnReader(from)) => {
                each(from, to, |v| Ok(f64::from(v)))
            }
            (Self::Numbers(to), ColumnReader::DoubleColumnReader(from)) => each(from, to, Ok),
            (Self::Texts { words, ids, known }, ColumnReader::ByteArrayColumnReader(from)) => {
                each(from, ids, |v: ByteArray| word(words, known, v.data()))
            }
            _ => Err(ParquetError::General("a page of another type than its column".to_owned())),
        }
    }

    fn finish(self) -> Column {
        match self {
            Self::Integers(values) => Column::Integers(values),
            Self::Numbers(values) => Column::Numbers(values),
            Self::Texts { words, ids, .. } => Column::Texts(Texts { words, ids }),
        }
    }
}

/// The index of a word, which is added if it is new.
fn word(
    words: &mut Vec<String>,
    known: &mut BTreeMap<Vec<u8>, u32>,
    utf8: &[u8],
) -> Result<u32, ParquetError> {
    if let Some(&id) = known.get(utf8) {
        return Ok(id);
    }
    let text = std::str::from_utf8(utf8)
        .map_err(|_| ParquetError::General("a text that is not UTF-8".to_owned()))?;
    let id = words.len() as u32;
    words.push(text.to_owned());
    known.insert(utf8.to_vec(), id);
    Ok(id)
}

/// Appends every value of a column chunk, in order, absent ones as `None`.
fn each<T: DataType, U>(
    mut pages: ColumnReaderImpl<T>,
    to: &mut Vec<Option<U>>,
    mut convert: impl FnMut(T::T) -> Result<U, ParquetError>,
) -> Result<(), ParquetError> {
    let (mut values, mut present) = (Vec::new(), Vec::new());
    loop {
        values.clear();
        present.clear();
        let (records, ..) = pages.read_records(BATCH, Some(&mut present), None, &mut values)?;
        if records == 0 {
            return Ok(());
        }
        let mut values = values.drain(..);
        if present.is_empty() {
            // A required column has no definition levels: every value is there.
            for value in values {
                to.push(Some(convert(value)?));
            }
            continue;
        }
        for &level in &present {
            let value = if level > 0 { values.next() } else { None };
            to.push(value.map(&mut convert).transpose()?);
        }
    }
}

fn of_parquet(name: &str, error: &ParquetError) -> TableError {
    corrupt(name, error.to_string().lines().next().unwrap_or_default())
}

fn corrupt(name: &str, what: &str) -> TableError {
    whole(name, format!("is corrupt or cut short: {what}"), "copy or download the file again")
}

fn whole(name: &str, found: String, help: &str) -> TableError {
    TableError { table: name.to_owned(), column: None, found, help: help.to_owned() }
}

fn in_column(name: &str, column: &str, found: &str, help: &str) -> TableError {
    TableError { column: Some(column.to_owned()), ..whole(name, found.to_owned(), help) }
}
