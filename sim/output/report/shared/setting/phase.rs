//! The phase that was taken for each workload, and what a step of speculative decoding yields.

use std::collections::BTreeSet;
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::output::report::shared::word;
use crate::output::report::shared::wrapped::wrapped;
use crate::workload::{Phase, Workload};

/// The phase that was taken for a workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseTaken {
    /// The workload.
    pub workload: String,
    /// Its τ.
    pub tau: Option<f64>,
    /// Training, prefill or decode.
    #[serde(with = "word")]
    #[schemars(with = "word::OneOf<Phase>")]
    pub phase: Phase,
    /// Whether it was assumed.
    pub phase_assumed: bool,
    /// Whether `batch.context` says how many tokens came before.
    #[serde(default)]
    pub context_given: bool,
    /// Tokens of a GPU in one micro-batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_gpu: Option<u32>,
    /// Drafts that a decode step checks for each sequence, in speculative decoding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drafts: Option<u32>,
    /// Tokens that a step then yields for each sequence, on average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_of_sequence: Option<f64>,
}

impl PhaseTaken {
    /// Of a workload.
    #[must_use]
    pub fn of(workload: &Workload) -> Self {
        let drafts = workload.drafts();
        let yielded = f64::from(1 + drafts) * workload.yielded_share();
        Self {
            workload: workload.name.clone(),
            tau: workload.model.experts.tau,
            phase: workload.phase(),
            phase_assumed: workload.stack.phase.is_none(),
            context_given: workload.batch.context.is_some(),
            tokens_per_gpu: Some(workload.batch.tokens_per_gpu),
            drafts: Some(drafts).filter(|&drafts| drafts > 0),
            tokens_of_sequence: (drafts > 0).then_some(yielded),
        }
    }
}

/// What is planned: the models by name, and tokens of a GPU.
pub(in crate::output) fn write_models(
    out: &mut dyn Write,
    workloads: &[PhaseTaken],
) -> io::Result<()> {
    let mut names: Vec<&str> = workloads.iter().map(|workload| &*workload.workload).collect();
    names.dedup();
    let sizes: BTreeSet<u32> = workloads.iter().filter_map(|one| one.tokens_per_gpu).collect();
    let sizes: Vec<String> = sizes.into_iter().map(|size| size.to_string()).collect();
    let text = format!("{}; {} tokens per GPU", names.join(", "), sizes.join(", "));
    wrapped(out, "models: ", &text)
}

/// The phase that `auto` went by, where a workload names none.
pub(in crate::output) fn write_phase<'p>(
    out: &mut dyn Write,
    workloads: impl Iterator<Item = &'p PhaseTaken> + Clone,
) -> io::Result<()> {
    let assumed = workloads.clone().filter(|workload| workload.phase_assumed);
    let mut phases: Vec<&str> = assumed.map(|workload| workload.phase.word()).collect();
    phases.sort_unstable();
    phases.dedup();
    let blind = |workload: &PhaseTaken| workload.phase == Phase::Decode && !workload.context_given;
    if workloads.clone().any(blind) {
        let text = "batch.context is not given: attention sees the batch's own tokens alone";
        wrapped(out, "decode: ", text)?;
    }
    let mut drafted: Vec<String> = workloads.filter_map(drafted).collect();
    drafted.sort_unstable();
    drafted.dedup();
    for text in drafted {
        wrapped(out, "speculative decoding: ", &text)?;
    }
    if phases.is_empty() {
        return Ok(());
    }
    let most = Workload::DECODE_TOKENS;
    let text = format!(
        "{} (batch.phase is not given: decode up to {most} tokens per GPU, else prefill)",
        phases.join(", ")
    );
    wrapped(out, "phase: ", &text)
}

/// What speculative decoding checks and yields.
fn drafted(workload: &PhaseTaken) -> Option<String> {
    let (drafts, yielded) = (workload.drafts?, workload.tokens_of_sequence?);
    let s = if drafts == 1 { "" } else { "s" };
    Some(format!(
        "a step checks {drafts} draft{s} of each sequence and yields {yielded:.3} of its {} tokens, which tokens per second \
         count",
        1 + drafts
    ))
}
