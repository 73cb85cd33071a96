//! `--set` lines, each for the scenario itself or for one kind of file that it names.

use crate::base::near::{did_you_mean, nearest, quoted};
use crate::config::source::{Override, Stated, table_of};
use crate::config::{Diagnostic, Kind, Seeds, Source};

/// `--set` lines, each for the scenario itself or for one kind of file that it names.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    lines: Vec<String>,
    /// Where each stands, of those that a text states.
    stated: Vec<Stated>,
}

/// Prefixes of overrides for one of the two workloads of a comparison alone.
pub(in crate::config) const ROLES: [&str; 2] = ["vanilla", "moepp"];

const NAMED: [Kind; 4] = [Kind::Topology, Kind::Workload, Kind::Profile, Kind::Overheads];

impl Overrides {
    /// Overrides as given on the command line.
    #[must_use]
    pub const fn new(lines: Vec<String>) -> Self {
        Self { lines, stated: Vec::new() }
    }

    /// Those that a scenario's own text states, `[set]`; nothing where it is no TOML, which reading it will say.
    pub(super) fn stated(source: &Source) -> Self {
        let (lines, stated) = source.stated_in("set").into_iter().unzip();
        Self { lines, stated }
    }

    /// These and others, which hold where both say something.
    pub(super) fn and(&self, others: &Self) -> Self {
        Self::new([self.lines.as_slice(), others.lines.as_slice()].concat())
    }

    /// That each is of a file that the scenario names, for such as its own text states.
    ///
    /// # Errors
    /// The first that is the scenario's own.
    pub(super) fn check_stated(&self) -> Result<(), Diagnostic> {
        let mut all = self.lines.iter().zip(&self.stated);
        let Some((line, stated)) = all.find(|(line, _)| is_of_scenario(line)) else {
            return Ok(());
        };
        let key = line.split('=').next().unwrap_or_default();
        let found = format!("`{key}` is no key of a file that the scenario names");
        let help = "begin with `topology.`, `workload.`, `profile.`, `overheads.`, `vanilla.` or `moepp.`; the \
                    scenario's own keys stand above";
        Err(stated.mistake(true, "set", found, help))
    }

    /// That every line with a dotted key begins with what it is for: a scenario itself has no tables.
    ///
    /// # Errors
    /// The first line that does not.
    pub(super) fn check(&self) -> Result<(), Diagnostic> {
        self.of_scenario().try_for_each(|line| {
            let key = line.split('=').next().unwrap_or_default().trim();
            let Some((first, rest)) = key.split_once('.') else { return Ok(()) };
            if first == "compare" || first.starts_with("compare[") {
                let whole = "as in --set 'compare=[{vanilla=\"moe-1b\", moepp=\"moepp-1b\"}]'";
                return Err(Diagnostic::of(
                    format!("--set {line}"),
                    "`compare` is a list, of which no single key is set",
                    format!("give all of it, {whole}, or write a scenario of your own"),
                ));
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

    /// Those behind any of these prefixes, prefix by prefix, each with its place.
    pub(super) fn behind(&self, prefixes: &[&str]) -> Vec<Override> {
        let of = |prefix: &&str| {
            let prefix = format!("{prefix}.");
            let cut = move |(nth, line): (usize, &String)| {
                let (prefix, line) = line
                    .trim_start()
                    .split_at_checked(prefix.len())
                    .filter(|(own, _)| *own == prefix)?;
                let stated = self.stated.get(nth).cloned();
                Some(Override { prefix: prefix.to_owned(), line: line.to_owned(), stated })
            };
            self.lines.iter().enumerate().filter_map(cut).collect::<Vec<_>>()
        };
        prefixes.iter().flat_map(of).collect()
    }

    /// Whether a key of the scenario itself is among them.
    pub(in crate::config) fn names(&self, key: &str) -> bool {
        let is = |line: &str| line.split_once('=').is_some_and(|(name, _)| name.trim() == key);
        self.of_scenario().any(is)
    }

    /// The seeds that they name, if they name any that can be read: those that cannot are refused with the scenario.
    #[must_use]
    pub fn seeds(&self) -> Option<Seeds> {
        let value = |line: &str| {
            let (name, value) = line.split_once('=')?;
            (name.trim() == "seeds").then(|| value.trim().trim_matches(['"', '\'']).to_owned())
        };
        self.of_scenario().filter_map(value).last()?.parse().ok()
    }

    /// Those for the scenario itself.
    pub(in crate::config) fn of_scenario(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(|line| line.trim_start()).filter(|line| is_of_scenario(line))
    }
}

/// Whether a line is for the scenario itself.
fn is_of_scenario(line: &str) -> bool {
    let mut prefixes = NAMED.iter().map(|kind| kind.key()).chain(ROLES);
    let behind = |prefix| line.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'));
    !prefixes.any(behind)
}
