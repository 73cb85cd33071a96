//! What each command computes: its options as values → its result.
//!
//! The command line reads options from words, other languages from values of theirs; both ask here, so that both get
//! the same result, and the same mistakes in the words of the command's options.

use std::collections::BTreeMap;
use std::path::Path;

use crate::base::inputs::Input;
use crate::config::{
    self, COMMAND_LINE, Diagnostic, Kind, Overrides, Scenario, ScenarioSource, ScenarioSpec, Source,
};
use crate::output::report::MadeBy;

pub mod decide;
pub mod explore;
pub mod files;
// It tells what the machine took, of which a browser says nothing.
#[cfg(not(target_family = "wasm"))]
pub mod flows;
pub mod run;
pub mod stored;
pub mod sweep;
pub mod topology;
pub mod validate;
pub mod words;

/// The commit that was built, where whoever built it said so in the environment.
const COMMIT: Option<&str> = option_env!("MOESIM_COMMIT");

/// How a command was called.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// The arguments of the command line that asks the same, for the record.
    pub arguments: Vec<String>,
    /// Texts that were handed over in place of files, by the name that options use for them.
    pub files: BTreeMap<String, String>,
}

impl Call {
    /// What the result of this call is made by.
    #[must_use]
    pub fn made_by(&self, inputs: impl IntoIterator<Item = Input>) -> MadeBy {
        let mut inputs: Vec<Input> =
            inputs.into_iter().filter(|input| input.name != COMMAND_LINE).collect();
        inputs.sort();
        inputs.dedup();
        MadeBy {
            moesim: env!("CARGO_PKG_VERSION").to_owned(),
            commit: COMMIT.map(str::to_owned),
            arguments: self.arguments.clone(),
            inputs,
        }
    }

    /// A scenario: handed over, built in, or a file.
    ///
    /// # Errors
    /// If there is none of that name, or something in it is refused.
    pub fn scenario(&self, name: &str, overrides: Overrides) -> Result<Scenario, Diagnostic> {
        let source = match self.files.contains_key(name) {
            true => ScenarioSource::of_files(name, self.files.clone(), overrides)?,
            false => ScenarioSource::open(name, overrides)?.beside(self.files.clone()),
        };
        source.load()
    }

    /// A scenario that options specify.
    fn specified(&self, spec: &ScenarioSpec, overrides: Overrides) -> ScenarioSource {
        ScenarioSource::of_spec(spec, overrides).beside(self.files.clone())
    }

    /// A file of a kind: handed over, built in, or read.
    fn source(&self, kind: Kind, name: &str) -> Result<Source, Diagnostic> {
        match self.files.get(name) {
            Some(text) => Ok(Source::built_in(name, text)),
            None => config::built_in_or_file(kind, name),
        }
    }

    /// Whether a name is that of something of a kind.
    fn is_a(&self, kind: Kind, name: &str) -> bool {
        if let Some(text) = self.files.get(name) {
            return Kind::of_text(text) == Some(kind);
        }
        if config::built_in(kind, name).is_some() {
            return true;
        }
        std::fs::read_to_string(name).is_ok_and(|text| Kind::of_text(&text) == Some(kind))
    }
}

/// A file that was read, for the record; none that is gone by now.
pub fn input(path: &Path) -> Option<Input> {
    let bytes = std::fs::read(path).ok()?;
    Some(Input::of(path.display().to_string(), &bytes, false))
}

/// The overrides of a scenario, and the precision that is wanted, where that is asked.
#[must_use]
pub fn with_precision(set: &[String], precision: Option<&str>) -> Vec<String> {
    let wanted = precision.map(|precision| format!("precision={precision}"));
    set.iter().cloned().chain(wanted).collect()
}

/// The overrides of a scenario, and that what does not fit into memory may run, where that is asked.
#[must_use]
pub fn with_oom(set: &[String], allow: bool) -> Vec<String> {
    let allowed = allow.then(|| "allow_oom=true".to_owned());
    set.iter().cloned().chain(allowed).collect()
}
