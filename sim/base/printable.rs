//! Text from users' files on its way to a terminal or into a message.
//!
//! Names in files may hold anything: a terminal's escape sequences, or a megabyte. Here is the one place
//! that makes them harmless.

use std::borrow::Cow;
use std::io::{self, Write};

/// Whether a character moves a cursor, rings a bell or reverses a line instead of being seen.
fn acts(c: char) -> bool {
    // Line feeds and tabs are ours too. U+202A.. and U+2066.. turn the direction of what follows.
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with characters that act on a terminal written out, as JSON writes them: `\u001b`.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts(c) {
            out.push_str(&format!("\\u{:04x}", c as u32));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// The text, or where it is longer than `most` characters, its beginning and its end.
#[must_use]
pub fn clipped(text: &str, most: usize) -> Cow<'_, str> {
    // A character has at most four bytes: most texts need not be counted.
    if text.len() <= most || text.chars().count() <= most {
        return Cow::Borrowed(text);
    }
    let all = text.chars().count();
    let (head, tail) = (most - most / 4, most / 4);
    let mut out: String = text.chars().take(head).collect();
    out.push_str(&format!(" … {} characters … ", all - head - tail));
    out.extend(text.chars().skip(all - tail));
    Cow::Owned(out)
}

/// A writer of text whose characters that act on a terminal are written out.
///
/// What is no UTF-8 passes as it is: commands write text alone.
pub struct Printable<W: Write> {
    to: W,
    /// The first bytes of a character whose others have not come yet.
    begun: Vec<u8>,
}

impl<W: Write> Printable<W> {
    /// Writes to `to`.
    pub const fn new(to: W) -> Self {
        Self { to, begun: Vec::new() }
    }

    /// What was written to.
    pub fn into_inner(self) -> W {
        self.to
    }
}

impl<W: Write> Write for Printable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let plain = |byte: &u8| matches!(byte, b'\n' | b'\t' | b' '..=b'~');
        if self.begun.is_empty() && bytes.iter().all(plain) {
            self.to.write_all(bytes)?;
            return Ok(bytes.len());
        }
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        let mut rest = &all[..];
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.to.write_all(printable(text).as_bytes())?;
                    return Ok(bytes.len());
                }
                Err(error) => {
                    let (good, bad) = rest.split_at(error.valid_up_to());
                    let good = std::str::from_utf8(good).unwrap_or_default();
                    self.to.write_all(printable(good).as_bytes())?;
                    let Some(length) = error.error_len() else {
                        self.begun = bad.to_vec();
                        return Ok(bytes.len());
                    };
                    self.to.write_all(&bad[..length])?;
                    rest = &bad[length..];
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_written_out_and_nothing_else() {
        assert_eq!(printable("τ = 0.5\n\tnext — 好"), "τ = 0.5\n\tnext — 好");
        assert_eq!(
            printable("\u{1b}[31mred\u{7}\r\u{9b}\u{202e}"),
            "\\u001b[31mred\\u0007\\u000d\\u009b\\u202e"
        );
        // However the bytes arrive: characters are not cut.
        let text = "a\u{1b}τ\u{9b}好\n".as_bytes();
        for cut in 0..=text.len() {
            let mut writer = Printable::new(Vec::new());
            writer.write_all(&text[..cut]).unwrap();
            writer.write_all(&text[cut..]).unwrap();
            assert_eq!(
                String::from_utf8(writer.to).unwrap(),
                "a\\u001bτ\\u009b好\n",
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn long_texts_keep_their_ends() {
        assert_eq!(clipped("short", 8), "short");
        assert_eq!(clipped("ττττττττ", 8), "ττττττττ");
        let long = format!("begin{}end.", "x".repeat(1_000_000));
        assert_eq!(clipped(&long, 16), "beginxxxxxxx … 999993 characters … end.");
    }
}
