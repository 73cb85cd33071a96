//! A session of measuring: probes one after another, each kept as soon as it is done.
//!
//! Points of a probe are asked in an order drawn from the seed, so that drift of the clock does not
//! look like an effect of size. A probe's samples are written, under a temporary name and renamed,
//! when its last point is done; a session that finds the file does not ask again. Time is shared out
//! by the probes' weights; what one leaves over goes to those after it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use super::backend::{DeviceError, DeviceFacts, Prepared};
use super::bench::Bench;
use super::numbers::Format;
use super::probe::{Point, Probe, Set, verify};
use super::samples::{self, Sample};
use super::telemetry::Telemetry;
use super::timing;

mod notes;
pub use notes::{DEVICE_FILE, Identity, recorded};

/// Most sets that are rotated over.
const MOST_SETS: usize = 24;
/// The same where kernels run on the CPU, which keeps what it can and takes long to fill sets.
const MOST_SETS_IN_SOFTWARE: usize = 3;
/// The shortest time that a point is given.
const LEAST_POINT: Duration = Duration::from_millis(20);

/// What to measure, and where to keep it.
pub struct Session {
    /// The folder that samples are kept in.
    pub out: PathBuf,
    /// The format of tokens and weights.
    pub format: Format,
    /// How long to measure, all in all.
    pub budget: Duration,
    /// Inputs and the order of points.
    pub seed: u64,
    /// What can be read of the device's state.
    pub telemetry: Telemetry,
}

/// What came of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Probes measured now.
    pub measured: usize,
    /// Probes found finished.
    pub found: usize,
    /// Kernels refused, points left out, and doubts.
    pub warnings: Vec<String>,
    /// Kernels refused among them.
    pub refused: usize,
}

/// Told how a session goes on.
pub trait Progress {
    /// A probe begins.
    fn begins(&mut self, probe: &str, question: &str, points: usize);
    /// A point is done; `share` of the whole session is.
    fn point(&mut self, share: f64);
}

/// Told nothing.
pub struct Silent;

impl Progress for Silent {
    fn begins(&mut self, _: &str, _: &str, _: usize) {}
    fn point(&mut self, _: f64) {}
}

/// Why a session ended early.
#[derive(Debug)]
pub enum Stopped {
    /// The device did not go on.
    Device(DeviceError),
    /// A file could not be written or does not fit.
    File(String),
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Device(error) => write!(f, "{error}"),
            Self::File(what) => write!(f, "{what}"),
        }
    }
}

impl Session {
    /// Measures every probe that has no file yet.
    ///
    /// # Errors
    /// If the device is lost or a file cannot be written. What was finished before is kept.
    pub fn run(
        &self,
        bench: &mut Bench<'_>,
        probes: &[Box<dyn Probe>],
        progress: &mut dyn Progress,
    ) -> Result<Report, Stopped> {
        let identity = Identity::of(bench.device.facts(), self.format);
        identity.claim(&self.out).map_err(Stopped::File)?;
        let mut report = Report::default();
        let start = Instant::now();
        let (found, left): (Vec<_>, Vec<_>) =
            probes.iter().partition(|probe| self.file_of(probe.as_ref()).exists());
        report.found = found.len();
        let mut weight: f64 = left.iter().map(|probe| probe.weight()).sum();
        let total = weight.max(f64::MIN_POSITIVE);
        for probe in left {
            let remaining = self.budget.saturating_sub(start.elapsed());
            let limit = remaining.mul_f64((probe.weight() / weight).clamp(0.0, 1.0));
            let shares = (1.0 - weight / total, probe.weight() / total);
            let samples =
                self.probe(probe.as_ref(), bench, limit, shares, progress, &mut report)?;
            weight -= probe.weight();
            if !samples.is_empty() {
                let file = self.file_of(probe.as_ref());
                samples::table(&samples)
                    .write(&file)
                    .map_err(|error| Stopped::File(error.to_string()))?;
            }
            report.measured += 1;
        }
        notes::warn(&self.out, &report.warnings).map_err(Stopped::File)?;
        Ok(report)
    }

    fn file_of(&self, probe: &dyn Probe) -> PathBuf {
        self.out.join(format!("{}.parquet", probe.name()))
    }

    fn probe(
        &self,
        probe: &dyn Probe,
        bench: &mut Bench<'_>,
        limit: Duration,
        (before, share): (f64, f64),
        progress: &mut dyn Progress,
        report: &mut Report,
    ) -> Result<Vec<Sample>, Stopped> {
        let mut points = probe.points();
        let mut order =
            ChaCha8Rng::seed_from_u64(self.seed ^ moesim::streams::fnv1a(probe.name().as_bytes()));
        points.shuffle(&mut order);
        progress.begins(&probe.name(), probe.question(), points.len());
        let start = Instant::now();
        let (mut samples, mut left_out) = (Vec::new(), Vec::new());
        for (done, point) in points.iter().enumerate() {
            let left = (points.len() - done) as u32;
            let time = (limit.saturating_sub(start.elapsed()) / left).max(LEAST_POINT);
            let seed = (self.seed as u32).wrapping_mul(7919).wrapping_add(done as u32 * 131 + 17);
            let outcome = self.point(probe, point, seed, bench, time);
            bench.clear();
            match outcome {
                Ok(Ok(sample)) => samples.push(sample),
                Ok(Err(refusal)) => {
                    report.refused += 1;
                    let place = describe(point);
                    report.warnings.push(format!("{}{place}: refused: {refusal}", probe.name()));
                }
                Err(lost @ DeviceError::Lost(_)) => return Err(Stopped::Device(lost)),
                Err(error) => left_out.push((point.clone(), error)),
            }
            progress.point(before + share * (done + 1) as f64 / points.len() as f64);
        }
        doubts(&probe.name(), &samples, &left_out, &mut report.warnings);
        Ok(samples)
    }

    /// Builds the sets of a point, checks the first, and times all in rotation.
    fn point(
        &self,
        probe: &dyn Probe,
        point: &Point,
        seed: u32,
        bench: &mut Bench<'_>,
        limit: Duration,
    ) -> Result<Result<Sample, super::probe::Refusal>, DeviceError> {
        let start = Instant::now();
        let set = probe.set(point, seed, bench)?;
        let bytes = bench.allocated().max(1);
        let mut prepared = vec![checked(&set, bench)?];
        let error = match verify(&set, bench)? {
            Ok(error) => error,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if probe.rotates() {
            let facts = bench.device.facts();
            let most = if facts.software { MOST_SETS_IN_SOFTWARE } else { MOST_SETS };
            let wanted = (2 * facts.cache).div_ceil(bytes) as usize;
            for i in 1..wanted.min(most) as u32 {
                // A set that finds no room or time any more leaves those there are.
                if start.elapsed() > limit / 2 {
                    break;
                }
                let Ok(more) = probe.set(point, seed.wrapping_add(i * 7), bench) else { break };
                prepared.push(bench.device.prepare(&more.steps)?);
            }
        }
        let limit = limit.saturating_sub(start.elapsed());
        let timing = timing::time(bench.device, &prepared, probe.by_host(), limit)?;
        let reading = self.telemetry.read();
        let mut point = point.clone();
        point.slots = set.slots;
        Ok(Ok(Sample {
            probe: probe.name(),
            point,
            format: bench.format,
            timing,
            error,
            rotated_bytes: bytes * prepared.len() as u64,
            mhz: reading.mhz,
            celsius: reading.celsius,
            watts: reading.watts,
        }))
    }
}

/// Runs a set once, over its poisoned outputs.
fn checked(set: &Set, bench: &mut Bench<'_>) -> Result<Prepared, DeviceError> {
    let prepared = bench.device.prepare(&set.steps)?;
    bench.device.time(&[prepared])?;
    Ok(prepared)
}

/// What a point is, in words, for messages.
fn describe(point: &Point) -> String {
    let mut out = String::new();
    if !point.part.is_empty() {
        let _ = write!(out, " {}", point.part);
    }
    for (name, value) in [
        ("m", point.m),
        ("n", point.n),
        ("k", point.k),
        ("tokens", point.tokens),
        ("bytes", point.bytes),
    ] {
        if let Some(value) = value {
            let _ = write!(out, " {name}={value}");
        }
    }
    out
}

/// Warnings that advise: what was left out, and medians that are not known well.
fn doubts(
    name: &str,
    samples: &[Sample],
    left_out: &[(Point, DeviceError)],
    warnings: &mut Vec<String>,
) {
    if let Some((point, error)) = left_out.first() {
        let (count, place) = (left_out.len(), describe(point));
        warnings.push(format!("{name}: {count} points left out, the first{place}: {error}"));
    }
    let loose = samples.iter().filter(|s| s.timing.half_width > 0.05).count();
    if loose * 4 > samples.len() {
        let all = samples.len();
        warnings.push(format!(
            "{name}: {loose} of {all} medians are known to no better than 5 %; give more time \
             (--minutes), and stop what else runs on this machine"
        ));
    }
    let outliers: usize = samples.iter().map(|s| s.timing.outliers).sum();
    let taken: usize = samples.iter().map(|s| s.timing.samples).sum();
    if outliers * 5 > taken {
        warnings.push(format!(
            "{name}: {outliers} of {taken} samples are outliers: something else uses the device, or \
             its clock moves; the medians leave them out"
        ));
    }
}

/// Writes a text whole or not at all.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<(), String> {
    moesim::whole::write(path, text).map_err(|e| {
        format!(
            "{}: cannot be written: {e}\n  help: name a folder that you may write to, with --out",
            path.display()
        )
    })
}

/// What the device is, for those who read samples later.
#[must_use]
pub fn described(facts: &DeviceFacts) -> String {
    format!("{} ({}, {}; {} clock)", facts.name, facts.backend, facts.driver, facts.clock.name())
}
