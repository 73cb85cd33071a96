//! `[scheme]` of a workload file: the rule that turns scores into choices.

use std::ops::Range;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::{Count, Diagnostic, ExpertsTable, Number, Source, zero_computation_of};
use crate::workload::Scheme;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SchemeTable {
    /// The rule; `top-k` if none is given.
    #[schemars(with = "Option<KindWord>")]
    kind: Option<Spanned<KindWord>>,
    /// Of `controlled`: slots of a token that biases hold at FFN experts.
    #[schemars(with = "Option<Number<1, 64_000>>")]
    ffn_slots: Option<Spanned<Number<1, 64_000>>>,
    /// Of `group-limited` and `grouped`: groups of experts.
    #[schemars(with = "Option<Count<1, 1_024>>")]
    groups: Option<Spanned<Count<1, 1_024>>>,
    /// Of `group-limited`: groups that a token may choose from.
    #[schemars(with = "Option<Count<1, 1_024>>")]
    groups_chosen: Option<Spanned<Count<1, 1_024>>>,
    /// Of `top-p`: the probability to reach.
    #[schemars(with = "Option<Number<1, 1_000>>")]
    p: Option<Spanned<Number<1, 1_000>>>,
    /// Of `top-p`: how sharp a token's probabilities are.
    #[schemars(with = "Option<Number<10, 100_000>>")]
    sharpness: Option<Spanned<Number<10, 100_000>>>,
    /// Of `autonomy`: the rank of the product by which experts choose.
    #[schemars(with = "Option<Count<1, 65_536>>")]
    rank: Option<Spanned<Count<1, 65_536>>>,
    /// Of `chain`: rounds of a layer.
    #[schemars(with = "Option<Count<1, 64>>")]
    rounds: Option<Spanned<Count<1, 64>>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum KindWord {
    TopK,
    NullExperts,
    Controlled,
    GroupLimited,
    ExpertChoice,
    TopP,
    Grouped,
    Autonomy,
    Chain,
}

impl KindWord {
    const fn name(self) -> &'static str {
        match self {
            Self::TopK => "top-k",
            Self::NullExperts => "null-experts",
            Self::Controlled => "controlled",
            Self::GroupLimited => "group-limited",
            Self::ExpertChoice => "expert-choice",
            Self::TopP => "top-p",
            Self::Grouped => "grouped",
            Self::Autonomy => "autonomy",
            Self::Chain => "chain",
        }
    }

    const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::TopK | Self::NullExperts | Self::ExpertChoice => &[],
            Self::Controlled => &["ffn_slots"],
            Self::GroupLimited => &["groups", "groups_chosen"],
            Self::TopP => &["p", "sharpness"],
            Self::Grouped => &["groups"],
            Self::Autonomy => &["rank"],
            Self::Chain => &["rounds"],
        }
    }
}

impl Scheme {
    /// Whether the scheme itself says what share of slots FFN experts get.
    pub(super) const fn says_share(self) -> bool {
        matches!(self, Self::Controlled { .. } | Self::NullExperts)
    }
}

impl SchemeTable {
    /// The keys given, by name.
    fn given(&self) -> Vec<(&'static str, Range<usize>)> {
        fn one<T>(
            name: &'static str,
            value: &Option<Spanned<T>>,
        ) -> Option<(&'static str, Range<usize>)> {
            value.as_ref().map(|value| (name, value.span()))
        }
        [
            one("ffn_slots", &self.ffn_slots),
            one("groups", &self.groups),
            one("groups_chosen", &self.groups_chosen),
            one("p", &self.p),
            one("sharpness", &self.sharpness),
            one("rank", &self.rank),
            one("rounds", &self.rounds),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The scheme, over these experts.
    pub(super) fn scheme(
        &self,
        source: &Source,
        table: &ExpertsTable,
    ) -> Result<Scheme, Diagnostic> {
        let kind = self.kind.as_ref().map_or(KindWord::TopK, |kind| *kind.get_ref());
        let given = self.given();
        if let Some((_, span)) = given.iter().find(|(name, _)| !kind.keys().contains(name)) {
            let found = format!("does not apply to the scheme \"{}\"", kind.name());
            return Err(source.mistake(
                span.clone(),
                found,
                "remove it, or give another scheme.kind",
            ));
        }
        let has = |name: &str| given.iter().any(|(given, _)| *given == name);
        if let Some(missing) = kind.keys().iter().find(|name| !has(name)) {
            return Err(source.mistake_without_span(
                &format!("scheme.{missing}"),
                format!("is missing, and the scheme \"{}\" needs it", kind.name()),
                format!("give scheme.{}", kind.keys().join(" and scheme.")),
            ));
        }
        let count =
            |value: &Option<Spanned<Count<1, 1_024>>>| value.as_ref().map_or(1, |n| n.get_ref().0);
        let scheme = match kind {
            KindWord::TopK => Scheme::TopK,
            KindWord::NullExperts => Scheme::NullExperts,
            KindWord::ExpertChoice => Scheme::ExpertChoice,
            KindWord::Controlled => Scheme::Controlled {
                ffn_slots: self.ffn_slots.as_ref().map_or(1.0, |n| n.get_ref().0),
            },
            KindWord::GroupLimited => Scheme::GroupLimited {
                groups: count(&self.groups),
                most: count(&self.groups_chosen),
            },
            KindWord::TopP => Scheme::TopP {
                p: self.p.as_ref().map_or(1.0, |n| n.get_ref().0),
                sharpness: self.sharpness.as_ref().map_or(1.0, |n| n.get_ref().0),
            },
            KindWord::Grouped => Scheme::Grouped { groups: count(&self.groups) },
            KindWord::Autonomy => {
                Scheme::Autonomy { rank: self.rank.as_ref().map_or(1, |n| n.get_ref().0) }
            }
            KindWord::Chain => {
                Scheme::Chain { rounds: self.rounds.as_ref().map_or(1, |n| n.get_ref().0) }
            }
        };
        self.check(source, table, scheme)?;
        Ok(scheme)
    }

    /// Whether a model with these experts can follow the scheme.
    fn check(
        &self,
        source: &Source,
        table: &ExpertsTable,
        scheme: Scheme,
    ) -> Result<(), Diagnostic> {
        let (ffn, top_k) = (table.ffn.get_ref().0, table.top_k.get_ref().0);
        let others = zero_computation_of(table);
        let wrong = |key: &str, found: String, help: String| {
            let key = if key == "kind" || self.given().iter().any(|(name, _)| *name == key) {
                format!("scheme.{key}")
            } else {
                "scheme".to_owned()
            };
            Err(source.mistake_at_key(&key, found, help))
        };
        if others.total() > 0 && !scheme.admits_zero_computation() {
            let help = "remove experts.zero, experts.copy and experts.constant, or the scheme";
            return wrong(
                "kind",
                "is a scheme without zero-computation experts".into(),
                help.into(),
            );
        }
        match scheme {
            Scheme::NullExperts if others.zero == 0 || others.copy + others.constant > 0 => {
                let help = "give experts.zero, and neither experts.copy nor experts.constant";
                wrong(
                    "kind",
                    "is a scheme of null experts beside FFN experts alone".into(),
                    help.into(),
                )
            }
            Scheme::Controlled { ffn_slots } => {
                let least = f64::from(top_k) - f64::from(others.total());
                let most = f64::from(top_k.min(ffn));
                let bad = ffn_slots < least
                    || ffn_slots > most
                    || others.total() == 0 && ffn_slots < most;
                if !bad {
                    return Ok(());
                }
                let help = if others.total() == 0 {
                    format!("give experts.top_k = {top_k}: all slots are of FFN experts")
                } else {
                    format!("give a number from {} to {most}", least.max(0.001))
                };
                let found = format!("{ffn_slots} of {top_k} slots cannot go to FFN experts");
                wrong("ffn_slots", found, help)
            }
            Scheme::GroupLimited { groups, most } => {
                if ffn % groups != 0 {
                    let help = format!("give a divisor of experts.ffn = {ffn}");
                    return wrong(
                        "groups",
                        format!("{ffn} experts do not form {groups} groups"),
                        help,
                    );
                }
                if most > groups || top_k > most * (ffn / groups) {
                    let found = format!("{most} of {groups} groups do not hold {top_k} experts");
                    let least = top_k.div_ceil(ffn / groups);
                    return wrong("groups_chosen", found, format!("give {least} to {groups}"));
                }
                Ok(())
            }
            Scheme::Grouped { groups } if ffn % groups != 0 || top_k % groups != 0 => {
                let found =
                    format!("{groups} groups do not divide {ffn} experts and {top_k} slots");
                let help = "give a divisor of both experts.ffn and experts.top_k";
                wrong("groups", found, help.into())
            }
            Scheme::Chain { rounds } if top_k % rounds != 0 => {
                let found = format!("{top_k} slots do not divide into {rounds} rounds");
                wrong("rounds", found, format!("give a divisor of experts.top_k = {top_k}"))
            }
            _ => Ok(()),
        }
    }
}
