//! Sweep plans: what varies over a scenario, and what to draw of it.
//!
//! Every entry of `[vary]` is one axis: a key as `--set` takes it and its values, listed or as a
//! range. Axes cross. A `[[zip]]` table is one axis whose keys move together.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use toml::{Spanned, Value};

use crate::base::inputs::Input;

use super::{Count, Diagnostic, Kind, Overrides, ScenarioSource, Source};

mod steps;
use steps::{Wrong, steps};

/// More runs than this are a slip, not a plan.
pub const MAX_TASKS: u128 = 5_000_000;

/// Points that are tried to say whether a refused one is a combination that does not go together.
const TRIED: u128 = 64;

/// One axis of a sweep: the keys it sets, and their values at each step.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Keys, as `--set` takes them.
    pub keys: Vec<String>,
    /// `steps[step][key]`: TOML values.
    pub steps: Vec<Vec<Value>>,
    /// Where the axis stands in the plan.
    span: Range<usize>,
}

/// What to draw of a sweep: columns of its results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawing {
    /// The picture's file name, without ending.
    pub name: String,
    /// The column along the horizontal axis.
    pub x: String,
    /// The column along the vertical one; its mean over seeds is drawn with its interval.
    pub y: String,
    /// The column whose values tell lines apart, if any.
    pub hue: Option<String>,
    /// Whether the horizontal axis is logarithmic.
    pub log_x: bool,
    /// Whether the vertical axis is.
    pub log_y: bool,
}

/// A scenario, and what varies over it.
#[derive(Clone, Debug)]
pub struct SweepPlan {
    /// Its name.
    pub name: String,
    /// What crosses, in the order written.
    pub axes: Vec<Axis>,
    /// Pictures asked for.
    pub drawings: Vec<Drawing>,
    source: Source,
    scenario: String,
    folder: PathBuf,
    /// Files that were handed over and need not be read, by name.
    beside: BTreeMap<String, String>,
    /// Overrides that hold at every point.
    fixed: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct File {
    /// The version of this kind of file.
    #[serde(rename = "schema")]
    _schema: Count<1, 1>,
    /// Its name.
    name: String,
    /// The scenario: built in, or a file relative to this one.
    #[schemars(with = "String")]
    scenario: Spanned<String>,
    /// Half open; the scenario's if none are given.
    #[schemars(with = "Option<String>")]
    seeds: Option<Spanned<String>>,
    /// Overrides at every point, by dotted key.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    set: BTreeMap<String, Value>,
    /// What varies, by dotted key: a list of values, or a range (`from`, `to` and `step` or `factor`); every combination is a point.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    vary: BTreeMap<Spanned<String>, Spanned<Value>>,
    /// Lists that vary together, as many values in each.
    #[serde(default)]
    #[schemars(with = "Vec<BTreeMap<String, serde_json::Value>>")]
    zip: Vec<Spanned<BTreeMap<String, Value>>>,
    /// Pictures, by name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, DrawingTable>")]
    plot: BTreeMap<Spanned<String>, DrawingTable>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DrawingTable {
    /// The column along the axis.
    x: String,
    /// The column that is drawn.
    y: String,
    /// A line for each value of this column.
    hue: Option<String>,
    /// Logarithmic.
    #[serde(default)]
    log_x: bool,
    /// Logarithmic.
    #[serde(default)]
    log_y: bool,
}

impl SweepPlan {
    /// Reads a plan; `extra` are `--set` lines that hold at every point.
    ///
    /// # Errors
    /// The first mistake found in the plan itself. The scenarios it makes are read by
    /// [`SweepPlan::scenario_at`].
    pub fn read(path: &Path, extra: &[String]) -> Result<Self, Diagnostic> {
        let name = path.display().to_string();
        if path.symlink_metadata().is_err() && super::built_in_of_any_kind(&name).is_some() {
            return Err(super::unknown(&name, &[Kind::Plan], Path::new("")));
        }
        let source = Source::read(path)?;
        Self::of(source, path.parent().map(Path::to_path_buf).unwrap_or_default(), extra)
    }

    /// A plan whose text, and that of files it names, is handed over: as if `files` lay in one folder and the file
    /// `name` of it were read.
    ///
    /// # Errors
    /// As [`SweepPlan::read`].
    pub fn of_files(
        name: &str,
        files: BTreeMap<String, String>,
        extra: &[String],
    ) -> Result<Self, Diagnostic> {
        let plan = match files.get(name) {
            Some(text) => Self::of(Source::built_in(name, text), PathBuf::new(), extra)?,
            None => Self::read(Path::new(name), extra)?,
        };
        Ok(Self { beside: files, ..plan })
    }

    fn of(source: Source, folder: PathBuf, extra: &[String]) -> Result<Self, Diagnostic> {
        let file: File = Kind::Plan.parse(&source)?;
        let mut axes = Vec::new();
        for (key, values) in &file.vary {
            let steps = steps(values.get_ref())
                .map_err(|(found, help)| source.mistake(values.span(), found, help))?;
            let steps = steps.into_iter().map(|value| vec![value]).collect();
            axes.push(Axis { keys: vec![key.get_ref().clone()], steps, span: key.span() });
        }
        axes.sort_by_key(|axis| axis.span.start);
        for table in &file.zip {
            axes.push(
                zipped(table).map_err(|(found, help)| source.mistake(table.span(), found, help))?,
            );
        }
        if let Some(name) = file.plot.keys().find(|name| !is_plain(name.get_ref())) {
            let found = format!("`{}` is not a plain file name", name.get_ref());
            let help = "name the picture in letters, digits, `-`, `_`, dots and spaces: it gets .svg and goes \
                        into the folder of results";
            return Err(source.mistake(name.span(), found, help));
        }
        let mut fixed: Vec<String> =
            file.set.iter().map(|(key, value)| format!("{key}={value}")).collect();
        if let Some(seeds) = &file.seeds {
            fixed.push(format!("seeds=\"{}\"", seeds.get_ref()));
        }
        fixed.extend_from_slice(extra);
        let plan = Self {
            name: file.name,
            axes,
            drawings: file
                .plot
                .into_iter()
                .map(|(name, table)| table.named(name.into_inner()))
                .collect(),
            scenario: file.scenario.get_ref().clone(),
            source,
            folder,
            beside: BTreeMap::new(),
            fixed,
        };
        if plan.axes.is_empty() {
            let found = "nothing varies: there is no key under [vary], and no [[zip]]";
            let help = "give a key its values, as in \"workload.batch.tokens_per_gpu\" = [512, 1024], or run the \
                        scenario once with `moesim run`";
            return Err(Diagnostic::of(plan.source.name(), found, help));
        }
        plan.refuse_repeated_keys()?;
        plan.refuse_repeated_values()?;
        if plan.points() > MAX_TASKS {
            let found = format!("the axes cross to {} points", plan.points());
            return Err(plan.source.mistake_at_key(
                "vary",
                found,
                format!("a sweep has at most {MAX_TASKS} runs: list fewer values, or zip axes"),
            ));
        }
        Ok(plan)
    }

    fn refuse_repeated_keys(&self) -> Result<(), Diagnostic> {
        let mut seen = BTreeMap::new();
        for axis in &self.axes {
            for key in &axis.keys {
                if seen.insert(key, ()).is_some() {
                    let found = format!("`{key}` varies twice");
                    let help = "let each key vary in one place";
                    return Err(self.source.mistake(axis.span.clone(), found, help));
                }
            }
        }
        Ok(())
    }

    /// A step that stands twice would count its runs twice.
    fn refuse_repeated_values(&self) -> Result<(), Diagnostic> {
        for axis in &self.axes {
            let mut seen = BTreeSet::new();
            for step in &axis.steps {
                let texts: Vec<String> = step.iter().map(Value::to_string).collect();
                let said = texts.join(", ");
                if !seen.insert(texts) {
                    let found =
                        format!("the value {said} of {} stands twice", axis.keys.join(", "));
                    let help = "list each value once: its runs would count twice";
                    return Err(self.source.mistake(axis.span.clone(), found, help));
                }
            }
        }
        Ok(())
    }

    /// How many points the axes cross to.
    #[must_use]
    pub fn points(&self) -> u128 {
        self.axes.iter().map(|axis| axis.steps.len() as u128).product()
    }

    /// The plan's file.
    #[must_use]
    pub fn place(&self) -> &str {
        self.source.name()
    }

    /// The text of the plan as it was read, for the record.
    #[must_use]
    pub fn text(&self) -> &str {
        self.source.text()
    }

    /// The plan's own file, for the record.
    pub(crate) fn inputs(&self) -> Vec<Input> {
        self.source.inputs(&[])
    }

    /// The overrides that hold at every point.
    #[must_use]
    pub fn fixed(&self) -> &[String] {
        &self.fixed
    }

    /// The key and value of every axis at a point; the last axis moves fastest.
    #[must_use]
    pub fn settings(&self, point: usize) -> Vec<(&str, &Value)> {
        let mut left = point;
        let mut settings = Vec::new();
        for axis in self.axes.iter().rev() {
            let step = &axis.steps[left % axis.steps.len()];
            left /= axis.steps.len();
            settings.extend(axis.keys.iter().map(String::as_str).zip(step).rev());
        }
        settings.reverse();
        settings
    }

    /// The scenario of a point.
    ///
    /// # Errors
    /// The first mistake found, with the plan's place and the point's settings before it.
    pub fn scenario_at(&self, point: usize) -> Result<super::Scenario, Diagnostic> {
        let settings = self.settings(point);
        self.scenario_of(&settings).map_err(|mistake| self.in_plan(&settings, mistake))
    }

    fn scenario_of(&self, settings: &[(&str, &Value)]) -> Result<super::Scenario, Diagnostic> {
        let mut lines = self.fixed.clone();
        lines.extend(settings.iter().map(|(key, value)| match (*key, value) {
            // A scenario lists its τ; a plan may vary one of them.
            ("tau", Value::Float(_) | Value::Integer(_)) => format!("{key}=[{value}]"),
            _ => format!("{key}={value}"),
        }));
        self.scenario(Overrides::new(lines)).and_then(|scenario| scenario.load())
    }

    /// Whether what a refused point sets is set by one of the first points that run.
    fn runs_elsewhere(&self, blamed: (&str, &Value)) -> bool {
        let same = |point: usize| {
            let settings = self.settings(point);
            settings.contains(&blamed) && self.scenario_of(&settings).is_ok()
        };
        (0..self.points().min(TRIED) as usize).any(same)
    }

    /// The scenario with overrides, before anything that it names is read.
    fn scenario(&self, overrides: Overrides) -> Result<ScenarioSource, Diagnostic> {
        if self.beside.contains_key(&self.scenario) {
            return ScenarioSource::of_files(&self.scenario, self.beside.clone(), overrides);
        }
        let name = match super::built_in(super::Kind::Scenario, &self.scenario) {
            Some(_) => self.scenario.clone(),
            None => self.folder.join(&self.scenario).display().to_string(),
        };
        Ok(ScenarioSource::open(&name, overrides)?.beside(self.beside.clone()))
    }

    /// Says where in the plan a mistake in a point's scenario comes from.
    fn in_plan(&self, settings: &[(&str, &Value)], mistake: Diagnostic) -> Diagnostic {
        let blamed =
            settings.iter().find(|(key, _)| mistake.place.contains(&format!("--set {key}")));
        let axis = blamed.and_then(|(key, _)| {
            self.axes.iter().find(|axis| axis.keys.iter().any(|own| own == key))
        });
        let at: Vec<String> =
            settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let (mut help, inner) =
            (mistake.help.clone(), Diagnostic { help: String::new(), ..mistake });
        if blamed.is_some_and(|&blamed| self.runs_elsewhere(blamed)) {
            help += "\nit runs with other values, and a sweep runs every combination: list those that go together in \
                     a [[zip]], or in plans of their own";
        }
        let found = format!("at {}: {inner}", at.join(", "));
        match axis {
            Some(axis) => {
                let placed = self.source.mistake(axis.span.clone(), found, help);
                Diagnostic { key: String::new(), ..placed }
            }
            None => self.source.mistake_without_span("", found, help),
        }
    }

    /// A mistake at a key of the plan, such as `plot.gain.y`.
    #[must_use]
    pub fn mistake_at_key(&self, key: &str, found: String, help: String) -> Diagnostic {
        self.source.mistake_at_key(key, found, help)
    }
}

/// Whether a name is that of a file in its own folder, on every system.
fn is_plain(name: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || "-_. ".contains(c);
    !name.starts_with(['.', ' ']) && (1..=100).contains(&name.len()) && name.chars().all(fits)
}

impl DrawingTable {
    fn named(self, name: String) -> Drawing {
        let Self { x, y, hue, log_x, log_y } = self;
        Drawing { name, x, y, hue, log_x, log_y }
    }
}

fn zipped(table: &Spanned<BTreeMap<String, Value>>) -> Result<Axis, Wrong> {
    let keys: Vec<String> = table.get_ref().keys().cloned().collect();
    let columns = table.get_ref().values().map(steps).collect::<Result<Vec<_>, _>>()?;
    let Some(length) = columns.first().map(Vec::len) else {
        return Err(("the zip has no keys".to_owned(), "give it keys with lists".to_owned()));
    };
    if let Some(at) = columns.iter().position(|column| column.len() != length) {
        let found = format!(
            "`{}` has {} values and `{}` has {length}",
            keys[at],
            columns[at].len(),
            keys[0]
        );
        return Err((found, "give the keys of a zip equally many values".to_owned()));
    }
    let steps =
        (0..length).map(|at| columns.iter().map(|column| column[at].clone()).collect()).collect();
    Ok(Axis { keys, steps, span: table.span() })
}

#[cfg(test)]
mod tests;
