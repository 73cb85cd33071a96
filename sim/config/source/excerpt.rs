//! The line of a file that a mistake is in, and what of it is meant.

use std::ops::Range;

/// Longer lines are not shown: nobody wrote them.
const MOST_BYTES: usize = 4000;

/// One line of a file, with the part that a mistake is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The line's number, from 1.
    line: usize,
    /// The line, without its end; characters that act on a terminal are replaced.
    text: String,
    /// The part that is meant, in bytes of `text`.
    span: Range<usize>,
}

impl Excerpt {
    /// The line in which a span of bytes of a text begins; none of a line that is too long or empty.
    #[must_use]
    pub fn of(whole: &str, span: Range<usize>) -> Option<Self> {
        let at = span.start.min(whole.len());
        // At the end of a file that ends its last line, that line is meant.
        let at = if at > 0 && at == whole.len() && whole.ends_with('\n') { at - 1 } else { at };
        let (before, after) = (whole.get(..at)?, whole.get(at..)?);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let end = after.find('\n').map_or(whole.len(), |newline| at + newline);
        let line = whole[start..end].trim_end_matches('\r');
        if line.trim().is_empty() || line.len() > MOST_BYTES {
            return None;
        }
        let within = |offset: usize| offset.clamp(start, start + line.len()) - start;
        let span = within(at)..within(span.end.max(at));
        let number = 1 + before.bytes().filter(|&byte| byte == b'\n').count();
        let (text, span) = visible(line, span)?;
        // What replaces a character that acts is longer than it.
        (text.len() <= MOST_BYTES).then_some(Self { line: number, text, span })
    }

    /// A whole line of a text, counted from 1, without the spaces around it.
    #[must_use]
    pub fn of_line(whole: &str, line: usize) -> Option<Self> {
        let text = whole.split('\n').nth(line.checked_sub(1)?)?;
        let start = text.as_ptr() as usize - whole.as_ptr() as usize;
        let indent = text.len() - text.trim_start().len();
        Self::of(whole, start + indent..start + text.trim_end().len())
    }

    /// The line's number, from 1.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.line
    }

    /// The line, without its end.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The part that is meant, in bytes of [`Self::text`].
    #[must_use]
    pub const fn span(&self) -> &Range<usize> {
        &self.span
    }

    /// The columns of that part, in characters from 1, the last one not included.
    #[must_use]
    pub fn columns(&self) -> Range<usize> {
        let column = |at: usize| 1 + self.text[..at].chars().count();
        column(self.span.start)..column(self.span.end)
    }
}

/// The line with each character that acts on a terminal replaced by one that does not, and the span in it.
fn visible(line: &str, span: Range<usize>) -> Option<(String, Range<usize>)> {
    let acts = |c: char| {
        (c.is_control() && c != '\t')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let clean = |part: &str| part.replace(acts, "\u{fffd}");
    let before = clean(line.get(..span.start)?);
    let meant = clean(line.get(span.clone())?);
    let (start, end) = (before.len(), before.len() + meant.len());
    Some((before + &meant + &clean(line.get(span.end..)?), start..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_and_the_columns_of_a_span_are_found() {
        let text = "a = 1\r\nτ = \"x\" # é\n\nlast = 2\n";
        let at = text.find("\"x\"").unwrap();
        let found = Excerpt::of(text, at..at + 3).unwrap();
        assert_eq!((found.line(), found.text(), found.columns()), (2, "τ = \"x\" # é", 5..8));
        // Spans that go on are cut at the end of the line, and the end of the file is its last line.
        assert_eq!(Excerpt::of(text, 0..text.len()).unwrap().text(), "a = 1");
        assert_eq!(Excerpt::of(text, text.len()..text.len()).unwrap().line(), 4);
        assert_eq!(Excerpt::of_line("a\n  b c \n", 2).unwrap().columns(), 3..6);
        assert_eq!(Excerpt::of(text, text.find("\n\n").unwrap() + 1..20), None, "an empty line");
        assert_eq!(Excerpt::of(&"x".repeat(5000), 3..4), None, "a line too long to show");
    }

    #[test]
    fn what_acts_on_a_terminal_is_replaced_character_by_character() {
        let found = Excerpt::of("a\u{1b}b = \u{9b}1", 6..9).unwrap();
        assert_eq!(found.text(), "a\u{fffd}b = \u{fffd}1");
        assert_eq!(found.columns(), 7..9);
        // Found by fuzzing: three bytes in the place of one make a message of 12 kB.
        assert_eq!(Excerpt::of(&"\u{1}".repeat(3000), 3..4), None);
    }
}
