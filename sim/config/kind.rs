//! Which kind of file a TOML text is.

use std::fmt;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Diagnostic, Source};
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
}

impl Choice for Kind {
    const ALL: &'static [Self] =
        &[Self::Scenario, Self::Topology, Self::Workload, Self::Profile, Self::Overheads];

    fn word(self) -> &'static str {
        match self {
            Self::Scenario => "scenario",
            Self::Topology => "topology",
            Self::Workload => "workload",
            Self::Profile => "profile",
            Self::Overheads => "overheads",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::Scenario => "One question: a cluster, profiles and workloads to compare",
            Self::Topology => "A cluster",
            Self::Workload => "A model, batch and layout",
            Self::Profile => "What a device takes, measured",
            Self::Overheads => "What a loop over experts costs beyond its kernels",
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
        };
        f.write_str(word)
    }
}

/// The keys that tell one kind of file from another.
#[derive(Deserialize)]
struct Telling {
    compare: Option<IgnoredAny>,
    model: Option<IgnoredAny>,
    fabric: Option<IgnoredAny>,
    gpu: Option<IgnoredAny>,
    device: Option<IgnoredAny>,
    traffic_factor: Option<IgnoredAny>,
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
        }
    }

    /// The keys under which a file of this kind names files that are read with it.
    pub(super) const fn naming_files(self) -> &'static [&'static str] {
        match self {
            Self::Workload => &["law", "trace"],
            Self::Profile => &["table"],
            Self::Scenario | Self::Topology | Self::Overheads => &[],
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
        let keys: Telling = source.parse()?;
        let guesses = [
            (keys.compare.is_some(), Self::Scenario),
            (keys.model.is_some(), Self::Workload),
            (keys.device.is_some(), Self::Profile),
            (keys.traffic_factor.is_some(), Self::Overheads),
            (keys.fabric.is_some() || keys.gpu.is_some(), Self::Topology),
        ];
        let found = guesses.into_iter().find(|(tells, _)| *tells).map(|(_, kind)| kind);
        found.ok_or_else(|| {
            Diagnostic::of(
                source.name(),
                "it cannot be told what this file is meant to be",
                "say --kind, or start from a built-in file: a scenario has [[compare]], a workload \
                 [model], a topology [fabric], a profile `device`, an overheads file \
                 `traffic_factor`",
            )
        })
    }
}
