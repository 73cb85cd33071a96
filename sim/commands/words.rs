//! Values of options, from the words that users type for them.

use crate::base::choice::Choice;
use crate::base::near;
use crate::config::{self, Seeds};
use crate::execution::Scope;
use crate::workload::{ExchangeLibrary, Overlap};

/// τ within the bounds that scenarios have for it.
///
/// # Errors
/// What to give instead; so of all below.
pub fn tau(text: &str) -> Result<f64, String> {
    let fits = text.trim().parse::<f64>().ok().filter(|value| config::TAU.contains(value));
    let (least, most) = (config::TAU.start(), config::TAU.end());
    fits.ok_or_else(|| format!("give a number from {least} to {most}"))
}

/// A number above zero whose inverse is a number too: a target of 1e-320 ms would be one of infinitely many tokens.
pub fn positive(text: &str) -> Result<f64, String> {
    let fits = |value: &f64| (1e-12..=1e18).contains(value);
    let number = text.trim().parse::<f64>().ok().filter(fits);
    number.ok_or_else(|| "give a number above zero, from 1e-12 to 1e18".to_owned())
}

/// A probability, strictly between 0 and 1.
pub fn probability(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(value) if value > 0.0 && value < 1.0 => Ok(value),
        _ => Err("give a probability between 0 and 1, such as 0.9".to_owned()),
    }
}

/// A gain in percent that something could be worth.
pub fn worth(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= MOST_WORTH => Ok(percent),
        _ => Err(format!("give a gain in percent, above zero and up to {MOST_WORTH}")),
    }
}

/// More than this, in percent, nothing gains: a hundred times the throughput.
const MOST_WORTH: f64 = 9_900.0;

/// What is counted, by its word.
pub fn scope(text: &str) -> Result<Scope, String> {
    let found = Scope::ALL.into_iter().find(|scope| scope.word() == text);
    found.ok_or_else(|| none_of(text, &Scope::ALL.map(Scope::word)))
}

/// Seeds, half open.
pub fn seeds(text: &str) -> Result<Seeds, String> {
    text.parse().map_err(|(found, help)| format!("{found}: {help}"))
}

/// A size of a layout: GPUs, stages or tokens.
pub fn size(text: &str) -> Result<u32, String> {
    let number = text.trim().parse::<u32>().ok().filter(|size| (1..=16_777_216).contains(size));
    number.ok_or_else(|| "give a whole number from 1 to 16777216".to_owned())
}

/// An exchange library, by its word.
pub fn library(text: &str) -> Result<ExchangeLibrary, String> {
    let found = ExchangeLibrary::ALL.into_iter().find(|library| library.word() == text);
    found.ok_or_else(|| none_of(text, &ExchangeLibrary::ALL.map(ExchangeLibrary::word)))
}

/// What exchanges of a forward pass run beside: a word of `exchange.overlap`, `chunks=N` for so many.
pub fn overlap(text: &str) -> Result<Overlap, String> {
    let number = |text: &str| text.parse::<u32>().ok().filter(|chunks| (2..=64).contains(chunks));
    match text {
        "chunks" => return Ok(Overlap::BestChunks),
        "none" => return Ok(Overlap::None),
        "two-batch" => return Ok(Overlap::TwoBatch),
        "single-batch" => return Ok(Overlap::SingleBatch),
        _ => {}
    }
    let chunks = text.strip_prefix("chunks=").and_then(number).map(Overlap::Chunks);
    chunks.ok_or_else(|| {
        "choose from: none, two-batch, single-batch, chunks, chunks=N with N from 2 to 64"
            .to_owned()
    })
}

/// One of some choices, by its word.
pub fn choice<T: Choice>(text: &str) -> Result<T, String> {
    let found = T::ALL.iter().copied().find(|choice| choice.word() == text);
    let words: Vec<&str> = T::ALL.iter().map(|choice| choice.word()).collect();
    found.ok_or_else(|| none_of(text, &words))
}

/// What to choose from instead, and first what may have been meant.
fn none_of(text: &str, words: &[&str]) -> String {
    let near = near::nearest(text, words.iter().copied());
    let meant = if near.is_empty() { String::new() } else { near::did_you_mean(&near) + " " };
    format!("{meant}choose from: {}", words.join(", "))
}

/// A shard of a sweep, `I/N`.
pub fn shard(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    match parts {
        Some((i, n)) if (1..=n).contains(&i) => Ok((i, n)),
        _ => Err("write I/N with I from 1 to N, such as 2/8".to_owned()),
    }
}

/// A quantity with its unit.
pub fn quantity<Q: crate::base::units::Quantity>(text: &str) -> Result<Q, String> {
    crate::base::units::parse_quantity(text).map_err(|e| e.to_string())
}
