//! Text that a user wrote, and mistakes found in it, placed by file, line and key.
//!
//! A [`Source`] is a TOML file (or a built-in one) plus the `--set key=value` lines given for it.
//! Each override is parsed as if it stood behind the end of the file, so that one byte offset
//! says of every value where it came from, and a mistake in an override names the override.

use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::base::inputs::Input;
use crate::base::streams::{fnv1a, fnv1a_on};

mod diagnostic;
mod foreign;
mod plain_words;
pub use diagnostic::Diagnostic;
pub use foreign::foreign;
use plain_words::in_plain_words;

/// No scenario, topology, workload or profile is larger; a file that is was meant for another tool.
pub const MAX_FILE_BYTES: u64 = 8 << 20;

/// A TOML text, where it came from, and the overrides that apply to it.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    text: String,
    built_in: bool,
    /// `key = value` lines, in the order given.
    overrides: Vec<String>,
}

impl Source {
    /// A text that is compiled in.
    #[must_use]
    pub fn built_in(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), text: text.to_owned(), built_in: true, overrides: Vec::new() }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, is larger than [`MAX_FILE_BYTES`], or is not UTF-8.
    pub fn read(path: &Path) -> Result<Self, Diagnostic> {
        let name = path.display().to_string();
        let unreadable = |e: std::io::Error| {
            Diagnostic::of(
                &name,
                format!("cannot be read: {e}"),
                "check the path and its permissions",
            )
        };
        let size = std::fs::metadata(path).map_err(unreadable)?;
        if !size.is_file() {
            return Err(Diagnostic::of(&name, "is not a regular file", "name a TOML file"));
        }
        if size.len() > MAX_FILE_BYTES {
            return Err(Diagnostic::of(
                &name,
                format!("is {} bytes long", size.len()),
                format!("moesim reads TOML files of up to {MAX_FILE_BYTES} bytes"),
            ));
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { name, text, built_in: false, overrides: Vec::new() }),
            Err(e) => {
                let good = e.utf8_error().valid_up_to();
                let line = 1 + e.as_bytes()[..good].iter().filter(|&&b| b == b'\n').count();
                let mut mistake =
                    Diagnostic::of(&name, "is not UTF-8 text", "save the file as UTF-8");
                mistake.line = Some(line);
                Err(mistake)
            }
        }
    }

    /// The file's or built-in's name, as shown in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Folds the text and its overrides into a hash.
    #[must_use]
    pub fn fold_into(&self, hash: u64) -> u64 {
        let texts = std::iter::once(&self.text).chain(&self.overrides);
        texts.fold(hash, |hash, text| fold_bytes(hash, text.as_bytes()))
    }

    /// This file, and those that its values under `keys` name, relative to its folder: what is read of
    /// it. What cannot be read is for those who need it to refuse.
    #[must_use]
    pub fn inputs(&self, keys: &[&str]) -> Vec<Input> {
        let mut inputs = vec![Input::of(&self.name, self.text.as_bytes(), self.built_in)];
        let folder = Path::new(&self.name).parent().unwrap_or(Path::new(""));
        if let (false, Ok(table)) = (keys.is_empty(), self.parse::<toml::Table>()) {
            named(&toml::Value::Table(table), "", (folder, keys), &mut inputs);
        }
        inputs
    }

    /// The text of the file, without overrides.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first sentence of the comment that opens the file, if it opens with one.
    #[must_use]
    pub fn summary(&self) -> Option<String> {
        let comment = self.text.lines().map_while(|line| line.strip_prefix('#'));
        let text = comment.map(str::trim).take_while(|line| !line.is_empty());
        let text = text.collect::<Vec<_>>().join(" ");
        let end = text.match_indices(['.', '?']).map(|(at, _)| at + 1);
        let end = end.into_iter().find(|&at| at == text.len() || text[at..].starts_with(' '));
        end.map(|at| text[..at].to_owned())
    }

    /// Adds overrides, each `dotted.key=value` with `value` as TOML; bare words are taken as text.
    #[must_use]
    pub fn with_overrides<'a>(mut self, overrides: impl IntoIterator<Item = &'a str>) -> Self {
        self.overrides.extend(overrides.into_iter().map(str::to_owned));
        self
    }

    /// Parses the text with its overrides into `T`, a mirror of the file's layout.
    ///
    /// # Errors
    /// If the text is no TOML or not of the layout of `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Diagnostic> {
        let padded: Vec<String> = self.padded_overrides()?;
        let mut table = DeTable::parse(&self.text).map_err(|e| self.mistake_of(&e, None))?;
        for text in &padded {
            let extra = DeTable::parse(text).map_err(|e| self.mistake_of(&e, None))?;
            merge(table.get_mut(), extra.into_inner());
        }
        let whole = table.clone();
        T::deserialize(toml::Deserializer::from(table))
            .map_err(|e| self.mistake_of(&e, Some(whole.get_ref())))
    }

    /// A mistake at the place of a value that was read with its span.
    pub fn mistake(
        &self,
        span: Range<usize>,
        found: impl Into<String>,
        help: impl Into<String>,
    ) -> Diagnostic {
        let padded = self.padded_overrides().unwrap_or_default();
        let key = DeTable::parse(&self.text).ok().map_or_else(String::new, |mut table| {
            for text in &padded {
                if let Ok(extra) = DeTable::parse(text) {
                    merge(table.get_mut(), extra.into_inner());
                }
            }
            key_at(table.get_ref(), span.start)
        });
        let (place, line) = self.place_of(span.start);
        Diagnostic { place, line, key, found: found.into(), help: help.into() }
    }

    /// A mistake at the place of the value of a dotted key (`"nodes.nic"`, `"graph.links[3].to"`),
    /// or of the innermost table around it that the user wrote.
    pub fn mistake_at_key(
        &self,
        key: &str,
        found: impl Into<String>,
        help: impl Into<String>,
    ) -> Diagnostic {
        let padded = self.padded_overrides().unwrap_or_default();
        let Ok(mut table) = DeTable::parse(&self.text) else {
            return self.mistake_without_span(key, found, help);
        };
        for text in &padded {
            if let Ok(extra) = DeTable::parse(text) {
                merge(table.get_mut(), extra.into_inner());
            }
        }
        match start_of(table.get_ref(), key) {
            None => self.mistake_without_span(key, found, help),
            Some(start) => {
                let (place, line) = self.place_of(start);
                Diagnostic {
                    place,
                    line,
                    key: key.to_owned(),
                    found: found.into(),
                    help: help.into(),
                }
            }
        }
    }

    /// A mistake about a key that is absent, or about the file as a whole.
    pub fn mistake_without_span(
        &self,
        key: &str,
        found: impl Into<String>,
        help: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic { key: key.to_owned(), ..Diagnostic::of(&self.name, found, help) }
    }

    /// The overrides as TOML lines, each moved behind the file and the overrides before it.
    fn padded_overrides(&self) -> Result<Vec<String>, Diagnostic> {
        let mut start = self.text.len() + 1;
        let mut padded = Vec::with_capacity(self.overrides.len());
        for given in &self.overrides {
            let Some((key, value)) = given.split_once('=') else {
                return Err(Diagnostic::of(
                    format!("--set {given}"),
                    "has no `=`",
                    "write --set key=value, such as --set batch.tokens_per_gpu=4096",
                ));
            };
            let (key, value) = (key.trim(), value.trim());
            let line = format!("{key} = {value}");
            let line = match DeTable::parse(&line) {
                Ok(_) => line,
                // A bare word or a quantity: `450 GB/s` means `"450 GB/s"`.
                Err(_) => format!("{key} = {}", toml::Value::String(value.to_owned())),
            };
            padded.push(format!("{}{line}", " ".repeat(start)));
            start += line.len() + 1;
        }
        Ok(padded)
    }

    /// The file and line, or the override, at a byte offset.
    fn place_of(&self, offset: usize) -> (String, Option<usize>) {
        if offset <= self.text.len() || self.overrides.is_empty() {
            let upto = offset.min(self.text.len());
            let line = 1 + self.text.as_bytes()[..upto].iter().filter(|&&b| b == b'\n').count();
            return (self.name.clone(), Some(line));
        }
        let ends = self.padded_overrides().unwrap_or_default();
        let nth = ends.iter().position(|line| offset < line.len() + 1);
        let nth = nth.unwrap_or(self.overrides.len() - 1);
        (format!("--set {}", self.overrides[nth]), None)
    }

    fn mistake_of(&self, error: &toml::de::Error, table: Option<&DeTable<'_>>) -> Diagnostic {
        let offset = error.span().map(|span| span.start);
        let (place, line) = match offset {
            Some(offset) => self.place_of(offset),
            None => (self.name.clone(), None),
        };
        let key = match (table, offset) {
            (Some(table), Some(offset)) => key_at(table, offset),
            _ => String::new(),
        };
        // A syntax error: the file may be another tool's.
        let other = table.is_none().then(|| foreign(&self.text)).flatten();
        if let Some((found, help)) = other {
            return Diagnostic::of(&self.name, found, help);
        }
        let (found, help) = in_plain_words(error.message());
        Diagnostic { place, line, key, found, help }
    }
}

/// Adds the files that texts under one of some keys name.
fn named(value: &toml::Value, key: &str, (folder, keys): (&Path, &[&str]), found: &mut Vec<Input>) {
    match value {
        toml::Value::String(text) if keys.contains(&key) => {
            let path = folder.join(text);
            if path.is_file()
                && let Ok(bytes) = std::fs::read(&path)
            {
                found.push(Input::of(path.display().to_string(), &bytes, false));
            }
        }
        toml::Value::Table(table) => {
            table.iter().for_each(|(key, inner)| named(inner, key, (folder, keys), found));
        }
        _ => {}
    }
}

/// Folds some bytes and their end into a hash; zero starts afresh.
#[must_use]
pub fn fold_bytes(hash: u64, bytes: &[u8]) -> u64 {
    let hash = if hash == 0 { fnv1a(bytes) } else { fnv1a_on(hash, bytes) };
    // The end counts, so that "ab", "c" differs from "a", "bc".
    fnv1a_on(hash, &[0xff])
}

/// Lays `extra` over `table`: tables merge, anything else is replaced.
fn merge<'i>(table: &mut DeTable<'i>, extra: DeTable<'i>) {
    for (key, value) in extra {
        let name: &str = key.get_ref();
        match (table.get_mut(name).map(Spanned::get_mut), value.get_ref()) {
            (Some(DeValue::Table(old)), DeValue::Table(_)) => {
                if let DeValue::Table(new) = value.into_inner() {
                    merge(old, new);
                }
            }
            _ => {
                table.remove(name);
                table.insert(key, value);
            }
        }
    }
}

/// The dotted key of the value (or of the key itself) at a byte offset.
fn key_at(table: &DeTable<'_>, offset: usize) -> String {
    for (key, value) in table.iter() {
        let inner = match value.get_ref() {
            DeValue::Table(inner) => key_at(inner, offset),
            DeValue::Array(items) => items
                .iter()
                .enumerate()
                .find_map(|(i, item)| in_item(item, i, offset))
                .unwrap_or_default(),
            _ => String::new(),
        };
        let name = key.get_ref();
        if !inner.is_empty() {
            let dot = if inner.starts_with('[') { "" } else { "." };
            return format!("{name}{dot}{inner}");
        }
        if key.span().contains(&offset) || value.span().contains(&offset) {
            return name.to_string();
        }
    }
    String::new()
}

/// Where the value of a dotted key begins, or that of the innermost table around it.
fn start_of(table: &DeTable<'_>, key: &str) -> Option<usize> {
    let (step, rest) = key.split_once('.').unwrap_or((key, ""));
    let (name, nth) = match step.split_once('[') {
        Some((name, nth)) => (name, nth.trim_end_matches(']').parse::<usize>().ok()),
        None => (step, None),
    };
    let mut value = table.get(name)?;
    if let (Some(nth), DeValue::Array(items)) = (nth, value.get_ref()) {
        value = items.get(nth)?;
    }
    let inner = match value.get_ref() {
        DeValue::Table(inner) if !rest.is_empty() => start_of(inner, rest),
        _ => None,
    };
    Some(inner.unwrap_or(value.span().start))
}

fn in_item(item: &Spanned<DeValue<'_>>, i: usize, offset: usize) -> Option<String> {
    if let DeValue::Table(inner) = item.get_ref() {
        let inner = key_at(inner, offset);
        if !inner.is_empty() {
            return Some(format!("[{i}].{inner}"));
        }
    }
    item.span().contains(&offset).then(|| format!("[{i}]"))
}

/// Stands between what was found and how to fix it in messages that pass through serde.
pub(super) const HELP_FOLLOWS: char = '\u{1f}';
