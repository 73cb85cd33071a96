//! What a result stands on, as a few lines and as JSON.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Value, json};

use crate::kernels::{Part, Support, TimedBasis};
use crate::workload::{Phase, Workload};

/// Columns of a terminal.
const WIDTH: usize = 80;

/// `stands on:` and the parts with their shares of the time, the largest first.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_stands_on(out: &mut dyn Write, all: &[TimedBasis]) -> io::Result<()> {
    let words = summary(all);
    if words.is_empty() {
        return Ok(());
    }
    wrapped(out, "stands on: ", &words.join("; "))
}

/// Says where a few draws of gates stand for all.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_gate_draws(out: &mut dyn Write, draws: Option<u32>) -> io::Result<()> {
    let Some(draws) = draws else { return Ok(()) };
    writeln!(out, "gates: {draws} draws a layer; each micro-batch of a group takes one by lot")
}

/// The phase that `auto` went by, where a workload names none.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_phase(out: &mut dyn Write, workloads: &[&Workload]) -> io::Result<()> {
    let mut phases: Vec<&str> = workloads
        .iter()
        .filter(|workload| workload.stack.phase.is_none())
        .map(|workload| workload.phase().word())
        .collect();
    phases.sort_unstable();
    phases.dedup();
    let blind = |workload: &&&Workload| {
        workload.phase() == Phase::Decode && workload.batch.context.is_none()
    };
    if workloads.iter().any(|workload| blind(&workload)) {
        let text = "batch.context is not given: attention sees the batch's own tokens alone";
        wrapped(out, "decode: ", text)?;
    }
    if phases.is_empty() {
        return Ok(());
    }
    let most = Workload::DECODE_TOKENS;
    let text = format!(
        "{} (batch.phase is not given: decode up to {most} tokens per GPU, else prefill)",
        phases.join(", ")
    );
    wrapped(out, "phase: ", &text)
}

/// The bases of one result, with shares of the time that rests on any.
#[must_use]
pub fn stands_on_json(all: &[TimedBasis]) -> Value {
    let whole: f64 = all.iter().map(|one| one.time.secs()).sum();
    let one = |timed: &TimedBasis| {
        let support = &timed.basis.support;
        let distance = match support {
            Support::Interpolated { distance } => Some(*distance),
            _ => None,
        };
        json!({
            "part": timed.basis.part.name(),
            "name": timed.basis.name,
            "support": support.word(),
            "distance": distance,
            "detail": support.detail(),
            "time_ms": timed.time.ms(),
            "share": if whole > 0.0 { timed.time.secs() / whole } else { 0.0 },
        })
    };
    all.iter().map(one).collect()
}

/// One phrase per part, kernel and kind of support, which names the worst of its shapes.
fn summary(all: &[TimedBasis]) -> Vec<String> {
    let whole: f64 = all.iter().map(|one| one.time.secs()).sum();
    let mut groups: BTreeMap<(Part, &str, &str), (f64, &Support)> = BTreeMap::new();
    for timed in all {
        let basis = &timed.basis;
        let key = (basis.part, basis.name.as_str(), basis.support.word());
        let (secs, worst) = groups.entry(key).or_insert((0.0, &basis.support));
        *secs += timed.time.secs();
        if farther(&basis.support, worst) {
            *worst = &basis.support;
        }
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by(|a, b| b.1.0.total_cmp(&a.1.0).then(a.0.cmp(&b.0)));
    let phrase = |((part, name, _), (secs, worst)): ((Part, &str, &str), (f64, &Support))| {
        let percent = 100.0 * secs / whole;
        let shown = if percent < 0.5 { "under 1".to_owned() } else { format!("{percent:.0}") };
        format!("{} {shown} % {name} ({worst})", part.name())
    };
    groups.into_iter().map(phrase).collect()
}

fn farther(a: &Support, b: &Support) -> bool {
    match (a, b) {
        (Support::Interpolated { distance: a }, Support::Interpolated { distance: b }) => a > b,
        _ => false,
    }
}

/// A text behind a label, in lines of at most [`WIDTH`] columns.
fn wrapped(out: &mut dyn Write, label: &str, text: &str) -> io::Result<()> {
    let indent = " ".repeat(label.len());
    let mut line = label.to_owned();
    let mut begun = false;
    for word in text.split(' ') {
        if begun && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(out, "{}", line.trim_end())?;
            line.clone_from(&indent);
            begun = false;
        }
        if begun {
            line.push(' ');
        }
        line.push_str(word);
        begun = true;
    }
    writeln!(out, "{line}")
}
