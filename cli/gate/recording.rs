//! Recordings as commands read them: of a model whose number of experts is believable.

use std::path::Path;

use clap::Args;

use super::super::Failure;
use moesim::config::{Diagnostic, read_recording};
use moesim::workload::Recording;

/// How many experts the recorded model has.
#[derive(Args)]
pub(super) struct ExpertsArg {
    /// Experts of each layer of the recorded model. Default: up to the largest id that was chosen.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    experts: Option<u16>,
}

/// Fewer experts than this are believed: a short recording leaves many out.
const FEW: usize = 64;

impl ExpertsArg {
    /// Reads a recording.
    ///
    /// One stray id would make it that of a model with thousands of experts, which fits slowly and wrongly.
    pub(super) fn read(&self, path: &Path) -> Result<Recording, Failure> {
        let recording = read_recording(path)?;
        let of = |found: String, help: String| {
            Err(Diagnostic::of(path.display().to_string(), found, help).into())
        };
        let (experts, chosen) = (recording.experts(), recording.chosen_experts());
        match self.experts.map(usize::from) {
            Some(said) => match recording.first_beyond(said) {
                Some(row) => of(
                    format!("row {row} chooses an expert that --experts {said} has no place for"),
                    format!("ids go from 0 to {}: fix that row, or give more experts", said - 1),
                ),
                None => Ok(recording.with_experts(said)),
            },
            None if experts > FEW && chosen * 2 < experts => of(
                format!("has ids up to {}, but only {chosen} experts are ever chosen", experts - 1),
                format!("fix stray ids, or say --experts {experts} if the model has as many"),
            ),
            None => Ok(recording),
        }
    }
}
