//! The layouts of a workload on clusters: which are best, found without running them all.
//!
//! A *layout* is a choice of expert-, tensor- and pipeline-parallel sizes, micro-batch, exchange library, overlap and τ. The
//! tokens of a step follow the micro-batch in a forward pass, whose micro-batches are multiplied by the stages, so
//! that all GPUs have tokens; a training step keeps its tokens, and the number of micro-batches follows.
//!
//! Layouts that the workload, the cluster or its memory do not allow are counted and left. Of the others the time is
//! bounded from below (`bound`): a run of one layer of one micro-batch with an even gate, times layers and
//! micro-batches of a GPU. A layout is run whole only if no layout that was run beats its bound both in throughput
//! and in the time of a step, so that the front of all layouts is that of those that were run, as far as the bound
//! holds. Layouts of different τ are different in quality and never drop each other.

use crate::base::choice::Choice;
use crate::base::order::{ascending, descending};
use crate::base::statistics::mean;
use crate::base::threads::as_they_finish;
use crate::config::Scenario;
use crate::execution::cost::experts_ask;
use crate::execution::memory::Fit;
use crate::execution::outcome::{Outcome, TooLong};
use crate::kernels::{self, Kernels};
use crate::studies::advise::{Part, shares};
use crate::studies::compare::ClusterCase;
use crate::studies::study::{Reached, WhatIf, run_if};
use crate::workload::{Execution, Workload};

mod bound;
mod space;

pub use bound::{MARGIN, least_secs};
pub use space::{Layout, Space};

/// What is wanted most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// Tokens per second, all GPUs together.
    Throughput,
    /// The shortest step.
    Latency,
    /// Tokens per second and US dollar.
    Cost,
}

impl Choice for Objective {
    const ALL: &'static [Self] = &[Self::Throughput, Self::Latency, Self::Cost];

    fn word(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Latency => "latency",
            Self::Cost => "cost",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::Throughput => "The most tokens per second, all GPUs together",
            Self::Latency => "The shortest step",
            Self::Cost => "The most tokens per second and US dollar",
        }
    }
}

/// A layout that was run.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Which cluster, by its place among those asked.
    pub cluster: usize,
    /// The layout.
    pub layout: Layout,
    /// GPUs of the cluster that it leaves idle.
    pub idle_gpus: u32,
    /// Why it does not fit into memory, where it runs all the same.
    pub too_large: Option<String>,
    /// Tokens per second, mean over seeds.
    pub tokens_per_sec: f64,
    /// Tokens per second for what the objective counts: a dollar, or the whole cluster.
    pub rate: f64,
    /// Time of a step in milliseconds, mean over seeds.
    pub step_ms: f64,
    /// The bound on that.
    pub least_ms: f64,
    /// The part of the step that takes most, and its share.
    pub binds: (Part, f64),
    /// The kernel that its FFN experts run as.
    pub experts: Option<String>,
    /// How many times as long a measured kernel that `auto` took takes as grouped products would, for even loads.
    pub beside_grouped: Option<f64>,
    /// How much of its runs was simulated and what precision that reached, where one was asked for.
    pub reached: Option<Reached>,
}

impl Candidate {
    /// Whether it is at least as good in both, and better in one, at the same τ.
    fn beats(&self, other: &Self) -> bool {
        let as_good = self.rate >= other.rate && self.step_ms <= other.step_ms;
        let better = self.rate > other.rate || self.step_ms < other.step_ms;
        self.layout.tau == other.layout.tau && as_good && better
    }
}

/// What became of the layouts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Search {
    /// Those that were run, the best first.
    pub run: Vec<Candidate>,
    /// Indices of those that none beats, by rate.
    pub front: Vec<usize>,
    /// How many there were, on all clusters.
    pub all: usize,
    /// How many the workload or a cluster does not allow, and a reason of one of them.
    pub refused: (usize, Option<String>),
    /// How many do not fit into memory, and the arithmetic of the one that needs the least.
    pub too_large: (usize, Option<String>),
    /// How many were dropped by their bounds.
    pub bounded: usize,
}

/// A layout that may be run, with its bound.
struct Open {
    cluster: usize,
    layout: Layout,
    workload: Workload,
    tokens: f64,
    least_secs: f64,
    rate_bound: f64,
    too_large: Option<String>,
}

impl Open {
    /// A layout whose time is not bounded yet.
    fn unbounded(
        cluster: usize,
        (layout, workload, too_large): (Layout, Workload, Option<String>),
        tokens: f64,
        rate_bound: f64,
    ) -> Self {
        Self { cluster, layout, workload, tokens, least_secs: 0.0, rate_bound, too_large }
    }

    /// Whether a layout that was run is better than this one can be, at the same τ.
    fn is_beaten_by(&self, run: &[Candidate]) -> bool {
        run.iter().any(|run| {
            run.layout.tau == self.layout.tau
                && run.rate >= self.rate_bound
                && run.step_ms <= 1e3 * self.least_secs
        })
    }
}

/// Layouts that are run at once, between looks at what they beat; whatever the number of threads, so that what is
/// dropped does not depend on it.
const BATCH: usize = 8;

/// Searches the layouts of a space on every cluster; `exhaustive` runs them all.
///
/// # Errors
/// If a run exceeds representable time.
pub fn search(
    cluster_cases: &[ClusterCase],
    space: &Space,
    objective: Objective,
    exhaustive: bool,
    threads: usize,
) -> Result<Search, TooLong> {
    search_told(cluster_cases, space, (objective, exhaustive), threads, &|_, _| {})
}

/// As [`search`], telling how many steps of how many are done: a layout is one for its bound and one for its run.
///
/// # Errors
/// If a run exceeds representable time.
pub fn search_told(
    cluster_cases: &[ClusterCase],
    space: &Space,
    (objective, exhaustive): (Objective, bool),
    threads: usize,
    told: &dyn Fn(usize, usize),
) -> Result<Search, TooLong> {
    let mut found = Search::default();
    let mut open = allowed(cluster_cases, space, objective, &mut found);
    let all = 2 * open.len();
    told(0, all);
    bounds(cluster_cases, &mut open, threads, told)?;
    let mut done = open.len();
    match objective {
        Objective::Latency => ascending(&mut open, |open| open.least_secs),
        Objective::Throughput | Objective::Cost => descending(&mut open, |open| open.rate_bound),
    }
    for now in open.chunks(BATCH) {
        let kept: Vec<&Open> =
            now.iter().filter(|open| exhaustive || !open.is_beaten_by(&found.run)).collect();
        found.bounded += now.len() - kept.len();
        done += now.len() - kept.len();
        let job = |at: usize| candidate(cluster_cases, kept[at], objective);
        found.run.extend(each_told(kept.len(), threads, job, |ran| told(done + ran, all))?);
        done += kept.len();
        told(done, all);
    }
    match objective {
        Objective::Latency => ascending(&mut found.run, |run| run.step_ms),
        Objective::Throughput | Objective::Cost => descending(&mut found.run, |run| run.rate),
    }
    let all = 0..found.run.len();
    let beaten = |at: &usize| found.run.iter().any(|other| other.beats(&found.run[*at]));
    found.front = all.filter(|at| !beaten(at)).collect();
    Ok(found)
}

/// One more layout that is left, and why, of the first.
fn count(into: &mut (usize, Option<String>), why: String) {
    into.0 += 1;
    into.1.get_or_insert(why);
}

/// What of a layout decides about memory.
fn sizes(workload: &Workload) -> String {
    let layout = &workload.layout;
    let mut sizes = format!("expert_parallel = {}", layout.expert_parallel);
    for (name, size) in [
        ("expert_tensor_parallel", layout.expert_tensor_parallel),
        ("tensor_parallel", layout.tensor_parallel),
        ("pipeline_parallel", layout.pipeline_parallel),
    ] {
        if size > 1 {
            sizes.push_str(&format!(", {name} = {size}"));
        }
    }
    sizes + &format!(", {} tokens on a GPU", workload.batch.tokens_per_gpu)
}

/// The layouts that can be run; counts the others.
fn allowed(
    cluster_cases: &[ClusterCase],
    space: &Space,
    objective: Objective,
    found: &mut Search,
) -> Vec<Open> {
    let mut open = Vec::new();
    let mut larger = Vec::new();
    for (cluster, case) in cluster_cases.iter().enumerate() {
        let scenario = &case.scenario;
        for layout in space.layouts(scenario, case.own()) {
            found.all += 1;
            let runnable = layout.of(scenario, case.own()).and_then(|workload| {
                scenario.unrunnable(&workload).map_or(Ok(workload), |(why, _)| Err(why))
            });
            let mut refuse = |why| count(&mut found.refused, format!("{layout}: {why}"));
            let Some(workload) = runnable.map_err(&mut refuse).ok() else {
                continue;
            };
            let too_large = match scenario.fit(&workload) {
                Fit::TooLarge { found: why, bytes } if !scenario.allow_oom => {
                    larger.push((bytes, format!("{}: {why}", sizes(&workload))));
                    continue;
                }
                Fit::TooLarge { found, .. } => Some(found),
                Fit::Fits | Fit::NotStated => None,
            };
            let (tokens, rate_bound) = (space::tokens(scenario, &workload), unit(case, objective));
            let own = (layout, workload, too_large);
            open.push(Open::unbounded(cluster, own, tokens, rate_bound));
        }
    }
    let least = larger.iter().min_by_key(|(bytes, _)| *bytes);
    found.too_large = (larger.len(), least.map(|(_, why)| why.clone()));
    open
}

/// Bounds all layouts. Those that differ in stages and micro-batches alone share the run of their layer.
fn bounds(
    cluster_cases: &[ClusterCase],
    open: &mut [Open],
    threads: usize,
    told: &dyn Fn(usize, usize),
) -> Result<(), TooLong> {
    let layer = |open: &Open| (open.cluster, Layout { pipeline_parallel: 1, ..open.layout });
    let mut first: Vec<usize> = Vec::new();
    let of: Vec<usize> = (0..open.len())
        .map(|at| {
            let known = first.iter().position(|&own| layer(&open[own]) == layer(&open[at]));
            known.unwrap_or_else(|| {
                first.push(at);
                first.len() - 1
            })
        })
        .collect();
    let mut secs: Vec<f64> = Vec::with_capacity(first.len());
    for now in first.chunks(BATCH) {
        let job = |at: usize| {
            let own = &open[now[at]];
            bound::layer_secs(&cluster_cases[own.cluster].scenario, &own.workload)
        };
        let before = secs.len();
        secs.extend(each_told(now.len(), threads, job, |ran| {
            told(open.len() * (before + ran) / first.len(), 2 * open.len());
        })?);
    }
    for (open, of) in open.iter_mut().zip(of) {
        open.least_secs = bound::passes(&open.workload) * secs[of];
        open.rate_bound *= open.tokens / open.least_secs;
    }
    Ok(())
}

/// Jobs on several threads, in order; `told` hears how many are done as each is.
fn each_told<T: Send>(
    jobs: usize,
    threads: usize,
    job: impl Fn(usize) -> Result<T, TooLong> + Sync,
    told: impl Fn(usize),
) -> Result<Vec<T>, TooLong> {
    let mut done: Vec<(usize, T)> = Vec::with_capacity(jobs);
    let numbered = |_: &mut (), at: usize| (at, job(at));
    as_they_finish(
        jobs,
        threads,
        |_| (),
        numbered,
        |(at, one)| {
            done.push((at, one?));
            told(done.len());
            Ok(())
        },
    )?;
    done.sort_unstable_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, one)| one).collect())
}

/// What a cluster's throughput is multiplied by under an objective.
fn unit(case: &ClusterCase, objective: Objective) -> f64 {
    match objective {
        Objective::Throughput | Objective::Latency => 1.0,
        Objective::Cost => 1.0 / case.cost.total().usd.unwrap_or(f64::INFINITY),
    }
}

fn candidate(
    cluster_cases: &[ClusterCase],
    open: &Open,
    objective: Objective,
) -> Result<Candidate, TooLong> {
    let case = &cluster_cases[open.cluster];
    let scenario = &case.scenario;
    let gpus = scenario.topology.gpus();
    let run =
        |seed| run_if(scenario, &open.workload, scenario.overheads, seed, &WhatIf::NOTHING, None);
    let outcomes = scenario.seeds.clone().map(run).collect::<Result<Vec<Outcome>, _>>()?;
    let of = |value: fn(&Outcome) -> f64| mean(&outcomes.iter().map(value).collect::<Vec<_>>());
    let tokens_per_sec = of(Outcome::tokens_per_sec);
    let parts = Part::ALL.into_iter().zip(shares(&outcomes));
    let binds = parts.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((Part::Ffn, 0.0));
    Ok(Candidate {
        cluster: open.cluster,
        layout: open.layout,
        idle_gpus: gpus - open.workload.layout.in_use(gpus),
        too_large: open.too_large.clone(),
        tokens_per_sec,
        rate: tokens_per_sec * unit(case, objective),
        step_ms: of(|outcome| 1e3 * outcome.counted_secs()),
        least_ms: 1e3 * open.least_secs,
        binds,
        experts: outcomes.first().and_then(experts_of),
        beside_grouped: beside_grouped(scenario, &open.workload),
        reached: Reached::of(scenario, &outcomes, None),
    })
}

/// How many times as long the kernel that `auto` takes runs experts as grouped products would.
fn beside_grouped(scenario: &Scenario, workload: &Workload) -> Option<f64> {
    if workload.execution != Execution::Grouped {
        return None;
    }
    let kernels = Kernels::new(&scenario.profile, scenario.topology.gpu().device());
    let (_, [taken, other]) = kernels.fused_beside_grouped(&experts_ask(workload))?;
    Some(taken.secs() / other.secs())
}

/// The kernel on which most of the time of FFN experts stands.
fn experts_of(outcome: &Outcome) -> Option<String> {
    let own = outcome.stands_on.iter().filter(|one| one.basis.part == kernels::Part::Experts);
    own.max_by_key(|one| one.time).map(|one| one.basis.name.clone())
}
