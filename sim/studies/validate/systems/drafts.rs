//! Speculative decoding of a row, from its words.
//!
//! A row that says "MTP 2 steps" drafts two tokens for each of its sequences with a layer that predicts one more. What it
//! accepts is stated as a length L of what a step yields, by the number of drafts ("accept length 2.4-2.7 for 2 steps"),
//! the middle of a range; the acceptance p of one draft solves
//!
//! ```text
//!   1 + p + … + pᵏ = L                                                                       (1)
//! ```

use toml::{Table, Value};

use super::row::Row;
use super::words::{count_before, has_any, number_before};

/// What a decode step of a row drafts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Drafts {
    /// Drafts of each sequence.
    pub number: u32,
    /// Probability that one is accepted if those before it were.
    pub acceptance: f64,
    /// Tokens that a step yields for each sequence.
    pub yielded: f64,
}

/// What a row drafts, if anything.
///
/// # Errors
/// If it drafts and does not say what of it is accepted.
pub(super) fn of(row: &Row) -> Result<Option<Drafts>, String> {
    let words = format!("{} {}", row.note, row.overlap);
    if !has_any(&words, &["mtp", "speculative", "draft"]) || has_any(&words, &["without mtp"]) {
        return Ok(None);
    }
    let number = drafted(&words).ok_or("how many tokens are drafted is not stated")?;
    let yielded = yielded(&words, number)
        .ok_or_else(|| format!("what is accepted of {number} drafts is not stated"))?;
    if !(1.0..=f64::from(1 + number)).contains(&yielded) {
        return Err(format!("a step of {number} drafts cannot yield {yielded} tokens"));
    }
    Ok(Some(Drafts { number, acceptance: acceptance(number, yielded), yielded }))
}

impl Drafts {
    /// Says so in the workload of a row.
    pub(super) fn write(&self, workload: &mut Table, notes: &mut Vec<String>) {
        if let Some(batch) = workload.get_mut("batch").and_then(Value::as_table_mut) {
            batch.insert("sequence_tokens".into(), i64::from(1 + self.number).into());
            batch.insert("acceptance".into(), self.acceptance.into());
        }
        let Self { number, yielded, .. } = self;
        let s = if *number == 1 { "" } else { "s" };
        notes.push(format!("{number} draft{s} of each sequence, of which a step keeps {yielded} tokens with its own"));
    }
}

/// Drafts of a step: "MTP 2 steps", "MTP depth 3".
fn drafted(words: &str) -> Option<u32> {
    let lower = words.to_lowercase();
    let after = &lower[lower.find("mtp")? + "mtp".len()..];
    let digits = after.trim_start().trim_start_matches("depth").trim_start();
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok().filter(|number| (1..=16).contains(number))
}

/// The length that is accepted for so many drafts.
fn yielded(words: &str, number: u32) -> Option<f64> {
    let lower = words.to_lowercase();
    let stated = &lower[lower.find("accept length")? + "accept length".len()..];
    let stated = &stated[..stated.find(')').unwrap_or(stated.len())];
    let of = stated.split(',').find(|part| count_before(part, "step") == Some(number))?;
    let most = number_before(of, "for")?;
    let least = of.trim_start().split('-').next().and_then(|text| text.trim().parse().ok());
    Some(f64::midpoint(least.unwrap_or(most), most))
}

/// Equation (1), by halving.
fn acceptance(number: u32, yielded: f64) -> f64 {
    let (mut low, mut high) = (0.0_f64, 1.0);
    for _ in 0..60 {
        let p = f64::midpoint(low, high);
        let length: f64 = (0..=number).map(|draft| p.powi(draft as i32)).sum();
        *(if length < yielded { &mut low } else { &mut high }) = p;
    }
    (1e6 * low).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(note: &str) -> Row {
        Row { note: note.to_owned(), ..Row::default() }
    }

    #[test]
    fn what_is_drafted_and_accepted_is_read_from_words() {
        let note = "MTP 2 steps (accept length 1.8-1.9 for 1 step, 2.4-2.7 for 2 steps); ISL 4096";
        let two = of(&noted(note)).unwrap().unwrap();
        assert_eq!((two.number, two.yielded), (2, 2.55));
        let length = 1.0 + two.acceptance + two.acceptance * two.acceptance;
        assert!((length - 2.55).abs() < 1e-5, "{two:?}");
        let one = of(&noted(&note.replace("MTP 2 steps", "MTP 1 step"))).unwrap().unwrap();
        assert_eq!((one.number, one.yielded), (1, 1.85));
        assert!((one.acceptance - 0.85).abs() < 1e-6);
        assert_eq!(of(&noted("batch 16384 tokens/GPU")), Ok(None));
    }

    #[test]
    fn what_is_not_stated_is_a_reason() {
        let found =
            of(&noted("batch 1, TP8 EP2, MTP depth 3 on real data (acceptance not stated)"));
        assert_eq!(found, Err("what is accepted of 3 drafts is not stated".to_owned()));
        assert!(of(&noted("MTP 1 step (accept length 2.5 for 1 step)")).is_err());
    }
}
