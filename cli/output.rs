//! What commands write beside what they print: files, pictures, folders of them, progress.
//!
//! `-` is standard output. What a command would have printed then goes to standard error, so that the
//! file comes out as it would lie on a disk.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};

use clap::error::{ContextKind, ContextValue};
use serde::Serialize;

use super::Failure;
use moesim::commands::Call;
pub(super) use moesim::commands::files::{Files, chart, write};
pub(super) use moesim::commands::input;
use moesim::config::{Diagnostic, Style};
use moesim::output::schema::{Labelled, Printed};

pub(super) mod progress;

/// Prints a result as JSON behind what it says it is.
pub(super) fn result(out: &mut dyn Write, result: &impl Printed) -> Result<(), Failure> {
    json(out, &Labelled::of(result))
}

/// Prints JSON.
pub(super) fn json(out: &mut dyn Write, result: &impl Serialize) -> Result<(), Failure> {
    serde_json::to_writer_pretty(&mut *out, result).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

/// How this command was called.
pub(super) fn call() -> Call {
    let arguments = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    Call { arguments: arguments.collect(), ..Call::default() }
}

/// The most columns that messages take: longer lines are hard to read.
const MOST_COLUMNS: usize = 80;

/// How messages on standard error are written. `NO_COLOR` and `TERM=dumb` ask for none.
pub(super) fn style_of_stderr() -> Style {
    if !io::stderr().is_terminal() {
        return Style::default();
    }
    let width =
        terminal_size::terminal_size_of(io::stderr()).map(|(width, _)| usize::from(width.0));
    let is = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let colours = is("NO_COLOR").is_none() && is("TERM").is_none_or(|term| term != "dumb");
    Style { columns: Some(width.unwrap_or(MOST_COLUMNS).clamp(40, MOST_COLUMNS)), colours }
}

/// Ends with what there is to say of the arguments: that one is refused, or the help that was asked for.
pub(super) fn end_with(told: clap::Error) -> ! {
    if !told.use_stderr() {
        told.exit();
    }
    let code = told.exit_code();
    // Nothing more can be done if standard error is closed.
    let _ = writeln!(io::stderr(), "{}", refusal(told, style_of_stderr()));
    std::process::exit(code);
}

/// What Rust's parsers of numbers say, which names no number that would do.
const OF_NUMBERS: [(&str, &str); 4] = [
    ("invalid digit found in string", "give a whole number from 0"),
    ("invalid float literal", "give a number"),
    ("number too large to fit in target type", "the number is too large"),
    ("cannot parse integer from empty string", "give a whole number from 0"),
];

/// The message that an argument is refused by, in lines of the style's width.
fn refusal(mut told: clap::Error, style: Style) -> String {
    // `-- --word` would hand an option that does not exist over as a name.
    let arg = told.get(ContextKind::InvalidArg).map(ToString::to_string);
    if arg.is_some_and(|arg| arg.starts_with("--"))
        && let Some(ContextValue::StyledStrs(mut tips)) = told.remove(ContextKind::Suggested)
    {
        tips.retain(|tip| !tip.to_string().starts_with("to pass "));
        if !tips.is_empty() {
            told.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
    }
    let text = told.render();
    let text = if style.colours { text.ansi().to_string() } else { text.to_string() };
    let text = OF_NUMBERS.iter().fold(text, |text, (parser, ours)| text.replace(parser, ours));
    let Some(columns) = style.columns else { return text.trim_end().to_owned() };
    let options = textwrap::Options::new(columns)
        .subsequent_indent("  ")
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .break_words(false);
    textwrap::fill(text.trim_end(), options)
}

/// What to say of the first argument that is no text. Names in files are UTF-8, so that paths must be too.
pub(super) fn not_text(args: impl IntoIterator<Item = OsString>) -> Option<Diagnostic> {
    let wrong = args.into_iter().find(|arg| arg.to_str().is_none())?;
    let place = wrong.to_string_lossy().into_owned();
    Some(Diagnostic::of(place, "is not UTF-8", "rename the file or folder, or reach it by a link"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn a_refused_argument_is_said_in_lines_that_fit() {
        let words = ["moesim", "layouts", "h100-4x8-rail", "--tokens", "100000000"];
        let told = || crate::Cli::try_parse_from(words).map(|_| ()).expect_err("too many");
        let terminal = Style { columns: Some(MOST_COLUMNS), colours: false };
        let said = refusal(told(), terminal);
        assert!(said.lines().all(|line| line.chars().count() <= MOST_COLUMNS), "{said}");
        // Whoever reads it otherwise, reads it whole.
        let whole = refusal(told(), Style::default());
        assert!(whole.lines().any(|line| line.chars().count() > MOST_COLUMNS), "{whole}");
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(&said), words(&whole));
    }
}
