//! The rule by which tokens choose experts.

use std::fmt::Write as _;

use super::experts::Networks;
use super::family::Family;
use super::keys::Keys;
use crate::config::Diagnostic;

/// How a gate chooses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Gate {
    rule: Rule,
    sigmoid: bool,
    /// A recorded gate, and whether it is of this very model.
    preset: (&'static str, bool),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    TopK,
    /// The best of the best groups.
    GroupLimited {
        groups: u64,
        chosen: u64,
    },
    /// A controller holds so many slots of a token at FFN experts.
    Controlled {
        ffn_slots: f64,
    },
}

impl Gate {
    /// That of a config.json; `ffn_slots` is what the user says of zero-computation experts.
    ///
    /// # Errors
    /// If the share of slots of zero-computation experts is not known.
    pub fn of(
        keys: &mut Keys<'_>,
        family: Family,
        networks: Networks,
        ffn_slots: Option<f64>,
    ) -> Result<Self, Diagnostic> {
        let groups = (keys.count(&["n_group"])?, keys.count(&["topk_group"])?);
        let all = keys.word(&["topk_method"]).is_some_and(|method| method == "greedy");
        let rule = match (networks.copies, ffn_slots, groups) {
            (0, Some(_), _) => {
                let found = "says how many slots go to FFN experts, and the model has no others";
                return Err(Diagnostic::of("--ffn-slots", found, "leave it out"));
            }
            (0, None, (Some(groups @ 2..), Some(chosen))) if chosen < groups && !all => {
                Rule::GroupLimited { groups, chosen }
            }
            (0, None, _) => Rule::TopK,
            (_, Some(ffn_slots), _) => Rule::Controlled { ffn_slots },
            (_, None, _) => {
                let found = "no key says how many slots of a token go to FFN experts on average";
                let help =
                    "give --ffn-slots NUMBER from the model's report (LongCat-Flash: 8 of 12)";
                return Err(keys.mistake("zero_expert_num", found, help));
            }
        };
        let names = ["scoring_func", "score_function", "score_func", "moe_router_activation_func"];
        let word = keys.word(&names);
        let sigmoid = word.map_or_else(|| family.scores_by_sigmoid(), |word| word == "sigmoid");
        let preset = match family {
            Family::Mixtral => ("mixtral-mix", true),
            Family::Olmoe => ("olmoe-mix", true),
            _ => ("gpt-oss-serving", false),
        };
        Ok(Self { rule, sigmoid, preset })
    }

    /// `[scheme]` and `[gate]` of a workload.
    pub fn write(&self, text: &mut String) {
        match self.rule {
            Rule::TopK => {}
            Rule::GroupLimited { groups, chosen } => {
                let _ = writeln!(
                    text,
                    "[scheme]\nkind   = \"group-limited\"\ngroups = {groups}\n\
                     groups_chosen = {chosen}\n"
                );
            }
            Rule::Controlled { ffn_slots } => {
                let _ = writeln!(
                    text,
                    "[scheme]\nkind      = \"controlled\"\nffn_slots = {ffn_slots}\n"
                );
            }
        }
        let _ = writeln!(text, "[gate]\nnetwork = \"linear\"");
        if self.sigmoid {
            let _ = writeln!(text, "scoring = \"sigmoid\"");
        }
        let (preset, own) = self.preset;
        let guess = if own {
            ""
        } else {
            "     # guess: sequences differ as those recorded of gpt-oss-20b"
        };
        let _ = writeln!(text, "preset  = \"{preset}\"{guess}\n");
    }
}
