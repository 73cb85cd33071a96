//! Results that were stored: what a file turns out to hold, and its page.

use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::{Diagnostic, Kind, read_result};
use crate::output::page::Page;
use crate::output::pictures;
use crate::output::plot::PlotError;
use crate::output::report::MadeBy;
use crate::output::report::advice::AdviceResult;
use crate::output::report::comparison::Comparison;
use crate::output::report::evidence::law::{LawResult, SpreadsResult};
use crate::output::report::evidence::loads::GateLoads;
use crate::output::report::evidence::validation::{SystemsResult, ValidationResult};
use crate::output::report::explanation::Explanation;
use crate::output::report::goodput::GoodputResult;
use crate::output::report::layouts::LayoutsResult;
use crate::output::report::memory::MemoryResult;
use crate::output::report::network::flows::FlowsResult;
use crate::output::report::network::topology::ClusterDescription;
use crate::output::report::plan::PlanResult;
use crate::output::report::study::StudyResult;
use crate::output::schema::ResultKind;
use crate::studies::sweep::Results;

/// What a file turned out to hold.
pub enum Stored {
    /// Of `moesim run`.
    Study(Box<StudyResult>),
    /// Of `moesim compare`.
    Comparison(Box<Comparison>),
    /// Of `moesim plan`.
    Plan(Box<PlanResult>),
    /// Of `moesim layouts`.
    Layouts(Box<LayoutsResult>),
    /// Of `moesim advise`.
    Advice(Box<AdviceResult>),
    /// Of `moesim explain`.
    Explanation(Box<Explanation>),
    /// Of `moesim goodput`.
    Goodput(Box<GoodputResult>),
    /// Of `moesim memory`.
    Memory(Box<MemoryResult>),
    /// Of `moesim flows`.
    Flows(Box<FlowsResult>),
    /// Of `moesim topology`.
    Cluster(Box<ClusterDescription>),
    /// Of `moesim gate show`.
    Loads(Box<GateLoads>),
    /// Of `moesim gate fit` of a recording.
    Law(Box<LawResult>),
    /// Of `moesim gate fit` of counts.
    Spreads(Box<SpreadsResult>),
    /// Of `moesim validate`.
    Errors(Box<ValidationResult>),
    /// Of `moesim validate systems`.
    Systems(Box<SystemsResult>),
    /// Of a sweep.
    Table(Results),
    /// What `moesim gate show --export` wrote.
    Counts(Results),
}

/// A stored result and the text that it was read from, which a table has none of.
pub struct Found {
    /// The result.
    pub result: Stored,
    /// The text.
    pub text: String,
    /// What a sweep's folder says that it was made by.
    pub made_by: Option<MadeBy>,
}

/// Beside the tables of a sweep: what they were made by.
pub const MADE_BY: &str = "made-by.json";

/// No result is longer: those of a million GPUs take a fifth of it.
const MAX_RESULT_BYTES: u64 = 256 << 20;

/// What may be named.
pub const RESULTS: &str = "name what moesim run, compare, plan, flows or validate printed with --json, or a sweep's \
                           folder";

/// Reads a result and finds out what it is; `-` is standard input.
///
/// # Errors
/// If it cannot be read, or is no result.
pub fn open(path: &Path) -> Result<Found, Diagnostic> {
    let name = path.display().to_string();
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if path.is_dir() || ending == "parquet" || ending == "csv" {
        let table = Results::read(path)?;
        let counts = pictures::is_counts(&table);
        let result = if counts { Stored::Counts(table) } else { Stored::Table(table) };
        let beside = if path.is_dir() { path.to_owned() } else { path.with_file_name("") };
        let made_by = std::fs::read_to_string(beside.join(MADE_BY)).ok().filter(|_| !counts);
        let made_by = made_by.and_then(|text| serde_json::from_str(&text).ok());
        return Ok(Found { result, text: String::new(), made_by });
    }
    let text = read(path, &name)?;
    let value = json(&name, &text, ending)?;
    let result = Stored::of(&name, &text, &value)?;
    if let Some(key) = result.nothing_under() {
        let mistake = Diagnostic::of(name, "the list is empty: there is nothing to draw", RESULTS);
        return Err(Diagnostic { key: key.to_owned(), ..mistake });
    }
    Ok(Found { result, text, made_by: None })
}

/// A result's text as JSON, or what it is instead.
fn json(name: &str, text: &str, ending: &str) -> Result<Value, Diagnostic> {
    serde_json::from_str(text).map_err(|error| {
        let found = match ending {
            "pftrace" => "is a trace: open it at ui.perfetto.dev".to_owned(),
            _ => match Kind::misplaced(name, text) {
                Some(mistake) => return mistake,
                None => format!("is no JSON: {error}"),
            },
        };
        Diagnostic::of(name, found, RESULTS)
    })
}

fn read(path: &Path, name: &str) -> Result<String, Diagnostic> {
    let help =
        "name a result: JSON of moesim run, compare, plan, flows or validate, or a sweep's folder";
    let unreadable = |error: std::io::Error| Diagnostic::unreadable_but(name, &error, help);
    let whole = |from: &mut dyn Read| -> Result<Vec<u8>, Diagnostic> {
        let mut bytes = Vec::new();
        from.take(MAX_RESULT_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_RESULT_BYTES {
            let found = format!("is longer than {MAX_RESULT_BYTES} bytes, as no result is");
            return Err(Diagnostic::of(name, found, help));
        }
        Ok(bytes)
    };
    let bytes = if path == Path::new("-") {
        whole(&mut std::io::stdin().lock())?
    } else {
        Diagnostic::refuse_device(path)?;
        whole(&mut std::fs::File::open(path).map_err(unreadable)?)?
    };
    // What is no text is no JSON either: the parser says so.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn boxed<T: DeserializeOwned>(name: &str, text: &str) -> Result<Box<T>, Diagnostic> {
    read_result(name, text).map(Box::new)
}

impl Stored {
    fn of(name: &str, text: &str, value: &Value) -> Result<Self, Diagnostic> {
        let told = ResultKind::told(value).map_err(|found| {
            Diagnostic::of(name, found, "make the result again with this moesim")
        })?;
        if let Some(kind) = told {
            return Self::labelled(kind, name, text);
        }
        // Results of moesim before they were labelled are told by their keys.
        let has = |key: &str| value.get(key).is_some();
        if has("files") {
            return boxed(name, text).map(Self::Errors);
        }
        let keys = [
            ("results", ResultKind::Run),
            ("clusters", ResultKind::Comparison),
            ("candidates", ResultKind::Plan),
        ];
        let found = keys.into_iter().find(|(key, _)| has(key)).map(|(_, kind)| kind);
        let layouts = (has("front") && has("objective")).then_some(ResultKind::Layouts);
        let flows = has("link_use").then_some(ResultKind::Flows);
        match found.or(layouts).or(flows) {
            Some(kind) => Self::labelled(kind, name, text),
            None => {
                let found = "is JSON, but no result that can be drawn";
                Err(Diagnostic::of(name, found, RESULTS))
            }
        }
    }

    fn labelled(kind: ResultKind, name: &str, text: &str) -> Result<Self, Diagnostic> {
        match kind {
            ResultKind::Run => boxed(name, text).map(Self::Study),
            ResultKind::Comparison => boxed(name, text).map(Self::Comparison),
            ResultKind::Plan => boxed(name, text).map(Self::Plan),
            ResultKind::Layouts => boxed(name, text).map(Self::Layouts),
            ResultKind::Advice => boxed(name, text).map(Self::Advice),
            ResultKind::Explanation => boxed(name, text).map(Self::Explanation),
            ResultKind::Goodput => boxed(name, text).map(Self::Goodput),
            ResultKind::Memory => boxed(name, text).map(Self::Memory),
            ResultKind::Flows => boxed(name, text).map(Self::Flows),
            ResultKind::Cluster => boxed(name, text).map(Self::Cluster),
            ResultKind::Loads => boxed(name, text).map(Self::Loads),
            ResultKind::Law => boxed(name, text).map(Self::Law),
            ResultKind::Spreads => boxed(name, text).map(Self::Spreads),
            ResultKind::Validation => boxed(name, text).map(Self::Errors),
            ResultKind::Systems => boxed(name, text).map(Self::Systems),
        }
    }

    /// The list that a picture would be of, where it is empty.
    fn nothing_under(&self) -> Option<&'static str> {
        match self {
            Self::Study(run) => run.results.is_empty().then_some("results"),
            Self::Comparison(of) => of.clusters.is_empty().then_some("clusters"),
            Self::Plan(plan) => plan.candidates.is_empty().then_some("candidates"),
            Self::Layouts(found) => found.front.is_empty().then_some("front"),
            _ => None,
        }
    }
}

impl Found {
    /// As a page.
    ///
    /// # Errors
    /// If a picture cannot be drawn.
    pub fn page(&self, name: &str) -> Result<Page, Diagnostic> {
        let defect = |error: &dyn std::fmt::Display| {
            Diagnostic::of(name, error.to_string(), "this is a defect: please report it")
        };
        let page = self.result.page(name).map_err(|error| defect(&error))?;
        let page = self.result.with_text(page).map_err(|error| defect(&error))?;
        let made_by = page.made_by.clone().or_else(|| self.made_by.clone());
        Ok(Page { stored: self.text.clone(), made_by, ..page })
    }
}

impl Stored {
    fn page(&self, name: &str) -> Result<Page, PlotError> {
        Ok(match self {
            Self::Study(run) => Page::of_run(run)?,
            Self::Comparison(of) => Page::of_comparison(of)?,
            Self::Plan(plan) => Page::of_plan(plan)?,
            Self::Layouts(found) => Page::of_layouts(found)?,
            Self::Advice(advice) => Page::of_advice(advice)?,
            Self::Goodput(of) => Page::of_goodput(of),
            Self::Flows(flows) => Page::of_flows(flows)?,
            Self::Explanation(of) => {
                Page::of_words("An explanation", "Why does it come out so?", &of.made_by)
            }
            Self::Memory(of) => Page::of_memory(of),
            Self::Cluster(of) => Page::of_words("A cluster", "What is this cluster?", &of.made_by),
            Self::Loads(of) => {
                Page::of_words("Loads of a gate", "How does the gate spread tokens?", &of.made_by)
            }
            Self::Law(of) => Page::of_words("A law", "How do a gate's tokens spread?", &of.made_by),
            Self::Spreads(of) => {
                Page::of_words("Spreads of counts", "How uneven are experts?", &of.made_by)
            }
            Self::Systems(of) => Page::of_systems(of)?,
            Self::Errors(of) => {
                let told = (of.made_by != MadeBy::default()).then(|| of.made_by.clone());
                Page { made_by: told, ..Page::of_errors(&of.files)? }
            }
            Self::Table(table) | Self::Counts(table) => Page::of_sweep(name, table)?,
        })
    }

    /// With what its command prints for people.
    fn with_text(&self, page: Page) -> std::io::Result<Page> {
        match self {
            Self::Study(run) => page.with_text(|out| run.write_text(out)),
            Self::Comparison(of) => page.with_text(|out| of.write_text(out)),
            Self::Plan(plan) => page.with_text(|out| plan.write_text(out)),
            Self::Layouts(found) => page.with_text(|out| found.write_text(out)),
            Self::Advice(advice) => page.with_text(|out| advice.write_text(out)),
            Self::Goodput(of) => page.with_text(|out| of.write_text(out)),
            Self::Flows(flows) => page.with_text(|out| flows.write_text(out)),
            Self::Explanation(of) => page.with_text(|out| of.write_text(out)),
            Self::Memory(of) => page.with_text(|out| of.write_text(out)),
            Self::Cluster(of) => page.with_text(|out| of.write_text(out)),
            Self::Loads(of) => page.with_text(|out| of.write_text(out)),
            Self::Errors(of) => page.with_text(|out| of.write_text(out)),
            Self::Law(_) | Self::Spreads(_) | Self::Systems(_) => Ok(page),
            Self::Table(_) | Self::Counts(_) => Ok(page),
        }
    }
}
