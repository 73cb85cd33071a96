//! Files of moesim: what is built in, what kind a text is of, whether it is sound.

use std::collections::BTreeMap;

use moesim::base::choice::Choice;
use moesim::commands::Call;
use moesim::config::{
    self, Diagnostic, ImportAs, Kind, Overrides, Source, SweepPlan, import_config,
};
use moesim::studies::sweep::Sweep;
use pyo3::prelude::*;

use crate::errors::error;
use crate::work;

/// The kind of a word.
fn kind(word: &str) -> Result<Kind, Diagnostic> {
    let found = Kind::ALL.iter().copied().find(|kind| kind.word() == word);
    let words: Vec<&str> = Kind::ALL.iter().map(|kind| kind.word()).collect();
    found.ok_or_else(|| {
        let help = format!("choose from: {}", words.join(", "));
        Diagnostic::of("", format!("there is no kind `{word}`"), help)
    })
}

/// A value as JSON → a TOML text.
#[pyfunction]
pub fn to_toml(json: &str) -> PyResult<String> {
    let unfit = |found: String| {
        let help =
            "files hold tables, lists, texts, numbers and truth values; leave out what is None";
        error(&Diagnostic::of("", format!("has no TOML form: {found}"), help))
    };
    let value: serde_json::Value =
        serde_json::from_str(json).map_err(|error| unfit(error.to_string()))?;
    toml::to_string(&value).map_err(|error| unfit(error.to_string()))
}

/// The kind of a file, from its text.
#[pyfunction]
pub fn kind_of(text: &str) -> Option<String> {
    Kind::of_text(text).map(|kind| kind.word().to_owned())
}

/// The text of a built-in file.
#[pyfunction]
pub fn built_in(kind_word: &str, name: &str) -> PyResult<Option<String>> {
    let kind = kind(kind_word).map_err(|mistake| error(&mistake))?;
    Ok(config::built_in(kind, name).map(|source| source.text().to_owned()))
}

/// The names of what is built in of a kind.
#[pyfunction]
pub fn names(kind_word: &str) -> PyResult<Vec<String>> {
    let kind = kind(kind_word).map_err(|mistake| error(&mistake))?;
    Ok(config::built_in_names(kind).map(str::to_owned).collect())
}

/// Reads and checks a file of a kind, handed over or by its path.
#[pyfunction]
pub fn check(
    py: Python<'_>,
    kind_word: String,
    name: String,
    files: BTreeMap<String, String>,
) -> PyResult<()> {
    work::done(py, None, move || {
        let kind = kind(&kind_word)?;
        let call = Call { files, ..Call::default() };
        let source = || match call.files.get(&name) {
            Some(text) => Ok(Source::built_in(&name, text)),
            None => config::built_in_or_file(kind, &name),
        };
        match kind {
            Kind::Topology => config::read_topology(&source()?).map(drop),
            Kind::Workload => config::workload(&source()?).map(drop),
            Kind::Scenario => call.scenario(&name, Overrides::default()).map(drop),
            Kind::Plan => {
                let plan = SweepPlan::of_files(&name, call.files.clone(), &[])?;
                Sweep::new(&plan).map(drop)
            }
            Kind::Prices => config::read_prices(&source()?).map(drop),
            Kind::Profile | Kind::Overheads => source().map(drop),
        }
    })
}

/// A model's config.json, by its place and its text → the text of a workload, and what became of every key.
#[pyfunction]
#[pyo3(signature = (place, text, name, source=None, gpus=None, family=None, ffn_slots=None))]
pub fn imported(
    place: &str,
    text: &str,
    name: &str,
    source: Option<&str>,
    gpus: Option<u32>,
    family: Option<&str>,
    ffn_slots: Option<f64>,
) -> PyResult<(String, String)> {
    let asked = ImportAs { name, source, gpus, family, ffn_slots };
    let imported = import_config(place, text, asked).map_err(|mistake| error(&mistake))?;
    Ok((imported.text, imported.account.to_string()))
}
