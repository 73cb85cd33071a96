//! Diagnostics as the command line shows them: a title, the line with carets under what is meant, help.
//!
//! ```text
//! error: model.leyers: unknown key `leyers`
//!   --> model.toml:15:1
//!    |
//! 15 | leyers = 12
//!    | ^^^^^^
//!   help: did you mean `layers`?
//! ```
//!
//! Excerpts are drawn by `annotate-snippets`, which draws those of rustc: it handles wide characters, tabs
//! and lines wider than the terminal, and writes ASCII with or without colours. `miette` does the same with
//! a derive for errors that carry their sources; we have one type of error and need only the drawing.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use textwrap::{Options, WordSplitter};

use super::Diagnostic;

/// How a message is to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Break lines so that they fit into this many columns; files and pipes get lines as they are.
    pub columns: Option<usize>,
    /// Use the terminal's colours.
    pub colours: bool,
}

impl Diagnostic {
    /// The message of the command line, without the end of its last line.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        let mut text = match &self.excerpt {
            Some(excerpt) => {
                let title = wrapped(&self.shown_title(), "error: ".len(), style);
                let snippet = Snippet::source(excerpt.text())
                    .line_start(excerpt.line())
                    .path(self.shown_place())
                    .annotation(AnnotationKind::Primary.span(excerpt.span().clone()));
                let title = Level::ERROR.primary_title(title);
                renderer(style).render(&[title.element(snippet)])
            }
            None => {
                let title = self.placed_title();
                let error =
                    if style.colours { "\u{1b}[1m\u{1b}[91merror\u{1b}[0m" } else { "error" };
                let title = indented(&wrapped(&title, "error: ".len(), style), "       ");
                format!("{error}: {title}")
            }
        };
        if !self.help.is_empty() {
            let help = wrapped(&self.shown_help(), "  help: ".len(), style);
            let word = if style.colours { "\u{1b}[1m\u{1b}[96mhelp\u{1b}[0m" } else { "help" };
            text.push_str(&format!("\n  {word}: {}", indented(&help, "        ")));
        }
        text
    }
}

fn renderer(style: Style) -> Renderer {
    let renderer = if style.colours { Renderer::styled() } else { Renderer::plain() };
    style.columns.map_or(renderer.clone(), |columns| renderer.term_width(columns))
}

/// Text whose lines fit beside what stands before them.
fn wrapped(text: &str, before: usize, style: Style) -> String {
    let Some(columns) = style.columns else { return text.to_owned() };
    // Names such as `h100-4x8-rail` stay whole.
    let options = Options::new(columns.saturating_sub(before).max(20))
        .word_splitter(WordSplitter::NoHyphenation)
        .break_words(false);
    textwrap::fill(&glued(text), options).replace(GLUE, " ")
}

/// A space at which lines are not broken.
const GLUE: char = '\u{a0}';

/// Commands and names in back quotes stay on one line, where they are short.
fn glued(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(nth, part)| match nth % 2 {
        1 if part.len() <= 40 => part.replace(' ', "\u{a0}"),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("`")
}

/// Lines after the first set in.
fn indented(text: &str, by: &str) -> String {
    text.replace('\n', &format!("\n{by}"))
}

#[cfg(test)]
mod tests {
    use super::super::Source;
    use super::*;

    fn mistake() -> Diagnostic {
        let source = Source::built_in("a.toml", "[model]\nleyers = 12\n");
        source.mistake(8..14, "unknown key `leyers`", "did you mean `layers`?\nor `heads`")
    }

    #[test]
    fn a_message_shows_the_line_and_what_of_it_is_meant() {
        assert_eq!(
            mistake().render(Style::default()),
            "error: model.leyers: unknown key `leyers`\n \
             --> a.toml:2:1\n  \
             |\n\
             2 | leyers = 12\n  \
             | ^^^^^^\n  \
             help: did you mean `layers`?\n        or `heads`"
        );
    }

    #[test]
    fn a_message_on_a_terminal_is_wrapped_and_a_file_gets_no_escape_sequence() {
        let long = Diagnostic::of("--set", "far ".repeat(60), "wide ".repeat(60));
        let shown = long.render(Style { columns: Some(80), colours: false });
        assert!(shown.lines().count() > 6 && shown.lines().all(|line| line.len() <= 80), "{shown}");
        assert_eq!(long.render(Style::default()).lines().count(), 2);
        let style = Style { columns: Some(40), colours: false };
        let quoted = Diagnostic::of("x", "is", "use what is shown by `moesim list` here");
        assert_eq!(
            quoted.render(style),
            "error: x: is\n  help: use what is shown by\n        `moesim list` here"
        );
        for mistake in [mistake(), long] {
            assert!(!mistake.render(Style::default()).contains('\u{1b}'));
            let style = Style { columns: Some(80), colours: true };
            assert!(mistake.render(style).contains('\u{1b}'));
        }
    }
}
