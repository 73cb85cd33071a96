//! What a page asks of whoever answers it, a server or an engine within the page: a path and JSON, answered by JSON.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::Serialize;
use serde_json::{Value, json};

use super::{As, Ask, Unanswered, choices, defect};
use crate::config::{Diagnostic, Style};

/// What is asked, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// `api/choices`: what can be asked.
    Choices,
    /// `api/ask`: a question's answer.
    Answer,
    /// `api/export/…`: a question as files.
    Export(As),
}

impl Request {
    /// By its path, which begins with no slash.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        match path {
            "api/choices" => Some(Self::Choices),
            "api/ask" => Some(Self::Answer),
            _ => Some(Self::Export(As::of(path.strip_prefix("api/export/")?)?)),
        }
    }

    /// What it is answered about a question; what can be asked needs none.
    ///
    /// # Errors
    /// If something in the question is refused, or nobody waits any more.
    pub fn told(self, ask: Option<&Ask>, given_up: &Arc<AtomicBool>) -> Result<String, Unanswered> {
        let question = || ask.map_or_else(|| Err(none()), Ask::question);
        match self {
            Self::Choices => text(&choices()),
            Self::Answer => text(&question()?.answer(given_up)?),
            Self::Export(kind) => text(&question()?.export(kind, given_up)?),
        }
    }
}

fn none() -> Diagnostic {
    Diagnostic::of("the request", "asks nothing", "send a question as JSON")
}

fn text(value: &impl Serialize) -> Result<String, Unanswered> {
    Ok(serde_json::to_string(value).map_err(defect)?)
}

/// A mistake as a page is told it: where, what was found, how to mend it, and all of it as a text.
#[must_use]
pub fn mistake(mistake: &Diagnostic) -> Value {
    let Diagnostic { place, line, key, found, help, .. } = mistake;
    let text = mistake.render(Style::default());
    json!({ "error": { "place": place, "line": line, "key": key, "found": found, "help": help, "text": text } })
}
