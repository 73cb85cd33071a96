//! From a [`Table`] to Parquet.

use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{Type, TypePtr};

use super::{Column, Table, TableError};

pub(super) fn file(table: &Table, path: &Path) -> Result<(), TableError> {
    crate::base::atomic_file::write(path, bytes(table, path)?).map_err(|e| unfit(path, &e))
}

/// The file's bytes; `path` is for messages.
pub(super) fn bytes(table: &Table, path: &Path) -> Result<Vec<u8>, TableError> {
    encode(table).map_err(|e| unfit(path, &e))
}

fn unfit(path: &Path, error: &dyn std::fmt::Display) -> TableError {
    TableError {
        table: path.display().to_string(),
        column: None,
        found: format!("cannot be written: {error}"),
        help: "check the folder, its permissions and the space left".to_owned(),
    }
}

fn encode(table: &Table) -> Result<Vec<u8>, ParquetError> {
    let note = |(key, value): &(String, String)| KeyValue::new(key.clone(), value.clone());
    let notes: Vec<KeyValue> = table.notes.iter().map(note).collect();
    let compression = Compression::ZSTD(ZstdLevel::try_new(9)?);
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_key_value_metadata((!notes.is_empty()).then_some(notes))
        .build();
    let mut writer =
        SerializedFileWriter::new(Vec::new(), schema_of(table)?, Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for (_, column) in table.columns() {
        if let Some(to) = group.next_column()? {
            write_column(to, column)?;
        }
    }
    group.close()?;
    writer.into_inner()
}

fn schema_of(table: &Table) -> Result<TypePtr, ParquetError> {
    let field = |(name, column): &(String, Column)| {
        let (physical, logical) = match column {
            Column::Integers(_) => (Physical::INT64, None),
            Column::Numbers(_) => (Physical::DOUBLE, None),
            Column::Texts(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        };
        Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical)
            .build()
            .map(Arc::new)
    };
    let fields = table.columns().iter().map(field).collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(Type::group_type_builder("table").with_fields(fields).build()?))
}

fn write_column(to: SerializedColumnWriter<'_>, column: &Column) -> Result<(), ParquetError> {
    match column {
        Column::Integers(values) => write_values::<Int64Type>(to, values),
        Column::Numbers(values) => write_values::<DoubleType>(to, values),
        Column::Texts(texts) => {
            let word = |id: &Option<u32>| {
                id.map(|id| ByteArray::from(texts.words[id as usize].as_bytes().to_vec()))
            };
            let values: Vec<Option<ByteArray>> = texts.ids.iter().map(word).collect();
            write_values::<ByteArrayType>(to, &values)
        }
    }
}

fn write_values<T: DataType>(
    mut to: SerializedColumnWriter<'_>,
    values: &[Option<T::T>],
) -> Result<(), ParquetError> {
    let present: Vec<i16> = values.iter().map(|v| i16::from(v.is_some())).collect();
    let values: Vec<T::T> = values.iter().flatten().cloned().collect();
    to.typed::<T>().write_batch(&values, Some(&present), None)?;
    to.close()
}
