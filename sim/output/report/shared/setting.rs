//! What a command was asked and what it took: what is counted, seeds, profile, overheads, phase, and cautions.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod assumed;
mod experts_kernel;
mod phase;

pub(in crate::output) use experts_kernel::{REMEDY, SAID_FROM, slower};
pub use phase::PhaseTaken;
pub(in crate::output) use phase::{write_models, write_phase};

use super::beside::beside;
use super::health::{drawn_down, poor_health};
use super::word;
use super::wrapped::wrapped;
use crate::base::statistics::COVERAGE;
use crate::base::units::SimDuration;
use crate::config::Scenario;
use crate::execution::Scope;
use crate::execution::cost::experts_ask;
use crate::studies::study::can_be_sampled;
use crate::workload::{Origin, Overlap, Phase, Workload};

/// What was taken for one cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    /// The cluster's name, where several are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// What is counted.
    #[serde(with = "word")]
    #[schemars(with = "word::OneOf<Scope>")]
    pub counted: Scope,
    /// Seeds, half open.
    pub seeds: [u64; 2],
    /// Whether each seed draws the error that calibration left.
    pub calibration_uncertainty: bool,
    /// The topology's name or file.
    pub topology: String,
    /// GPUs that no workload uses, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle: Vec<String>,
    /// Its GPU.
    pub gpu: String,
    /// The profile that kernels and links were taken from.
    pub profile: String,
    /// Whether it is of another GPU.
    pub profile_borrowed: bool,
    /// What a loop over experts costs beyond its kernels.
    pub overheads: String,
    /// Whether they were named, not assumed.
    pub overheads_named: bool,
    /// The overheads, why where none were named, and whether any workload has use for them.
    #[serde(default)]
    pub overheads_in_words: String,
    /// What to be careful of: another GPU's profile, memory that is not stated.
    #[serde(default)]
    pub cautions: Vec<String>,
    /// Workloads that do not fit into the GPU's memory and run as was asked: the arithmetic.
    pub does_not_fit: Vec<String>,
    /// Each workload and its phase.
    pub workloads: Vec<PhaseTaken>,
}

impl Setting {
    /// Of a scenario.
    #[must_use]
    pub fn of(scenario: &Scenario) -> Self {
        let from = &scenario.ingredients;
        Self {
            cluster: None,
            counted: scenario.counted,
            seeds: [scenario.seeds.start, scenario.seeds.end],
            calibration_uncertainty: scenario.calibration_uncertainty,
            topology: from.topology.clone(),
            idle: idle_gpus(scenario),
            gpu: scenario.topology.gpu().name.clone(),
            profile: from.profile.clone(),
            profile_borrowed: scenario.profile_borrowed,
            overheads: from.overheads.clone(),
            overheads_named: from.overheads_named,
            overheads_in_words: scenario.overheads_in_words(),
            cautions: cautions(scenario),
            does_not_fit: scenario.oom.clone(),
            workloads: workloads(scenario).map(PhaseTaken::of).collect(),
        }
    }

    /// The same, of one cluster among others.
    #[must_use]
    pub fn on(cluster: &str, scenario: &Scenario) -> Self {
        Self { cluster: Some(cluster.to_owned()), ..Self::of(scenario) }
    }

    /// One line: what is counted, under which seeds, and what becomes of the error that calibration left.
    ///
    /// # Errors
    /// If `out` cannot be written to.
    pub fn write_counted(&self, out: &mut dyn Write) -> io::Result<()> {
        let drawn = if self.calibration_uncertainty {
            "calibration error drawn with each"
        } else {
            "no calibration error drawn"
        };
        wrapped(out, "counted: ", self.counted.description())?;
        writeln!(out, "seeds {} to {}, {drawn}", self.seeds[0], self.seeds[1] - 1)
    }

    /// What was taken for a cluster: profile and overheads; another GPU's profile, memory that is not stated or
    /// does not suffice.
    ///
    /// # Errors
    /// If `out` cannot be written to.
    pub fn write_taken(&self, out: &mut dyn Write) -> io::Result<()> {
        let name = self.cluster.as_ref().unwrap_or(&self.topology);
        let label = format!("{name}: ");
        let taken = format!("profile {}, overheads {}", self.profile, self.overheads_in_words);
        wrapped(out, &label, &taken)?;
        write_doubts(out, &label, (&self.cautions, &self.does_not_fit))
    }
}

/// The GPUs of a cluster that the layout of a workload leaves idle, in words; none where all are used.
#[must_use]
pub(in crate::output) fn idle_gpus(scenario: &Scenario) -> Vec<String> {
    let gpus = scenario.topology.gpus();
    let mut found: Vec<String> = Vec::new();
    for layout in workloads(scenario).map(|workload| &workload.layout) {
        let (used, replica) = (layout.in_use(gpus), layout.replica());
        let said = format!(
            "{} of {gpus} GPUs idle: replicas of {replica} use {used}; the idle ones cost and draw as the others",
            gpus - used
        );
        if used < gpus && !found.contains(&said) {
            found.push(said);
        }
    }
    found
}

/// The lines of [`idle_gpus`].
///
/// # Errors
/// If `out` cannot be written to.
pub(in crate::output) fn write_idle(out: &mut dyn Write, idle: &[String]) -> io::Result<()> {
    idle.iter().try_for_each(|line| wrapped(out, "", line))
}

/// The same of each of several clusters, by name.
///
/// # Errors
/// If `out` cannot be written to.
pub(in crate::output) fn write_idle_of(
    out: &mut dyn Write,
    settings: &[Setting],
) -> io::Result<()> {
    for setting in settings {
        let name = setting.cluster.as_ref().unwrap_or(&setting.topology);
        for line in &setting.idle {
            wrapped(out, &format!("{name}: "), line)?;
        }
    }
    Ok(())
}

/// Cautions, and what does not fit into memory, behind a label.
///
/// # Errors
/// If `out` cannot be written to.
pub(in crate::output) fn write_doubts(
    out: &mut dyn Write,
    label: &str,
    (cautions, does_not_fit): (&[String], &[String]),
) -> io::Result<()> {
    for line in cautions {
        wrapped(out, label, line)?;
    }
    for line in does_not_fit {
        wrapped(out, label, &format!("does not fit, run as asked: {line}"))?;
    }
    Ok(())
}

/// What was taken for each cluster, and of all the phase that was assumed.
pub(in crate::output) fn write_settings(
    out: &mut dyn Write,
    settings: &[Setting],
) -> io::Result<()> {
    for setting in settings {
        setting.write_taken(out)?;
    }
    let Some(first) = settings.first() else { return Ok(()) };
    write_phase(out, first.workloads.iter())
}

/// What to be careful of: another GPU's profile, memory that is not stated, what changes nothing.
pub(in crate::output) fn cautions(scenario: &Scenario) -> Vec<String> {
    let stated = not_stated(scenario).map(str::to_owned);
    let idle = scenario.without_effect.iter().cloned();
    let borrowed = scenario.borrowed().into_iter().chain(scenario.overheads_borrowed());
    let sick = poor_health(&scenario.topology).into_iter().chain(drawn_down(scenario));
    let sick = sick.chain(varied(scenario));
    let sick = sick.chain(sampled(scenario));
    borrowed
        .chain(stated)
        .chain(idle)
        .chain(single_draw(scenario))
        .chain(sick)
        .chain(assumed::library_by_sms(scenario))
        .chain(assumed::training_by_keys(scenario))
        .chain(overlapping(scenario))
        .chain(reserved(scenario))
        .chain(few_left(scenario))
        .chain(launched(scenario))
        .chain(slower(scenario))
        .chain(few_rows(scenario))
        .chain(straddling(scenario))
        .chain(repeated(scenario))
        .collect()
}

/// How exchanges overlap, and what that takes of kernels; none where none do.
fn overlapping(scenario: &Scenario) -> Option<String> {
    let overlaps = |workload: &&Workload| workload.stack.overlap != Overlap::None;
    let workload = workloads(scenario).find(overlaps)?;
    let (_, [products, memory, back]) = beside(scenario, workload);
    let products = match workload.stack.reserved {
        true => "products beside them take no longer for it".to_owned(),
        false => format!("products beside them take {products:.2} times as long"),
    };
    Some(format!(
        "exchanges overlap computation ({}): {products}, kernels bound by memory {memory:.2} times, and exchanges beside \
         the latter {back:.2} times",
        workload.stack.overlap
    ))
}

/// That SMs are kept from kernels for whole steps, and what that takes of them.
fn reserved(scenario: &Scenario) -> Option<String> {
    let reserves = |workload: &&Workload| workload.stack.reserved;
    let workload = workloads(scenario).find(reserves)?;
    let kept = workload.stack.sms?;
    let all = scenario.topology.gpu().sms;
    let kept_of = format!("{kept} of {all} SMs are kept for exchanges");
    if workload.phase() == Phase::Decode {
        return Some(format!("{kept_of}: products of decode, which memory binds, take no longer"));
    }
    let longer = f64::from(all) / f64::from(all.saturating_sub(kept).max(1));
    Some(format!(
        "{kept_of}: products take {longer:.2} times as long throughout, and lose no more beside exchanges"
    ))
}

/// That exchanges hold more SMs than they leave, where these are not kept from kernels throughout.
fn few_left(scenario: &Scenario) -> Option<String> {
    let all = scenario.topology.gpu().sms;
    let held = |workload: &Workload| {
        workload.stack.sms.filter(|sms| *sms > all / 2 && !workload.stack.reserved)
    };
    let sms = workloads(scenario).find_map(held)?;
    let left = all.saturating_sub(sms).max(1);
    Some(format!(
        "exchange.sms = {sms} of {all} SMs leaves {left} to kernels beside exchanges, {all} / {left} = {:.1} times as long \
         where SMs bind them",
        f64::from(all) / f64::from(left)
    ))
}

/// That experts have too few rows for rounding to tiles to take as many as it gives up.
fn few_rows(scenario: &Scenario) -> Option<String> {
    let rounds = |workload: &&Workload| workload.stack.round_rows.is_some();
    let workload = workloads(scenario).find(rounds)?;
    let (ask, tile) = (experts_ask(workload), workload.stack.round_rows?);
    let even = ask.slots as f64 / f64::from(ask.shape.experts.max(1));
    (even < 2.0 * f64::from(tile)).then(|| {
        format!(
            "kernels.round_rows = {tile}, and experts have {even:.0} rows each where loads are even: those of fewer than {} \
             compute none, and more tokens may be given up than taken",
            tile.div_ceil(2)
        )
    })
}

/// As what graph a decode step runs, where the workload names some.
fn launched(scenario: &Scenario) -> Option<String> {
    let captured = |workload: &&Workload| !workload.host.graphs.is_empty();
    // Where two batches take turns, each half runs as a graph of its own.
    if scenario.counted == Scope::Experts {
        return None;
    }
    let workload = workloads(scenario).find(captured)?.batch_part();
    let (tokens, largest) = (workload.batch.tokens_per_gpu, workload.host.graphs.last()?);
    Some(match workload.graph() {
        Some(graph) => format!("a decode step of {tokens} tokens runs as the graph of {graph}"),
        None if workload.layer_launch() == SimDuration::ZERO => return None,
        None => format!(
            "{tokens} tokens are more than the largest graph of {largest}: kernels are launched one by one"
        ),
    })
}

/// That a law or recording has fewer layers than a model, and is repeated; none where none is.
fn repeated(scenario: &Scenario) -> Option<String> {
    let layers = |workload: &Workload| match &workload.gating.origin {
        Origin::Drawn => None,
        Origin::Law(law) => Some(law.layers.len()),
        Origin::Recording(recording) => Some(recording.layers()),
    };
    workloads(scenario).find_map(|workload| {
        let (known, all) = (layers(workload)?, workload.model.layers);
        let fewer = known < all as usize;
        fewer.then(|| {
            format!(
                "the recording or law of {} has {known} layers, repeated over {all}",
                workload.name
            )
        })
    })
}

/// That groups which would fit into a node lie across two, as their size does not divide it; none where none does.
fn straddling(scenario: &Scenario) -> Option<String> {
    let (gpus, per_node) = (scenario.topology.gpus(), scenario.topology.gpus_per_node());
    let astride = |workload: &&Workload| {
        let group = workload.layout.expert_group();
        group < per_node
            && !per_node.is_multiple_of(group)
            && workload.layout.in_use(gpus) > per_node
    };
    let group = workloads(scenario).find(astride)?.layout.expert_group();
    Some(format!(
        "expert-parallel groups of {group} do not divide nodes of {per_node} GPUs: some lie across two nodes, and their \
         exchanges leave them"
    ))
}

/// That the one seed has one draw of the error that calibration left, where it does.
fn single_draw(scenario: &Scenario) -> Option<String> {
    let one = scenario.seeds.end - scenario.seeds.start == 1;
    (one && scenario.calibration_uncertainty).then(|| {
        "calibration_uncertainty: times are of one draw of the error that calibration left, not those that are \
         predicted; more seeds give their mean and an interval"
            .to_owned()
    })
}

/// That kernels vary from one to the next, where that was asked for.
fn varied(scenario: &Scenario) -> Option<String> {
    let percent = 100.0 * scenario.jitter;
    (percent > 0.0).then(|| {
        format!(
            "jitter: each kernel's time is log-normal around what is predicted, spread {percent} %"
        )
    })
}

/// That times are estimates from samples, where that was asked for and can be.
fn sampled(scenario: &Scenario) -> Option<String> {
    let percent = 100.0 * scenario.precision?;
    if scenario.counted.has_backward() {
        // What changes nothing is said to.
        return None;
    }
    if !workloads(scenario).any(|workload| can_be_sampled(workload, scenario.counted)) {
        let why = "micro-batches and layers are too few to be sampled, or wait for each other";
        return Some(format!("precision: all is simulated, as {why}"));
    }
    Some(format!(
        "precision: samples of micro-batches or layers stand for whole runs where they are long enough; the mean time \
         over seeds is within {percent} % of theirs with {}%",
        COVERAGE * 100.0
    ))
}

/// Says that memory could not be checked, where the topology does not state it.
#[must_use]
pub(in crate::output) fn not_stated(scenario: &Scenario) -> Option<&'static str> {
    let stated = scenario.topology.gpu().memory.is_some();
    (!stated).then_some("memory of the GPU is not stated: not checked")
}

/// All workloads of a scenario: of each case vanilla, then each τ.
pub(in crate::output) fn workloads(scenario: &Scenario) -> impl Iterator<Item = &Workload> {
    scenario.cases.iter().flat_map(|case| std::iter::once(&case.vanilla).chain(&case.moepp))
}
