//! `--set` lines, each for the scenario itself or for one kind of file that it names.

use crate::config::Kind;

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

    /// Those behind one prefix, without it.
    pub(in crate::config) fn of(&self, prefix: &str) -> impl Iterator<Item = &str> {
        let prefix = format!("{prefix}.");
        self.lines.iter().filter_map(move |line| line.trim_start().strip_prefix(prefix.as_str()))
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
