//! `moesim explore`: what a page asks in names and numbers, and what it is answered.
//!
//! A page names what is built in and gives numbers within limits; it never names a file. [`Ask`] is what it sends,
//! [`Question`] what is run: a scenario as text, overrides, and the twin of a model that has none, so that `moesim run`
//! answers the same with the same numbers. A coarse question counts the MoE layers of one micro-batch under one seed.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::Serialize;
use serde_json::Value;

use super::run::{self, Ran};
use crate::base::threads;
use crate::config::Diagnostic;
use crate::output::page::{self, Drawing, Page};
use crate::output::pictures::{breakdown_chart, cluster_chart, links_chart};
use crate::output::plot::{Diagram, PlotError, Spans};
use crate::output::report::spoken;
use crate::output::schema::Labelled;
use crate::studies::study::Row;

mod ask;
mod choices;
mod export;
mod question;
mod request;

pub use ask::Ask;
pub use choices::{Choices, choices};
pub use export::{As, Exported};
pub use question::Question;
pub use request::{Request, mistake};

/// What a question is answered.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// The command that asks the same, where the question's files lie in its folder.
    pub command: String,
    /// Commands that look closer: at the timeline, and why it comes out so.
    pub closer: Vec<String>,
    /// The result, as `moesim run --json` prints it.
    pub result: Value,
    /// Pictures, as they lie within a page.
    pub drawings: Vec<String>,
}

/// Why there is no answer.
pub enum Unanswered {
    /// The question is refused.
    Refused(Diagnostic),
    /// Nobody waits for the answer any more.
    GivenUp,
}

impl From<Diagnostic> for Unanswered {
    fn from(mistake: Diagnostic) -> Self {
        Self::Refused(mistake)
    }
}

impl Question {
    /// Runs it, as long as somebody waits for the answer.
    ///
    /// # Errors
    /// If something in it is refused, or nobody waits any more.
    pub fn run(&self, given_up: &Arc<AtomicBool>) -> Result<Ran, Unanswered> {
        let (options, call) = (self.options(), self.call());
        let ran = threads::unless_given_up(given_up, || run::run(&options, &call));
        Ok(ran.ok_or(Unanswered::GivenUp)??)
    }

    /// Answers it; a coarse one with the picture of where the time goes alone.
    ///
    /// # Errors
    /// If something in it is refused, or nobody waits any more.
    pub fn answer(&self, given_up: &Arc<AtomicBool>) -> Result<Answer, Unanswered> {
        let ran = self.run(given_up)?;
        let result = serde_json::to_value(Labelled::of(&ran.result)).map_err(defect)?;
        let mut drawings = drawings(&ran, self.coarse).map_err(defect)?;
        let timeline = if self.coarse { None } else { timeline(&ran, given_up)? };
        if let Some(chart) = timeline {
            drawings.push(Drawing::of("A stretch of the timeline", &chart).map_err(defect)?);
        }
        let drawings = drawings.iter().map(Page::drawing).collect();
        let closer = page::closer(&ran.result);
        Ok(Answer { command: self.command(), closer, result, drawings })
    }

    /// The page of its result.
    ///
    /// # Errors
    /// If something in it is refused, or nobody waits any more.
    pub fn page(&self, given_up: &Arc<AtomicBool>) -> Result<Page, Unanswered> {
        let ran = self.run(given_up)?;
        let mut page = Page::of_run(&ran.result).map_err(defect)?;
        if let Some(chart) = cluster_at_work(&ran) {
            page.draw_cluster(&chart).map_err(defect)?;
        }
        if let Some(chart) = timeline(&ran, given_up)? {
            page.draw_timeline(&chart).map_err(defect)?;
        }
        let page = page.with_text(|out| ran.result.write_text(out)).map_err(defect)?;
        let stored = serde_json::to_string_pretty(&Labelled::of(&ran.result)).map_err(defect)?;
        Ok(Page { stored, ..page })
    }
}

fn defect(error: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::of("", error.to_string(), "this is a defect: please report it")
}

fn drawings(ran: &Ran, coarse: bool) -> Result<Vec<Drawing>, PlotError> {
    let mut all = vec![Drawing::of("Where the time goes", &breakdown_chart(&ran.result))?];
    if coarse {
        return Ok(all);
    }
    if let Ok(chart) = links_chart(&ran.result, None, "") {
        all.push(Drawing::of("How full links are", &chart)?);
    }
    if let Some(chart) = cluster_at_work(ran) {
        all.push(Drawing::of("The cluster at work", &chart)?);
    }
    Ok(all)
}

/// A stretch of the timeline of the MoE++ side.
fn timeline(ran: &Ran, given_up: &Arc<AtomicBool>) -> Result<Option<Spans>, Unanswered> {
    let last = ran.scenario.cases.last().and_then(|case| case.moepp.last());
    let Some(workload) = last else { return Ok(None) };
    let drawn = threads::unless_given_up(given_up, || run::excerpt(&ran.scenario, workload));
    Ok(Some(drawn.ok_or(Unanswered::GivenUp)??))
}

/// The cluster under the workload whose links are fullest; none where no byte crosses a link.
fn cluster_at_work(ran: &Ran) -> Option<Diagram> {
    let most = |row: &Row| row.link_bytes_per_s.iter().copied().fold(0.0, f64::max);
    let fullest = ran.rows.iter().max_by(|a, b| most(a).total_cmp(&most(b)));
    let row = fullest.filter(|row| most(row) > 0.0)?;
    let what = spoken(&row.workload.name, row.tau());
    Some(cluster_chart(&ran.scenario.topology, &row.link_bytes_per_s, &what))
}
