//! Which τ meets a target, with what probability, at the least loss of quality.
//!
//! For each τ every seed gives one throughput `x_s`: one sample of routing and, if asked for, of
//! calibration error. A new sample meets the target `x*` with probability
//!
//! ```text
//!   P = 1 − F_{n−1}( (ln x* − m) / (s·√(1 + 1/n)) )                                (1)
//! ```
//!
//! with `m` and `s` the mean and standard deviation of `ln x_s` and `F` Student's distribution: the
//! predictive distribution of one more value [geisser93]. Where seeds show no spread (one alone, or all alike), the
//! number `k` of those that meet the target is all that is known, and
//!
//! ```text
//!   P = (k + ½) / (n + 1)                                                         (2)
//! ```
//!
//! by Jeffreys' prior [brown01]: ¾ at most from one seed. Throughput falls with τ, so the largest τ that meets the target
//! is found between the grid's values by bisection, among τ of as many digits as quality can tell apart
//! ([`Trend::resolution`]). Recommended is what meets the target at the highest expected quality, and nothing that was
//! measured as worse than another that meets it.

use std::cmp::Ordering;

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::base::order::{ascending, descending};
use crate::base::statistics::{mean, variance};
use crate::base::threads::in_parallel;
use crate::config::Case;
use crate::execution::blame::Reason;
use crate::execution::outcome::{Outcome, TooLong};
use crate::kernels::TimedBasis;
use crate::studies::compare::{ClusterCase, ClusterResult, Knob, evaluate};
use crate::studies::study::{Reached, WhatIf, run_if};
use crate::workload::Workload;

mod candidate;
pub mod quality;

pub use candidate::Candidate;
pub use quality::{Doubt, Law, NoiseFrom, Quality, Trend};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// At least this many tokens per second through what is counted, all GPUs together.
    TokensPerSec(f64),
    /// At most this many milliseconds for a step of all micro-batches.
    StepMs(f64),
    /// At most this many milliseconds for one layer of one micro-batch, on average.
    LayerMs(f64),
}

impl Target {
    /// The same as tokens per second of a run, given its tokens and layers.
    fn tokens_per_sec(self, workload: &Workload, tokens: f64) -> f64 {
        let layers = f64::from(workload.layers_per_gpu()) * f64::from(workload.batch.micro_batches);
        match self {
            Self::TokensPerSec(least) => least,
            Self::StepMs(most) => 1e3 * tokens / most,
            Self::LayerMs(most) => 1e3 * tokens / (most * layers),
        }
    }
}

/// The answer.
pub struct Plan {
    /// All candidates looked at: by cluster, vanilla first, then τ rising.
    pub candidates: Vec<Candidate>,
    /// Index of the best that meets the target, if any does: of those within the τ that quality was
    /// measured at, if there are any.
    pub best: Option<usize>,
    /// Index of the one that comes closest.
    pub closest: usize,
    /// Candidates that none beats in both quality and throughput.
    pub front: Vec<usize>,
    /// What the time of the best (or closest) goes to: reasons and shares, largest first.
    pub blame: Vec<(Reason, f64)>,
    /// What its time stands on.
    pub stands_on: Vec<TimedBasis>,
    /// How often gates were drawn for each layer, where not for every micro-batch and group.
    pub gate_draws: Option<u32>,
    /// What would help: knobs with elasticities, largest first.
    pub knobs: Vec<(Knob, f64)>,
}

/// What to plan for.
pub struct Question<'a> {
    /// The clusters; each scenario has one case.
    pub cluster_cases: &'a [ClusterCase],
    /// τ to look at first.
    pub taus: &'a [f64],
    /// What must be met.
    pub target: Target,
    /// With what probability.
    pub probability: f64,
    /// How quality depends on τ; none where no τ is varied.
    pub trend: Option<&'a Trend>,
}

/// Between grid values τ is told to 1/32 of their distance at best.
const FINEST: f64 = 1.0 / 32.0;

/// Finds the τ.
///
/// # Errors
/// If a run exceeds representable time.
pub fn plan(question: &Question<'_>, threads: usize) -> Result<Plan, TooLong> {
    let mut candidates = Vec::new();
    for cluster_case in question.cluster_cases {
        candidates.extend(candidates_of(question, cluster_case, threads)?);
    }
    let best = best(question, &candidates);
    let all = || 0..candidates.len();
    // Far from the target a larger spread is a larger probability, which brings no candidate closer to the target: only
    // whole percents count.
    let percent = |at: usize| (100.0 * candidates[at].probability).round();
    // Of those alike whose mean meets it, the better quality.
    let nearness = |at: usize| {
        let margin = candidates[at].margin_percent();
        let quality = candidates[at].quality.as_ref().map_or(f64::NEG_INFINITY, |of| of.expected);
        [percent(at), margin.min(0.0), if margin >= 0.0 { quality } else { 0.0 }, margin]
    };
    let fits = |at: &usize| candidates[*at].too_large.is_none();
    let closest = all()
        .filter(fits)
        .max_by(|&a, &b| {
            let pairs = nearness(a).into_iter().zip(nearness(b));
            pairs.fold(Ordering::Equal, |so_far, (a, b)| so_far.then(a.total_cmp(&b)))
        })
        .unwrap_or(0);
    let front = all().filter(|at| fits(at) && !is_beaten(&candidates[*at], &candidates)).collect();
    let chosen = best.unwrap_or(closest);
    let result = evaluate_candidate(question, &candidates[chosen], threads)?;
    Ok(Plan {
        best,
        closest,
        front,
        blame: shares(&result.outcome),
        stands_on: result.outcome.stands_on.clone(),
        gate_draws: result.outcome.gate_draws,
        knobs: result.sensitivities,
        candidates,
    })
}

/// Of those that meet the target, the one of the highest expected quality, then the fastest.
///
/// None that the user measured as worse than another that meets it: a rising curve may pool away what was measured.
fn best(question: &Question<'_>, candidates: &[Candidate]) -> Option<usize> {
    let trend = question.trend;
    let meets = |at: &usize| candidates[*at].probability >= question.probability;
    let all = || (0..candidates.len()).filter(meets);
    let measured = all().filter_map(|at| trend?.measured(candidates[at].tau));
    let most = measured.fold(f64::NEG_INFINITY, f64::max);
    let by_points = |at: usize| trend.and_then(|trend| trend.by_points(candidates[at].tau));
    let is_worse = |at: usize| by_points(at).is_some_and(|own| own < most);
    all().filter(|at| !is_worse(*at)).max_by(|&a, &b| {
        // What was measured is worth more than what a line promises beyond it.
        let known = |at: usize| candidates[at].quality.is_some_and(|own| !own.extrapolated);
        let quality = |at: usize| candidates[at].expected().unwrap_or(f64::NEG_INFINITY);
        known(a)
            .cmp(&known(b))
            .then(quality(a).total_cmp(&quality(b)))
            .then(candidates[a].mean().total_cmp(&candidates[b].mean()))
    })
}

/// Whether another that fits is as good in quality and throughput, and better in one; what has no known quality is on no
/// front.
fn is_beaten(own: &Candidate, candidates: &[Candidate]) -> bool {
    let Some(quality) = own.expected() else { return true };
    candidates.iter().filter(|other| other.too_large.is_none()).any(|other| {
        let Some(theirs) = other.expected() else { return false };
        let (mean, own) = (other.mean(), own.mean());
        mean >= own && theirs >= quality && (mean > own || theirs > quality)
    })
}

/// τ between two, of as few digits as tell them apart in quality: multiples of a power of ten, rising.
fn between(low: f64, high: f64, trend: Option<&Trend>) -> Vec<f64> {
    let told = trend.map_or(0.1 * low, |trend| trend.resolution(low, high));
    if !told.is_finite() {
        return Vec::new();
    }
    let coarse = told.max(f64::MIN_POSITIVE).log10().floor() as i32;
    let finest = ((high - low) * FINEST).log10().ceil() as i32;
    let digits = coarse.max(finest);
    // A quotient of whole numbers is the closest number to what its digits say.
    let scale = 10_f64.powi(digits.abs());
    let at = |k: f64| if digits < 0 { k / scale } else { k * scale };
    let first = if digits < 0 { low * scale } else { low / scale }.floor();
    (0..=1000).map(|k| at(first + f64::from(k))).filter(|tau| low < *tau && *tau < high).collect()
}

/// The vanilla workload and that of which τ is varied: one that stands alone is vanilla, or MoE++.
fn roles(case: &Case) -> [Option<&Workload>; 2] {
    let is_moepp = |workload: &Workload| workload.model.experts.tau.is_some();
    match case.moepp.first() {
        Some(moepp) => [Some(&case.vanilla), Some(moepp)],
        None if is_moepp(&case.vanilla) => [None, Some(&case.vanilla)],
        None => [Some(&case.vanilla), None],
    }
}

fn candidates_of(
    question: &Question<'_>,
    cluster_case: &ClusterCase,
    threads: usize,
) -> Result<Vec<Candidate>, TooLong> {
    let [vanilla, moepp] = roles(&cluster_case.scenario.cases[0]);
    let mut found = Vec::new();
    if let Some(vanilla) = vanilla {
        found.push(candidate(question, cluster_case, vanilla, None, threads)?);
    }
    let Some(moepp) = moepp else { return Ok(found) };
    let at = |tau: f64| {
        let mut workload = moepp.clone();
        workload.model.experts.tau = Some(tau);
        candidate(question, cluster_case, &workload, Some(tau), threads)
    };
    for &tau in question.taus {
        found.push(at(tau)?);
    }
    let meets = |candidate: &Candidate| candidate.probability >= question.probability;
    let first = usize::from(vanilla.is_some());
    let edge = found.windows(2).skip(first).find(|pair| meets(&pair[0]) && !meets(&pair[1]));
    if let Some((low, high)) = edge.and_then(|pair| Some((pair[0].tau?, pair[1].tau?))) {
        let mut left = &between(low, high, question.trend)[..];
        while !left.is_empty() {
            let middle = left.len() / 2;
            let tried = at(left[middle])?;
            left = if meets(&tried) { &left[middle + 1..] } else { &left[..middle] };
            found.push(tried);
        }
        ascending(&mut found[first..], |one| one.tau.unwrap_or(0.0));
    }
    Ok(found)
}

fn candidate(
    question: &Question<'_>,
    cluster_case: &ClusterCase,
    workload: &Workload,
    tau: Option<f64>,
    threads: usize,
) -> Result<Candidate, TooLong> {
    let scenario = &cluster_case.scenario;
    let seeds: Vec<u64> = scenario.seeds.clone().collect();
    let runs = in_parallel(seeds.len(), threads, |at| {
        run_if(scenario, workload, scenario.overheads, seeds[at], &WhatIf::NOTHING, None)
    });
    let outcomes: Vec<Outcome> = runs.into_iter().collect::<Result<_, _>>()?;
    let tokens_per_sec: Vec<f64> = outcomes.iter().map(Outcome::tokens_per_sec).collect();
    let target = question.target.tokens_per_sec(workload, outcomes[0].tokens);
    let too_large = scenario.beyond_memory(workload).filter(|_| !scenario.allow_oom);
    let probability = if too_large.is_some() { 0.0 } else { probability(&tokens_per_sec, target) };
    Ok(Candidate {
        cluster: cluster_case.name.clone(),
        tau,
        too_large: too_large.map(|(found, _)| found),
        probability,
        tokens_per_sec,
        target,
        quality: question.trend.and_then(|trend| trend.at(tau)),
        reached: Reached::of(scenario, &outcomes, None),
    })
}

/// Equation (1), or (2) where values do not differ.
#[must_use]
pub fn probability(values: &[f64], target: f64) -> f64 {
    let n = values.len() as f64;
    let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    let spread = (variance(&logs) * (1.0 + 1.0 / n)).sqrt();
    let missing = target.ln() - mean(&logs);
    match StudentsT::new(0.0, 1.0, n - 1.0) {
        Ok(t) if spread > 0.0 => 1.0 - t.cdf(missing / spread),
        _ => {
            let met = values.iter().filter(|value| **value >= target).count() as f64;
            (met + 0.5) / (n + 1.0)
        }
    }
}

/// A candidate's cluster with its own τ, for what binds it.
fn evaluate_candidate(
    question: &Question<'_>,
    chosen: &Candidate,
    threads: usize,
) -> Result<ClusterResult, TooLong> {
    let found =
        question.cluster_cases.iter().find(|cluster_case| cluster_case.name == chosen.cluster);
    let cluster_case = found.ok_or(TooLong)?;
    let mut own = cluster_case.again();
    own.scenario.seeds.end = own.scenario.seeds.start + 1;
    let case = &mut own.scenario.cases[0];
    match chosen.tau {
        None => case.moepp.clear(),
        Some(tau) => {
            let own = case.moepp.first_mut().unwrap_or(&mut case.vanilla);
            own.model.experts.tau = Some(tau);
        }
    }
    evaluate(&own, threads)
}

/// Shares of the makespan by reason, largest first.
#[must_use]
pub fn shares(outcome: &Outcome) -> Vec<(Reason, f64)> {
    let whole: f64 = Reason::ALL.map(|reason| outcome.mean_blame_ms(reason)).iter().sum();
    let mut shares: Vec<(Reason, f64)> =
        Reason::ALL.map(|reason| (reason, outcome.mean_blame_ms(reason) / whole)).to_vec();
    descending(&mut shares, |one| one.1);
    shares.retain(|(_, share)| *share > 0.0);
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_draw_meets_the_target_as_often_as_said() {
        use rand_distr::{Distribution, LogNormal};
        // 4,000 plans from 6 seeds each, each at the target that it promises to meet with 0.8.
        let law = LogNormal::new(0.0, 0.05).unwrap();
        let mut rng = crate::base::streams::Streams::new(7).named("test/planner");
        let quantile = StudentsT::new(0.0, 1.0, 5.0).unwrap().inverse_cdf(0.2);
        let mut kept = 0.0;
        for _ in 0..4_000 {
            let seen: Vec<f64> = (0..6).map(|_| law.sample(&mut rng)).collect();
            let logs: Vec<f64> = seen.iter().map(|x: &f64| x.ln()).collect();
            let mean = logs.iter().sum::<f64>() / 6.0;
            let variance = logs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 5.0;
            let target = (mean + quantile * (variance * (1.0 + 1.0 / 6.0)).sqrt()).exp();
            assert!((probability(&seen, target) - 0.8).abs() < 1e-6);
            kept += f64::from(law.sample(&mut rng) >= target);
        }
        // Standard error of `kept` over 4,000 draws: 0.0063.
        assert!((kept / 4_000.0 - 0.8).abs() < 0.02, "kept {kept} of 4,000");
    }

    #[test]
    fn seeds_that_show_no_spread_show_no_certainty() {
        assert_eq!(probability(&[2.0], 1.0), 0.75);
        assert_eq!(probability(&[2.0], 3.0), 0.25);
        assert!((probability(&[2.0, 2.0], 3.0) - 0.5 / 3.0).abs() < 1e-12);
        assert!((probability(&[2.0; 8], 1.0) - 8.5 / 9.0).abs() < 1e-12);
        let half = probability(&[1.0, 4.0, 2.0], 2.0);
        assert!((half - 0.5).abs() < 1e-9, "{half}");
    }

    #[test]
    fn tau_between_two_have_no_more_digits_than_quality_tells() {
        let trend = Trend::published("1B").unwrap();
        assert_eq!(between(0.25, 0.4, Some(&trend)), [0.3]);
        assert_eq!(between(0.1, 0.5, Some(&trend)), [0.2, 0.3, 0.4]);
        // The line rises by less than its scatter.
        assert!(between(0.1, 0.15, Some(&trend)).is_empty());
        assert!(between(1.0, 1.5, Some(&trend)).is_empty());
    }
}
