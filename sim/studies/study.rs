//! A scenario run: each workload under each seed, vanilla and MoE++ compared seed by seed.
//!
//! Runs share nothing but their inputs, so they are spread over threads and put back in order: the
//! study is the same for any number of threads.

use crate::base::statistics::{Estimate, Range};
use crate::base::threads::in_parallel;
use crate::base::units::SimDuration;
use crate::config::{Case, Diagnostic, Scenario};
use crate::execution::Scope;
use crate::execution::blame::Reason;
use crate::execution::cost::{Overheads, Uncertainty};
use crate::execution::lowering::Drawn;
use crate::execution::machine::Observer;
use crate::execution::outcome::{Outcome, TooLong};
use crate::execution::provenance;
use crate::execution::run::{Inputs, simulate_observed};
use crate::kernels::{Kernels, TimedBasis};
use crate::network::NetworkReport;
use crate::workload::{Overlap, Workload};

mod expansion;
mod precision;
mod what_if;

use precision::precise;
pub use precision::{Reached, can_be_sampled};
pub use what_if::WhatIf;

/// One line of a study: one workload over all seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The workload.
    pub workload: Workload,
    /// Realised share of slots given to FFN experts.
    pub ffn_share: Estimate,
    /// Share of slots dropped.
    pub drop_share: Estimate,
    /// Share of mixing weight dropped with them.
    pub dropped_weight_share: Estimate,
    /// The time counted, in milliseconds.
    pub time_ms: Estimate,
    /// Until the slowest GPU is done, in milliseconds; the same, but for experts alone.
    pub makespan_ms: Estimate,
    /// Tokens per second through what is counted.
    pub tokens_per_sec: Estimate,
    /// `t_vanilla / t − 1`, in percent, by seed; none for vanilla.
    pub increase_percent: Option<Estimate>,
    /// The 90 % prediction interval, calibration error included; none when it is taken at its
    /// word.
    pub predicted: Option<Predicted>,
    /// Zero-computation work hidden under exchanges, mean over GPUs, in milliseconds.
    pub hidden_ms: f64,
    /// Mean over seeds and GPUs of the time blamed on each reason, in milliseconds.
    pub blame_ms: [f64; Reason::ALL.len()],
    /// Which engine carried the exchanges, over all seeds; the costlier one where runs differ.
    pub network_report: NetworkReport,
    /// Bytes over each link in a second of the makespan, mean over seeds.
    pub link_bytes_per_s: Vec<f64>,
    /// What the time stands on, mean over seeds and GPUs.
    pub stands_on: Vec<TimedBasis>,
    /// The numbers of chunks that were found to be best under some seed, where they were looked for.
    pub best_chunks: Vec<u32>,
    /// The most rows that a rank of the first group received under the first seed, where its run planned all of it.
    pub hottest_rows: Option<u64>,
    /// How much of the runs was simulated and what precision that reached, where one was asked for.
    pub reached: Option<Reached>,
}

/// Ranges over seeds and draws of calibration error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Predicted {
    /// Of the time counted, in milliseconds.
    pub time_ms: Option<Range>,
    /// Of `t_vanilla / t − 1` in percent, both under the same calibration sample; none for vanilla.
    pub increase_percent: Option<Range>,
}

impl Row {
    /// τ, for MoE++.
    #[must_use]
    pub fn tau(&self) -> Option<f64> {
        self.workload.model.experts.tau
    }
}

/// All rows of a scenario: for each case, vanilla and then each τ.
///
/// # Errors
/// If a run exceeds representable time.
pub fn study(scenario: &Scenario, threads: usize) -> Result<Vec<Row>, TooLong> {
    let workloads: Vec<&Workload> = scenario.cases.iter().flat_map(workloads_of).collect();
    let seeds = (scenario.seeds.end - scenario.seeds.start) as usize;
    let outcomes = outcomes(scenario, &workloads, threads)?;
    let by_workload: Vec<&[Outcome]> = outcomes.chunks(seeds).collect();
    let mut rows = Vec::with_capacity(workloads.len());
    for case in &scenario.cases {
        let vanilla = by_workload[rows.len()];
        for workload in workloads_of(case) {
            let own = by_workload[rows.len()];
            rows.push(row(scenario, workload, own, vanilla));
        }
    }
    Ok(rows)
}

/// What becomes of each workload under every seed, seed by seed within a workload.
fn outcomes(
    scenario: &Scenario,
    workloads: &[&Workload],
    threads: usize,
) -> Result<Vec<Outcome>, TooLong> {
    let seeds = (scenario.seeds.end - scenario.seeds.start) as usize;
    let seed = |at: usize| scenario.seeds.start + (at % seeds) as u64;
    if scenario.precision.is_none() {
        let outcomes = in_parallel(workloads.len() * seeds, threads, |at| {
            run(scenario, workloads[at / seeds], scenario.overheads, seed(at))
        });
        return outcomes.into_iter().collect();
    }
    // How much of MoE++ is simulated depends on what was of the vanilla runs.
    let bases: Vec<&Workload> = scenario.cases.iter().map(|case| &case.vanilla).collect();
    let vanilla = in_parallel(bases.len() * seeds, threads, |at| {
        run(scenario, bases[at / seeds], scenario.overheads, seed(at))
    });
    let vanilla: Vec<Outcome> = vanilla.into_iter().collect::<Result<_, _>>()?;
    let of_case = |(at, case): (usize, &Case)| vec![at; 1 + case.moepp.len()];
    let cases: Vec<usize> = scenario.cases.iter().enumerate().flat_map(of_case).collect();
    let outcomes = in_parallel(workloads.len() * seeds, threads, |at| {
        let base = &vanilla[cases[at / seeds] * seeds + at % seeds];
        match std::ptr::eq(workloads[at / seeds], bases[cases[at / seeds]]) {
            true => Ok(base.clone()),
            false => run_beside(scenario, workloads[at / seeds], base),
        }
    });
    outcomes.into_iter().collect()
}

/// Refuses a scenario whose profile is another GPU's, or in which any kernel's or library's constants
/// are borrowed from another's.
///
/// # Errors
/// If there is one: it says which, and from what.
pub fn refuse_borrowed(scenario: &Scenario) -> Result<(), Diagnostic> {
    if let Some(borrowed) = scenario.borrowed() {
        let help = "leave out --strict, or name a profile of this GPU";
        return Err(Diagnostic::of("--strict", borrowed, help));
    }
    let kernels = Kernels::new(&scenario.profile, scenario.topology.gpu().device());
    for workload in scenario.cases.iter().flat_map(workloads_of) {
        let mut bases = provenance::bases(&workload.batch_part(), &kernels, scenario.counted);
        if let (true, Ok(carrier)) =
            (scenario.counted != Scope::Experts, scenario.carrier(workload))
        {
            bases.extend(carrier.phases.map(|leg| leg.basis));
        }
        let borrowed: Vec<String> =
            bases.iter().filter(|b| b.is_borrowed()).map(|b| b.to_string()).collect();
        if !borrowed.is_empty() {
            let found =
                format!("{} runs on borrowed constants: {}", workload.name, borrowed.join("; "));
            let help = "leave out --strict, name a profile that has these kernels, or measure them";
            return Err(Diagnostic::of("--strict", found, help));
        }
    }
    Ok(())
}

/// One run of a workload in a scenario.
///
/// # Errors
/// If it exceeds representable time.
pub fn run(
    scenario: &Scenario,
    workload: &Workload,
    overheads: Overheads,
    seed: u64,
) -> Result<Outcome, TooLong> {
    run_if(scenario, workload, overheads, seed, &WhatIf::NOTHING, None)
}

/// One run of a workload in a scenario if links and startups were otherwise, watched by an observer.
///
/// # Errors
/// If it exceeds representable time.
pub fn run_if(
    scenario: &Scenario,
    workload: &Workload,
    overheads: Overheads,
    seed: u64,
    what_if: &WhatIf,
    observer: Option<&mut dyn Observer>,
) -> Result<Outcome, TooLong> {
    run_keeping(scenario, (workload, overheads, seed), what_if, observer, None)
}

/// As [`run_if`] of a workload, with these overheads, under a seed; runs that differ in what would be otherwise share
/// what their gates decided.
///
/// # Errors
/// If it exceeds representable time.
pub fn run_keeping(
    scenario: &Scenario,
    (workload, overheads, seed): (&Workload, Overheads, u64),
    what_if: &WhatIf,
    observer: Option<&mut dyn Observer>,
    drawn: Option<&Drawn>,
) -> Result<Outcome, TooLong> {
    if workload.stack.overlap == Overlap::BestChunks {
        return run_best_chunks(scenario, (workload, overheads, seed), what_if, observer);
    }
    run_of(scenario, (workload, overheads, seed), what_if, observer, (drawn, None))
}

/// A run of an MoE++ workload under the seed of a vanilla run, so long that its gain is as precise as its time.
///
/// # Errors
/// If it exceeds representable time.
pub fn run_beside(
    scenario: &Scenario,
    workload: &Workload,
    vanilla: &Outcome,
) -> Result<Outcome, TooLong> {
    let asked = (workload, scenario.overheads, vanilla.seed);
    if workload.stack.overlap == Overlap::BestChunks {
        return run_keeping(scenario, asked, &WhatIf::NOTHING, None, None);
    }
    run_of(scenario, asked, &WhatIf::NOTHING, None, (None, Some(vanilla)))
}

/// One run, whole or as long as the scenario's precision asks. Reading a scenario lets no workload through that nothing
/// carries.
fn run_of(
    scenario: &Scenario,
    (workload, overheads, seed): (&Workload, Overheads, u64),
    what_if: &WhatIf,
    observer: Option<&mut dyn Observer>,
    (drawn, vanilla): (Option<&Drawn>, Option<&Outcome>),
) -> Result<Outcome, TooLong> {
    let topology = &scenario.topology;
    let kernels = Kernels::new(&scenario.profile, topology.gpu().device());
    let uncertainty = scenario.calibration_uncertainty.then(|| Uncertainty::of(&kernels, workload));
    let uncertainty = uncertainty.map(|open| open.under(what_if.calibration));
    let carrier = match scenario.carrier(workload) {
        Ok(carrier) => carrier,
        Err(unavailable) => panic!("{}", unavailable.found),
    };
    let inputs = Inputs {
        topology,
        workload,
        kernels: &kernels,
        overheads,
        rates: carrier.rates.map(|rates| what_if.on(rates)),
        exchange_sms: carrier.sms(workload),
        phases: Some(&carrier.phases),
        all_to_all: carrier.algorithm,
        network: scenario.network,
        counted: scenario.counted,
        jitter: scenario.jitter,
        without: what_if.without,
        uncertainty: uncertainty.as_ref(),
        steps: None,
        drawn,
    };
    if observer.is_none()
        && let Some(outcome) = precise(scenario, &inputs, seed, vanilla)
    {
        return outcome;
    }
    // An observer that outlives these inputs is lent for as long as they live.
    simulate_observed(&inputs, seed, observer.map(|observer| observer as &mut dyn Observer))
}

/// The run in as many chunks as take least, the fewest of equals; it alone is observed.
fn run_best_chunks(
    scenario: &Scenario,
    (workload, overheads, seed): (&Workload, Overheads, u64),
    what_if: &WhatIf,
    observer: Option<&mut dyn Observer>,
) -> Result<Outcome, TooLong> {
    let in_chunks = |chunks: u32| {
        let mut workload = workload.clone();
        workload.stack.overlap = Overlap::chunks(chunks);
        workload
    };
    let mut best: Option<(u32, Outcome)> = None;
    for chunks in Overlap::tried(workload.batch.tokens_per_gpu) {
        let asked = (&in_chunks(chunks), overheads, seed);
        let outcome = run_keeping(scenario, asked, what_if, None, None)?;
        if best.as_ref().is_none_or(|(_, best)| outcome.makespan < best.makespan) {
            best = Some((chunks, outcome));
        }
    }
    let (chunks, mut outcome) = best.expect("one chunk divides any number of tokens");
    if observer.is_some() {
        let asked = (&in_chunks(chunks), overheads, seed);
        outcome = run_keeping(scenario, asked, what_if, observer, None)?;
    }
    Ok(Outcome { best_chunks: Some(chunks), ..outcome })
}

fn workloads_of(case: &Case) -> impl Iterator<Item = &Workload> {
    std::iter::once(&case.vanilla).chain(&case.moepp)
}

fn row(scenario: &Scenario, workload: &Workload, own: &[Outcome], vanilla: &[Outcome]) -> Row {
    let over_seeds = |value: &dyn Fn(&Outcome) -> f64| {
        Estimate::of(&own.iter().map(value).collect::<Vec<f64>>())
    };
    let is_moepp = workload.model.experts.zero_computation.total() > 0;
    let increase = |(own, vanilla): (&Outcome, &Outcome)| {
        100.0 * (vanilla.counted_secs() / own.counted_secs() - 1.0)
    };
    let increases: Option<Vec<f64>> =
        is_moepp.then(|| own.iter().zip(vanilla).map(increase).collect());
    let times: Vec<f64> = own.iter().map(|outcome| 1e3 * outcome.counted_secs()).collect();
    let predicted = scenario.calibration_uncertainty.then(|| Predicted {
        time_ms: Range::of(&times),
        increase_percent: increases.as_deref().and_then(Range::of),
    });
    let seeds = own.len() as f64;
    let blame_ms = Reason::ALL
        .map(|reason| own.iter().map(|outcome| outcome.mean_blame_ms(reason)).sum::<f64>() / seeds);
    Row {
        workload: workload.clone(),
        ffn_share: over_seeds(&Outcome::ffn_share),
        drop_share: over_seeds(&Outcome::drop_share),
        dropped_weight_share: over_seeds(&Outcome::dropped_weight_share),
        time_ms: Estimate::of(&times),
        makespan_ms: over_seeds(&|outcome| outcome.makespan.ms()),
        tokens_per_sec: over_seeds(&Outcome::tokens_per_sec),
        increase_percent: increases.as_deref().map(Estimate::of),
        predicted,
        hidden_ms: over_seeds(&Outcome::mean_hidden_ms).mean,
        blame_ms,
        network_report: own[1..]
            .iter()
            .fold(own[0].network_report, |all, outcome| all.and(&outcome.network_report)),
        link_bytes_per_s: link_rates(own),
        stands_on: stands_on(own),
        best_chunks: best_chunks(own),
        hottest_rows: own[0].totals.hottest_rows.filter(|_| own[0].seed == scenario.seeds.start),
        reached: Reached::of(scenario, own, is_moepp.then_some(vanilla)),
    }
}

/// The best numbers of chunks, each once, fewest first.
fn best_chunks(outcomes: &[Outcome]) -> Vec<u32> {
    let mut all: Vec<u32> = outcomes.iter().filter_map(|outcome| outcome.best_chunks).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The bases of all outcomes, with their mean times.
fn stands_on(outcomes: &[Outcome]) -> Vec<TimedBasis> {
    let all = TimedBasis::merged(outcomes.iter().flat_map(|outcome| outcome.stands_on.clone()));
    let mean = |one: TimedBasis| TimedBasis {
        time: SimDuration::from_ps(one.time.ps() / outcomes.len() as u64),
        ..one
    };
    all.into_iter().map(mean).collect()
}

/// Bytes over each link in a second of the makespan, mean over outcomes.
fn link_rates(outcomes: &[Outcome]) -> Vec<f64> {
    let mut rates = vec![0.0; outcomes[0].link_bytes.len()];
    for outcome in outcomes {
        let whole = outcome.makespan.secs() * outcomes.len() as f64;
        for (rate, &bytes) in rates.iter_mut().zip(&outcome.link_bytes) {
            *rate += bytes as f64 / whole;
        }
    }
    rates
}
