//! Text that a user wrote, and mistakes found in it, placed by file, line and key.
//!
//! A [`Source`] is a TOML file (or a built-in one) plus the `--set key=value` lines given for it.
//! Each override is parsed as if it stood behind the end of the file, so that one byte offset
//! says of every value where it came from, and a mistake in an override names the override.

use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::DeTable;

use crate::base::hashes::fold_bytes;
use crate::base::inputs::Input;

mod diagnostic;
mod excerpt;
mod foreign;
mod locate;
mod missing;
mod network_file;
mod plain_words;
mod render;
mod results;
mod rows;
mod samples;
mod stated;
pub use diagnostic::Diagnostic;
pub use excerpt::Excerpt;
pub use foreign::foreign;
use foreign::{foreign_bytes, foreign_or_table};
use locate::{key_at, keys_at, merge, span_of, table_at};
use missing::missing;
pub use network_file::NetworkFile;
use plain_words::{in_plain_words, refused_in_list};
pub use render::Style;
pub use results::read_result;
use samples::home_of;
pub(super) use samples::table_of;
pub(super) use stated::{Override, Stated};

/// No scenario, topology, workload or profile is larger; a file that is was meant for another tool.
pub const MAX_FILE_BYTES: u64 = 8 << 20;

/// A TOML text, where it came from, and the overrides that apply to it.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    text: String,
    built_in: bool,
    /// In the order given.
    overrides: Vec<Override>,
}

impl Source {
    /// A text that is compiled in.
    #[must_use]
    pub fn built_in(name: &str, text: &str) -> Self {
        Self::new(name.to_owned(), text.to_owned(), true)
    }

    const fn new(name: String, text: String, built_in: bool) -> Self {
        Self { name, text, built_in, overrides: Vec::new() }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, is larger than [`MAX_FILE_BYTES`], or is not UTF-8.
    pub fn read(path: &Path) -> Result<Self, Diagnostic> {
        let name = path.display().to_string();
        let unreadable = |e: std::io::Error| Diagnostic::unreadable(&name, &e);
        let size = std::fs::metadata(path).map_err(unreadable)?;
        if !size.is_file() {
            let found = if size.is_dir() { "is a folder" } else { "is not a regular file" };
            return Err(Diagnostic::of(&name, found, "name a file in its place"));
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
            Ok(text) => Ok(Self::new(name, text, false)),
            Err(e) if foreign_bytes(e.as_bytes()).is_some() => {
                let (found, help) = foreign_bytes(e.as_bytes()).unwrap_or_default();
                Err(Diagnostic::of(&name, found, help))
            }
            Err(e) => {
                let good = e.utf8_error().valid_up_to();
                let line = 1 + e.as_bytes()[..good].iter().filter(|&&b| b == b'\n').count();
                let text = String::from_utf8_lossy(e.as_bytes());
                let help = "save the file as UTF-8";
                Err(Diagnostic::at_line(&name, (&text, line), "is not UTF-8 text", help))
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
        let lines = self.overrides.iter().map(|own| &own.line);
        let texts = std::iter::once(&self.text).chain(lines);
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
    pub fn with_overrides<'a>(self, overrides: impl IntoIterator<Item = &'a str>) -> Self {
        let own =
            |line: &str| Override { prefix: String::new(), line: line.to_owned(), stated: None };
        self.with_placed_overrides(overrides.into_iter().map(own))
    }

    /// The same, each behind the prefix that it had where it was written: messages echo what was typed.
    pub(super) fn with_placed_overrides(
        mut self,
        overrides: impl IntoIterator<Item = Override>,
    ) -> Self {
        self.overrides.extend(overrides);
        self
    }

    /// Parses the text with its overrides into `T`, a mirror of the file's layout.
    ///
    /// # Errors
    /// If the text is no TOML or not of the layout of `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Diagnostic> {
        let padded: Vec<String> = self.padded_overrides()?;
        let table = self.table(&padded).map_err(|e| self.no_toml(&e))?;
        let whole = table.clone();
        T::deserialize(toml::Deserializer::from(table)).map_err(|e| self.misfit::<T>(&e, &whole))
    }

    /// The keys at the top of the file.
    ///
    /// # Errors
    /// If the text is no TOML.
    pub(super) fn top_keys(&self) -> Result<Vec<String>, Diagnostic> {
        let table = DeTable::parse(&self.text).map_err(|e| self.no_toml(&e))?;
        Ok(table.get_ref().keys().map(|key| key.get_ref().to_string()).collect())
    }

    /// The text's table with those of its overrides laid over it.
    fn table<'t>(
        &'t self,
        overrides: &'t [String],
    ) -> Result<Spanned<DeTable<'t>>, toml::de::Error> {
        let mut table = DeTable::parse(&self.text)?;
        for text in overrides {
            merge(table.get_mut(), DeTable::parse(text)?.into_inner());
        }
        Ok(table)
    }

    /// A mistake at the place of a value that was read with its span.
    pub fn mistake(
        &self,
        span: Range<usize>,
        found: impl Into<String>,
        help: impl Into<String>,
    ) -> Diagnostic {
        let padded = self.padded_overrides().unwrap_or_default();
        let table = self.table(&padded);
        let key = table.map_or_else(|_| String::new(), |table| key_at(table.get_ref(), span.start));
        self.at(span, key, found, help)
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
        let span = self.table(&padded).ok().and_then(|table| span_of(table.get_ref(), key));
        match span {
            None => self.mistake_without_span(key, found, help),
            Some(span) => self.at(span, key.to_owned(), found, help),
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
        for Override { prefix, line: given, .. } in &self.overrides {
            let Some((key, value)) = given.split_once('=') else {
                return Err(Diagnostic::of(
                    format!("--set {prefix}{given}"),
                    "has no `=`",
                    "write KEY=VALUE, as in --set nodes.count=4",
                ));
            };
            let (key, value) = (quoted_steps(key.trim()), value.trim());
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

    /// What to say of a text that is no TOML: it may be another tool's.
    fn no_toml(&self, error: &toml::de::Error) -> Diagnostic {
        if let Some((found, help)) = foreign_or_table(&self.text) {
            return Diagnostic::of(&self.name, found, help);
        }
        let (found, help) = in_plain_words(error.message(), "");
        let Some(span) = error.span() else { return Diagnostic::of(&self.name, found, help) };
        self.at(span, String::new(), found, help)
    }

    /// What to say of TOML that has not the layout of `T`.
    fn misfit<T: DeserializeOwned>(
        &self,
        error: &toml::de::Error,
        whole: &Spanned<DeTable<'_>>,
    ) -> Diagnostic {
        let (message, span) = (error.message(), error.span());
        let table = span.as_ref().and_then(|span| table_at(whole, span));
        let at = |span: &Range<usize>| key_at(whole.get_ref(), span.start);
        let key = table.clone().or_else(|| span.as_ref().map(at)).unwrap_or_default();
        let missing_field = message.strip_prefix("missing field `");
        let missing_field = missing_field.and_then(|rest| rest.strip_suffix('`'));
        let (found, help) = if let (Some(name), Some(table)) = (missing_field, &table) {
            let whole = toml::Table::deserialize(toml::Deserializer::from(whole.clone()));
            let (found, help) = missing::<T>(whole.unwrap_or_default(), table, name);
            (found, missing::of_overridden((&self.name, &self.text), table, help))
        } else if message.starts_with("wanted exactly 1 element") {
            let given = span.as_ref().map_or_else(Vec::new, |span| keys_at(whole.get_ref(), span));
            one_choice(&key, &given)
        } else {
            let (found, help) = in_plain_words(message, &key);
            let again = refused_in_list::<T>((whole, &key), (&found, &help));
            (found, again.unwrap_or(help))
        };
        let unknown = found.strip_prefix("unknown key `").and_then(|rest| rest.strip_suffix('`'));
        let (key, help) = match unknown {
            Some(name) => (up_to(&key, name), elsewhere(name, &key, help)),
            None => (key.clone(), help),
        };
        match span {
            // The whole file is no line of it.
            Some(span) if table.as_deref() != Some("") => self.at(span, key, found, help),
            _ => self.mistake_without_span("", found, help),
        }
    }
}

/// A dotted key as TOML: steps that hold other characters than a bare key may, such as a link's name, in quotes.
fn quoted_steps(key: &str) -> String {
    let bare = |step: &str| step.chars().all(|c| c.is_ascii_alphanumeric() || "_- ".contains(c));
    if key.contains(['"', '\'']) {
        return key.to_owned();
    }
    let steps = key.split('.').map(|step| match bare(step) {
        true => step.to_owned(),
        false => format!("{:?}", step.trim()),
    });
    steps.collect::<Vec<_>>().join(".")
}

/// The key up to the step of a name: what stands below an unknown key does not matter.
fn up_to(key: &str, name: &str) -> String {
    let end = key.rfind(name).map_or(key.len(), |at| at + name.len());
    key[..end].to_owned()
}

/// What to say where one of several tables is to be named, and none is or several are.
fn one_choice(key: &str, given: &[String]) -> (String, String) {
    let names: Vec<String> = given.iter().map(|name| format!("[{key}.{name}]")).collect();
    match &names[..] {
        [] => (
            "names no choice".to_owned(),
            format!("name one, as in [{key}.NAME], with its keys below"),
        ),
        _ => {
            (format!("names several choices: {}", names.join(", ")), "keep one of them".to_owned())
        }
    }
}

/// Advice on an unknown key that belongs into another table.
fn elsewhere(name: &str, key: &str, help: String) -> String {
    let here = key.rsplit_once('.').map_or("", |(table, _)| table);
    match home_of(name) {
        Some(home) if home != here && !help.starts_with("did you mean") => {
            format!("`{name}` is a key of [{home}]")
        }
        _ => help,
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

/// Stands between what was found and how to fix it in messages that pass through serde.
pub(super) const HELP_FOLLOWS: char = '\u{1f}';
