//! A session of measuring: what to ask, in what order, for how long, and what is kept of it.
//!
//! Points are asked in rounds, the coarse grid of every probe before anything finer, within a budget
//! that is a limit: a point that would not begin to be timed in what is left is not asked. Samples
//! are written as they come, under a temporary name and renamed; a session that finds some does not
//! ask for them again, so that one that was cut off, or short, goes on where it stopped.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use moesim::base::atomic_file::Together;

use super::backend::{DeviceError, DeviceFacts, Elapsed, Prepared};
use super::bench::Bench;
use super::numbers::Format;
use super::probe::{Point, Probe, Set, verify};
use super::telemetry::Telemetry;
use samples::Sample;

mod awake;
mod notes;
mod plan;
pub mod samples;
pub mod timing;
use awake::Awake;
pub use notes::{Coverage, DEVICE_FILE, Identity, commit, coverage, recorded};
use plan::{Asked, Plan, State};

/// Most sets that are rotated over.
const MOST_SETS: usize = 24;
/// The same where kernels run on the CPU, which keeps what it can and takes long to fill sets.
const MOST_SETS_IN_SOFTWARE: usize = 3;
/// The longest that a sample waits to be written.
const SAVE_EVERY: Duration = Duration::from_secs(2);

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
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Points measured now.
    pub measured: usize,
    /// Points that a session before this one measured.
    pub found: usize,
    /// Points that there was no time for.
    pub left: usize,
    /// Probes whose coarse grid there was no time for.
    pub without_coarse: Vec<String>,
    /// The largest error of any kernel against its twin, among points measured now and before.
    pub worst_error: f64,
    /// Kernels refused, points left out, and doubts.
    pub warnings: Vec<String>,
    /// Points without a timing because their kernels were refused.
    pub refused: usize,
    /// Points that the device could not do.
    pub unable: usize,
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
    /// Measures every point that has no sample yet, the coarse grid of all probes first, until the
    /// budget is spent.
    ///
    /// # Errors
    /// If the device is lost or a file cannot be written. What was measured before is kept.
    pub fn run(
        &self,
        bench: &mut Bench<'_>,
        probes: &[Box<dyn Probe>],
        progress: &mut dyn Progress,
    ) -> Result<Report, Stopped> {
        let identity = Identity::of(bench.device.facts(), self.format);
        identity.claim(&self.out).map_err(Stopped::File)?;
        let deadline = Instant::now() + self.budget;
        let mut plan = self.plan(probes)?;
        notes::plan(&self.out, &plan).map_err(Stopped::File)?;
        let mut warnings = Vec::new();
        let outcome = self.rounds(&mut plan, bench, deadline, progress, &mut warnings);
        // What was measured is kept, whatever stopped it.
        let kept = plan.asked.iter_mut().try_for_each(|asked| self.keep(asked));
        outcome?;
        kept?;
        plan.asked.iter().for_each(|asked| doubts(asked, &mut warnings));
        warnings.extend(bench.device.doubts());
        notes::warn(&self.out, &warnings).map_err(Stopped::File)?;
        Ok(Report {
            measured: plan.count(&State::Measured),
            found: plan.count(&State::Found),
            left: plan.count(&State::Left),
            without_coarse: plan.without_coarse(),
            refused: plan.count(&State::Refused),
            unable: plan.unable(),
            worst_error: plan.worst_error(),
            warnings,
        })
    }

    fn plan<'p>(&self, probes: &'p [Box<dyn Probe>]) -> Result<Plan<'p>, Stopped> {
        let asked = probes.iter().map(|probe| {
            let file = self.file_of(probe.as_ref());
            let found = if file.exists() { samples::read(&file) } else { Ok(Vec::new()) };
            found.map(|found| Asked::new(probe.as_ref(), found))
        });
        let asked: Result<Vec<Asked<'p>>, _> = asked.collect();
        let asked = asked.map_err(|error| Stopped::File(error.to_string()))?;
        Ok(Plan::new(asked, self.seed))
    }

    fn file_of(&self, probe: &dyn Probe) -> PathBuf {
        self.out.join(format!("{}.parquet", probe.name()))
    }

    fn rounds(
        &self,
        plan: &mut Plan<'_>,
        bench: &mut Bench<'_>,
        deadline: Instant,
        progress: &mut dyn Progress,
        warnings: &mut Vec<String>,
    ) -> Result<(), Stopped> {
        let awake = Awake::new(&self.telemetry);
        for (round, probe) in plan.turns() {
            let points = plan.of_round(probe, round);
            if points.is_empty() {
                continue;
            }
            let asked = &plan.asked[probe];
            progress.begins(&asked.probe.name(), asked.probe.question(), points.len());
            let mut saved = Instant::now();
            for at in points {
                let remaining = deadline.saturating_duration_since(Instant::now());
                let Some(time) = plan.slice(probe, remaining) else { continue };
                let until = (Instant::now() + time, deadline);
                self.ask(&mut plan.asked[probe], at, until, bench, (&awake, warnings))?;
                let spent = self.budget.saturating_sub(remaining).div_duration_f64(self.budget);
                progress.point(plan.done().max(spent).min(1.0));
                if saved.elapsed() > SAVE_EVERY {
                    self.keep(&mut plan.asked[probe])?;
                    saved = Instant::now();
                }
            }
            self.keep(&mut plan.asked[probe])?;
        }
        warnings.extend(awake.doubts());
        Ok(())
    }

    /// Asks one point, and files what came of it.
    fn ask(
        &self,
        asked: &mut Asked<'_>,
        at: usize,
        until: (Instant, Instant),
        bench: &mut Bench<'_>,
        (awake, warnings): (&Awake<'_>, &mut Vec<String>),
    ) -> Result<(), Stopped> {
        let point = asked.points[at].clone();
        let seed = (self.seed as u32).wrapping_mul(7919).wrapping_add(at as u32 * 131 + 17);
        let start = Instant::now();
        let outcome = self.point(asked.probe, &point, seed, bench, (awake, until));
        bench.clear();
        asked.states[at] = match outcome {
            Ok(Answer::Sample(sample, setup)) => {
                asked.took_to_set_up(setup);
                asked.samples.push(*sample);
                asked.unsaved += 1;
                State::Measured
            }
            Ok(Answer::Late) => {
                asked.took_to_set_up(start.elapsed());
                State::Left
            }
            Ok(Answer::Refused(refusal)) => {
                let place = describe(&point);
                warnings.push(format!("{}{place}: refused: {refusal}", asked.probe.name()));
                State::Refused
            }
            Err(lost @ DeviceError::Lost(_)) => return Err(Stopped::Device(lost)),
            Err(error) => State::Unable(error),
        };
        Ok(())
    }

    /// Writes the samples of a probe, if there are new ones.
    fn keep(&self, asked: &mut Asked<'_>) -> Result<(), Stopped> {
        if asked.unsaved > 0 {
            samples::table(&asked.samples)
                .write(&self.file_of(asked.probe))
                .map_err(|error| Stopped::File(error.to_string()))?;
            asked.unsaved = 0;
        }
        Ok(())
    }

    /// Builds the sets of a point, checks the first, and times all in rotation: until the first of
    /// two moments where that leaves [`plan::LEAST_POINT`] for timing, else until the second.
    fn point(
        &self,
        probe: &dyn Probe,
        point: &Point,
        seed: u32,
        bench: &mut Bench<'_>,
        (awake, (until, deadline)): (&Awake<'_>, (Instant, Instant)),
    ) -> Result<Answer, DeviceError> {
        let start = Instant::now();
        let set = probe.set(point, seed, bench)?;
        let bytes = bench.allocated().max(1);
        let (first, took) = checked(&set, bench)?;
        let mut prepared = vec![first];
        let error = match verify(&set, bench)? {
            Ok(error) => error,
            Err(refusal) => return Ok(Answer::Refused(refusal)),
        };
        if probe.rotates() {
            let facts = bench.device.facts();
            let most = if facts.software { MOST_SETS_IN_SOFTWARE } else { MOST_SETS };
            let wanted = (2 * facts.cache).div_ceil(bytes) as usize;
            let half = start + until.saturating_duration_since(start) / 2;
            for i in 1..wanted.min(most) as u32 {
                // A set that finds no room or time any more leaves those there are.
                if Instant::now() + Duration::from_secs_f64(took.host) > half {
                    break;
                }
                let Ok(more) = probe.set(point, seed.wrapping_add(i * 7), bench) else { break };
                prepared.push(bench.device.prepare(&more.steps)?);
            }
        }
        awake.wake(bench.device, &prepared, took.best().0, deadline)?;
        let now = Instant::now();
        if now >= deadline {
            return Ok(Answer::Late);
        }
        let limit = until.max(now + plan::LEAST_POINT).min(deadline) - now;
        let timing = timing::time(bench.device, &prepared, probe.by_host(), took, limit)?;
        let reading = self.telemetry.read();
        let mut point = point.clone();
        point.slots = set.slots;
        let sample = Sample {
            probe: probe.name(),
            point,
            format: bench.format,
            timing,
            error,
            rotated_bytes: bytes * prepared.len() as u64,
            mhz: reading.mhz,
            celsius: reading.celsius,
            watts: reading.watts,
        };
        Ok(Answer::Sample(Box::new(sample), now - start))
    }
}

/// What came of a point.
enum Answer {
    /// A sample, and how long it took until timing began.
    Sample(Box<Sample>, Duration),
    /// Time was up before timing could begin.
    Late,
    /// The kernel is wrong.
    Refused(super::probe::Refusal),
}

/// Runs a set once, over its poisoned outputs; and how long that took.
fn checked(set: &Set, bench: &mut Bench<'_>) -> Result<(Prepared, Elapsed), DeviceError> {
    let prepared = bench.device.prepare(&set.steps)?;
    let took = bench.device.time(&[prepared])?;
    Ok((prepared, took))
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
fn doubts(asked: &Asked<'_>, warnings: &mut Vec<String>) {
    let (name, samples) = (asked.probe.name(), &asked.samples);
    let unable = asked.points.iter().zip(&asked.states).filter_map(|(point, state)| match state {
        State::Unable(error) => Some((point, error)),
        _ => None,
    });
    if let Some((point, error)) = unable.clone().next() {
        let (count, place) = (unable.count(), describe(point));
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
pub(crate) fn write_atomically(path: &Path, text: &str) -> Result<(), String> {
    write_together(&[(path, text.as_bytes())])
}

/// Writes files that belong together: all of them, or none.
pub(crate) fn write_together(files: &[(&Path, &[u8])]) -> Result<(), String> {
    let unwritten = |path: &Path, e: std::io::Error| {
        format!(
            "{}: cannot be written: {e}\n  help: name a folder that you may write to, with --out",
            path.display()
        )
    };
    let mut together = Together::default();
    for (path, bytes) in files {
        together.add(path, bytes).map_err(|e| unwritten(path, e))?;
    }
    let first = files.first().map_or(Path::new(""), |(path, _)| path);
    together.keep().map_err(|e| unwritten(first, e))
}

/// What the device is, for those who read samples later.
#[must_use]
pub fn described(facts: &DeviceFacts) -> String {
    format!("{} ({}, {}; {} clock)", facts.name, facts.backend, facts.driver, facts.clock.name())
}
