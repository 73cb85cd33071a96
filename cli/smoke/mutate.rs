//! How a mutant differs from the sound file that it began as.

use rand::{Rng, RngExt};

/// What is put in the place of numbers and words.
const HOSTILE: [&str; 44] = [
    "0",
    "-1",
    "1",
    "2",
    "3",
    "7",
    "-0.0",
    "0.5",
    "1e-9",
    "1e-308",
    "5e-324",
    "1e308",
    "-1e308",
    "1e400",
    "nan",
    "+inf",
    "-inf",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "99999999999999999999",
    "\"\"",
    "\"nan\"",
    "\"-1 GB/s\"",
    "\"1e308 GB/s\"",
    "\"1e-300 us\"",
    "\"0 ns\"",
    "\"9e99 h\"",
    "[]",
    "[0]",
    "{}",
    "true",
    "null",
    "\"\\u001b[31m\"",
    "\"\u{202e}\"",
    "\"../../x\"",
    "\"gpu0\"",
    "\"a\\nb\"",
    "1970-01-01",
    "0x10",
    "\"auto\"",
    "''",
];

/// Changes an argument, or what stands behind its `=`.
pub(super) fn argument(old: &str, rng: &mut impl Rng) -> String {
    let new = HOSTILE[rng.random_range(0..HOSTILE.len())].trim_matches('"');
    match old.split_once('=') {
        Some((key, _)) if rng.random_bool(0.8) => format!("{key}={new}"),
        _ => new.to_owned(),
    }
}

/// Changes a file in one to three places.
pub(super) fn file(name: &str, bytes: &[u8], rng: &mut impl Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..rng.random_range(1..=3) {
        let text = if name.ends_with(".parquet") { None } else { std::str::from_utf8(&bytes).ok() };
        bytes = match text {
            Some(text) if rng.random_bool(0.85) => of_text(text, rng).into_bytes(),
            _ => of_bytes(bytes, rng),
        };
    }
    bytes
}

fn of_bytes(mut bytes: Vec<u8>, rng: &mut impl Rng) -> Vec<u8> {
    if bytes.is_empty() {
        return vec![rng.random()];
    }
    let at = rng.random_range(0..bytes.len());
    match rng.random_range(0..7) {
        0 => bytes[at] ^= 1 << rng.random_range(0..8),
        1 => bytes[at] = rng.random(),
        2 => bytes.truncate(at),
        3 => {
            let end = (at + rng.random_range(1..=64)).min(bytes.len());
            bytes.drain(at..end);
        }
        4 => {
            let end = (at + rng.random_range(1..=64)).min(bytes.len());
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        5 => {
            let end = (at + 8).min(bytes.len());
            bytes[at..end].fill(if rng.random_bool(0.5) { 0 } else { 0xff });
        }
        // The end of a Parquet file says where everything is.
        _ => {
            let at = bytes.len() - 1 - rng.random_range(0..bytes.len().min(400));
            bytes[at] = rng.random();
        }
    }
    bytes
}

fn of_text(text: &str, rng: &mut impl Rng) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    if lines.is_empty() {
        return HOSTILE[rng.random_range(0..HOSTILE.len())].to_owned();
    }
    let at = rng.random_range(0..lines.len());
    let mut own: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
    match rng.random_range(0..12) {
        0 => drop(own.remove(at)),
        1 => own.insert(at, own[at].clone()),
        2 => {
            let other = rng.random_range(0..own.len());
            own.swap(at, other);
        }
        3 => own.truncate(at),
        4 => own[at] = own[at].replacen(['=', ',', ':'], "", 1),
        5 => own[at] = "x".repeat(5000) + &own[at],
        _ => {
            let new = HOSTILE[rng.random_range(0..HOSTILE.len())];
            return with_token(text, new, rng);
        }
    }
    own.concat()
}

/// Puts `new` in the place of one number or quoted text.
fn with_token(text: &str, new: &str, rng: &mut impl Rng) -> String {
    let tokens = tokens(text);
    let Some(&(from, to)) = tokens.get(rng.random_range(0..tokens.len().max(1))) else {
        return format!("{text}{new}");
    };
    format!("{}{new}{}", &text[..from], &text[to..])
}

/// Where numbers and quoted texts stand, outside comments.
fn tokens(text: &str) -> Vec<(usize, usize)> {
    let (bytes, mut at, mut found) = (text.as_bytes(), 0, Vec::new());
    while at < bytes.len() {
        let from = at;
        match bytes[at] {
            b'#' => at += bytes[at..].iter().take_while(|&&byte| byte != b'\n').count(),
            b'"' => {
                let inside =
                    bytes[at + 1..].iter().take_while(|&&b| b != b'"' && b != b'\n').count();
                at = (at + inside + 2).min(bytes.len());
                if text.is_char_boundary(at) {
                    found.push((from, at));
                }
            }
            b'0'..=b'9' if from == 0 || !bytes[from - 1].is_ascii_alphanumeric() => {
                let digit = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_');
                at += bytes[at..].iter().take_while(digit).count();
                found.push((from, at));
            }
            _ => at += 1,
        }
    }
    found
}
