//! Results over seeds: a line for each point and workload.

use std::collections::BTreeMap;

use super::results::Results;
use super::row::Cell;
use crate::base::statistics::Estimate;

/// One group of rows that differ in their seed alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The values of the columns grouped by, in the order given.
    pub by: Vec<Cell>,
    /// The estimate of each quantity asked for; none where no row has it.
    pub values: Vec<Option<Estimate>>,
}

/// Groups rows by columns, in order of first appearance, and estimates quantities over each group.
/// Names that are no column group or estimate nothing.
#[must_use]
pub fn summarise(results: &Results, by: &[&str], quantities: &[&str]) -> Vec<Line> {
    let place = |name: &&str| results.column(name);
    let keys: Vec<Option<usize>> = by.iter().map(place).collect();
    let columns: Vec<Option<usize>> = quantities.iter().map(place).collect();
    let mut order: BTreeMap<String, usize> = BTreeMap::new();
    let mut groups: Vec<(Vec<Cell>, Vec<Vec<f64>>)> = Vec::new();
    for row in &results.rows {
        let cells: Vec<Cell> =
            keys.iter().map(|key| key.map_or(Cell::Absent(()), |at| row[at].clone())).collect();
        let name = cells.iter().map(Cell::text).collect::<Vec<_>>().join("\u{1f}");
        let at = *order.entry(name).or_insert_with(|| {
            groups.push((cells, vec![Vec::new(); columns.len()]));
            groups.len() - 1
        });
        for (values, column) in groups[at].1.iter_mut().zip(&columns) {
            values.extend(column.and_then(|column| row[column].number()));
        }
    }
    let estimate = |values: Vec<f64>| (!values.is_empty()).then(|| Estimate::of(&values));
    let line = |(by, values): (Vec<Cell>, Vec<Vec<f64>>)| Line {
        by,
        values: values.into_iter().map(estimate).collect(),
    };
    groups.into_iter().map(line).collect()
}
