//! Which kind of file a TOML text is.

use std::fmt;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::{Diagnostic, MAX_FILE_BYTES, Source, foreign};
use crate::base::choice::Choice;

/// The kinds of file that moesim reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One question: a cluster, profiles and workloads to compare.
    Scenario,
    /// A cluster.
    Topology,
    /// A model, batch and layout.
    Workload,
    /// What a device takes, measured.
    Profile,
    /// What a loop over experts costs beyond its kernels.
    Overheads,
    /// A scenario and what varies over it.
    Plan,
    /// What GPUs and networks cost and draw.
    Prices,
}

impl Choice for Kind {
    const ALL: &'static [Self] = &[
        Self::Scenario,
        Self::Topology,
        Self::Workload,
        Self::Profile,
        Self::Overheads,
        Self::Plan,
        Self::Prices,
    ];

    fn word(self) -> &'static str {
        self.key()
    }

    fn help(self) -> &'static str {
        match self {
            Self::Scenario => "One question: a cluster, profiles and workloads to compare",
            Self::Topology => "A cluster",
            Self::Workload => "A model, batch and layout",
            Self::Profile => "What a device takes, measured",
            Self::Overheads => "What a loop over experts costs beyond its kernels",
            Self::Plan => "A sweep: a scenario and what varies over it",
            Self::Prices => "What GPUs and networks cost and draw",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self::Scenario => "scenario",
            Self::Topology => "topology",
            Self::Workload => "workload",
            Self::Profile => "profile",
            Self::Overheads => "overheads file",
            Self::Plan => "sweep plan",
            Self::Prices => "price book",
        };
        f.write_str(word)
    }
}

/// Keys at the top of a file that tell its kind from the others, in the order in which they count.
const TELLING: [(&str, Kind); 10] = [
    ("compare", Kind::Scenario),
    ("device", Kind::Profile),
    ("traffic_factor", Kind::Overheads),
    ("vary", Kind::Plan),
    ("zip", Kind::Plan),
    ("switch-port", Kind::Prices),
    ("model", Kind::Workload),
    ("fabric", Kind::Topology),
    ("nodes", Kind::Topology),
    ("gpu", Kind::Topology),
];

/// What a device's data sheet is, which is none of these kinds, and which command takes it.
const DATA_SHEET: (&str, &str) = (
    "is the data sheet of a device",
    "`calibrate transfer --sheet FILE --out NAME.toml` makes a profile of it, which scenarios name",
);

/// Whether the keys at the top of a file are a data sheet's.
fn is_data_sheet(keys: &[String]) -> bool {
    ["bf16", "memory_bandwidth", "sms"].iter().all(|key| keys.iter().any(|own| own == key))
}

impl Kind {
    /// The word that names it in scenario files and before overrides.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Scenario => "scenario",
            Self::Topology => "topology",
            Self::Workload => "workload",
            Self::Profile => "profile",
            Self::Overheads => "overheads",
            Self::Plan => "plan",
            Self::Prices => "prices",
        }
    }

    /// Which commands take a file of this kind.
    #[must_use]
    pub const fn taken_by(self) -> &'static str {
        match self {
            Self::Scenario => "`moesim run`, `explain`, `memory` and `timeline` take scenarios",
            Self::Topology => {
                "`moesim topology`, `compare`, `plan` and `flows --topology` take topologies; a scenario \
                 names one under `topology`"
            }
            Self::Workload => {
                "`moesim compare CLUSTER --vanilla WORKLOAD` and `gate show` take workloads; a scenario \
                 names them under `vanilla` and `moepp`"
            }
            Self::Profile => {
                "`moesim compare CLUSTER=PROFILE` takes profiles; a scenario names one under `profile`"
            }
            Self::Overheads => {
                "`moesim compare CLUSTER --overheads NAME` takes overheads; a scenario names them under \
                 `overheads`"
            }
            Self::Plan => "`moesim sweep` takes plans",
            Self::Prices => {
                "`--prices` of `moesim topology`, `compare` and `plan` takes price books"
            }
        }
    }

    /// The keys under which a file of this kind names files that are read with it.
    pub(super) const fn naming_files(self) -> &'static [&'static str] {
        match self {
            Self::Workload => &["law", "trace"],
            Self::Profile => &["table"],
            _ => &[],
        }
    }

    /// The same of a built-in file with overrides: the table of a built-in profile is built in too.
    pub(super) const fn naming_more(self) -> &'static [&'static str] {
        match self {
            Self::Profile => &[],
            other => other.naming_files(),
        }
    }

    /// The kind of a file, from the keys it has.
    ///
    /// # Errors
    /// If it is no TOML, or has none of the telling keys.
    pub fn guess(source: &Source) -> Result<Self, Diagnostic> {
        let keys = source.top_keys()?;
        if is_data_sheet(&keys) {
            return Err(Diagnostic::of(source.name(), DATA_SHEET.0, DATA_SHEET.1));
        }
        Self::of_keys(&keys).ok_or_else(|| {
            Diagnostic::of(
                source.name(),
                "it cannot be told what this file is meant to be",
                "say --kind, or start from `moesim new KIND`: a scenario has [[compare]], a workload \
                 [model], a topology [fabric], a plan [vary], a profile `device`, an overheads file \
                 `traffic_factor`, a price book [switch-port]",
            )
        })
    }

    /// The kind of a text, if it is TOML and has a telling key.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        Self::of_keys(&Source::built_in("", text).top_keys().ok()?)
    }

    fn of_keys(keys: &[String]) -> Option<Self> {
        let found = TELLING.iter().find(|(key, _)| keys.iter().any(|own| own == key));
        found.map(|(_, kind)| *kind)
    }

    /// Parses a file of this kind into `T`, a mirror of its layout.
    ///
    /// # Errors
    /// If the text is no TOML or not of the layout of `T`; a file of another kind is told by its name.
    pub(super) fn parse<T: DeserializeOwned>(self, source: &Source) -> Result<T, Diagnostic> {
        let is_sheet = || source.top_keys().is_ok_and(|keys| is_data_sheet(&keys));
        source.parse().map_err(|mistake| match Self::of_text(source.text()) {
            _ if mistake.place == source.name() && is_sheet() => {
                Diagnostic::of(source.name(), DATA_SHEET.0, DATA_SHEET.1)
            }
            Some(other) if other != self && mistake.place == source.name() => {
                other.instead_of(self, source.name())
            }
            _ => mistake,
        })
    }

    /// Its words behind an article: "a scenario".
    #[must_use]
    pub fn with_article(self) -> String {
        let article = if self == Self::Overheads { "an" } else { "a" };
        format!("{article} {self}")
    }

    /// Says that a file of this kind was given where one of another is wanted.
    pub(super) fn instead_of(self, wanted: Self, place: &str) -> Diagnostic {
        Diagnostic::of(
            place,
            format!("is {}, and {} is wanted here", self.with_article(), wanted.with_article()),
            self.taken_by(),
        )
    }

    /// The same of a file, if it is text of a size that people write.
    #[must_use]
    pub fn misplaced_file(path: &Path) -> Option<Diagnostic> {
        let small =
            std::fs::metadata(path).is_ok_and(|of| of.is_file() && of.len() <= MAX_FILE_BYTES);
        let text = small.then(|| std::fs::read_to_string(path).ok()).flatten()?;
        Self::misplaced(&path.display().to_string(), &text)
    }

    /// Says what a file is that was given where none of moesim's own TOML files is wanted, if it looks like
    /// one of those or like another tool's.
    #[must_use]
    pub fn misplaced(place: &str, text: &str) -> Option<Diagnostic> {
        // What is wrong in JSON its reader says.
        if text.trim_start().starts_with(['{', '[']) && text.parse::<toml::Table>().is_err() {
            return None;
        }
        if let Some((found, help)) = foreign(text) {
            return Some(Diagnostic::of(place, found, help));
        }
        let keys = Source::built_in("", text).top_keys().ok()?;
        if is_data_sheet(&keys) {
            return Some(Diagnostic::of(place, DATA_SHEET.0, DATA_SHEET.1));
        }
        let kind = Self::of_keys(&keys)?;
        Some(Diagnostic::of(place, format!("is {}", kind.with_article()), kind.taken_by()))
    }
}
