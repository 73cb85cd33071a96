//! Why a request is not answered: a status, and the mistake as JSON with `key`, `found` and `help`.

use hyper::StatusCode;
use moesim::commands::explore;
use moesim::config::Diagnostic;

/// A request that is not answered.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    mistake: Box<Diagnostic>,
}

impl Refusal {
    /// Of a request that makes no sense.
    pub(super) fn of(status: StatusCode, found: impl Into<String>, help: &str) -> Self {
        Self { status, mistake: Box::new(Diagnostic::of("the request", found, help)) }
    }

    /// A newer question of the same page took its place.
    pub(super) fn overtaken() -> Self {
        let found = "a newer question of this page took its place";
        Self::of(StatusCode::CONFLICT, found, "wait for the newer one's answer")
    }

    pub(super) fn json(&self) -> String {
        explore::mistake(&self.mistake).to_string()
    }
}

impl From<Diagnostic> for Refusal {
    fn from(mistake: Diagnostic) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, mistake: Box::new(mistake) }
    }
}
