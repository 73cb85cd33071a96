//! What a page saves: the question's files, a table, a page, a few lines of Python.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::Serialize;

use super::question::SCENARIO;
use super::{Question, Unanswered, defect};
use crate::output::report::study::{StudyResult, StudyRow};

/// As what a question is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As {
    /// Its files, and the command that runs them.
    Toml,
    /// A line for each workload.
    Csv,
    /// The page of its result.
    Report,
    /// Lines of Python that ask the same.
    Python,
}

impl As {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Toml, Self::Csv, Self::Report, Self::Python];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Toml => "toml",
            Self::Csv => "csv",
            Self::Report => "report",
            Self::Python => "python",
        }
    }

    /// By its word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|own| own.word() == word)
    }
}

/// Files to save.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Exported {
    /// Each name and text.
    pub files: Vec<(String, String)>,
}

impl Question {
    /// Saves it as something.
    ///
    /// # Errors
    /// If something in it is refused, or nobody waits any more.
    pub fn export(&self, kind: As, given_up: &Arc<AtomicBool>) -> Result<Exported, Unanswered> {
        let one = |name: &str, text: String| Exported { files: vec![(name.to_owned(), text)] };
        Ok(match kind {
            As::Toml => self.toml(),
            As::Python => one("explore.py", self.python()),
            As::Csv => one("explore.csv", csv(&self.run(given_up)?.result)?),
            As::Report => one("explore.html", self.page(given_up)?.html()),
        })
    }

    /// The scenario, headed by the command, and the twin.
    fn toml(&self) -> Exported {
        let head = format!("# {}\n", self.command());
        let own = |(name, text): (&String, &String)| {
            let head = if name == SCENARIO { head.as_str() } else { "" };
            (name.clone(), format!("{head}{text}"))
        };
        Exported { files: self.files.iter().map(own).collect() }
    }

    /// Texts of JSON are texts of Python.
    fn python(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let scenario = self.files.get(SCENARIO).map_or("", String::as_str);
        let table: toml::Table = scenario.parse().unwrap_or_default();
        let mut lines = vec!["import moesim".to_owned(), String::new()];
        for (name, text) in self.files.iter().filter(|(name, _)| *name != SCENARIO) {
            let name = name.trim_end_matches(".toml");
            lines.push(format!("{name} = moesim.workload({})", quoted(text)));
        }
        lines.push("scenario = {".to_owned());
        for (key, value) in &table {
            lines.push(format!("    {}: {},", quoted(key), literal(value, &self.files)));
        }
        lines.push("}".to_owned());
        let set: Vec<String> = self.set.iter().map(|line| quoted(line)).collect();
        lines
            .push(format!("print(moesim.run(scenario, set=[{}], allow_oom=True))", set.join(", ")));
        lines.join("\n") + "\n"
    }
}

/// A value of TOML in Python; a file of the question by the name of its variable.
fn literal(value: &toml::Value, files: &std::collections::BTreeMap<String, String>) -> String {
    match value {
        toml::Value::String(text) if files.contains_key(text) => {
            text.trim_end_matches(".toml").to_owned()
        }
        toml::Value::String(text) => serde_json::Value::from(text.as_str()).to_string(),
        toml::Value::Boolean(true) => "True".to_owned(),
        toml::Value::Boolean(false) => "False".to_owned(),
        toml::Value::Array(all) => {
            let all: Vec<String> = all.iter().map(|own| literal(own, files)).collect();
            format!("[{}]", all.join(", "))
        }
        toml::Value::Table(table) => {
            let own = table.iter().map(|(key, own)| format!("\"{key}\": {}", literal(own, files)));
            format!("{{{}}}", own.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// A line for each workload: its time, its gain, and the time blamed on each reason.
fn csv(result: &StudyResult) -> Result<String, Unanswered> {
    let mut out = csv::Writer::from_writer(Vec::new());
    let reasons: Vec<&String> =
        result.results.first().map_or_else(Vec::new, |row| row.blame.keys().collect());
    let gain = [
        "gain_percent",
        "gain_percent_low",
        "gain_percent_high",
        "gain_percent_p05",
        "gain_percent_p95",
    ];
    let time = ["time_ms", "time_ms_low", "time_ms_high", "tokens_per_s"];
    let head = ["workload", "tau"].into_iter().chain(time).chain(gain);
    out.write_record(head.chain(reasons.iter().map(|reason| reason.as_str()))).map_err(defect)?;
    for row in &result.results {
        let numbers = numbers(row).map(|number| number.map_or_else(String::new, |n| n.to_string()));
        let blame = reasons
            .iter()
            .map(|reason| row.blame.get(*reason).copied().unwrap_or_default().to_string());
        let name = row.workload.workload.clone();
        out.write_record(std::iter::once(name).chain(numbers).chain(blame)).map_err(defect)?;
    }
    let bytes = out.into_inner().map_err(defect)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn numbers(row: &StudyRow) -> [Option<f64>; 10] {
    let (ms, gain, range) = (row.time.ms, row.increase_percent, row.predicted_increase_percent);
    let time = [row.tau(), ms.mean, ms.low, ms.high, row.tokens_per_s.mean];
    let gain = [gain.mean, gain.low, gain.high, range.low, range.high];
    let mut all = [None; 10];
    all[..5].copy_from_slice(&time);
    all[5..].copy_from_slice(&gain);
    all
}
