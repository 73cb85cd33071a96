//! Samples: what a point took, and all that is needed to judge it; kept as Parquet.

use std::collections::BTreeMap;
use std::path::Path;

use moesim::base::table::{Column, Table, TableError, Texts};

use crate::measure::backend::Clock;
use crate::measure::numbers::Format;
use crate::measure::probe::Point;
use crate::measure::timing::Timing;

/// One timed point.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The probe.
    pub probe: String,
    /// Where it was asked.
    pub point: Point,
    /// How numbers were stored.
    pub format: Format,
    /// What it took.
    pub timing: Timing,
    /// Largest relative L2 error against the twins.
    pub error: f64,
    /// Bytes of all sets that were rotated over.
    pub rotated_bytes: u64,
    /// Clock of the cores just after, in MHz, where it can be read.
    pub mhz: Option<f64>,
    /// Temperature just after, in °C.
    pub celsius: Option<f64>,
    /// Power just after, in W.
    pub watts: Option<f64>,
}

type Whole = fn(&mut Point) -> &mut Option<u64>;

/// Columns of whole numbers that identify a point.
const WHOLES: [(&str, Whole); 12] = [
    ("m", |p| &mut p.m),
    ("n", |p| &mut p.n),
    ("k", |p| &mut p.k),
    ("hidden", |p| &mut p.hidden),
    ("inter", |p| &mut p.inter),
    ("experts", |p| &mut p.experts),
    ("all_experts", |p| &mut p.all_experts),
    ("top_k", |p| &mut p.top_k),
    ("tokens", |p| &mut p.tokens),
    ("bytes", |p| &mut p.bytes),
    ("sms", |p| &mut p.sms),
    ("gpus", |p| &mut p.gpus),
];

type Real = fn(&Sample) -> Option<f64>;

/// Columns of numbers that are written; times in microseconds.
const REALS: [(&str, Real); 10] = [
    ("latency_us", |s| Some(s.timing.median * 1e6)),
    ("least_us", |s| Some(s.timing.least * 1e6)),
    ("p05_us", |s| Some(s.timing.p05 * 1e6)),
    ("p95_us", |s| Some(s.timing.p95 * 1e6)),
    ("half_width", |s| Some(s.timing.half_width).filter(|w| w.is_finite())),
    ("error", |s| Some(s.error)),
    ("tau", |s| s.point.tau),
    ("mhz", |s| s.mhz),
    ("celsius", |s| s.celsius),
    ("watts", |s| s.watts),
];

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> Column {
    let mut found = Texts::default();
    let mut known: BTreeMap<&str, u32> = BTreeMap::new();
    for value in values {
        let next = known.len() as u32;
        let id = *known.entry(value).or_insert_with(|| {
            found.words.push(value.to_owned());
            next
        });
        found.ids.push(Some(id));
    }
    Column::Texts(found)
}

/// The samples as a table.
#[must_use]
pub fn table(samples: &[Sample]) -> Table {
    let lists: Vec<String> = samples.iter().map(|s| join(&s.point.slots)).collect();
    let mut table = Table::new("samples")
        .with("probe", texts(samples.iter().map(|s| s.probe.as_str())))
        .with("part", texts(samples.iter().map(|s| s.point.part.as_str())))
        .with("shape", texts(samples.iter().map(|s| s.point.shape.as_str())))
        .with("dtype", texts(samples.iter().map(|s| s.format.name())))
        .with("distribution", texts(samples.iter().map(|s| s.point.distribution.as_str())))
        .with("slots", texts(lists.iter().map(String::as_str)))
        .with("clock", texts(samples.iter().map(|s| s.timing.clock.name())));
    for (name, of) in WHOLES {
        let cell = |s: &Sample| of(&mut s.point.clone()).map(|v| v as i64);
        table = table.with(name, Column::Integers(samples.iter().map(cell).collect()));
    }
    let whole = |of: fn(&Sample) -> u64| {
        Column::Integers(samples.iter().map(|s| Some(of(s) as i64)).collect())
    };
    table = table
        .with("samples", whole(|s| s.timing.samples as u64))
        .with("batch", whole(|s| s.timing.batch as u64))
        .with("outliers", whole(|s| s.timing.outliers as u64))
        .with("rotated_bytes", whole(|s| s.rotated_bytes));
    for (name, of) in REALS {
        table = table.with(name, Column::Numbers(samples.iter().map(of).collect()));
    }
    table
}

fn join(slots: &[u32]) -> String {
    slots.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
}

/// The samples of a table written by [`table`].
///
/// # Errors
/// If a column is missing, or a row is not a sample.
pub fn read(path: &Path) -> Result<Vec<Sample>, TableError> {
    of(&Table::read(path)?, path)
}

fn of(table: &Table, path: &Path) -> Result<Vec<Sample>, TableError> {
    let text = |name: &str| table.texts(name);
    let (probes, parts, shapes) = (text("probe")?, text("part")?, text("shape")?);
    let (formats, laws) = (text("dtype")?, text("distribution")?);
    let (slots, clocks) = (text("slots")?, text("clock")?);
    let wholes: Vec<&[Option<i64>]> =
        WHOLES.iter().map(|(name, _)| table.integers(name)).collect::<Result<_, _>>()?;
    let real = |name: &str| table.numbers(name);
    let (median, least) = (real("latency_us")?, real("least_us")?);
    let (p05, p95, half) = (real("p05_us")?, real("p95_us")?, real("half_width")?);
    let (error, tau) = (real("error")?, real("tau")?);
    let (mhz, celsius, watts) = (real("mhz")?, real("celsius")?, real("watts")?);
    let counts = |name: &str| table.integers(name);
    let (taken, batch) = (counts("samples")?, counts("batch")?);
    let (outliers, rotated) = (counts("outliers")?, counts("rotated_bytes")?);
    let wrong = |row: usize, column: &str| TableError {
        table: path.display().to_string(),
        column: Some(column.to_owned()),
        found: format!("row {row} is not that of a sample"),
        help: "measure again; these files are not made by hand".to_owned(),
    };
    let mut found = Vec::with_capacity(table.rows());
    for row in 0..table.rows() {
        let word = |column: &[Option<&str>]| column[row].unwrap_or_default().to_owned();
        let seconds = |column: &[Option<f64>], name: &str| {
            let us = column[row].filter(|us| *us > 0.0 && *us < 1e12);
            us.map(|us| us * 1e-6).ok_or_else(|| wrong(row, name))
        };
        let count = |column: &[Option<i64>]| {
            column[row].and_then(|v| u64::try_from(v).ok()).unwrap_or_default()
        };
        let mut point = Point {
            part: word(&parts),
            shape: word(&shapes),
            tau: tau[row],
            distribution: word(&laws),
            slots: numbers(&word(&slots)).ok_or_else(|| wrong(row, "slots"))?,
            ..Point::default()
        };
        for ((_, of), column) in WHOLES.iter().zip(&wholes) {
            *of(&mut point) = column[row].and_then(|v| u64::try_from(v).ok());
        }
        let clock = match clocks[row] {
            Some("device") => Clock::Device,
            Some("host") => Clock::Host,
            _ => return Err(wrong(row, "clock")),
        };
        found.push(Sample {
            probe: word(&probes),
            point,
            format: formats[row].and_then(Format::named).ok_or_else(|| wrong(row, "dtype"))?,
            timing: Timing {
                clock,
                median: seconds(&median, "latency_us")?,
                least: seconds(&least, "least_us")?,
                p05: seconds(&p05, "p05_us")?,
                p95: seconds(&p95, "p95_us")?,
                half_width: half[row].unwrap_or(f64::INFINITY),
                samples: count(taken) as usize,
                batch: count(batch) as usize,
                outliers: count(outliers) as usize,
            },
            error: error[row].unwrap_or(f64::NAN),
            rotated_bytes: count(rotated),
            mhz: mhz[row],
            celsius: celsius[row],
            watts: watts[row],
        });
    }
    Ok(found)
}

fn numbers(list: &str) -> Option<Vec<u32>> {
    list.split_whitespace().map(|word| word.parse().ok()).collect()
}

/// All samples of a folder, files in order of their names.
///
/// # Errors
/// If the folder or a file cannot be read, or it holds none.
pub fn read_folder(folder: &Path) -> Result<Vec<Sample>, TableError> {
    let trouble = |found: String| TableError {
        table: folder.display().to_string(),
        column: None,
        found,
        help: "name a folder that `calibrate measure --out` wrote".to_owned(),
    };
    let entries = std::fs::read_dir(folder).map_err(|e| trouble(format!("cannot be read: {e}")))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "parquet"));
    paths.sort();
    let mut found = Vec::new();
    for path in &paths {
        let table = Table::read(path)?;
        // A profile that was fitted to these samples may lie beside them, with its residuals.
        if !table.has("residual") || table.has("probe") {
            found.extend(of(&table, path)?);
        }
    }
    if found.is_empty() { Err(trouble("holds no samples".to_owned())) } else { Ok(found) }
}

/// The samples as they are fitted and compared. Where kernels run on the CPU, other programs run there too, and only ever
/// add to a time, to long ones sooner than to short ones, so that medians of parts do not add up to that of their
/// whole. The 5th percentile, of what nothing else was added to, stands in their place.
#[must_use]
pub fn undisturbed(mut samples: Vec<Sample>, software: bool) -> Vec<Sample> {
    if software {
        samples.iter_mut().for_each(|sample| sample.timing.median = sample.timing.p05);
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_back_as_they_were_written() {
        let timing = crate::measure::timing::summary(vec![1e-3, 2e-3, 1.5e-3], Clock::Device, 4);
        let point = Point {
            part: "moepp".to_owned(),
            shape: "tiny".to_owned(),
            tokens: Some(256),
            tau: Some(0.75),
            slots: vec![3, 0, 7],
            ..Point::default()
        };
        let sample = Sample {
            probe: "layer".to_owned(),
            point,
            format: Format::Bf16,
            timing,
            error: 0.001,
            rotated_bytes: 12,
            mhz: Some(1980.0),
            celsius: None,
            watts: None,
        };
        let folder = std::env::temp_dir().join(format!("calibrate-samples-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        table(std::slice::from_ref(&sample)).write(&folder.join("layer.parquet")).unwrap();
        let found = read_folder(&folder).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let mut found = found.into_iter();
        let back = found.next().unwrap();
        assert_eq!(
            (back.probe, back.point, back.format),
            (sample.probe, sample.point, sample.format)
        );
        assert!((back.timing.median / sample.timing.median - 1.0).abs() < 1e-12);
        assert_eq!((back.timing.batch, back.mhz, back.celsius), (4, Some(1980.0), None));
        assert!(found.next().is_none());
    }

    #[test]
    fn of_a_device_that_others_use_too_the_least_disturbed_runs_count() {
        let sample = Sample {
            probe: "layer".to_owned(),
            point: Point::default(),
            format: Format::F32,
            timing: crate::measure::timing::summary(vec![1e-3, 2e-3, 1.5e-3], Clock::Host, 4),
            error: 0.0,
            rotated_bytes: 0,
            mhz: None,
            celsius: None,
            watts: None,
        };
        let seconds = |software| undisturbed(vec![sample.clone()], software)[0].timing.median;
        assert!((seconds(false) - 1.5e-3).abs() < 1e-12);
        assert!((seconds(true) - 1e-3).abs() < 1e-12);
    }
}
