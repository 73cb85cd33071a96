//! Keys of other files that a text states in a table of its own, and where they stand.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Diagnostic, Excerpt, Source};

/// Where a text states a key of another file.
#[derive(Clone, Debug)]
pub(in crate::config) struct Stated {
    name: Arc<str>,
    text: Arc<str>,
    /// Of the key, and of the value.
    spans: [Range<usize>; 2],
}

/// A key and a value that hold in place of a file's, and where they come from.
#[derive(Clone, Debug)]
pub(in crate::config) struct Override {
    /// What stood before the key on the command line, such as `workload.`.
    pub prefix: String,
    /// `key=value`.
    pub line: String,
    /// The text that states it; none where it was given on the command line.
    pub stated: Option<Stated>,
}

impl Stated {
    /// A mistake at this place: at its key, or at its value.
    pub(in crate::config) fn mistake(
        &self,
        at_key: bool,
        key: impl Into<String>,
        found: impl Into<String>,
        help: impl Into<String>,
    ) -> Diagnostic {
        let span = &self.spans[usize::from(!at_key)];
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        let excerpt = Excerpt::of(&self.text, span.clone()).map(Box::new);
        let of = Diagnostic::of(&*self.name, found, help);
        Diagnostic { line: Some(line), key: key.into(), excerpt, ..of }
    }
}

impl Source {
    /// The keys and values of one of its tables as `key=value`, each with its place. Tables within are taken apart:
    /// `a.b = 1` states what `"a.b" = 1` does. Nothing where the text is no TOML, which reading it will say.
    pub(in crate::config) fn stated_in(&self, table: &str) -> Vec<(String, Stated)> {
        let mut found = Vec::new();
        if let Ok(whole) = DeTable::parse(&self.text)
            && let Some(DeValue::Table(inner)) = whole.get_ref().get(table).map(Spanned::get_ref)
        {
            let file = (Arc::from(self.name.as_str()), Arc::from(self.text.as_str()));
            taken_apart(inner, "", &file, &mut found);
        }
        found
    }

    /// The override at a byte offset behind the file, if it is one.
    fn override_at(&self, offset: usize) -> Option<usize> {
        if offset <= self.text.len() || self.overrides.is_empty() {
            return None;
        }
        let ends = self.padded_overrides().unwrap_or_default();
        let nth = ends.iter().position(|line| offset < line.len() + 1);
        Some(nth.unwrap_or(self.overrides.len() - 1))
    }

    /// A mistake at a span of the file, or of the overrides behind it.
    pub(super) fn at(
        &self,
        span: Range<usize>,
        key: String,
        found: impl Into<String>,
        help: impl Into<String>,
    ) -> Diagnostic {
        let Some(nth) = self.override_at(span.start) else {
            let upto = span.start.min(self.text.len());
            let line = 1 + self.text.as_bytes()[..upto].iter().filter(|&&b| b == b'\n').count();
            let excerpt = Excerpt::of(&self.text, span).map(Box::new);
            let of = Diagnostic::of(&self.name, found, help);
            return Diagnostic { line: Some(line), key, excerpt, ..of };
        };
        let Override { prefix, line, stated } = &self.overrides[nth];
        match stated {
            Some(stated) => {
                let ends = self.padded_overrides().unwrap_or_default();
                let value = ends.get(nth).and_then(|line| line.find(" = ")).unwrap_or(0);
                stated.mistake(span.start < value, format!("{prefix}{key}"), found, help)
            }
            None => {
                Diagnostic { key, ..Diagnostic::of(format!("--set {prefix}{line}"), found, help) }
            }
        }
    }
}

/// A text's name, and the text.
type File = (Arc<str>, Arc<str>);

fn taken_apart(table: &DeTable<'_>, above: &str, file: &File, found: &mut Vec<(String, Stated)>) {
    for (key, value) in table {
        let (name, of_key): (&str, _) = (key.get_ref(), key.span());
        let key = match above {
            "" => name.to_owned(),
            _ if name.contains(['.', '"']) => format!("{above}.{name:?}"),
            _ => format!("{above}.{name}"),
        };
        match value.get_ref() {
            DeValue::Table(inner) => taken_apart(inner, &key, file, found),
            _ => {
                let (name, text) = file.clone();
                let line = format!("{key}={}", text.get(value.span()).unwrap_or_default());
                let spans = [of_key.clone(), value.span()];
                found.push((line, Stated { name, text, spans }));
            }
        }
    }
}
