//! What the bytes of a journal hold, line by line.

use super::{Finished, Head, Record, Shape, line};

/// Whole records, and what is damaged.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Records whose checksums fit.
    pub(super) records: Finished,
    /// Lines that are no records of this sweep, from 1, and what they are.
    pub(super) damaged: Vec<(usize, String)>,
    /// Whether it is another sweep's journal.
    pub(super) foreign: bool,
    /// Bytes of whole lines; a torn one may follow.
    pub(super) whole: u64,
}

impl Held {
    pub(super) fn of(bytes: &[u8], shape: &Shape) -> Self {
        let mut held = Self::default();
        let lines = bytes.split_inclusive(|&byte| byte == b'\n');
        for (at, line) in lines.enumerate() {
            let Some(line) = line.strip_suffix(b"\n") else { break };
            held.whole += line.len() as u64 + 1;
            if at == 0 {
                held.head(line, shape);
                continue;
            }
            if let Err(what) = held.record(line, shape) {
                held.damaged.push((at + 1, what));
            }
        }
        if held.whole == 0 {
            held.damaged.push((1, "does not say whose rows these are".to_owned()));
        }
        held
    }

    fn head(&mut self, line: &[u8], shape: &Shape) {
        match line::opened::<Head>(0, line) {
            Some(head) => self.foreign = head != Head::of(shape),
            // Without a checksum: written by an earlier moesim.
            None if serde_json::from_slice::<Head>(line).is_ok_and(|h| h.moesim_sweep == 1) => {
                self.foreign = true;
            }
            None => self.damaged.push((1, "does not say whose rows these are".to_owned())),
        }
    }

    fn record(&mut self, line: &[u8], shape: &Shape) -> Result<(), String> {
        let Some(record) = line::opened::<Record>(shape.fingerprint, line) else {
            return Err("is not a record of a task: its checksum does not fit".to_owned());
        };
        shape.check(&record)?;
        let Record { task, rows } = record;
        match self.records.get(&task) {
            Some(known) if *known != rows => {
                // Which of the two is right cannot be known.
                self.records.remove(&task);
                Err(format!("has other rows of task {task} than a line before it"))
            }
            _ => {
                self.records.insert(task, rows);
                Ok(())
            }
        }
    }
}

impl Shape {
    /// Refuses a record that no task of this sweep can have made.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, record: &Record) -> Result<(), String> {
        let Record { task, rows } = record;
        if *task >= self.tasks {
            return Err(format!("is of task {task}; the sweep has tasks 0 to {}", self.tasks - 1));
        }
        let case = task / self.seeds.max(1) % self.rows.len().max(1);
        let wanted = self.rows.get(case).copied().flatten();
        if wanted.map_or(rows.is_empty(), |wanted| rows.len() != wanted) {
            return Err(format!(
                "has {} rows of task {task}, which has another number",
                rows.len()
            ));
        }
        match rows.iter().find(|row| row.len() != self.columns) {
            None => Ok(()),
            Some(row) => {
                let (cells, columns) = (row.len(), self.columns);
                Err(format!("has a row of {cells} cells; the sweep has {columns} columns"))
            }
        }
    }
}
