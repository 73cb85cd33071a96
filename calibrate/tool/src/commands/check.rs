//! `calibrate check`: what of a session works on the device at hand, told in seconds.
//!
//! The smallest point of every part of every probe is run once and compared with its CPU twin. Nothing
//! is timed or kept.

use std::time::{Duration, Instant};

use clap::Args;

use super::measure::format_for;
use super::{Refused, say, warn};
use crate::measure::backend::{DeviceError, DeviceFacts};
use crate::measure::bench::Bench;
use crate::measure::device::{self, Opening};
use crate::measure::probe::{Point, Probe, verify};
use crate::measure::probes::Suite;
use crate::measure::session::described;
use crate::measure::shapes::Shape;
use moesim::config::Diagnostic;

/// The expert shape that is checked with: kernels are the same for all.
const SHAPE: &str = "tiny";

/// Which device, and for how long.
#[derive(Args)]
pub struct CheckArgs {
    #[command(flatten)]
    opening: Opening,
    /// Format of tokens and weights. Default: as `measure` takes it.
    #[arg(long, value_name = "FORMAT")]
    dtype: Option<String>,
    /// Seconds after which nothing more is begun.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
}

/// How many parts of probes came to what.
#[derive(Default)]
struct Tally {
    works: usize,
    wrong: usize,
    others: usize,
}

/// What became of one part.
enum Found {
    Works(f64),
    Wrong(String),
    Cannot(DeviceError),
    NotReached,
}

pub(super) fn run(args: &CheckArgs) -> Result<(), Refused> {
    let start = Instant::now();
    if !(0.0..=86_400.0).contains(&args.seconds) {
        let place = format!("--seconds {}", args.seconds);
        return Err(Diagnostic::of(place, "is too little or too much", "give 0 to 86400").into());
    }
    let deadline = start + Duration::from_secs_f64(args.seconds);
    let (mut backend, passed_over) = device::open(&args.opening).map_err(|e| e.to_string())?;
    for reason in passed_over {
        warn(&format!("note: {reason}"));
    }
    let facts = backend.facts().clone();
    let format = format_for(&facts, args.dtype.as_deref())?;
    say(&format!("device: {}", described(&facts)));
    say(&sizes(&facts));
    say(&format!("in {}, sizes of a CPU; opened in {:.1} s", format.name(), since(start)));
    let shapes = Shape::named(SHAPE).copied().into_iter().collect();
    let suite = Suite { shapes, software: true, format, sms: facts.sms, gpus: facts.gpus };
    let mut bench = Bench::new(backend.as_mut(), format);
    let mut tally = Tally::default();
    for probe in suite.probes() {
        for point in firsts(&probe.points()) {
            let begun = Instant::now();
            let found = if begun < deadline {
                one(probe.as_ref(), &point, &mut bench)
            } else {
                Found::NotReached
            };
            let lost = matches!(found, Found::Cannot(DeviceError::Lost(_)));
            told(&format!("{} {}", probe.name(), point.part), &found, since(begun), &mut tally);
            if lost {
                let place = "the device was lost";
                let help = "start again; if it goes on, what was run last is at fault";
                return Err(Diagnostic::of(place, "nothing more can be asked of it", help).into());
            }
        }
    }
    outcome(&tally, since(start))
}

fn since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64()
}

/// What limits sizes.
fn sizes(facts: &DeviceFacts) -> String {
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let memory = facts.memory.map_or("memory unknown".to_owned(), |m| format!("{} free", mib(m)));
    let sms = facts.sms.map_or("SMs unknown".to_owned(), |sms| format!("{sms} SMs"));
    let gpus = if facts.gpus == 1 { "GPU" } else { "GPUs" };
    format!("{memory}, {} KiB of cache, {sms}, {} {gpus}", facts.cache >> 10, facts.gpus)
}

/// The first point of each part: the smallest.
fn firsts(points: &[Point]) -> Vec<Point> {
    let mut found: Vec<Point> = Vec::new();
    for point in points {
        if !found.iter().any(|known| known.part == point.part && known.gpus == point.gpus) {
            found.push(point.clone());
        }
    }
    found
}

fn one(probe: &dyn Probe, point: &Point, bench: &mut Bench<'_>) -> Found {
    let outcome = probe.set(point, 1, bench).and_then(|set| {
        bench.run(&set.steps)?;
        verify(&set, bench)
    });
    bench.clear();
    match outcome {
        Ok(Ok(error)) => Found::Works(error),
        Ok(Err(refusal)) => Found::Wrong(refusal.to_string()),
        Err(error) => Found::Cannot(error),
    }
}

fn told(what: &str, found: &Found, seconds: f64, tally: &mut Tally) {
    let line = match found {
        Found::Works(error) => {
            tally.works += 1;
            format!("works        {what}: error {error:.1e}, {seconds:.2} s")
        }
        Found::Wrong(why) => {
            tally.wrong += 1;
            format!("wrong        {what}: {why}")
        }
        Found::Cannot(why) => {
            tally.others += 1;
            format!("cannot       {what}: {why}")
        }
        Found::NotReached => {
            tally.others += 1;
            format!("not reached  {what}")
        }
    };
    say(&line);
}

fn outcome(tally: &Tally, seconds: f64) -> Result<(), Refused> {
    let Tally { works, wrong, others } = tally;
    let all = works + wrong + others;
    say(&format!("{works} of {all} parts of probes work, checked in {seconds:.1} s"));
    if *wrong > 0 {
        let found = format!("{wrong} of {all} parts compute something else than their twins");
        let help = "they get no timing; this is a mistake of the driver or of ours: report it";
        return Err(Diagnostic::of("calibrate check", found, help).into());
    }
    if *works == 0 {
        let help = "the reasons stand above";
        return Err(Diagnostic::of("calibrate check", "nothing works on this device", help).into());
    }
    Ok(())
}
