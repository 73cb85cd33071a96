//! `[layout]` of a workload file: groups, stages, and which expert lives where.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::{Count, Diagnostic, Source};
use crate::workload::{Layout, Places, Seen};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LayoutTable {
    /// GPUs that share the experts of a layer.
    #[schemars(with = "Count<1, 4_096>")]
    expert_parallel: Spanned<Count<1, 4_096>>,
    /// GPUs that the width of each expert is cut over, side by side; 1 if none is given.
    #[schemars(with = "Option<Count<1, 64>>")]
    expert_tensor_parallel: Option<Spanned<Count<1, 64>>>,
    /// Stages of the pipeline.
    #[schemars(with = "Count<1, 512>")]
    pipeline_parallel: Spanned<Count<1, 512>>,
    /// GPUs that share each dense product; 1 if none is given.
    tensor_parallel: Option<Count<1, 64>>,
    /// Groups that share each sequence; 1 if none is given.
    context_parallel: Option<Count<1, 512>>,
    /// Where experts live; in blocks if none is given.
    places: Option<PlacesWord>,
    /// Of `replicated`: places for further copies.
    #[schemars(with = "Option<Count<1, 65_536>>")]
    redundant: Option<Spanned<Count<1, 65_536>>>,
    /// Micro-batches whose loads a plan goes by; 4 if none is given.
    #[schemars(with = "Option<Count<1, 64>>")]
    seen_micro_batches: Option<Spanned<Count<1, 64>>>,
    /// How many micro-batches before the plan these ended; 0 if none is given.
    #[schemars(with = "Option<Count<0, 100_000>>")]
    seen_ago: Option<Spanned<Count<0, 100_000>>>,
    /// Micro-batches from one plan to the next; never if none is given.
    #[schemars(with = "Option<Count<1, 100_000>>")]
    replan_every: Option<Spanned<Count<1, 100_000>>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum PlacesWord {
    Contiguous,
    RoundRobin,
    LoadAware,
    Replicated,
}

/// Micro-batches in a plan's window where a file says nothing.
const DEFAULT_WINDOW: u32 = 4;

impl LayoutTable {
    /// The layout of a model with this many FFN experts of this inner size, and layers; a workload that says how it trains may
    /// spread its layers unevenly over stages.
    pub(super) fn layout(
        &self,
        source: &Source,
        ([ffn, inner], layers, trains): ([u32; 2], u32, bool),
    ) -> Result<Layout, Diagnostic> {
        let expert_parallel = self.expert_parallel.get_ref().0;
        let pipeline_parallel = self.pipeline_parallel.get_ref().0;
        let places = self.places(source, ffn, expert_parallel)?;
        if places.redundant() == 0 && !ffn.is_multiple_of(expert_parallel) {
            return Err(source.mistake(
                self.expert_parallel.span(),
                format!("{ffn} FFN experts do not spread evenly over {expert_parallel} GPUs"),
                format!("give a divisor of experts.ffn = {ffn}"),
            ));
        }
        if !trains && !layers.is_multiple_of(pipeline_parallel) {
            return Err(source.mistake(
                self.pipeline_parallel.span(),
                format!("{layers} layers do not split evenly into {pipeline_parallel} stages"),
                format!("give a divisor of model.layers = {layers}"),
            ));
        }
        let expert_tensor_parallel = self.cut(source, inner)?;
        let tensor_parallel = self.tensor_parallel.as_ref().map_or(1, |count| count.0);
        let context_parallel = self.context_parallel.as_ref().map_or(1, |count| count.0);
        Ok(Layout {
            expert_parallel,
            expert_tensor_parallel,
            pipeline_parallel,
            tensor_parallel,
            context_parallel,
            places,
        })
    }

    /// GPUs that experts of this inner size are cut over.
    fn cut(&self, source: &Source, inner: u32) -> Result<u32, Diagnostic> {
        let Some(given) = &self.expert_tensor_parallel else { return Ok(1) };
        let gpus = given.get_ref().0;
        if inner.is_multiple_of(gpus) {
            return Ok(gpus);
        }
        Err(source.mistake(
            given.span(),
            format!("experts of inner size {inner} do not cut evenly over {gpus} GPUs"),
            format!("give a divisor of model.intermediate = {inner}"),
        ))
    }

    /// Where `ffn` experts live on groups of `gpus` GPUs.
    fn places(&self, source: &Source, ffn: u32, gpus: u32) -> Result<Places, Diagnostic> {
        let word = self.places.unwrap_or(PlacesWord::Contiguous);
        let planned = matches!(word, PlacesWord::LoadAware | PlacesWord::Replicated);
        let window = self.seen_micro_batches.as_ref().map(Spanned::span);
        let ago = self.seen_ago.as_ref().map(Spanned::span);
        let every = self.replan_every.as_ref().map(Spanned::span);
        if let Some(span) = window.or(ago).or(every).filter(|_| !planned) {
            let help = "remove it, or give layout.places = \"load-aware\" or \"replicated\"";
            return Err(source.mistake(span, "does not apply where no load is looked at", help));
        }
        let seen = Seen {
            window: self.seen_micro_batches.as_ref().map_or(DEFAULT_WINDOW, |n| n.get_ref().0),
            age: self.seen_ago.as_ref().map_or(0, |n| n.get_ref().0),
            period: self.replan_every.as_ref().map_or(Seen::NEVER, |n| n.get_ref().0),
        };
        match (word, &self.redundant) {
            (PlacesWord::Replicated, None) => Err(source.mistake_without_span(
                "layout.redundant",
                "is missing, and places = \"replicated\" needs it",
                "give the number of places beyond one for each expert",
            )),
            (PlacesWord::Replicated, Some(given)) => {
                let redundant = given.get_ref().0;
                let all = ffn + redundant;
                if !all.is_multiple_of(gpus) || redundant > ffn * (gpus - 1) {
                    return Err(source.mistake(
                        given.span(),
                        format!("{all} places do not spread evenly over {gpus} GPUs"),
                        format!(
                            "give a number that, added to experts.ffn = {ffn}, is a multiple of \
                             {gpus}; at most {}",
                            ffn * (gpus - 1)
                        ),
                    ));
                }
                Ok(Places::Replicated { redundant, seen })
            }
            (_, Some(given)) => Err(source.mistake(
                given.span(),
                "does not apply where each expert lives once",
                "remove it, or give layout.places = \"replicated\"",
            )),
            (PlacesWord::Contiguous, None) => Ok(Places::Contiguous),
            (PlacesWord::RoundRobin, None) => Ok(Places::RoundRobin),
            (PlacesWord::LoadAware, None) => Ok(Places::LoadAware(seen)),
        }
    }
}
