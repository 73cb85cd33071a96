//! Text in lines that fit a terminal.

use std::io::{self, Write};

/// Columns of a terminal.
pub(in crate::output) const WIDTH: usize = 80;

/// A text behind a label, in lines of at most [`WIDTH`] columns.
///
/// # Errors
/// If `out` cannot be written to.
pub fn wrapped(out: &mut dyn Write, label: &str, text: &str) -> io::Result<()> {
    let indent = " ".repeat(label.chars().count());
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
