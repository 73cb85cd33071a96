//! `[gate]` of a workload file: its network, and how it spreads tokens.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::super::Numbers;
use super::preset::{self, PresetWord};
use super::{Count, Diagnostic, Number, Source, files, needs_zero_computation};
use crate::workload::{
    GateNetwork, Gating, Origin, Persistence, Popularity, Sampling, Scheme, Scoring, Spread,
};

type Ratio = Number<0, 1_000>;
type Weight = Spanned<Number<1, 1_000_000>>;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GateTable {
    /// One matrix, or two layers.
    network: Option<NetworkWord>,
    /// Whether logits of the layer before are added [moepp, eq. 6].
    residual: Option<bool>,
    /// What was measured on a real model; single keys override it.
    preset: Option<PresetWord>,
    /// Standard deviation of the logarithm of experts' popularity.
    popularity_sd: Option<Number<0, 5_000>>,
    /// Or popularity by a Dirichlet law of this concentration.
    #[schemars(with = "Option<Number<10, 1_000_000_000>>")]
    popularity_concentration: Option<Spanned<Number<10, 1_000_000_000>>>,
    /// Moves the share of FFN slots from that of τ, in logits: one number, or one for each layer.
    #[schemars(with = "Option<Numbers<-10_000, 10_000>>")]
    ffn_logit_shift: Option<Spanned<Numbers<-10_000, 10_000>>>,
    /// Share of slots that FFN experts get, in place of τ.
    #[schemars(with = "Option<Ratio>")]
    ffn_share: Option<Spanned<Ratio>>,
    /// How often one zero expert is chosen, over the mean of zero-computation experts.
    #[schemars(with = "Option<Number<1, 1_000_000>>")]
    zero_weight: Option<Weight>,
    /// The same of a copy expert.
    #[schemars(with = "Option<Number<1, 1_000_000>>")]
    copy_weight: Option<Weight>,
    /// The same of a constant expert.
    #[schemars(with = "Option<Number<1, 1_000_000>>")]
    constant_weight: Option<Weight>,
    /// How differently tokens use zero-computation experts, in logits.
    #[schemars(with = "Option<Number<0, 5_000>>")]
    difficulty_sd: Option<Spanned<Number<0, 5_000>>>,
    /// How sequences differ: standard deviation of logits.
    sequence_sd: Option<Number<0, 5_000>>,
    /// Share of that which layers have in common.
    sequence_common: Option<Ratio>,
    /// Domains of the traffic.
    domains: Option<Count<1, 64>>,
    /// How domains differ: standard deviation of logits.
    domain_sd: Option<Number<0, 5_000>>,
    /// Share of popularity that changes over time.
    drift: Option<Ratio>,
    /// Micro-batches in which it does.
    drift_micro_batches: Option<Number<1_000, 1_000_000_000>>,
    /// Share of a token's preferences that those before it have, too.
    persistence: Option<Ratio>,
    /// How fast that fades, a token.
    persistence_decay: Option<Ratio>,
    /// Share of it that layers have in common.
    persistence_depth: Option<Ratio>,
    /// Whether tokens are drawn one by one or counts of them.
    #[serde(default)]
    sampling: SamplingWord,
    /// How scores become mixing weights.
    #[serde(default)]
    scoring: ScoringWord,
    /// A file that `moesim gate fit --out` wrote, in place of a preset.
    #[schemars(with = "Option<String>")]
    law: Option<Spanned<String>>,
    /// A recording to replay, in place of a preset.
    #[schemars(with = "Option<String>")]
    trace: Option<Spanned<String>>,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum ScoringWord {
    #[default]
    Softmax,
    Sigmoid,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum NetworkWord {
    Linear,
    TwoLayer,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum SamplingWord {
    #[default]
    Auto,
    Exact,
    Counts,
}

/// Spread of token difficulty where a file says nothing: [moepp, fig. 5], digitised.
const DEFAULT_DIFFICULTY_SD: f64 = 0.5;

impl GateTable {
    pub(super) fn network(&self) -> GateNetwork {
        match self.network {
            Some(NetworkWord::TwoLayer) => GateNetwork::TwoLayer,
            Some(NetworkWord::Linear) | None => GateNetwork::Linear,
        }
    }

    pub(super) fn residual(&self) -> bool {
        self.residual.unwrap_or(false)
    }

    /// How the gate spreads tokens, for a vanilla model or one with zero-computation experts.
    pub(super) fn gating(
        &self,
        source: &Source,
        vanilla: bool,
        scheme: Scheme,
    ) -> Result<Gating, Diagnostic> {
        self.check(source, vanilla)?;
        let (mut popularity, spread) = preset::of(self.preset);
        if matches!(scheme, Scheme::Controlled { .. } | Scheme::GroupLimited { .. }) {
            // Biases hold the loads of all traffic even; what is uneven is that batches differ.
            popularity = Popularity::LogNormal { sd: 0.0 };
        }
        let popularity = match (&self.popularity_concentration, self.popularity_sd) {
            (Some(concentration), _) => {
                Popularity::Dirichlet { concentration: concentration.get_ref().0 }
            }
            (None, Some(sd)) => Popularity::LogNormal { sd: sd.0 },
            (None, None) => popularity,
        };
        let weight = |given: &Option<Weight>| given.as_ref().map_or(1.0, |w| w.get_ref().0);
        let weights = [&self.zero_weight, &self.copy_weight, &self.constant_weight].map(weight);
        let difficulty = self.difficulty_sd.as_ref().map(|sd| sd.get_ref().0);
        Ok(Gating {
            popularity,
            ffn_logit_shift: self
                .ffn_logit_shift
                .as_ref()
                .map_or(vec![], |s| s.get_ref().0.clone()),
            ffn_share: self.ffn_share.as_ref().map(|share| share.get_ref().0),
            zero_computation_weights: weights,
            difficulty_sd: difficulty.unwrap_or(DEFAULT_DIFFICULTY_SD),
            spread: self.spread(spread),
            sampling: match self.sampling {
                SamplingWord::Auto => Sampling::Auto,
                SamplingWord::Exact => Sampling::Exact,
                SamplingWord::Counts => Sampling::Counts,
            },
            scheme,
            scoring: match self.scoring {
                ScoringWord::Softmax => Scoring::Softmax,
                ScoringWord::Sigmoid => Scoring::Sigmoid,
            },
            origin: self.origin(source)?,
        })
    }

    /// Where popularity and spread come from.
    fn origin(&self, source: &Source) -> Result<Origin, Diagnostic> {
        let drawn = [
            (self.preset.is_some(), "preset"),
            (self.popularity_sd.is_some(), "popularity_sd"),
            (self.popularity_concentration.is_some(), "popularity_concentration"),
            (self.sequence_sd.is_some(), "sequence_sd"),
            (self.domain_sd.is_some(), "domain_sd"),
            (self.sequence_common.is_some(), "sequence_common"),
            (self.domains.is_some(), "domains"),
            (self.persistence.is_some(), "persistence"),
            (self.persistence_decay.is_some(), "persistence_decay"),
            (self.persistence_depth.is_some(), "persistence_depth"),
            (self.law.is_some() && self.trace.is_some(), "law"),
        ];
        let also = drawn.into_iter().find_map(|(given, name)| given.then_some(name));
        if let (Some(path), Some(name)) = (self.trace.as_ref().or(self.law.as_ref()), also) {
            let help = "a law and a trace bring their own popularity and sequences: give one alone";
            return Err(source.mistake(path.span(), format!("contradicts gate.{name}"), help));
        }
        files::origin(source, self.law.as_ref(), self.trace.as_ref())
    }

    /// A preset's spread with what the file says otherwise.
    fn spread(&self, preset: Spread) -> Spread {
        let or = |given: Option<Ratio>, preset: f64| given.map_or(preset, |given| given.0);
        let persistence = Persistence {
            share: or(self.persistence, preset.persistence.share),
            decay: or(self.persistence_decay, preset.persistence.decay),
            depth: or(self.persistence_depth, preset.persistence.depth),
        };
        let drift_time = self.drift_micro_batches.map(|n| n.0);
        Spread {
            sequence_sd: self.sequence_sd.map_or(preset.sequence_sd, |sd| sd.0),
            common: or(self.sequence_common, preset.common),
            domains: self.domains.map_or(preset.domains, |n| n.0),
            domain_sd: self.domain_sd.map_or(preset.domain_sd, |sd| sd.0),
            drift: or(self.drift, preset.drift),
            drift_micro_batches: drift_time.unwrap_or(preset.drift_micro_batches),
            persistence,
        }
    }

    fn check(&self, source: &Source, vanilla: bool) -> Result<(), Diagnostic> {
        let spans = [
            self.ffn_logit_shift.as_ref().map(Spanned::span),
            self.ffn_share.as_ref().map(Spanned::span),
            self.zero_weight.as_ref().map(Spanned::span),
            self.copy_weight.as_ref().map(Spanned::span),
            self.constant_weight.as_ref().map(Spanned::span),
            self.difficulty_sd.as_ref().map(Spanned::span),
        ];
        if let Some(span) = spans.into_iter().flatten().next().filter(|_| vanilla) {
            return Err(needs_zero_computation(source, &Spanned::new(span, ())));
        }
        if let (Some(share), Some(_)) = (&self.ffn_share, &self.ffn_logit_shift) {
            let help = "give a measured ffn_share or a shift of τ's share, not both";
            return Err(source.mistake(share.span(), "contradicts gate.ffn_logit_shift", help));
        }
        if let (Some(concentration), Some(_)) = (&self.popularity_concentration, self.popularity_sd)
        {
            let help = "give popularity_sd (log-normal) or popularity_concentration (Dirichlet)";
            let found = "contradicts gate.popularity_sd";
            return Err(source.mistake(concentration.span(), found, help));
        }
        Ok(())
    }
}
