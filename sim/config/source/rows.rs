//! Mistakes in CSV tables, placed by line and cell.

use super::{Diagnostic, Excerpt};
use crate::base::near::{nearest, quoted};

impl Diagnostic {
    /// What the reader of a CSV text says of it; `help` tells what columns it has.
    #[must_use]
    pub fn of_csv((place, text): (&str, &str), error: &csv::Error, help: &str) -> Self {
        if let Some(mistake) = Self::of_separator((place, text), help) {
            return mistake;
        }
        let line = error.position().map(|at| at.line() as usize);
        match error.kind() {
            csv::ErrorKind::Deserialize { err, .. } => {
                let nth = err.field().map(|at| at as usize);
                let said = err.kind().to_string();
                if let Some(name) = quoted_in(&said, "missing field `") {
                    return Self::without_column((place, text), name, help);
                }
                let column = nth.and_then(|nth| Some(cell(text, 1, nth)?.1)).unwrap_or_default();
                let found = match (nth.zip(line)).and_then(|(nth, line)| cell(text, line, nth)) {
                    Some((_, given)) => format!("`{given}` is not a {}", wanted(err.kind())),
                    None => said,
                };
                Self::in_cell((place, text), (line.unwrap_or(1), column), found, help)
            }
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                let found =
                    format!("has {len} cells, and the first line names {expected_len} columns");
                Self::at_line(place, (text, line.unwrap_or(1)), found, help)
            }
            _ => match line {
                Some(line) => Self::at_line(place, (text, line), error.to_string(), help),
                None => Self::of(place, error.to_string(), help),
            },
        }
    }

    /// Says that columns are separated by something else than commas, where they are.
    fn of_separator((place, text): (&str, &str), help: &str) -> Option<Self> {
        let found = format!("columns are separated by {}", other_separator(text)?);
        let help = format!("separate them by commas; {help}");
        Some(Self::at_line(place, (text, 1), found, help))
    }

    /// Says that a table has no column of a name, and which of its own may be meant.
    #[must_use]
    pub fn without_column((place, text): (&str, &str), name: &str, help: &str) -> Self {
        if text.trim().is_empty() {
            return Self::of(place, "is empty", help);
        }
        if let Some(mistake) = Self::of_separator((place, text), help) {
            return mistake;
        }
        let head = text.lines().next().unwrap_or_default();
        let near = nearest(name, head.split(',').map(str::trim));
        let near = if near.is_empty() {
            String::new()
        } else {
            format!("rename {}, if it is that; ", quoted(&near, " or "))
        };
        let found = format!("has no column `{name}`");
        Self::at_line(place, (text, 1), found, format!("{near}{help}"))
    }

    /// A mistake in the cell of a column, in a line counted from 1 of a CSV text.
    #[must_use]
    pub fn in_cell(
        (place, text): (&str, &str),
        (line, column): (usize, &str),
        found: impl Into<String>,
        help: &str,
    ) -> Self {
        let mut mistake = Self::at_line(place, (text, line), found, help);
        mistake.key = column.to_owned();
        let nth = text.lines().next().and_then(|head| {
            head.trim_start_matches('\u{feff}').split(',').position(|name| name.trim() == column)
        });
        if let Some((start, given)) = nth.and_then(|nth| cell(text, line, nth)) {
            let excerpt = Excerpt::of(text, start..start + given.len());
            mistake.excerpt = excerpt.map(Box::new).or(mistake.excerpt);
        }
        mistake
    }
}

/// Where a cell begins in a text, and what it holds; none where quotes may hide commas.
fn cell(text: &str, line: usize, nth: usize) -> Option<(usize, &str)> {
    let line = text.split('\n').nth(line.checked_sub(1)?)?;
    if line.contains('"') {
        return None;
    }
    let given = line.split(',').nth(nth)?.trim();
    Some((given.as_ptr() as usize - text.as_ptr() as usize, given))
}

fn wanted(kind: &csv::DeserializeErrorKind) -> &'static str {
    match kind {
        csv::DeserializeErrorKind::ParseBool(_) => "truth value",
        csv::DeserializeErrorKind::ParseInt(_) => "whole number that fits here",
        csv::DeserializeErrorKind::ParseFloat(_) => "number",
        _ => "value of this column",
    }
}

/// The name in back quotes behind some words.
fn quoted_in<'m>(message: &'m str, before: &str) -> Option<&'m str> {
    message.strip_prefix(before)?.split('`').next()
}

/// What separates the columns of a first line without a comma, where it is what other programs write.
fn other_separator(text: &str) -> Option<&'static str> {
    let head = text.lines().next().filter(|head| !head.contains(','))?;
    let known = [(';', "semicolons"), ('\t', "tabs"), ('|', "bars")];
    known.into_iter().find(|(separator, _)| head.contains(*separator)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Row {
        #[serde(rename = "name")]
        _name: String,
        #[serde(rename = "seconds")]
        _seconds: f64,
    }

    fn mistake(text: &str) -> Diagnostic {
        let rows: Result<Vec<Row>, csv::Error> =
            csv::Reader::from_reader(text.as_bytes()).deserialize().collect();
        Diagnostic::of_csv(("t.csv", text), &rows.unwrap_err(), "the columns are name, seconds")
    }

    #[test]
    fn a_cell_is_placed_by_line_column_and_key() {
        let wrong = mistake("name,seconds\na,1\nb, fast\n");
        assert_eq!(
            wrong.to_string().lines().next(),
            Some("t.csv:3: seconds: `fast` is not a number")
        );
        assert_eq!(wrong.excerpt.map(|excerpt| excerpt.columns()), Some(4..8));
    }

    #[test]
    fn a_column_that_is_missing_is_named_with_what_is_near() {
        let wrong = mistake("name,second\na,1\n");
        assert_eq!(
            wrong.to_string(),
            "t.csv:1: has no column `seconds`\n  help: rename `second`, if it is that; the columns are name, seconds"
        );
        let german = mistake("name;seconds\na;1,5\n").to_string();
        assert!(german.starts_with("t.csv:1: columns are separated by semicolons"), "{german}");
        let short = mistake("name,seconds\na\n").to_string();
        assert!(
            short.starts_with("t.csv:2: has 1 cells, and the first line names 2 columns"),
            "{short}"
        );
    }
}
