//! The table `[host]`.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::stack::PhaseWord;
use crate::base::units::SimDuration;
use crate::config::{Count, Diagnostic, Source, Written};
use crate::workload::{Execution, Host};

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HostTable {
    /// Tokens of a GPU in the decode steps that were captured as CUDA graphs, ascending: a step runs as the next larger.
    #[schemars(with = "Option<Vec<Count<1, 16_777_216>>>")]
    graphs: Option<Spanned<Vec<Count<1, 16_777_216>>>>,
    /// What the host takes to launch the kernels of a layer, where they run in no graph; nothing if none is given.
    #[schemars(with = "Option<Written<SimDuration>>")]
    layer_launch: Option<Spanned<Written<SimDuration>>>,
    /// What the GPU waits for between two steps of prefill or decode; nothing if none is given.
    #[schemars(with = "Option<Written<SimDuration>>")]
    step_gap: Option<Spanned<Written<SimDuration>>>,
}

impl HostTable {
    /// What the host does in steps of this phase.
    pub(super) fn host(
        &self,
        source: &Source,
        phase: Option<PhaseWord>,
        execution: Execution,
    ) -> Result<Host, Diagnostic> {
        if let (Some(graphs), false) = (&self.graphs, matches!(phase, Some(PhaseWord::Decode))) {
            let help = "write batch.phase = \"decode\", or leave host.graphs out";
            let found = "are of decode steps, and batch.phase does not say decode";
            return Err(source.mistake(graphs.span(), found, help));
        }
        if let (Some(gap), Some(PhaseWord::Training)) = (&self.step_gap, phase) {
            let help = "leave host.step_gap out";
            let found = "lies between steps of an engine, and this workload trains";
            return Err(source.mistake(gap.span(), found, help));
        }
        if let (Some(launch), Execution::Sequential) = (&self.layer_launch, execution) {
            let help = "leave it out, or give experts.execution = \"grouped\"";
            let found = "is part of the overheads of experts that run one after another";
            return Err(source.mistake(launch.span(), found, help));
        }
        let time = |of: &Option<Spanned<Written<SimDuration>>>| {
            of.as_ref().map_or(SimDuration::ZERO, |time| time.get_ref().0)
        };
        Ok(Host {
            graphs: self.graphs(source)?,
            layer_launch: time(&self.layer_launch),
            step_gap: time(&self.step_gap),
        })
    }

    fn graphs(&self, source: &Source) -> Result<Vec<u32>, Diagnostic> {
        let Some(graphs) = &self.graphs else { return Ok(Vec::new()) };
        let tokens: Vec<u32> = graphs.get_ref().iter().map(|count| count.0).collect();
        if tokens.is_empty() || tokens.windows(2).any(|pair| pair[1] <= pair[0]) {
            let help = "list tokens from the smallest graph to the largest, as in [8, 16, 32, 64]";
            return Err(source.mistake(graphs.span(), "are not in rising order", help));
        }
        Ok(tokens)
    }
}
