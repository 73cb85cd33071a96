//! Traffic from CSV text: transfers one a line, or a matrix of counts.

use super::{Traffic, Transfer};
use crate::base::units::Bytes;

/// A line that is no transfer: its number from 1, what was found, and how to fix it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// The line, from 1.
    pub line: usize,
    /// What was found.
    pub found: String,
    /// How to fix it.
    pub help: String,
}

impl BadLine {
    fn at(line: usize, found: impl Into<String>, help: impl Into<String>) -> Self {
        Self { line, found: found.into(), help: help.into() }
    }
}

/// The header of a file of transfers.
pub const HEADER: &str = "source,destination,bytes,start_s";
/// The latest start and the most bytes that are plausible.
const LATEST_START_S: f64 = 1e6;
const MOST_BYTES: u64 = 1 << 50;

/// Reads transfers with the columns of [`HEADER`]; GPUs are numbered from 0 to `gpus − 1`.
///
/// # Errors
/// If a line is no transfer.
pub fn read_transfers(text: &str, gpus: u32) -> Result<Traffic, BadLine> {
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let header = lines.next().map(|(_, line)| line.trim().trim_start_matches('\u{feff}'));
    if header != Some(HEADER) {
        return Err(BadLine::at(
            1,
            format!("the header is `{}`", header.unwrap_or_default()),
            format!("begin the file with `{HEADER}`"),
        ));
    }
    let mut traffic = Traffic::default();
    for (number, line) in lines {
        traffic.push(transfer(number, line, gpus)?);
    }
    if traffic.is_empty() {
        return Err(BadLine::at(
            1,
            "there is no flow below the header",
            format!("give a line for each flow: {HEADER}, such as 0,8,1000000,0"),
        ));
    }
    Ok(traffic)
}

fn transfer(number: usize, line: &str, gpus: u32) -> Result<Transfer, BadLine> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let [source, destination, bytes, start] = fields[..] else {
        return Err(BadLine::at(
            number,
            format!("{} columns", fields.len()),
            format!("give the four columns {HEADER}"),
        ));
    };
    let gpu = |name: &str, text: &str| {
        text.parse::<u32>().ok().filter(|&gpu| gpu < gpus).ok_or_else(|| {
            BadLine::at(
                number,
                format!("{name} `{text}` is no GPU of this cluster"),
                format!("number GPUs from 0 to {}", gpus - 1),
            )
        })
    };
    let (source, destination) = (gpu("source", source)?, gpu("destination", destination)?);
    let size = bytes.parse::<u64>().ok().filter(|&bytes| bytes <= MOST_BYTES);
    let size = size.ok_or_else(|| {
        BadLine::at(
            number,
            format!("bytes `{bytes}`"),
            format!("give a whole number from 0 to {MOST_BYTES}"),
        )
    })?;
    let begin = start.parse::<f64>().ok().filter(|start| (0.0..=LATEST_START_S).contains(start));
    let start_s = begin.ok_or_else(|| {
        BadLine::at(
            number,
            format!("start_s `{start}`"),
            format!("give seconds from 0 to {LATEST_START_S}"),
        )
    })?;
    Ok(Transfer { source, destination, bytes: Bytes(size), start_s })
}

/// Reads a square matrix of counts, a line for each source, each count worth `unit` bytes.
///
/// # Errors
/// If a line has another number of counts than there are lines, or a count is none.
pub fn read_matrix(text: &str, unit: Bytes, gpus: u32) -> Result<Traffic, BadLine> {
    let lines: Vec<(usize, &str)> =
        (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()).collect();
    let ranks = lines.len();
    if ranks == 0 {
        return Err(BadLine::at(1, "there is no row", "give a row and a column for each GPU"));
    }
    if ranks > gpus as usize {
        return Err(BadLine::at(
            1,
            format!("{ranks} rows for a cluster of {gpus} GPUs"),
            "give a row and a column for each GPU",
        ));
    }
    let mut traffic = Traffic::default();
    for (source, &(number, line)) in (0..).zip(&lines) {
        let counts: Vec<&str> = line.split(',').map(str::trim).collect();
        if counts.len() != ranks {
            return Err(BadLine::at(
                number,
                format!("{} counts in a matrix of {ranks} rows", counts.len()),
                "give as many counts in every row as there are rows",
            ));
        }
        for (destination, count) in (0..).zip(counts) {
            let bytes = count.parse::<u64>().ok().and_then(|count| count.checked_mul(unit.0));
            let Some(bytes) = bytes.filter(|&bytes| bytes <= MOST_BYTES) else {
                return Err(BadLine::at(
                    number,
                    format!("count `{count}`"),
                    format!("give whole numbers, {MOST_BYTES} bytes at most for a pair"),
                ));
            };
            if bytes > 0 && source != destination {
                traffic.push(Transfer { source, destination, bytes: Bytes(bytes), start_s: 0.0 });
            }
        }
    }
    Ok(traffic)
}
