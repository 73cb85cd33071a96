//! Tables as Arrow, by the C stream interface: readers take the columns as they lie in memory.

use std::sync::Arc;

use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, RecordBatchIterator, RecordBatchOptions,
    StringArray,
};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use moesim::base::table::Column;
use moesim::config::Diagnostic;
use moesim::studies::sweep::{Cell, Results};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use serde_json::Value;

use crate::errors::error;

/// A table: columns of whole numbers, numbers or texts, any of them absent.
#[pyclass(frozen)]
pub struct Table {
    batch: RecordBatch,
}

impl Table {
    /// Of results, each column in the narrowest type that holds its cells.
    pub fn of(results: &Results) -> Result<Self, Diagnostic> {
        let table = results.table();
        let (mut fields, mut arrays) = (Vec::new(), Vec::<ArrayRef>::new());
        for ((name, column), (_, holds)) in table.columns().iter().zip(&results.columns) {
            let (kind, array): (DataType, ArrayRef) = match column {
                Column::Integers(values) => {
                    (DataType::Int64, Arc::new(Int64Array::from(values.clone())))
                }
                Column::Numbers(values) => {
                    (DataType::Float64, Arc::new(Float64Array::from(values.clone())))
                }
                Column::Texts(texts) => {
                    let word = |id: &u32| texts.words[*id as usize].as_str();
                    let words = texts.ids.iter().map(|id| id.as_ref().map(word));
                    (DataType::Utf8, Arc::new(words.collect::<StringArray>()))
                }
            };
            let described = [("description", holds.as_str())];
            fields.push(Field::new(name, kind, true).with_metadata(described));
            arrays.push(array);
        }
        let schema = Arc::new(Schema::new(fields));
        // A table without columns has rows, too.
        let rows = RecordBatchOptions::new().with_row_count(Some(results.rows.len()));
        let batch = RecordBatch::try_new_with_options(schema, arrays, &rows);
        Ok(Self { batch: batch.map_err(|error| defect(&error))? })
    }
}

fn defect(error: &ArrowError) -> Diagnostic {
    Diagnostic::of("", error.to_string(), "this is a defect: please report it")
}

#[pymethods]
impl Table {
    /// The table by the Arrow C stream interface; its columns are not copied.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // One layout is offered, as the interface allows.
        let _ = requested_schema;
        let rows = RecordBatchIterator::new([Ok(self.batch.clone())], self.batch.schema());
        let stream = FFI_ArrowArrayStream::new(Box::new(rows));
        PyCapsule::new_with_value(py, stream, c"arrow_array_stream")
    }

    /// The names of the columns.
    #[getter]
    fn columns(&self) -> Vec<String> {
        self.batch.schema().fields().iter().map(|field| field.name().clone()).collect()
    }

    /// How many rows there are.
    fn __len__(&self) -> usize {
        self.batch.num_rows()
    }
}

/// Rows, as a JSON list of objects, as a table; inner objects become columns `outer.inner`.
#[pyfunction]
pub fn table_of_rows(json: &str) -> PyResult<Table> {
    let rows: Vec<Value> = serde_json::from_str(json)
        .map_err(|mistake| error(&Diagnostic::of("", mistake.to_string(), "")))?;
    let flat: Vec<Vec<(String, Cell)>> = rows.iter().map(flattened).collect();
    let mut columns: Vec<(String, String)> = Vec::new();
    for (name, _) in flat.iter().flatten() {
        if !columns.iter().any(|(known, _)| known == name) {
            columns.push((name.clone(), String::new()));
        }
    }
    let cell = |row: &Vec<(String, Cell)>, name: &String| {
        let found = row.iter().find(|(own, _)| own == name);
        found.map_or(Cell::Absent(()), |(_, cell)| cell.clone())
    };
    let row = |row| columns.iter().map(|(name, _)| cell(row, name)).collect();
    let rows = flat.iter().map(row).collect();
    Table::of(&Results { columns, rows }).map_err(|mistake| error(&mistake))
}

fn flattened(row: &Value) -> Vec<(String, Cell)> {
    let mut cells = Vec::new();
    flatten(String::new(), row, &mut cells);
    cells
}

fn flatten(name: String, value: &Value, cells: &mut Vec<(String, Cell)>) {
    let cell = match value {
        Value::Object(inner) => {
            for (key, value) in inner {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flatten(name, value, cells);
            }
            return;
        }
        Value::Null => Cell::Absent(()),
        Value::Bool(truth) => Cell::Integer((*truth).into()),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Cell::Integer(whole),
            None => number.as_f64().map_or(Cell::Absent(()), Cell::from),
        },
        Value::String(text) => Cell::Text(text.clone()),
        Value::Array(_) => Cell::Text(value.to_string()),
    };
    cells.push((name, cell));
}
