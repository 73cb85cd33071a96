//! What must fit together in a scenario: profile and GPU, libraries and profile, workloads and memory.

use super::overrides::ROLES;
use super::{Case, Ingredients, Scenario, ScenarioSource, ScenarioSpec, key_of};
use crate::config::{
    self, Diagnostic, FittedOverheads, Kind, built_in, is_same_gpu, no_profile, overheads,
    profile_of_gpu,
};
use crate::execution::Scope;
use crate::execution::cost::{Overheads, experts_ask};
use crate::execution::memory::{self, Fit};
use crate::kernels::profile::{Precision, Profile};
use crate::kernels::{ExpertsChoice, Kernels, NoKernel};
use crate::network::Unavailable;
use crate::topology::Topology;
use crate::workload::{Epilogue, Execution, Layout, Overlap, Phase, Workload};

/// Overheads of a loop over experts, of the shipped ones.
const LOOP: &str = "moepp-loop";
/// What a scenario writes for none.
pub(super) const NO_OVERHEADS: &str = "none";

impl Scenario {
    /// The workload with the exchange library that carries it in place of `auto`: its buffers lie in memory.
    #[must_use]
    pub fn carried(&self, workload: &Workload) -> Workload {
        let mut carried = workload.clone();
        // One that nothing carries is refused when the scenario is read.
        if let Ok(carrier) = self.carrier(workload) {
            carried.stack.exchange = carrier.library;
        }
        carried
    }

    /// Whether a workload fits into the memory of the GPUs.
    #[must_use]
    pub fn fit(&self, workload: &Workload) -> Fit {
        let carried = self.carried(workload);
        memory::fit(&self.topology, &carried, self.counted, self.seeds.start)
    }

    /// The arithmetic of a workload that does not fit into the memory of the GPUs, and what to do.
    #[must_use]
    pub fn beyond_memory(&self, workload: &Workload) -> Option<(String, String)> {
        let Fit::TooLarge { found, .. } = self.fit(workload) else { return None };
        Some((found, self.remedy(workload)))
    }

    /// What to do about a workload that does not fit. Takes the draws of several layouts.
    fn remedy(&self, workload: &Workload) -> String {
        let carried = self.carried(workload);
        memory::remedy(&self.topology, &carried, self.counted, self.seeds.start)
    }

    /// Why the scenario cannot run a workload that was made of one of its own, and what to do; none if it can.
    #[must_use]
    pub fn refusal(&self, workload: &Workload) -> Option<(String, String)> {
        let too_large = || if self.allow_oom { None } else { self.beyond_memory(workload) };
        self.unrunnable(workload).or_else(too_large)
    }

    /// The same, whatever the memory.
    #[must_use]
    pub fn unrunnable(&self, workload: &Workload) -> Option<(String, String)> {
        let (experts, group) = (&workload.model.experts, workload.layout.expert_parallel);
        let places = experts.ffn + workload.layout.places.redundant();
        if !places.is_multiple_of(group) {
            let found =
                format!("{places} places of FFN experts do not spread evenly over {group} GPUs");
            let help = format!("give layout.expert_parallel a divisor of {places}");
            return Some((found, help));
        }
        let (inner, cut) = (workload.model.intermediate, workload.layout.expert_tensor_parallel);
        if !inner.is_multiple_of(cut) {
            let found = format!("experts of inner size {inner} do not cut evenly over {cut} GPUs");
            let help = format!("give layout.expert_tensor_parallel a divisor of {inner}");
            return Some((found, help));
        }
        if let Some(misfit) = crate::execution::run::misfit(&self.topology, workload) {
            return Some((misfit, layout_help(&self.topology, workload)));
        }
        let kernels = Kernels::new(&self.profile, self.topology.gpu().device());
        if let Err(none) = runnable(&kernels, workload) {
            return Some((none.found, none.help));
        }
        layout_mistake(self, workload)
            .or_else(|| self.carrier(workload).err().map(|none| (none.found, none.help)))
    }

    /// The overheads by name, why where none were named, and whether any workload has use for them.
    #[must_use]
    pub fn overheads_in_words(&self) -> String {
        let Ingredients { overheads, overheads_named, .. } = &self.ingredients;
        match (overheads_named, self.cases.iter().any(Case::has_loop)) {
            (_, false) if overheads != NO_OVERHEADS => {
                format!("{overheads} (not used: experts run grouped)")
            }
            (false, true) => format!("{overheads} (none named: experts run one after another)"),
            _ => overheads.clone(),
        }
    }

    /// Says that the overheads were fitted on another GPU, where a workload runs a loop.
    #[must_use]
    pub fn overheads_borrowed(&self) -> Option<String> {
        let (of, to) = (self.fitted_overheads.gpu.as_ref()?, &self.topology.gpu().name);
        let has_loop = self.cases.iter().any(Case::has_loop);
        let name = &self.ingredients.overheads;
        (has_loop && !is_same_gpu(of, to))
            .then(|| format!("overheads {name}: fitted on {of}, applied to {to}"))
    }

    /// Says that the profile is of another GPU, where it is.
    #[must_use]
    pub fn borrowed(&self) -> Option<String> {
        let (of, to) = (&self.profile.device, &self.topology.gpu().name);
        self.profile_borrowed.then(|| {
            format!("profile of {of} applied to {to}: its efficiencies, the peaks that {to} states")
        })
    }
}

impl Case {
    /// Whether a workload runs its experts one after another.
    fn has_loop(&self) -> bool {
        let mut workloads = std::iter::once(&self.vanilla).chain(&self.moepp);
        workloads.any(|workload| workload.execution == Execution::Sequential)
    }
}

impl ScenarioSource {
    /// The profile named, or the GPU's own where none is. One that the scenario's file names for its own
    /// cluster does not follow to another cluster of other GPUs.
    pub(super) fn profile_for(
        &self,
        topology: &Topology,
        named: Option<&str>,
    ) -> Result<(String, Profile), Diagnostic> {
        let gpu = &topology.gpu().name;
        let Some(name) = named else {
            let own = profile_of_gpu(gpu).ok_or_else(|| no_profile(topology.name(), gpu))?;
            return self.profile(own);
        };
        let (found, profile) = self.profile(name)?;
        let moved = self.overrides.names("topology") && !self.overrides.names("profile");
        if moved && !is_same_gpu(&profile.device, gpu) {
            let found = format!(
                "is of {}, and --set names a topology of other GPUs, {gpu}",
                profile.device
            );
            let own = profile_of_gpu(gpu).map_or_else(
                || "it has no profile of its own: see `calibrate transfer`".to_owned(),
                |own| format!("--set profile={own} is its own"),
            );
            let help =
                format!("{own}; --set profile={name} applies this one's efficiencies to {gpu}");
            return Err(self.source.mistake_at_key("profile", found, help));
        }
        Ok((found, profile))
    }

    /// The profile that the scenario names; its table lies beside its file.
    fn profile(&self, name: &str) -> Result<(String, Profile), Diagnostic> {
        let source = self.part(name, "profile", Kind::Profile)?;
        let profile = match built_in(Kind::Profile, name) {
            Some(_) => config::profile_with_built_in_table(&source, name)?,
            None => config::read_profile(&source, &self.folder.join(name))?,
        };
        Ok((source.name().to_owned(), profile))
    }

    /// The overheads named, `none` among them. Where none are: those of the loop where a workload runs its experts
    /// one after another, and none otherwise.
    pub(super) fn overheads_for(
        &self,
        cases: &[Case],
        named: Option<&str>,
    ) -> Result<(String, FittedOverheads), Diagnostic> {
        let own = if cases.iter().any(Case::has_loop) { LOOP } else { NO_OVERHEADS };
        let name = named.unwrap_or(own);
        let mut set = self.overrides.of(Kind::Overheads.key());
        if name == NO_OVERHEADS {
            if let Some((prefix, key)) = set.next().filter(|_| named.is_some()) {
                let found = "sets a key of the overheads, and they are `none`";
                let help = "name some, such as overheads=moepp-loop, or leave this out";
                return Err(Diagnostic::of(format!("--set {prefix}{key}"), found, help));
            }
            return Ok((NO_OVERHEADS.to_owned(), FittedOverheads::from(Overheads::NONE)));
        }
        let source = self.part(name, "overheads", Kind::Overheads)?;
        let mut fitted = overheads(&source)?;
        if set.next().is_none() {
            return Ok((source.name().to_owned(), fitted));
        }
        // What was fitted no longer says what else may be.
        fitted.alternatives.clear();
        Ok((format!("{} with --set", source.name()), fitted))
    }

    /// Every workload says what its count needs, its layout divides the GPUs and layers, and its exchanges have a
    /// library that carries them.
    pub(super) fn layouts(
        &self,
        spec: &ScenarioSpec,
        scenario: &Scenario,
    ) -> Result<(), Diagnostic> {
        for (at, (table, case)) in spec.compare.iter().zip(&scenario.cases).enumerate() {
            let role = ROLES[usize::from(table.moepp.is_some())];
            let named = case.moepp.iter().map(|workload| (role, workload));
            for (role, workload) in std::iter::once((ROLES[0], &case.vanilla)).chain(named) {
                let carried = || scenario.carrier(workload).err();
                let mistake = layout_mistake(scenario, workload)
                    .or_else(|| carried().map(|Unavailable { found, help }| (found, help)));
                if let Some((found, help)) = mistake {
                    return Err(self.source.mistake_at_key(&key_of(at, role), found, help));
                }
            }
        }
        Ok(())
    }

    /// The arithmetic of each workload that does not fit into the memory of the GPUs, where the scenario
    /// allows such.
    pub(super) fn too_large(&self, scenario: &Scenario) -> Result<Vec<String>, Diagnostic> {
        let mut oom = Vec::new();
        for (at, case) in scenario.cases.iter().enumerate() {
            for workload in std::iter::once(&case.vanilla).chain(&case.moepp) {
                let Fit::TooLarge { found, .. } = scenario.fit(workload) else { continue };
                if !scenario.allow_oom {
                    let help = scenario.remedy(workload);
                    return Err(self.source.mistake_at_key(&key_of(at, ROLES[0]), found, help));
                }
                if !oom.contains(&found) {
                    oom.push(found);
                }
            }
        }
        Ok(oom)
    }
}

/// What to do where not even one replica fits.
pub(super) fn layout_help(topology: &Topology, workload: &Workload) -> String {
    let (gpus, layout) = (topology.gpus(), &workload.layout);
    let places = workload.model.experts.ffn + layout.places.redundant();
    let with = |experts: u32| {
        let other = Layout { expert_parallel: experts, ..layout.clone() };
        places.is_multiple_of(experts) && other.in_use(gpus) > 0
    };
    let largest = (1..=gpus.min(places)).rev().find(|experts| with(*experts));
    match largest {
        Some(experts) if experts < layout.expert_parallel => {
            format!("give layout.expert_parallel = {experts} or less, or a topology of more GPUs")
        }
        _ => "give fewer stages or smaller groups, or a topology of more GPUs".to_owned(),
    }
}

/// What is wrong with a workload for what is counted, and how to fix it.
fn layout_mistake(scenario: &Scenario, workload: &Workload) -> Option<(String, String)> {
    let (counted, layout) = (scenario.counted, &workload.layout);
    let name = &workload.name;
    if counted.has_backward() && workload.phase() != Phase::Training {
        let found =
            format!("`{name}` does not say that it trains, and counted is \"{}\"", counted.word());
        let help = "add a table [training] to the workload, or batch.phase = \"training\"";
        return Some((found, help.to_owned()));
    }
    if let Some(mistake) = overlap_mistake(counted, workload) {
        return Some(mistake);
    }
    let (sms, all) = (workload.stack.sms, scenario.topology.gpu().sms);
    if let Some(sms) = sms.filter(|sms| *sms >= all) {
        let found = format!("exchanges of `{name}` hold {sms} SMs of a GPU that has {all}");
        return Some((found, "give [exchange] sms fewer; kernels need the others".to_owned()));
    }
    let (layers, stages) = (workload.model.layers, layout.pipeline_parallel);
    if !counted.has_backward() && !layers.is_multiple_of(stages) {
        let found =
            format!("the {layers} layers of `{name}` do not split evenly into {stages} stages");
        let help = format!(
            "give layout.pipeline_parallel a divisor of {layers}, or counted = \"training-step\", which spreads layers \
             unevenly"
        );
        return Some((found, help));
    }
    let parts = stages * if counted.has_backward() { workload.training.chunks } else { 1 };
    if parts > layers + workload.model.dense.leading_layers {
        let found =
            format!("`{name}` has {layers} layers with experts for {parts} parts of stages");
        return Some((found, "give fewer stages or chunks".to_owned()));
    }
    None
}

/// What is wrong with how a workload's exchanges overlap, and how to fix it.
fn overlap_mistake(counted: Scope, workload: &Workload) -> Option<(String, String)> {
    let name = &workload.name;
    if counted.has_backward() && workload.stack.overlap != Overlap::None {
        let found = format!(
            "exchanges of `{name}` overlap as \"{}\", which forward passes alone do, and counted is \"{}\"",
            workload.stack.overlap.word(),
            counted.word()
        );
        let help = "leave out exchange.overlap; passes of a training step overlap by training.paired = true or \
                    training.schedule = \"dualpipe\"";
        return Some((found, help.to_owned()));
    }
    let (tokens, parts) = (workload.batch.tokens_per_gpu, workload.stack.overlap.parts());
    if !tokens.is_multiple_of(parts) {
        let found = format!(
            "`{name}` exchanges the {tokens} tokens of a GPU in {parts} parts, which leaves a remainder"
        );
        return Some((found, format!("give a multiple of {parts}, or no exchange.overlap")));
    }
    None
}

/// Whether the GPU computes in the workload's format, and the profile has the experts' kernel that it
/// names.
pub(super) fn runnable(kernels: &Kernels<'_>, workload: &Workload) -> Result<(), NoKernel> {
    let ask = experts_ask(workload);
    kernels.check_unit(ask.formats)?;
    let attention = Precision::of_dtype(workload.batch.attention_dtype);
    kernels.check_unit(attention).map_err(|none| NoKernel {
        key: "batch.attention_dtype",
        help: none.help.replace("batch.dtype", "batch.attention_dtype"),
        ..none
    })?;
    match workload.execution {
        Execution::Grouped => of_grouped_products(workload, &kernels.choose_experts(&ask)?),
        Execution::Sequential => Ok(()),
    }
}

/// Refuses keys of grouped products where "auto" takes another kernel, which was measured with all that it does.
fn of_grouped_products(workload: &Workload, chosen: &ExpertsChoice<'_>) -> Result<(), NoKernel> {
    let stack = &workload.stack;
    let key = match (stack.epilogue == Epilogue::default(), stack.pad_rows) {
        (false, _) => "kernels.epilogue",
        (true, Some(_)) => "kernels.pad_rows",
        (true, None) => return Ok(()),
    };
    match chosen {
        ExpertsChoice::Grouped { .. } => Ok(()),
        ExpertsChoice::Fused { kernel, .. } => Err(NoKernel {
            key,
            found: format!("is of grouped products, and \"auto\" takes {kernel}"),
            help: "leave it out, or give a profile with dense products in this format".to_owned(),
        }),
    }
}

/// The first of a list that is in it before.
pub(super) fn twice(list: &[f64]) -> Option<f64> {
    let before = |(at, one): &(usize, &f64)| list[..*at].contains(one);
    list.iter().enumerate().find(before).map(|(_, one)| *one)
}
