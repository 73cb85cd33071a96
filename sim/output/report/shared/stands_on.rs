//! What a result stands on: kernels and libraries, how near they are to what was measured, and shares of the
//! time.

use std::collections::BTreeMap;
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::wrapped::wrapped;
use crate::kernels::{Support, TimedBasis};

/// One kernel or library in a result, and how near it is to what was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Basis {
    /// The part of the layer: experts, dense, gate, memory, exchange or overheads.
    pub part: String,
    /// The kernel or library, with its number format.
    pub name: String,
    /// measured, interpolated, extrapolated, borrowed, derived, published or data-sheet.
    pub support: String,
    /// Of interpolated ones: distance to the nearest measured shape, in correlation lengths.
    pub distance: Option<f64>,
    /// What the word leaves out.
    pub detail: Option<String>,
    /// Its time, mean over GPUs and seeds, in milliseconds.
    pub time_ms: f64,
    /// Its share of the time that rests on any.
    pub share: f64,
}

/// The bases of one result, with shares of the time that rests on any.
#[must_use]
pub fn bases(all: &[TimedBasis]) -> Vec<Basis> {
    let whole: f64 = all.iter().map(|one| one.time.secs()).sum();
    let one = |timed: &TimedBasis| {
        let support = &timed.basis.support;
        let distance = match support {
            Support::Interpolated { distance } => Some(*distance),
            _ => None,
        };
        Basis {
            part: timed.basis.part.name().to_owned(),
            name: timed.basis.name.clone(),
            support: support.word().to_owned(),
            distance,
            detail: support.detail(),
            time_ms: timed.time.ms(),
            share: if whole > 0.0 { timed.time.secs() / whole } else { 0.0 },
        }
    };
    all.iter().map(one).collect()
}

impl Basis {
    /// `measured`, `interpolated, 0.4 correlation lengths from …`, `borrowed from …`.
    fn support_in_words(&self) -> String {
        match &self.detail {
            None => self.support.clone(),
            Some(detail) if ["interpolated", "extrapolated"].contains(&self.support.as_str()) => {
                format!("{}, {detail}", self.support)
            }
            Some(detail) => format!("{} {detail}", self.support),
        }
    }

    fn farther_than(&self, other: &Self) -> bool {
        self.distance.zip(other.distance).is_some_and(|(own, other)| own > other)
    }
}

/// `stands on:` and the parts with their shares of the time, the largest first.
pub(in crate::output) fn write_stands_on<'b>(
    out: &mut dyn Write,
    all: impl IntoIterator<Item = &'b Basis>,
) -> io::Result<()> {
    let words = summary(all);
    if words.is_empty() {
        return Ok(());
    }
    wrapped(out, "stands on: ", &words.join("; "))
}

/// Says where a few draws of gates stand for all.
pub(in crate::output) fn write_gate_draws(
    out: &mut dyn Write,
    draws: Option<u32>,
) -> io::Result<()> {
    let Some(draws) = draws else { return Ok(()) };
    writeln!(out, "gates: {draws} draws a layer; each micro-batch of a group takes one by lot")
}

/// One phrase per part, kernel and kind of support, which names the worst of its shapes.
fn summary<'b>(all: impl IntoIterator<Item = &'b Basis>) -> Vec<String> {
    let mut groups: BTreeMap<(usize, &str, &str), (f64, &Basis)> = BTreeMap::new();
    let mut whole = 0.0;
    for basis in all {
        whole += basis.time_ms;
        let key = (rank(&basis.part), basis.name.as_str(), basis.support.as_str());
        let (ms, worst) = groups.entry(key).or_insert((0.0, basis));
        *ms += basis.time_ms;
        if basis.farther_than(worst) {
            *worst = basis;
        }
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by(|a, b| b.1.0.total_cmp(&a.1.0).then(a.0.cmp(&b.0)));
    let phrase = |((_, name, _), (ms, worst)): ((usize, &str, &str), (f64, &Basis))| {
        let percent = 100.0 * ms / whole;
        let shown = if percent < 0.5 { "under 1".to_owned() } else { format!("{percent:.0}") };
        format!("{} {shown} % {name} ({})", worst.part, worst.support_in_words())
    };
    groups.into_iter().map(phrase).collect()
}

/// The order of parts among equal shares.
fn rank(part: &str) -> usize {
    use crate::kernels::Part;
    let parts =
        [Part::Experts, Part::Dense, Part::Gate, Part::Memory, Part::Exchange, Part::Overheads];
    parts.iter().position(|own| own.name() == part).unwrap_or(parts.len())
}
