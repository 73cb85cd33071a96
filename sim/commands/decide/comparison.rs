//! What `compare`, `plan` and `layouts` share: a scenario from a few options.

use std::path::Path;

use crate::base::inputs::Input;
use crate::commands::{Call, with_oom};
use crate::config::{self, CaseSpec, Diagnostic, Overrides, Scenario, ScenarioSpec, Seeds, Source};
use crate::execution::Scope;
use crate::studies::study::refuse_borrowed;
use crate::topology::PriceBook;

/// A pair of workloads and how to run them.
#[derive(Clone, Debug)]
pub struct Options {
    /// The vanilla workload: built in, or a file. Alone, nothing is said of MoE++. Default, with no `moepp`: moe-1b
    /// and moepp-1b.
    pub vanilla: Option<String>,
    /// The MoE++ workload to compare with it, or alone.
    pub moepp: Option<String>,
    /// What is counted.
    pub counted: Scope,
    /// Seeds, half open.
    pub seeds: Seeds,
    /// Draw no calibration error: take times of kernels and links as predicted, as one seed alone does.
    pub no_calibration_error: bool,
    /// What a loop over experts costs beyond its kernels.
    pub overheads: Option<String>,
    /// Refuse kernels whose constants are borrowed from another kernel, format or GPU.
    pub strict: bool,
    /// Overrides of keys.
    pub set: Vec<String>,
    /// Run what does not fit into the GPUs' memory, and say so.
    pub allow_oom: bool,
}

/// Whether the workloads run as they are, and must fit into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Batch {
    /// They do.
    Own,
    /// Others are searched in place of their batches and layouts.
    Searched,
}

/// The workloads of a comparison, as they were named.
pub enum Named<'a> {
    /// A vanilla workload and its MoE++ twin.
    Pair {
        /// The vanilla one.
        vanilla: &'a str,
        /// The other.
        moepp: &'a str,
    },
    /// One workload, vanilla or MoE++.
    Alone(&'a str),
}

impl Named<'_> {
    /// The workload that is compared.
    #[must_use]
    pub const fn own(&self) -> &str {
        match self {
            Self::Pair { moepp, .. } | Self::Alone(moepp) => moepp,
        }
    }

    /// The one that its gain is over.
    #[must_use]
    pub const fn vanilla(&self) -> Option<&str> {
        match self {
            Self::Pair { vanilla, .. } => Some(vanilla),
            Self::Alone(_) => None,
        }
    }
}

/// The first mistake, with clusters that are refused for another reason, such as another profile's.
fn all_of(refused: Vec<(&str, Diagnostic)>) -> Option<Diagnostic> {
    let mut refused = refused.into_iter();
    let (_, first) = refused.next()?;
    let others = refused.filter(|(_, mistake)| mistake.found != first.found);
    let others: Vec<String> = others
        .map(|(cluster, mistake)| format!("\nrefused too: {cluster}: {}", mistake.found))
        .collect();
    Some(Diagnostic { help: first.help.clone() + &others.concat(), ..first })
}

impl Options {
    /// The workloads: those named, else the 1B pair.
    #[must_use]
    pub fn named(&self) -> Named<'_> {
        match (self.vanilla.as_deref(), self.moepp.as_deref()) {
            (Some(vanilla), Some(moepp)) => Named::Pair { vanilla, moepp },
            (Some(one), None) | (None, Some(one)) => Named::Alone(one),
            (None, None) => Named::Pair { vanilla: "moe-1b", moepp: "moepp-1b" },
        }
    }

    /// The scenario on each cluster, and the name that the cluster goes by: its own, and that of its path
    /// where another file of that name, in another folder, came before.
    pub(super) fn on_each(
        &self,
        clusters: &[String],
        call: &Call,
        batch: Batch,
    ) -> Result<Vec<(String, Scenario)>, Diagnostic> {
        let mut each: Vec<(String, Scenario)> = Vec::with_capacity(clusters.len());
        let mut refused: Vec<(&str, Diagnostic)> = Vec::new();
        for cluster in clusters {
            let (name, scenario) = match self.on(cluster, call, batch) {
                Ok(on) => on,
                Err(mistake) => {
                    refused.push((cluster, mistake));
                    continue;
                }
            };
            let taken = |name: &str| each.iter().any(|(other, _)| other == name);
            let name = if taken(&name) { cluster.clone() } else { name };
            if taken(&name) || clusters.iter().filter(|other| *other == cluster).count() > 1 {
                return Err(Diagnostic::of(name, "is named twice", "name each cluster once"));
            }
            each.push((name, scenario));
        }
        all_of(refused).map_or(Ok(each), Err)
    }

    /// The scenario on a cluster, `NAME` or `NAME=PROFILE`, and the cluster's name.
    fn on(
        &self,
        cluster: &str,
        call: &Call,
        batch: Batch,
    ) -> Result<(String, Scenario), Diagnostic> {
        let (topology, profile) = match cluster.split_once('=') {
            Some((topology, profile)) => (topology, Some(profile)),
            None => (cluster, None),
        };
        let compare = match self.named() {
            Named::Pair { vanilla, moepp } => {
                CaseSpec { vanilla: vanilla.to_owned(), moepp: Some(moepp.to_owned()) }
            }
            Named::Alone(one) => CaseSpec { vanilla: one.to_owned(), moepp: None },
        };
        let mut spec =
            ScenarioSpec::new("compare", topology, self.counted, self.seeds.clone(), compare);
        // One draw has neither a mean nor an interval: of one seed times are as they are predicted.
        let overrides = Overrides::new(with_oom(&self.set, self.allow_oom));
        let seeds = overrides.seeds();
        let several = seeds.as_ref().unwrap_or(&self.seeds).are_several();
        spec.calibration_uncertainty = !self.no_calibration_error && several;
        spec.profile = profile.map(str::to_owned);
        spec.overheads.clone_from(&self.overheads);
        let source = call.specified(&spec, overrides);
        let source = if self.vanilla.is_none() { source.alone() } else { source };
        let source = if batch == Batch::Searched { source.searched() } else { source };
        let scenario = source.load().map_err(|mistake| self.as_argument(cluster, mistake))?;
        if self.strict {
            refuse_borrowed(&scenario)?;
        }
        self.refuse_vanilla_as_moepp(&scenario)?;
        self.refuse_another_model(&scenario)?;
        let taus = scenario.cases[0].moepp.len();
        if taus > 1 {
            let found = format!("gives {taus} τ, and one comparison takes one");
            let help = "give one, as in --set tau=[0.75], or several to `moesim plan --tau` or `moesim run`";
            return Err(Diagnostic::of("--set tau", found, help));
        }
        Ok((short_name(topology), scenario))
    }
}

impl Options {
    /// Refuses a vanilla workload that is named as the MoE++ one, alone.
    fn refuse_vanilla_as_moepp(&self, scenario: &Scenario) -> Result<(), Diagnostic> {
        let alone = self.vanilla.is_none() && scenario.cases[0].moepp.is_empty();
        let own = &scenario.cases[0].vanilla;
        if !alone || own.model.experts.zero_computation.total() > 0 {
            return Ok(());
        }
        let found = format!("`{}` has no zero-computation experts", own.name);
        Err(Diagnostic::of("--moepp", found, "name it with --vanilla"))
    }

    /// Refuses a gain of one model over another: what differs then is not what MoE++ changes.
    fn refuse_another_model(&self, scenario: &Scenario) -> Result<(), Diagnostic> {
        let case = &scenario.cases[0];
        let Some(moepp) = case.moepp.first() else { return Ok(()) };
        let named = self.named();
        let vanilla = named.vanilla().unwrap_or_default();
        let [base, own] = [&case.vanilla.model, &moepp.model];
        if (base.layers, base.hidden) == (own.layers, own.hidden) {
            return Ok(());
        }
        let found = format!(
            "`{}` has {} layers of hidden size {}, `{}` {} of {}: a gain of one model over another is not \
             MoE++'s",
            named.own(),
            own.layers,
            own.hidden,
            vanilla,
            base.layers,
            base.hidden
        );
        let help = format!(
            "write its MoE++ twin: `moesim show {vanilla} > twin.toml`, give [experts] zero, copy, constant and tau \
             as in `moesim show moepp-1b`, then --moepp twin.toml; or name one of them alone"
        );
        Err(Diagnostic::of("--moepp", found, help))
    }

    /// A mistake in the specification as one in the argument that it was made from.
    fn as_argument(&self, cluster: &str, mistake: Diagnostic) -> Diagnostic {
        if mistake.place != config::COMMAND_LINE {
            return mistake;
        }
        let named = self.named();
        let of = |flag: &'static str| move |name: &str| format!("{flag} {name}");
        let flag = match mistake.key.as_str() {
            "compare[0].vanilla" if self.vanilla.is_none() && self.moepp.is_some() => {
                Some(format!("--moepp {}", named.own()))
            }
            "compare[0].vanilla" => named.vanilla().or(Some(named.own())).map(of("--vanilla")),
            "compare[0].moepp" => Some(format!("--moepp {}", named.own())),
            "overheads" => self.overheads.as_ref().map(|name| format!("--overheads {name}")),
            _ => None,
        };
        let known = flag.is_some() || matches!(mistake.key.as_str(), "topology" | "profile");
        Diagnostic {
            place: flag.map_or(cluster.to_owned(), |flag| format!("{cluster}, {flag}")),
            line: None,
            excerpt: None,
            key: if known { String::new() } else { mistake.key },
            ..mistake
        }
    }
}

/// A cluster's name in tables: that of its file, without folders.
pub(super) fn short_name(topology: &str) -> String {
    let stem = std::path::Path::new(topology).file_stem().filter(|_| topology.ends_with(".toml"));
    stem.map_or(topology.to_owned(), |stem| stem.to_string_lossy().into_owned())
}

/// A price book, or the built-in one, and what was read for it.
pub(super) fn price_book(path: Option<&Path>) -> Result<(PriceBook, Vec<Input>), Diagnostic> {
    let source = path.map_or_else(|| Ok(config::built_in_prices()), Source::read)?;
    Ok((config::read_prices(&source)?, source.inputs(&[])))
}
