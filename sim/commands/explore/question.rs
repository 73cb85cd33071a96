//! From what a page asks to a scenario, overrides and, where a model has no twin, a twin.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::ask::{Ask, one_of, refused};
use super::choices::{EXECUTIONS, OVERLAPS, PHASES, bandwidths, models};
use crate::commands::run::Options;
use crate::commands::{Call, words};
use crate::config::{self, Diagnostic, Kind};
use crate::execution::Scope;
use crate::workload::{ExchangeLibrary, Phase, Popularity, USUAL_TAU, Workload, ZeroComputation};

/// The names of the files that a question consists of.
pub(super) const SCENARIO: &str = "explore.toml";
const TWIN: &str = "twin.toml";
/// Seeds of a question that does not say how many.
const SEEDS: u32 = 8;

/// A question that can be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Its files, by name: the scenario, and the twin where the model has none that is built in.
    pub files: BTreeMap<String, String>,
    /// Overrides.
    pub set: Vec<String>,
    /// Whether a coarse answer is enough.
    pub coarse: bool,
}

impl Ask {
    /// As a question that can be run.
    ///
    /// # Errors
    /// If a name is not built in, or a number is beyond its limits.
    pub fn question(&self) -> Result<Question, Diagnostic> {
        self.within_limits()?;
        let cluster = one_of("cluster", &self.cluster, config::built_in_names(Kind::Topology))?;
        let all = models();
        one_of("model", &self.model, all.iter().map(|own| own.name.as_str()))?;
        let Some(model) = all.iter().find(|own| own.name == self.model) else {
            return Err(refused("model", &self.model, "name a model"));
        };
        let (moepp, twin) = twin_of(model)?;
        let mut files = BTreeMap::new();
        files.extend(twin.map(|text| (TWIN.to_owned(), text)));
        files.insert(SCENARIO.to_owned(), self.scenario(cluster, &moepp)?);
        Ok(Question { files, set: self.set(cluster)?, coarse: self.coarse })
    }

    fn counted(&self) -> Result<Scope, Diagnostic> {
        let word = self.counted.as_deref().unwrap_or(Scope::MoeLayer.word());
        one_of("counted", word, Scope::ALL.map(Scope::word))?;
        let asked = words::scope(word).map_err(|help| refused("counted", word, &help))?;
        let experts = asked == Scope::Experts;
        Ok(if self.coarse && !experts { Scope::MoeLayer } else { asked })
    }

    /// The phase that is asked; what counts a backward pass trains, unless another is asked.
    fn phase(&self) -> Result<Option<Phase>, Diagnostic> {
        let Some(word) = &self.phase else {
            let word = self.counted.as_deref().map(words::scope);
            let trains = word.is_some_and(|scope| scope.is_ok_and(Scope::has_backward));
            return Ok(trains.then_some(Phase::Training));
        };
        let word = one_of("phase", word, PHASES.map(|(own, _)| own.word()))?;
        Ok(Phase::ALL.into_iter().find(|own| own.word() == word))
    }

    fn scenario(&self, cluster: &str, moepp: &str) -> Result<String, Diagnostic> {
        let seeds = if self.coarse { 1 } else { self.seeds.unwrap_or(SEEDS) };
        let pair = [("vanilla", self.model.as_str()), ("moepp", moepp)];
        let pair: Table =
            pair.into_iter().map(|(key, name)| (key.to_owned(), name.into())).collect();
        let tau = self.tau.unwrap_or(USUAL_TAU);
        let keys: [(&str, Value); 8] = [
            ("schema", 1.into()),
            ("name", "explore".into()),
            ("topology", cluster.into()),
            ("counted", self.counted()?.word().into()),
            ("seeds", format!("0..{seeds}").into()),
            ("tau", Value::Array(vec![tau.into()])),
            ("calibration_uncertainty", (self.uncertain && !self.coarse).into()),
            ("compare", Value::Array(vec![Value::Table(pair)])),
        ];
        let table: Table = keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        text_of(&table)
    }

    /// The overrides, in the words of `--set`.
    fn set(&self, cluster: &str) -> Result<Vec<String>, Diagnostic> {
        let micro_batches = if self.coarse { Some(1) } else { self.micro_batches };
        let whole = [
            ("batch.tokens_per_gpu", self.tokens_per_gpu),
            ("batch.context", self.context),
            ("batch.micro_batches", micro_batches),
            ("layout.expert_parallel", self.expert_parallel),
            ("layout.tensor_parallel", self.tensor_parallel),
            ("layout.pipeline_parallel", self.pipeline_parallel),
        ];
        let whole =
            whole.into_iter().filter_map(|(key, value)| Some(format!("workload.{key}={}", value?)));
        let mut set: Vec<String> = whole.collect();
        set.extend(self.phase()?.map(|phase| format!("workload.batch.phase={}", phase.word())));
        set.extend(self.popularity_sd.map(|sd| format!("workload.gate.popularity_sd={sd}")));
        if let Some(word) = &self.library {
            let word = one_of("library", word, ExchangeLibrary::ALL.map(ExchangeLibrary::word))?;
            set.push(format!("workload.exchange.library={word}"));
        }
        if let Some(word) = &self.execution {
            let word = one_of("execution", word, EXECUTIONS.map(|(word, _)| word))?;
            set.push(format!("workload.experts.execution={word}"));
        }
        if let Some(word) = &self.overlap {
            let word = one_of("overlap", word, OVERLAPS.map(|(own, _)| own.word()))?;
            set.push(format!("workload.exchange.overlap={word}"));
        }
        let known = bandwidths(cluster);
        for (key, factor) in &self.bandwidth {
            one_of("bandwidth", key, known.iter().map(|own| own.key.as_str()))?;
            let own = known.iter().find(|own| own.key == *key).filter(|_| *factor != 1.0);
            let value = own.and_then(|own| own.times(*factor));
            set.extend(value.map(|value| format!("topology.{key}={value}")));
        }
        Ok(set)
    }
}

fn text_of(table: &Table) -> Result<String, Diagnostic> {
    toml::to_string(table).map_err(|error| {
        Diagnostic::of("", error.to_string(), "this is a defect: please report it")
    })
}

/// The name of a model's twin, and its text where it is not built in: equation (10) of the paper beside the
/// model's own file, as `moesim advise` derives it.
fn twin_of(model: &Workload) -> Result<(String, Option<String>), Diagnostic> {
    let known = model.name.replace("moe-", "moepp-");
    if known != model.name && config::built_in(Kind::Workload, &known).is_some() {
        return Ok((known, None));
    }
    let twin = model.moepp_twin().map_err(|why| refused("model", &model.name, &why))?.workload;
    let source = config::built_in(Kind::Workload, &model.name);
    let text = source.map(|source| source.text().to_owned()).unwrap_or_default();
    let mut table: Table = text.parse().unwrap_or_default();
    table.insert("name".to_owned(), twin.name.clone().into());
    let ZeroComputation { zero, copy, constant } = twin.model.experts.zero_computation;
    let tau = twin.model.experts.tau.unwrap_or(USUAL_TAU);
    let experts: [(&str, Value); 5] = [
        ("zero", i64::from(zero).into()),
        ("copy", i64::from(copy).into()),
        ("constant", i64::from(constant).into()),
        ("tau", tau.into()),
        ("zero_computation", "local".into()),
    ];
    within(&mut table, "experts", experts);
    within(&mut table, "gate", [("residual", true.into())]);
    if twin.gating.scheme != model.gating.scheme {
        table.remove("scheme");
        // What a scheme of its own says of popularity goes with it.
        if let Popularity::LogNormal { sd } = twin.gating.popularity {
            within(&mut table, "gate", [("popularity_sd", sd.into())]);
        }
    }
    let text = text_of(&table)?;
    Ok((TWIN.to_owned(), Some(text)))
}

/// Sets keys of a table within a file.
fn within<const N: usize>(file: &mut Table, name: &str, keys: [(&str, Value); N]) {
    let own = file.entry(name).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(own) = own {
        own.extend(keys.map(|(key, value)| (key.to_owned(), value)));
    }
}

impl Question {
    /// How it is run.
    pub(super) fn options(&self) -> Options {
        Options {
            scenario: SCENARIO.to_owned(),
            set: self.set.clone(),
            profile: None,
            strict: false,
            // What does not fit is shown as such: the page says how much it lacks.
            allow_oom: true,
            threads: None,
        }
    }

    pub(super) fn call(&self) -> Call {
        Call { arguments: self.arguments(), files: self.files.clone() }
    }

    fn arguments(&self) -> Vec<String> {
        let set = self.set.iter().flat_map(|line| ["--set".to_owned(), line.clone()]);
        let words = ["run", SCENARIO, "--json", "--allow-oom"].map(str::to_owned);
        words.into_iter().chain(set).collect()
    }

    /// The command that asks the same, where its files lie in the folder.
    #[must_use]
    pub fn command(&self) -> String {
        crate::output::page::command(&self.arguments())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;

    #[test]
    fn twins_are_those_that_advise_derives() {
        let mut derived = 0;
        for model in models() {
            let (name, Some(text)) = twin_of(model).unwrap() else { continue };
            let own = config::workload(&Source::built_in(&name, &text)).unwrap();
            let twin = model.moepp_twin().unwrap().workload;
            assert_eq!(own.model, twin.model, "{name}");
            assert_eq!(own.gating, twin.gating, "{name}");
            assert_eq!(own.zero_computation_local, twin.zero_computation_local, "{name}");
            derived += 1;
        }
        assert!(derived > 30, "{derived}");
    }

    #[test]
    fn names_of_files_are_no_names() {
        for wrong in ["../a100-4x8", "/etc/passwd", "a100-4x8.toml", "", "a100-4x8=h100-sxm"] {
            let ask =
                Ask { model: "moe-1b".to_owned(), cluster: wrong.to_owned(), ..Ask::default() };
            assert_eq!(ask.question().unwrap_err().key, "cluster", "{wrong}");
            let ask =
                Ask { model: wrong.to_owned(), cluster: "a100-4x8".to_owned(), ..Ask::default() };
            assert_eq!(ask.question().unwrap_err().key, "model", "{wrong}");
        }
        // Also where it would change nothing.
        for factor in [1.0, 2.0] {
            let ask = Ask {
                model: "moe-1b".to_owned(),
                cluster: "a100-4x8".to_owned(),
                bandwidth: BTreeMap::from([("gpu.name=x".to_owned(), factor)]),
                ..Ask::default()
            };
            assert_eq!(ask.question().unwrap_err().key, "bandwidth");
        }
    }
}
