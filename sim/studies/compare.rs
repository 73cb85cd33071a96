//! Clusters against each other: the same workloads, the same seeds, and what each cluster would gain
//! from better links.
//!
//! Runs of one seed share the gate's random numbers on every cluster, and the draws of calibration error on clusters of
//! one chip, so that ratios are paired. Sensitivities are elasticities,
//!
//! ```text
//!   e_c = ln( X(1.25 · c) / X(c) ) / ln 1.25                                      (1)
//! ```
//!
//! the percent of throughput `X` that one percent of a link class's bandwidth brings: 1 where the
//! class alone decides, 0 where it does not matter. That of startups is of making them shorter.

use crate::base::choice::Choice;
use crate::base::order::descending;
use crate::base::statistics::Estimate;
use crate::base::statistics::roots::Bracket;
use crate::base::threads::in_parallel;
use crate::config::Scenario;
use crate::execution::lowering::Drawn;
use crate::execution::outcome::{Outcome, TooLong};
use crate::studies::study::{Reached, WhatIf, run_keeping};
use crate::topology::{Cost, LinkClass};
use crate::workload::Workload;

mod case;
mod catch_up;
mod paired;

pub use case::ClusterCase;
pub use catch_up::{CatchUp, catch_ups};
pub use paired::{Ratio, ratio_of};

/// By how much links are made faster to see what that brings.
const STEP: f64 = 1.25;
/// No network is made faster than this to catch up with another.
const MOST: f64 = 64.0;

/// What could be made better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knob {
    /// The bandwidth of a class of link.
    Bandwidth(LinkClass),
    /// The cost of starting an exchange: latency, launches, per-peer work.
    Startup,
}

impl Knob {
    /// Its name, for tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bandwidth(class) => class.name(),
            Self::Startup => "startup",
        }
    }

    const fn better(self, factor: f64) -> WhatIf {
        match self {
            Self::Bandwidth(class) => WhatIf::faster(class, factor),
            Self::Startup => WhatIf::startup(1.0 / factor),
        }
    }
}

/// How a cluster stands.
pub struct ClusterResult {
    /// Its name.
    pub name: String,
    /// Its GPUs.
    pub gpus: u32,
    /// Their name.
    pub gpu: String,
    /// The profile that its kernels and links were taken from.
    pub profile: String,
    /// Whether the profile is of another GPU.
    pub profile_borrowed: bool,
    /// Its price and power.
    pub cost: Cost,
    /// Tokens per second of vanilla, by seed.
    pub vanilla: Vec<f64>,
    /// Tokens per second of MoE++, by seed.
    pub moepp: Vec<f64>,
    /// Elasticities, equation (1), largest first.
    pub sensitivities: Vec<(Knob, f64)>,
    /// One run of vanilla, for its accounts.
    pub vanilla_outcome: Outcome,
    /// One run of MoE++, for its accounts.
    pub outcome: Outcome,
    /// How much of its runs was simulated and what precision that reached, where one was asked for.
    pub reached: Option<Reached>,
}

impl ClusterResult {
    /// MoE++'s gain in percent, paired by seed.
    #[must_use]
    pub fn gain_percent(&self) -> Estimate {
        let pairs = self.moepp.iter().zip(&self.vanilla);
        Estimate::of(&pairs.map(|(own, base)| 100.0 * (own / base - 1.0)).collect::<Vec<_>>())
    }

    /// The knob that matters most, if any does.
    #[must_use]
    pub fn binds(&self) -> Option<(Knob, f64)> {
        self.sensitivities.first().copied().filter(|(_, elasticity)| *elasticity > 0.02)
    }

    /// Tokens per second by seed over what equal clusters have equal; nothing where the price book does not
    /// know how much that is.
    #[must_use]
    pub fn per(&self, equal: Equal) -> Option<Vec<f64>> {
        let unit = equal.of(self.gpus, &self.cost)?;
        Some(self.moepp.iter().map(|tokens| tokens / unit).collect())
    }
}

/// Indices of results by mean throughput at equal GPUs, cost or power, the best first.
#[must_use]
pub fn best_first(results: &[ClusterResult], equal: Equal) -> Vec<usize> {
    let mean = |at: usize| {
        let values = results[at].per(equal).unwrap_or_default();
        values.iter().sum::<f64>() / values.len().max(1) as f64
    };
    let mut order: Vec<usize> = (0..results.len()).collect();
    descending(&mut order, |&at| mean(at));
    order
}

/// What clusters are compared at equal amounts of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Equal {
    /// Tokens per second and GPU.
    Gpus,
    /// Tokens per second and US dollar.
    Cost,
    /// Tokens per second and watt.
    Power,
}

impl Choice for Equal {
    const ALL: &'static [Self] = &[Self::Gpus, Self::Cost, Self::Power];

    fn word(self) -> &'static str {
        match self {
            Self::Gpus => "gpus",
            Self::Cost => "cost",
            Self::Power => "power",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::Gpus => "Tokens per second and GPU",
            Self::Cost => "Tokens per second and US dollar",
            Self::Power => "Tokens per second and watt",
        }
    }
}

impl Equal {
    /// How much a cluster has of it, if that is known.
    #[must_use]
    pub fn of(self, gpus: u32, cost: &Cost) -> Option<f64> {
        match self {
            Self::Gpus => Some(f64::from(gpus)),
            Self::Cost => cost.total().usd,
            Self::Power => cost.total().watts,
        }
    }

    /// The unit of [`ClusterResult::per`].
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Gpus => "tokens/s per GPU",
            Self::Cost => "tokens/s per USD",
            Self::Power => "tokens/s per W",
        }
    }
}

/// Runs every cluster case under every seed, and once more for every knob.
///
/// # Errors
/// If a run exceeds representable time.
pub fn compare(
    cluster_cases: &[ClusterCase],
    threads: usize,
) -> Result<Vec<ClusterResult>, TooLong> {
    case::share(cluster_cases);
    cluster_cases.iter().map(|cluster_case| evaluate(cluster_case, threads)).collect()
}

/// How one cluster stands.
///
/// # Errors
/// If a run exceeds representable time.
pub fn evaluate(cluster_case: &ClusterCase, threads: usize) -> Result<ClusterResult, TooLong> {
    let scenario = &cluster_case.scenario;
    let (kinds, outcomes) = outcomes(cluster_case, threads)?;
    let of = |kind: usize| outcomes.iter().skip(kind).step_by(kinds);
    let vanilla: Vec<f64> = of(0).map(Outcome::tokens_per_sec).collect();
    let moepp: Vec<f64> = of(kinds - 1).map(Outcome::tokens_per_sec).collect();
    let vanilla_outcome = of(0).next().cloned().ok_or(TooLong)?;
    let outcome = of(kinds - 1).next().cloned().ok_or(TooLong)?;
    let own: Vec<Outcome> = of(kinds - 1).cloned().collect();
    Ok(ClusterResult {
        name: cluster_case.name.clone(),
        gpus: scenario.topology.gpus(),
        gpu: scenario.topology.gpu().name.clone(),
        profile: scenario.ingredients.profile.clone(),
        profile_borrowed: scenario.profile_borrowed,
        cost: cluster_case.cost,
        sensitivities: sensitivities(scenario, cluster_case.drawn(), moepp[0], threads)?,
        vanilla,
        moepp,
        vanilla_outcome,
        outcome,
        reached: Reached::of(scenario, &own, None),
    })
}

/// How many workloads run, and what becomes of each under every seed, workload by workload within a seed.
fn outcomes(cluster_case: &ClusterCase, threads: usize) -> Result<(usize, Vec<Outcome>), TooLong> {
    let scenario = &cluster_case.scenario;
    let seeds: Vec<u64> = scenario.seeds.clone().collect();
    // Where there is no MoE++ workload, vanilla is compared with itself.
    let both = cluster_case.workloads();
    let kinds = both.len();
    let outcomes = in_parallel(kinds * seeds.len(), threads, |at| {
        let (of, seed) = (at % kinds, seeds[at / kinds]);
        let run = (both[of], scenario.overheads, seed);
        let first = of == kinds - 1 && seed == scenario.seeds.start;
        let drawn = cluster_case.kept(at).or(first.then_some(cluster_case.drawn().1));
        run_keeping(scenario, run, &WhatIf::NOTHING, None, drawn)
    });
    Ok((kinds, outcomes.into_iter().collect::<Result<_, _>>()?))
}

/// Knobs that the cluster has.
fn knobs(scenario: &Scenario) -> Vec<Knob> {
    let links = scenario.topology.links();
    let there = |class: &LinkClass| links.iter().any(|link| link.class == *class);
    let classes = LinkClass::ALL.into_iter().filter(there).map(Knob::Bandwidth);
    classes.chain(std::iter::once(Knob::Startup)).collect()
}

/// Elasticities of a workload that reaches `base` tokens per second under the first seed, equation (1); what its gates
/// decide under that seed is kept.
///
/// # Errors
/// If a run exceeds representable time.
pub fn sensitivities(
    scenario: &Scenario,
    own: (&Workload, &Drawn),
    base: f64,
    threads: usize,
) -> Result<Vec<(Knob, f64)>, TooLong> {
    let knobs = knobs(scenario);
    let better = in_parallel(knobs.len(), threads, |at| {
        tokens_per_sec(scenario, own, &knobs[at].better(STEP))
    });
    let mut found = Vec::new();
    for (knob, tokens) in knobs.into_iter().zip(better) {
        found.push((knob, (tokens? / base).ln() / STEP.ln()));
    }
    descending(&mut found, |one| one.1);
    Ok(found)
}

/// A workload's throughput under the first seed if things were otherwise.
fn tokens_per_sec(
    scenario: &Scenario,
    (workload, drawn): (&Workload, &Drawn),
    what_if: &WhatIf,
) -> Result<f64, TooLong> {
    let seed = scenario.seeds.start;
    let run = (workload, scenario.overheads, seed);
    let outcome = run_keeping(scenario, run, what_if, None, Some(drawn))?;
    Ok(outcome.tokens_per_sec())
}

/// The factor on the bandwidth of a class of link at which a cluster reaches `target` tokens per second
/// and GPU; none if [`MOST`] times is not enough.
///
/// # Errors
/// If a run exceeds representable time.
pub fn break_even(
    cluster_case: &ClusterCase,
    class: LinkClass,
    target: f64,
) -> Result<Option<f64>, TooLong> {
    let gpus = f64::from(cluster_case.scenario.topology.gpus());
    let reaches = |factor: f64| {
        let faster = WhatIf::faster(class, factor);
        let tokens = tokens_per_sec(&cluster_case.scenario, cluster_case.drawn(), &faster)?;
        Ok(tokens / gpus >= target)
    };
    if !reaches(MOST)? {
        return Ok(None);
    }
    let bracket = Bracket { low: 1.0 / MOST, high: MOST };
    let narrow = bracket.try_narrowed(1.01, |factor| reaches(factor).map(|reached| !reached))?;
    Ok(Some(narrow.high))
}

/// The ratio of two clusters' throughput at equal GPUs, cost or power, paired by seed.
///
/// # Panics
/// If the price book does not know a cluster's cost or power and these are to be equal.
#[must_use]
pub fn ratio(own: &ClusterResult, other: &ClusterResult, equal: Equal) -> Ratio {
    let [own, other] = [own, other].map(|result| result.per(equal).expect("a known cost or power"));
    ratio_of(&own, &other)
}
