//! Scenario files: one question, as a topology, a profile, workloads to compare, and seeds.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{Diagnostic, Kind, Source, built_in, built_in_or_file, unknown};
use super::{FittedOverheads, is_same_gpu};
use crate::base::inputs::Input;
use crate::execution::Scope;
use crate::execution::cost::Overheads;
use crate::kernels::Kernels;
use crate::kernels::profile::Profile;
use crate::network::collective::Algorithm;
use crate::network::{Carrier, NetworkChoice, Unavailable};
use crate::topology::Topology;
use crate::workload::Workload;

mod checks;
mod effect;
mod ingredients;
mod overrides;
mod spec;
mod words;
pub use ingredients::{Case, Ingredients};
pub use overrides::Overrides;
use overrides::ROLES;
pub use spec::{CaseSpec, ScenarioSpec, Seeds};

/// The name of a scenario that was made from arguments.
pub const COMMAND_LINE: &str = "command line";

/// A cluster, what its parts take, and the comparisons to make on it.
#[derive(Clone)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// The cluster.
    pub topology: Topology,
    /// What its kernels and links deliver, measured.
    pub profile: Profile,
    /// What a loop over experts costs beyond its kernels.
    pub overheads: Overheads,
    /// The same with what else it may be.
    pub fitted_overheads: FittedOverheads,
    /// What is counted.
    pub counted: Scope,
    /// How tokens are moved to their experts and back, where it says so; else the library decides.
    pub all_to_all: Option<Algorithm>,
    /// Which engine shares links.
    pub network: NetworkChoice,
    /// Whether each seed draws what calibration leaves open.
    pub calibration_uncertainty: bool,
    /// Standard deviation of the logarithm of what kernels take, from one to the next; 0 unless it is given.
    pub jitter: f64,
    /// Half the width of the interval wanted of the counted time's mean over seeds, relative; none, and runs are whole.
    pub precision: Option<f64>,
    /// Seeds.
    pub seeds: Range<u64>,
    /// The comparisons.
    pub cases: Vec<Case>,
    /// The τ whose time is broken down beside vanilla's.
    pub breakdown_tau: Option<f64>,
    /// Names of the files or built-ins used, for the record.
    pub ingredients: Ingredients,
    /// Whether the profile is of another GPU than the cluster's, as was asked for by its name.
    pub profile_borrowed: bool,
    /// Workloads that do not fit into the GPU's memory and run nevertheless, as was asked: the arithmetic.
    pub oom: Vec<String>,
    /// Whether workloads that do not fit into memory are run nevertheless.
    pub allow_oom: bool,
    /// What was asked for and changes nothing, each with the reason.
    pub without_effect: Vec<String>,
    /// Tells these inputs from others: a hash of every text read, overrides included.
    pub fingerprint: u64,
}

impl Scenario {
    /// What carries the exchanges of a workload.
    ///
    /// # Errors
    /// If the profile does not have the library; none for the scenario's own workloads.
    pub fn carrier(&self, workload: &Workload) -> Result<Carrier, Unavailable> {
        Carrier::of(&self.profile, &self.topology, &workload.exchanged_part(), self.all_to_all)
    }

    /// How tokens of these workloads travel, in words, each once.
    pub fn algorithms<'a>(&self, workloads: impl IntoIterator<Item = &'a Workload>) -> String {
        let mut names: Vec<&str> = Vec::new();
        for carrier in workloads.into_iter().filter_map(|workload| self.carrier(workload).ok()) {
            if !names.contains(&carrier.algorithm.name()) {
                names.push(carrier.algorithm.name());
            }
        }
        names.join(", ")
    }
}

/// A scenario's TOML and the folder its paths are relative to.
pub struct ScenarioSource {
    source: Source,
    folder: PathBuf,
    overrides: Overrides,
    /// What its own text sets in the files that it names.
    stated: Overrides,
    /// Whether a workload may stand alone that is MoE++.
    alone: bool,
    /// Whether layouts and batches are searched in place of the workloads' own.
    searched: bool,
    /// Files that were handed over and need not be read, by name.
    beside: BTreeMap<String, String>,
    /// Hash of what has been read so far.
    read: Cell<u64>,
    /// The files themselves.
    inputs: RefCell<BTreeSet<Input>>,
}

impl ScenarioSource {
    /// A built-in scenario by name, or a file.
    ///
    /// # Errors
    /// If there is neither.
    pub fn open(name: &str, overrides: Overrides) -> Result<Self, Diagnostic> {
        let source = built_in_or_file(Kind::Scenario, name)?;
        let folder = match built_in(Kind::Scenario, name) {
            Some(_) => PathBuf::new(),
            None => Path::new(name).parent().map(Path::to_path_buf).unwrap_or_default(),
        };
        Ok(Self::of(source, folder, overrides, BTreeMap::new()))
    }

    /// A scenario that a command specifies; what it names is relative to the current folder, and mistakes in
    /// it are at [`COMMAND_LINE`], with the key of the specification.
    #[must_use]
    pub fn of_spec(spec: &ScenarioSpec, overrides: Overrides) -> Self {
        let source = Source::built_in(COMMAND_LINE, &spec.text());
        Self::of(source, PathBuf::new(), overrides, BTreeMap::new())
    }

    /// The same, whose workload may be MoE++ where it stands alone, in place of a vanilla one.
    #[must_use]
    pub fn alone(self) -> Self {
        Self { alone: true, ..self }
    }

    /// The same, of which layouts and batches are searched: the workloads' own need not fit the cluster.
    #[must_use]
    pub fn searched(self) -> Self {
        Self { searched: true, ..self }
    }

    /// The same; where it names one of these files, by the name given here, that text is read in its place.
    #[must_use]
    pub fn beside(self, files: BTreeMap<String, String>) -> Self {
        Self { beside: files, ..self }
    }

    /// A scenario whose text, and that of the files it names, is handed over: as if `files` lay in one
    /// folder and the file `name` of it were opened.
    ///
    /// # Errors
    /// If `name` is not among them.
    pub fn of_files(
        name: &str,
        files: BTreeMap<String, String>,
        overrides: Overrides,
    ) -> Result<Self, Diagnostic> {
        let text =
            files.get(name).ok_or_else(|| unknown(name, &[Kind::Scenario], Path::new("")))?;
        let source = Source::built_in(name, text);
        Ok(Self::of(source, PathBuf::new(), overrides, files))
    }

    fn of(
        source: Source,
        folder: PathBuf,
        overrides: Overrides,
        beside: BTreeMap<String, String>,
    ) -> Self {
        let stated = Overrides::stated(&source);
        let source = source.with_overrides(overrides.of_scenario());
        let read = Cell::new(source.fold_into(0));
        let inputs = RefCell::new(source.inputs(&[]).into_iter().collect());
        let (alone, searched) = (false, false);
        Self { source, folder, overrides, stated, alone, searched, beside, read, inputs }
    }

    /// Reads and checks everything that the scenario names.
    ///
    /// # Errors
    /// The first mistake found, in the scenario or in a file it names.
    pub fn load(&self) -> Result<Scenario, Diagnostic> {
        self.overrides.check()?;
        let spec: ScenarioSpec = Kind::Scenario.parse(&self.source)?;
        self.stated.check_stated()?;
        let topology_source = self.part(&spec.topology, "topology", Kind::Topology)?;
        let topology = super::read_topology(&topology_source)?;
        let (profile_name, profile) = self.profile_for(&topology, spec.profile.as_deref())?;
        let cases = self.cases(&spec, &topology, &profile)?;
        let (named, fitted_overheads) = self.overheads_for(&cases, spec.overheads.as_deref())?;
        let mut scenario = Scenario {
            name: spec.name.clone(),
            overheads: fitted_overheads.overheads,
            fitted_overheads,
            counted: spec.counted,
            all_to_all: spec.all_to_all.map(Into::into),
            network: self.network(&spec)?,
            calibration_uncertainty: spec.calibration_uncertainty,
            jitter: spec.jitter.map_or(0.0, |jitter| jitter.0),
            precision: spec.precision.0,
            seeds: spec.seeds.range().clone(),
            cases,
            breakdown_tau: spec.breakdown.map(|tau| tau.0),
            ingredients: Ingredients {
                topology: topology_source.name().to_owned(),
                profile: profile_name,
                overheads: named,
                overheads_named: spec.overheads.is_some(),
                inputs: self.inputs.borrow().iter().cloned().collect(),
            },
            profile_borrowed: !is_same_gpu(&profile.device, &topology.gpu().name),
            oom: Vec::new(),
            allow_oom: spec.allow_oom,
            without_effect: Vec::new(),
            fingerprint: self.read.get(),
            profile,
            topology,
        };
        self.layouts(&spec, &scenario)?;
        scenario.oom = if self.searched { Vec::new() } else { self.too_large(&scenario)? };
        scenario.without_effect = scenario.without_effect(&spec, &self.stated.and(&self.overrides));
        Ok(scenario)
    }

    /// A file or built-in of one kind that the scenario names under a key, with the overrides for its kind.
    fn part(&self, name: &str, key: &str, kind: Kind) -> Result<Source, Diagnostic> {
        self.part_as(name, key, kind, None)
    }

    /// As [`Self::part`], with the overrides for its role in a comparison behind those for its kind.
    fn part_as(
        &self,
        name: &str,
        key: &str,
        kind: Kind,
        role: Option<&str>,
    ) -> Result<Source, Diagnostic> {
        let handed_over = self.beside.get(name).map(|text| Source::built_in(name, text));
        let known = handed_over.or_else(|| built_in(kind, name));
        let from_file = known.is_none();
        let source = match known {
            Some(source) => source,
            None => {
                let path = self.folder.join(name);
                if !path.exists() {
                    let mistake = unknown(name, &[kind], &self.folder);
                    return Err(self.source.mistake_at_key(key, mistake.found, mistake.help));
                }
                Source::read(&path)?
            }
        };
        let prefixes: Vec<&str> = std::iter::once(kind.key()).chain(role).collect();
        // What was asked for last holds.
        let all = [&self.stated, &self.overrides].map(|of| of.behind(&prefixes)).concat();
        let source = source.with_placed_overrides(all);
        let inputs =
            source.inputs(if from_file { kind.naming_files() } else { kind.naming_more() });
        let named = inputs.iter().skip(1);
        self.read.set(named.fold(source.fold_into(self.read.get()), |all, own| own.fold_into(all)));
        self.inputs.borrow_mut().extend(inputs);
        Ok(source)
    }

    fn network(&self, spec: &ScenarioSpec) -> Result<NetworkChoice, Diagnostic> {
        let choice = NetworkChoice { engine: spec.network.engine(), ..NetworkChoice::default() };
        let Some(epsilon) = spec.epsilon else { return Ok(choice) };
        if !(1e-6..=0.5).contains(&epsilon) {
            let found = format!("{epsilon} is not a relative error");
            let help = "give the error that exchange times may have, from 0.000001 to 0.5";
            return Err(self.source.mistake_at_key("epsilon", found, help));
        }
        Ok(NetworkChoice { epsilon, on_average: epsilon, ..choice })
    }

    fn cases(
        &self,
        spec: &ScenarioSpec,
        topology: &Topology,
        profile: &Profile,
    ) -> Result<Vec<Case>, Diagnostic> {
        if spec.compare.is_empty() {
            return Err(self.source.mistake_at_key(
                "compare",
                "there is nothing to compare",
                "add a [[compare]] table with `vanilla` and `moepp`",
            ));
        }
        if spec.tau.as_ref().is_some_and(Vec::is_empty) {
            let help = "list at least one τ, or leave the key out to use each workload's own";
            return Err(self.source.mistake_at_key("tau", "the list of τ is empty", help));
        }
        let taus: Option<Vec<f64>> =
            spec.tau.as_ref().map(|taus| taus.iter().map(|tau| tau.0).collect());
        if let Some(tau) = taus.as_deref().and_then(checks::twice) {
            let found = format!("τ = {tau} is listed twice");
            return Err(self.source.mistake_at_key("tau", found, "list each τ once"));
        }
        let kernels = Kernels::new(profile, topology.gpu().device());
        let one = |at: usize| self.case((spec, at), taus.as_deref(), (topology, &kernels));
        (0..spec.compare.len()).map(one).collect()
    }

    fn case(
        &self,
        (spec, at): (&ScenarioSpec, usize),
        taus: Option<&[f64]>,
        on: (&Topology, &Kernels<'_>),
    ) -> Result<Case, Diagnostic> {
        let table = &spec.compare[at];
        if self.alone && table.moepp.is_none() {
            return self.lone(self.workload(&table.vanilla, at, on, ROLES[1])?, taus);
        }
        let vanilla = self.workload(&table.vanilla, at, on, ROLES[0])?;
        if vanilla.model.experts.zero_computation.total() > 0 {
            return Err(self.source.mistake_at_key(
                &key_of(at, ROLES[0]),
                format!("`{}` has zero-computation experts", vanilla.name),
                "name a vanilla workload here, and this one under `moepp`",
            ));
        }
        let Some(name) = &table.moepp else { return Ok(Case { vanilla, moepp: Vec::new() }) };
        let moepp = self.workload(name, at, on, ROLES[1])?;
        if moepp.model.experts.zero_computation.total() == 0 {
            return Err(self.source.mistake_at_key(
                &key_of(at, ROLES[1]),
                format!("`{}` has no zero-computation experts", moepp.name),
                "name an MoE++ workload here",
            ));
        }
        let Some(taus) = taus else { return Ok(Case { vanilla, moepp: vec![moepp] }) };
        if moepp.model.experts.tau.is_none() {
            return Err(self.source.mistake_at_key(
                "tau",
                format!(
                    "has no effect on `{}`, which says itself what share of slots FFN experts get",
                    moepp.name
                ),
                "remove tau here, or the share there (gate.ffn_share, gate.trace, gate.law or a \
                 scheme that sets it)",
            ));
        }
        let at = |&tau: &f64| {
            let mut workload = moepp.clone();
            workload.model.experts.tau = Some(tau);
            workload
        };
        Ok(Case { vanilla, moepp: taus.iter().map(at).collect() })
    }

    /// The case of a workload alone, at the one τ that is given.
    fn lone(&self, mut alone: Workload, taus: Option<&[f64]>) -> Result<Case, Diagnostic> {
        match (taus, &mut alone.model.experts.tau) {
            (None, _) => {}
            (Some([tau]), Some(own)) => *own = *tau,
            (Some(_), _) => {
                let found = format!("does not apply to `{}` alone", alone.name);
                let help = "give one τ, to a workload that has one";
                return Err(self.source.mistake_at_key("tau", found, help));
            }
        }
        Ok(Case { vanilla: alone, moepp: Vec::new() })
    }

    fn workload(
        &self,
        name: &str,
        at: usize,
        (topology, kernels): (&Topology, &Kernels<'_>),
        role: &str,
    ) -> Result<Workload, Diagnostic> {
        let key = key_of(at, role);
        let source = self.part_as(name, &key, Kind::Workload, Some(role))?;
        let workload = super::workload(&source)?;
        let misfit = crate::execution::run::misfit(topology, &workload);
        if let Some(misfit) = misfit.filter(|_| !self.searched) {
            let help = checks::layout_help(topology, &workload);
            return Err(self.source.mistake_at_key(&key, misfit, help));
        }
        checks::runnable(kernels, &workload)
            .map_err(|none| source.mistake_at_key(none.key, none.found, none.help))?;
        Ok(workload)
    }
}

/// The key of a workload of a comparison.
fn key_of(case: usize, role: &str) -> String {
    format!("compare[{case}].{role}")
}
