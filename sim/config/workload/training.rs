//! `[training]` of a workload file: how a training step is put together.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::{Count, Diagnostic, DtypeWord, Source};
use crate::workload::{Dtype, Layout, PipelineSchedule, Recompute, Training, Zero};

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TrainingTable {
    /// Of the pipeline; `1f1b` if none is given.
    #[schemars(with = "Option<ScheduleWord>")]
    schedule: Option<Spanned<ScheduleWord>>,
    /// Of layers a stage, interleaved; 1 if none is given.
    #[schemars(with = "Option<Count<1, 64>>")]
    chunks: Option<Spanned<Count<1, 64>>>,
    /// Whether forward and backward passes run together, one computing while the other exchanges.
    #[schemars(with = "Option<bool>")]
    paired: Option<Spanned<bool>>,
    /// What is computed again in the backward pass.
    #[schemars(with = "Option<RecomputeWord>")]
    recompute: Option<Spanned<RecomputeWord>>,
    /// Stage of ZeRO: 0 none, 1 optimiser states divided, 2 gradients too, 3 parameters too; 1 if none is given.
    zero: Option<Count<0, 3>>,
    /// Whether gradients are reduced and parameters gathered while passes go on.
    overlapped_gradients: Option<bool>,
    /// Format that gradients are added up and sent in.
    gradients: Option<GradientWord>,
    /// Format of the optimiser's moments; `fp32` if none is given.
    moments: Option<GradientWord>,
    /// Format in which the inputs of activations are kept for the backward pass; `bf16` if none is given.
    kept: Option<DtypeWord>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
enum ScheduleWord {
    #[serde(rename = "1f1b")]
    OneForwardOneBackward,
    #[serde(rename = "zero-bubble-h1")]
    ZeroBubbleH1,
    #[serde(rename = "dualpipe")]
    DualPipe,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum RecomputeWord {
    None,
    Selective,
    UpProjections,
    Full,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum GradientWord {
    Fp32,
    Bf16,
}

impl GradientWord {
    const fn bytes(self) -> u64 {
        match self {
            Self::Bf16 => 2,
            Self::Fp32 => 4,
        }
    }
}

impl TrainingTable {
    /// The training step of a workload with this layout and this number of micro-batches.
    pub(super) fn training(
        &self,
        source: &Source,
        (layout, latent): (&Layout, bool),
        micro_batches: u32,
    ) -> Result<Training, Diagnostic> {
        let usual = Training::USUAL;
        let training = Training {
            schedule: self.schedule.as_ref().map_or(usual.schedule, |word| match word.get_ref() {
                ScheduleWord::OneForwardOneBackward => PipelineSchedule::OneForwardOneBackward,
                ScheduleWord::ZeroBubbleH1 => PipelineSchedule::ZeroBubbleH1,
                ScheduleWord::DualPipe => PipelineSchedule::DualPipe,
            }),
            chunks: self.chunks.as_ref().map_or(1, |chunks| chunks.get_ref().0),
            paired: self.paired.as_ref().map_or(usual.paired, |paired| *paired.get_ref()),
            recompute: self.recompute.as_ref().map_or(usual.recompute, |word| {
                match word.get_ref() {
                    RecomputeWord::None => Recompute::Nothing,
                    RecomputeWord::Selective => Recompute::Selective,
                    RecomputeWord::UpProjections => Recompute::UpProjections,
                    RecomputeWord::Full => Recompute::Full,
                }
            }),
            zero: self.zero.as_ref().map_or(usual.zero, |zero| match zero.0 {
                0 => Zero::Off,
                1 => Zero::Optimiser,
                2 => Zero::Gradients,
                _ => Zero::Parameters,
            }),
            overlapped_gradients: self.overlapped_gradients.unwrap_or(usual.overlapped_gradients),
            gradient_bytes: self.gradients.map_or(usual.gradient_bytes, GradientWord::bytes),
            moment_bytes: self.moments.map_or(usual.moment_bytes, GradientWord::bytes),
            kept_bytes: self.kept.map_or(usual.kept_bytes, |word| Dtype::from(word).bytes()),
        };
        self.check_pairs(source, &training)?;
        self.check_recompute(source, latent)?;
        self.check(source, &training, layout, micro_batches)?;
        Ok(training)
    }

    fn check_recompute(&self, source: &Source, latent: bool) -> Result<(), Diagnostic> {
        if let Some(word) = &self.recompute
            && matches!(word.get_ref(), RecomputeWord::UpProjections)
            && !latent
        {
            let found = "needs latent attention (model.key_value_rank): other attention has no up-projections";
            let help =
                "give \"selective\", which computes norms and activations again, or \"full\"";
            return Err(source.mistake(word.span(), found, help));
        }
        Ok(())
    }

    fn check_pairs(&self, source: &Source, training: &Training) -> Result<(), Diagnostic> {
        if let Some(paired) = self.paired.as_ref().filter(|paired| *paired.get_ref())
            && training.schedule != PipelineSchedule::OneForwardOneBackward
        {
            let found = "has no effect: only \"1f1b\" takes passes in pairs by choice";
            let help = "remove it, or give training.schedule = \"1f1b\"";
            return Err(source.mistake(paired.span(), found, help));
        }
        Ok(())
    }

    fn check(
        &self,
        source: &Source,
        training: &Training,
        layout: &Layout,
        micro_batches: u32,
    ) -> Result<(), Diagnostic> {
        let stages = layout.pipeline_parallel;
        let at_chunks = self.chunks.as_ref().map(Spanned::span).unwrap_or_default();
        let mistake = match training.schedule {
            PipelineSchedule::OneForwardOneBackward => {
                let uneven = training.chunks > 1 && !micro_batches.is_multiple_of(stages);
                uneven.then(|| interleaved(stages, micro_batches)).map(|text| (at_chunks, text))
            }
            PipelineSchedule::ZeroBubbleH1 if training.chunks > 1 => {
                let found = "does not apply: \"zero-bubble-h1\" has one chunk per stage";
                let help = "remove it, or give training.schedule = \"1f1b\"";
                Some((at_chunks, (found.to_owned(), help)))
            }
            PipelineSchedule::ZeroBubbleH1 => None,
            PipelineSchedule::DualPipe if self.chunks.is_some() => {
                let found = "does not apply: \"dualpipe\" always has two chunks per stage, one for each \
                             direction";
                Some((at_chunks, (found.to_owned(), "remove it")))
            }
            PipelineSchedule::DualPipe => {
                return both_ends(stages, micro_batches).map_or(Ok(()), |(key, found, help)| {
                    Err(source.mistake_at_key(key, found, help))
                });
            }
        };
        mistake.map_or(Ok(()), |(span, (found, help))| Err(source.mistake(span, found, help)))
    }
}

fn interleaved(stages: u32, micro_batches: u32) -> (String, &'static str) {
    let found = format!(
        "interleaves chunks, which takes micro-batches in rounds of {stages} stages, and \
         {micro_batches} micro-batches are not a multiple of {stages}"
    );
    (found, "change batch.micro_batches or remove it")
}

/// What DualPipe cannot pass through stages from both ends: the key, what is wrong with it, and how to fix it.
fn both_ends(stages: u32, micro_batches: u32) -> Option<(&'static str, String, String)> {
    if !stages.is_multiple_of(2) {
        let found = format!("\"dualpipe\" takes an even number of stages, not {stages}");
        let help = "give an even layout.pipeline_parallel, or training.schedule = \"1f1b\"";
        return Some(("layout.pipeline_parallel", found, help.to_owned()));
    }
    let least = 2 * stages;
    if micro_batches.is_multiple_of(2) && micro_batches >= least {
        return None;
    }
    let found = format!(
        "\"dualpipe\" takes an even number of micro-batches, at least two a stage: {least} or more of {stages} stages, \
         not {micro_batches}"
    );
    let fitting = micro_batches.next_multiple_of(2).max(least);
    let help = format!("give batch.micro_batches = {fitting}, or training.schedule = \"1f1b\"");
    Some(("batch.micro_batches", found, help))
}
