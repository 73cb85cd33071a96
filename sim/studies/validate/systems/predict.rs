//! Runs a plan as `moesim run` runs its files, and says how far off it may be.
//!
//! The prediction is the mean over seeds with calibration taken at its word. Its 90 % interval is
//! that of runs that each draw what calibration leaves open, their gates deciding as under one of these seeds in turn, wider by [`OPEN`] for every input that
//! the row does not state or that a relative stands in for:
//!
//! ```text
//!   ln(high/p) = √( ln²(high_drawn/p) + n·ln²(OPEN) + ln²(NOISE) )                     (1)
//! ```
//!
//! and in place of [`NOISE`] by [`WHOLE`] below and [`UNFUSED`] above for a step of a whole model, most of whose software
//! no row states: what is left out of a prediction, kernels that are not fused and gaps between launches, only adds time.

use super::plan::{self, Plan};
use super::question::What;
use super::training;
use crate::base::order::descending;
use crate::base::statistics::Range;
use crate::base::statistics::mean;
use crate::base::units::FlopRate;
use crate::config::Scenario;
use crate::execution::blame::Reason;
use crate::execution::cost::{Operations, Roofline, operations, operations_per_token};
use crate::execution::lowering::Drawn;
use crate::execution::outcome::Outcome;
use crate::execution::run::{Inputs, simulate};
use crate::network::NetworkRates;
use crate::studies::study::{self, WhatIf};
use crate::topology::GpuSpec;
use crate::workload::Workload;

/// Software alone moves results by 20 to 40 % on the same hardware; an input that is not stated, or
/// that a relative stands in for, is worth the lower end of that.
const OPEN: f64 = 1.2;
/// Versions of one baseline differ by so much.
const NOISE: f64 = 1.035;
/// Software alone moves whole steps by up to so much on the same hardware (DeepSeek-V3 on GB200: 3,955 to 4,969
/// tokens/s/GPU over a few releases of one stack), and a row names no release of the kernels between products.
const WHOLE: f64 = 1.4;
/// Fusing the kernels of experts alone shortened steps by 8 % (DeepSeek-V3) to 93 % (GPT-OSS) by their vendor's own
/// account [fusedmoe].
const UNFUSED: f64 = 1.93;
/// Runs with what calibration leaves open drawn; enough for order statistics.
const DRAWS: u64 = 39;

/// A prediction in the row's unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The prediction.
    pub predicted: f64,
    /// Lower end of its 90 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// What data-sheet peaks alone predict.
    pub baseline: f64,
    /// What it stands on, line by line: measured tables first, then what was assumed.
    pub stands_on: Vec<String>,
}

/// What a plan's runs take, in seconds: the same for all rows that ask one set-up for one thing.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seconds {
    time: f64,
    ends: [f64; 2],
    baseline: f64,
    /// Model operations of one token in training.
    operations: Operations,
    measured: Vec<String>,
}

/// Runs a plan.
///
/// # Errors
/// The reason why its scenario is refused.
pub(super) fn seconds(plan: &Plan) -> Result<Seconds, String> {
    let scenario = plan.load().map_err(|mistake| plan::refusal(&mistake))?;
    let case = scenario.cases.first().ok_or("the scenario has no case")?;
    let workload = case.moepp.first().unwrap_or(&case.vanilla).clone();
    match plan.question.what {
        What::Training => of_step(plan, &scenario, &workload),
        What::Decode => of_decode(plan, &scenario, &workload),
        _ => of_layer(plan, scenario, &workload),
    }
}

/// Runs a layer, or a part of one, under every seed.
fn of_layer(plan: &Plan, mut scenario: Scenario, workload: &Workload) -> Result<Seconds, String> {
    let own = |outcome: &Outcome| seconds_of(outcome, plan);
    let seeds: Vec<u64> = scenario.seeds.clone().collect();
    // What gates decide is drawn once for all runs of a seed.
    let gates: Vec<Drawn> = seeds.iter().map(|_| Drawn::one_of(seeds.len())).collect();
    let run = |scenario: &Scenario, at: usize, what_if: &WhatIf| {
        let asked = (workload, scenario.overheads, seeds[at]);
        let outcome = study::run_keeping(scenario, asked, what_if, None, Some(&gates[at]));
        outcome.map_err(|too_long| too_long.to_string())
    };
    let outcomes: Vec<Outcome> = (0..seeds.len())
        .map(|at| run(&scenario, at, &WhatIf::NOTHING))
        .collect::<Result<_, _>>()?;
    let times: Vec<f64> = outcomes.iter().map(own).collect();
    let time = mean(&times);
    if !(time.is_finite() && time > 0.0) {
        return Err("the run spends no time on what was measured".to_owned());
    }
    scenario.calibration_uncertainty = true;
    let drawn: Vec<f64> = (0..DRAWS)
        .map(|draw| run(&scenario, draw as usize % seeds.len(), &WhatIf::calibrated(draw)))
        .map(|outcome| outcome.map(|outcome| own(&outcome)))
        .collect::<Result<_, _>>()?;
    Ok(Seconds {
        time,
        ends: interval(time, &drawn, plan),
        baseline: baseline((&scenario, workload), plan, (seeds[0], &gates[0]))?,
        operations: Operations::default(),
        measured: outcomes.first().map(bases).unwrap_or_default(),
    })
}

/// Runs a decode step. One over many nodes is slow to run: one seed, and what is left open moves its parts.
fn of_decode(plan: &Plan, scenario: &Scenario, workload: &Workload) -> Result<Seconds, String> {
    let (seed, gates) = (0, Drawn::default());
    let asked = (workload, scenario.overheads, seed);
    let outcome = study::run_keeping(scenario, asked, &WhatIf::NOTHING, None, Some(&gates));
    let outcome = &outcome.map_err(|too_long| too_long.to_string())?;
    let time = seconds_of(outcome, plan);
    let drawn = training::drawn(scenario, workload, (time, outcome), 0..DRAWS)?;
    Ok(Seconds {
        time,
        ends: interval(time, &drawn, plan),
        baseline: baseline((scenario, workload), plan, (seed, &gates))?,
        operations: Operations::default(),
        measured: bases(outcome),
    })
}

/// Runs a training step, its baseline being operations at the peak.
fn of_step(plan: &Plan, scenario: &Scenario, workload: &Workload) -> Result<Seconds, String> {
    let (time, outcome) = training::run(scenario, workload, 0)?;
    let drawn = training::drawn(scenario, workload, (time, &outcome), 0..DRAWS)?;
    let peak = peak_of(scenario.topology.gpu(), workload).flops_per_sec();
    Ok(Seconds {
        time,
        ends: interval(time, &drawn, plan),
        baseline: plan.per.tokens * operations_per_token(workload) / peak,
        operations: operations(workload),
        measured: bases(&outcome),
    })
}

/// The prediction of a row from what its plan's runs take.
pub(super) fn of(plan: &Plan, seconds: &Seconds) -> Prediction {
    let mut per = plan.per;
    if plan.question.what == What::Training {
        let Operations { layers, scores, output } = seconds.operations;
        let all = layers + scores + output;
        per.operations = per.tokens * if plan.counts_layers_alone { layers } else { all };
    }
    let in_unit = |seconds: f64| plan.question.unit.of_seconds(seconds, &per);
    let ends = seconds.ends.map(in_unit);
    Prediction {
        predicted: in_unit(seconds.time),
        low: ends[0].min(ends[1]),
        high: ends[0].max(ends[1]),
        baseline: in_unit(seconds.baseline),
        stands_on: [seconds.measured.clone(), plan.notes.clone()].concat(),
    }
}

/// The data sheet's rate of products in the format of a workload.
const fn peak_of(gpu: &GpuSpec, workload: &Workload) -> FlopRate {
    match (workload.batch.dtype, gpu.peak_fp8) {
        (crate::workload::Dtype::Fp8, Some(peak)) => peak,
        _ => gpu.peak_bf16,
    }
}

/// What a run's time rests on, each with its share, the largest first.
fn bases(outcome: &Outcome) -> Vec<String> {
    let whole: f64 = outcome.stands_on.iter().map(|timed| timed.time.secs()).sum();
    let mut all: Vec<(f64, String)> = outcome
        .stands_on
        .iter()
        .map(|timed| (timed.time.secs() / whole, &timed.basis))
        .filter(|(share, _)| *share >= 0.005)
        .map(|(share, basis)| {
            (share, format!("{:.0} % {}: {basis}", 100.0 * share, basis.part.name()))
        })
        .collect();
    descending(&mut all, |one| one.0);
    all.into_iter().map(|(_, line)| line).collect()
}

/// Equation (1): the ends of the interval in seconds.
fn interval(time: f64, drawn: &[f64], plan: &Plan) -> [f64; 2] {
    let whole = plan.question.what.is_whole_model();
    let versions = if whole { [WHOLE, UNFUSED] } else { [NOISE, NOISE] };
    let open = f64::from(plan.open) * OPEN.ln().powi(2);
    widened(time, drawn, versions.map(|factor| open + factor.ln().powi(2)))
}

/// The interval of runs that were drawn, wider by a variance of logarithms below and one above.
fn widened(time: f64, drawn: &[f64], [below, above]: [f64; 2]) -> [f64; 2] {
    let range = Range::of(drawn).unwrap_or(Range { low: time, high: time });
    let wider = |end: f64, apart: f64| {
        let own = if end > 0.0 { (end / time).ln() } else { 0.0 };
        (own.powi(2) + apart).sqrt()
    };
    let low = (-wider(range.low.min(time), below)).exp();
    [time * low, time * wider(range.high.max(time), above).exp()]
}

/// The time that the row asks for, in seconds.
fn seconds_of(outcome: &Outcome, plan: &Plan) -> f64 {
    let blamed = |reason| outcome.mean_blame_ms(reason) / 1e3;
    match plan.question.what {
        What::Layer | What::LayerBoth | What::Training | What::Prefill | What::Decode => {
            outcome.makespan.secs()
        }
        What::LayerBackward => training::backward(outcome),
        What::Dispatch => blamed(Reason::Dispatch),
        What::Combine => blamed(Reason::Combine),
        What::GroupedProduct => blamed(Reason::FfnGemm) / 2.0,
    }
}

/// What data-sheet peaks predict: the same run with kernels on the roofline and links at their rates, under a seed and
/// with what its gates have decided.
fn baseline(
    (scenario, workload): (&Scenario, &Workload),
    plan: &Plan,
    (seed, gates): (u64, &Drawn),
) -> Result<f64, String> {
    let gpu = scenario.topology.gpu();
    let peak = peak_of(gpu, workload);
    let carrier = scenario.carrier(workload).map_err(|unavailable| unavailable.found)?;
    let kernels = Roofline { peak, memory_bandwidth: gpu.memory_bandwidth };
    let inputs = Inputs {
        topology: &scenario.topology,
        workload,
        kernels: &kernels,
        overheads: scenario.overheads,
        rates: NetworkRates::IDEAL.into(),
        exchange_sms: None,
        phases: None,
        all_to_all: carrier.algorithm,
        network: scenario.network,
        counted: scenario.counted,
        jitter: 0.0,
        without: None,
        uncertainty: None,
        steps: None,
        drawn: Some(gates),
    };
    let outcome = simulate(&inputs, seed).map_err(|too_long| too_long.to_string())?;
    Ok(seconds_of(&outcome, plan))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_widen_with_what_is_open() {
        let drawn: Vec<f64> = (0..39).map(|i| 0.9 + 0.005 * f64::from(i)).collect();
        let [low, high] = widened(1.0, &drawn, [0.0; 2]);
        let [lower, higher] = widened(1.0, &drawn, [2.0 * OPEN.ln().powi(2); 2]);
        assert!(lower < low && low < 0.91 && 1.08 < high && high < higher);
    }
}
