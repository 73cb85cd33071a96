//! `calibrate measure`: a device → samples.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Refused, say, warn};
use crate::measure::backend::DeviceFacts;
use crate::measure::bench::Bench;
use crate::measure::device::{self, Opening};
use crate::measure::numbers::Format;
use crate::measure::probes::Suite;
use crate::measure::session::{Progress, Report, Session, described};
use crate::measure::shapes::{SHAPES, Shape};
use crate::measure::telemetry::Telemetry;
use moesim::base::near::advice;
use moesim::config::Diagnostic;

/// What to measure, for how long, and where to keep it.
#[derive(Args)]
pub struct MeasureArgs {
    /// The folder for samples. A session that was cut off goes on where it stopped.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    opening: Opening,
    /// The expert shapes of these models. Repeatable.
    #[arg(long = "shape", value_name = "NAME")]
    shapes: Vec<String>,
    /// One minute: the coarse grid, to try it out. Without it the same command goes on from there.
    #[arg(long, conflicts_with = "minutes")]
    quick: bool,
    /// Minutes to take at most, all in all. Default: 10, or 1 with --quick.
    #[arg(long)]
    minutes: Option<f64>,
    /// Format of tokens and weights. Default: bfloat16 with CUDA; else float16 where the GPU has it.
    #[arg(long, value_name = "FORMAT")]
    dtype: Option<String>,
    /// The sizes that CPUs get, on any device: to see in seconds whether all of it works there.
    #[arg(long)]
    small: bool,
    /// Inputs and the order of points follow from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(super) fn run(args: &MeasureArgs) -> Result<(), Refused> {
    let start = Instant::now();
    let minutes = args.minutes.unwrap_or(if args.quick { 1.0 } else { 10.0 });
    if !(0.01..=1440.0).contains(&minutes) {
        let place = format!("--minutes {minutes}");
        return Err(Diagnostic::of(place, "is too little or too much", "give 0.01 to 1440").into());
    }
    let (mut backend, passed_over) = device::open(&args.opening).map_err(|e| e.to_string())?;
    for reason in passed_over {
        warn(&format!("note: {reason}"));
    }
    let facts = backend.facts().clone();
    let format = format_for(&facts, args.dtype.as_deref())?;
    let software = facts.software || args.small;
    let shapes = shapes_for(software, &args.shapes)?;
    say(&format!("device: {}", described(&facts)));
    let names: Vec<&str> = shapes.iter().map(|shape| shape.name).collect();
    say(&format!("in {}, shapes {}", format.name(), names.join(", ")));
    let suite = Suite { shapes, software, format, sms: facts.sms, gpus: facts.gpus };
    let session = Session {
        out: args.out.clone(),
        format,
        budget: Duration::from_secs_f64(minutes * 60.0).saturating_sub(start.elapsed()),
        seed: args.seed,
        telemetry: Telemetry::of(&facts.name, facts.software, args.opening.device),
    };
    let mut bench = Bench::new(backend.as_mut(), format);
    let mut bar = Bar::new();
    let outcome = session.run(&mut bench, &suite.probes(), &mut bar);
    bar.bar.finish_and_clear();
    let folder = args.out.display();
    let report = outcome.map_err(|stopped| {
        format!(
            "{stopped}\n  help: what was measured is kept in {folder}; run the same command again \
             to go on"
        )
    })?;
    for warning in &report.warnings {
        warn(&format!("warning: {warning}"));
    }
    let Report { measured, found, left, .. } = report;
    say(&format!("{measured} points measured, {found} found measured: {folder}"));
    say(&format!(
        "every one checked against its CPU twin: relative error at most {:.1e}, and {:.0e} is let through",
        report.worst_error,
        format.error_bound()
    ));
    if left > 0 {
        say(&format!(
            "{left} points left out for lack of time; the same command without --quick, or with more \
             --minutes, goes on"
        ));
    }
    if !report.without_coarse.is_empty() {
        let probes = report.without_coarse.join(", ");
        warn(&format!(
            "warning: too little time for even the coarse grid of {probes}: run the same command again"
        ));
    }
    if measured + found == 0 && report.unable > 0 {
        let unable = report.unable;
        let found = format!("nothing was measured: the device could do none of {unable} points");
        let help = format!("the reasons stand above and in {folder}/warnings.txt");
        return Err(Diagnostic::of(folder.to_string(), found, help).into());
    }
    if report.refused > 0 {
        let refused = report.refused;
        let found = format!(
            "{refused} points have no timing: their kernels computed something else than their twins"
        );
        let help = format!(
            "this is a mistake of the driver or of ours; report it with {folder}/warnings.txt"
        );
        return Err(Diagnostic::of(folder.to_string(), found, help).into());
    }
    Ok(())
}

/// The format that was asked for, or the one that the device is best measured in.
pub(super) fn format_for(facts: &DeviceFacts, asked: Option<&str>) -> Result<Format, Diagnostic> {
    let has: Vec<&str> = facts.formats.iter().map(|f| f.name()).collect();
    if let Some(asked) = asked {
        let found = Format::named(asked).filter(|f| facts.formats.contains(f));
        return found.ok_or_else(|| {
            let help = advice(asked, "formats that it stores", &has);
            Diagnostic::of(format!("--dtype {asked}"), "is not stored by this device", help)
        });
    }
    let best = [Format::Bf16, Format::F16].into_iter().find(|f| facts.formats.contains(f));
    Ok(best.filter(|_| !facts.software).unwrap_or(Format::F32))
}

fn shapes_for(software: bool, asked: &[String]) -> Result<Vec<Shape>, Diagnostic> {
    let standard =
        if software { vec!["tiny", "small"] } else { vec!["moepp-0.6b", "moepp-1b", "moepp-7b"] };
    let names: Vec<&str> =
        if asked.is_empty() { standard } else { asked.iter().map(String::as_str).collect() };
    let of = |name: &&str| {
        Shape::named(name).copied().ok_or_else(|| {
            let known: Vec<&str> = SHAPES.iter().map(|shape| shape.name).collect();
            let help = advice(name, "shapes", &known);
            Diagnostic::of("--shapes", format!("unknown shape `{name}`"), help)
        })
    };
    names.iter().map(of).collect()
}

struct Bar {
    bar: ProgressBar,
}

/// Steps of the bar.
const STEPS: u64 = 1000;

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::new(STEPS);
        let style = "{bar:30} {percent:>3} %  {eta} left  {msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Self { bar }
    }
}

impl Progress for Bar {
    fn begins(&mut self, probe: &str, question: &str, points: usize) {
        self.bar.set_message(format!("{probe}: {question} ({points} points)"));
    }

    fn point(&mut self, share: f64) {
        self.bar.set_position((share * STEPS as f64) as u64);
    }
}
