//! `--set` lines, each for the scenario itself or for one kind of file that it names.

use toml::{Table, Value};

use crate::base::near::{did_you_mean, nearest, quoted};
use crate::config::source::table_of;
use crate::config::{Diagnostic, Kind, Source};

/// `--set` lines, each for the scenario itself or for one kind of file that it names.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    lines: Vec<String>,
}

/// Prefixes of overrides for one of the two workloads of a comparison alone.
pub(in crate::config) const ROLES: [&str; 2] = ["vanilla", "moepp"];

const NAMED: [Kind; 4] = [Kind::Topology, Kind::Workload, Kind::Profile, Kind::Overheads];

impl Overrides {
    /// Overrides as given on the command line.
    #[must_use]
    pub const fn new(lines: Vec<String>) -> Self {
        Self { lines }
    }

    /// Those that a scenario's own text states, `[set]`; nothing where it is no TOML, which reading it will say.
    pub(super) fn stated(source: &Source) -> Self {
        let table: Table = source.text().parse().unwrap_or_default();
        let set = table.get("set").and_then(Value::as_table).into_iter().flatten();
        Self { lines: set.map(|(key, value)| format!("{key}={value}")).collect() }
    }

    /// These and others, which hold where both say something.
    pub(super) fn and(&self, others: &Self) -> Self {
        Self { lines: [self.lines.as_slice(), others.lines.as_slice()].concat() }
    }

    /// That each is of a file that the scenario names, for such as its own text states.
    ///
    /// # Errors
    /// The first that is the scenario's own.
    pub(super) fn check_stated(&self, source: &Source) -> Result<(), Diagnostic> {
        let Some(line) = self.of_scenario().next() else { return Ok(()) };
        let key = line.split('=').next().unwrap_or_default();
        let found = format!("`{key}` is no key of a file that the scenario names");
        let help = "begin with `topology.`, `workload.`, `profile.`, `overheads.`, `vanilla.` or `moepp.`; the \
                    scenario's own keys stand above";
        Err(source.mistake_at_key("set", found, help))
    }

    /// That every line with a dotted key begins with what it is for: a scenario itself has no tables.
    ///
    /// # Errors
    /// The first line that does not.
    pub(super) fn check(&self) -> Result<(), Diagnostic> {
        self.of_scenario().try_for_each(|line| {
            let key = line.split('=').next().unwrap_or_default().trim();
            let Some((first, rest)) = key.split_once('.') else { return Ok(()) };
            if first.starts_with("compare") {
                return Ok(());
            }
            let prefixes: Vec<&str> = NAMED.iter().map(|kind| kind.key()).chain(ROLES).collect();
            let meant: Vec<String> = nearest(first, prefixes.iter().copied())
                .iter()
                .map(|prefix| format!("{prefix}.{rest}"))
                .chain(table_of(key).map(|kind| format!("{kind}.{key}")))
                .collect();
            let meant: Vec<&str> = meant.iter().map(String::as_str).take(1).collect();
            let help = format!("keys of other files begin with {}", quoted(&prefixes, ", "));
            let help = match meant.is_empty() {
                true => help,
                false => format!("{} {help}", did_you_mean(&meant)),
            };
            Err(Diagnostic::of(
                format!("--set {line}"),
                format!("a scenario has no `{first}`"),
                help,
            ))
        })
    }

    /// Those behind one prefix: the prefix with its dot as it was typed, and the rest.
    pub(in crate::config) fn of(&self, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        let prefix = format!("{prefix}.");
        let cut =
            move |line: &String| line.trim_start().starts_with(&prefix).then_some(prefix.len());
        self.lines.iter().filter_map(move |line| Some(line.trim_start().split_at(cut(line)?)))
    }

    /// Whether a key of the scenario itself is among them.
    pub(in crate::config) fn names(&self, key: &str) -> bool {
        let is = |line: &str| line.split_once('=').is_some_and(|(name, _)| name.trim() == key);
        self.of_scenario().any(is)
    }

    /// Those for the scenario itself.
    pub(in crate::config) fn of_scenario(&self) -> impl Iterator<Item = &str> {
        let prefixes = || NAMED.iter().map(|kind| kind.key()).chain(ROLES);
        let named = move |line: &str| {
            prefixes()
                .any(|prefix| line.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.')))
        };
        self.lines.iter().map(|line| line.trim_start()).filter(move |line| !named(line))
    }
}
