//! Does MoE++ pay here: what it gains, what it can gain, and where that turns.
//!
//! Every question is answered by runs of vanilla and MoE++ under the same seeds, which share the gate's random
//! numbers and the draws of calibration error, so that the gain
//!
//! ```text
//!   g = 100 · (t_vanilla / t_moepp − 1)      per seed, mean and Student's interval      (1)
//! ```
//!
//! is paired. The verdict compares its interval with two constants (`verdict`). What MoE++ takes away is of the
//! share `s` of the step in FFN experts, in exchanges and in waiting for them, by the share `1 − φ` of slots that no
//! longer need them. If all of it shrank in proportion, the gain would be
//!
//! ```text
//!   g' = 100 · (1 / (1 − s·(1 − φ)) − 1)                                                 (2)
//! ```
//!
//! an orientation, not a bound: it says what dominates where the gain stays small. Break-evens (`break_even`) change one thing at a time: τ, the bandwidth of
//! the link class that matters most, the batch, the expert-parallel group. What it leaves out: quality (`moesim
//! plan`), and what training anew costs.

use crate::base::statistics::{Estimate, mean};
use crate::base::threads::in_parallel;
use crate::config::{Case, Scenario};
use crate::execution::lowering::Drawn;
use crate::execution::outcome::{Outcome, TooLong};
use crate::kernels::TimedBasis;
use crate::studies::compare::{Knob, sensitivities};
use crate::studies::study::{WhatIf, run_if};
use crate::workload::Workload;

mod break_even;
mod loads;
mod parts;
mod verdict;

pub use break_even::{BreakEven, Point, Turn, Varied};
pub use loads::Loads;
pub use parts::{Part, shares};
pub use verdict::{IDLE_PERCENT, Verdict, WORTH_PERCENT};

/// What is asked.
pub struct Question<'a> {
    /// The cluster and how to run on it; its first case is the pair, MoE++ included.
    pub scenario: &'a Scenario,
    /// Whether the MoE++ workload was derived from the vanilla one and has yet to be trained.
    pub derived: bool,
    /// The gain in percent from which MoE++ pays.
    pub worth_percent: f64,
}

impl Question<'_> {
    /// The vanilla workload.
    #[must_use]
    pub fn vanilla(&self) -> &Workload {
        &self.scenario.cases[0].vanilla
    }

    /// The MoE++ workload.
    ///
    /// # Panics
    /// If the scenario has none: whoever asks derives it.
    #[must_use]
    pub fn moepp(&self) -> &Workload {
        self.scenario.cases[0].moepp.first().expect("a pair to advise on")
    }
}

/// The answer.
pub struct Advice {
    /// What to do, and why.
    pub verdict: Verdict,
    /// Why, in a sentence.
    pub because: String,
    /// Equation (1).
    pub gain_percent: Estimate,
    /// Equation (2).
    pub proportional_percent: f64,
    /// Milliseconds of the time counted, vanilla and MoE++.
    pub counted_ms: [Estimate; 2],
    /// Share of slots that reach FFN experts in MoE++.
    pub ffn_share: f64,
    /// Shares of the step by part, vanilla and MoE++, mean over seeds.
    pub shares: [[f64; Part::ALL.len()]; 2],
    /// How vanilla's gate and MoE++'s spread slots over FFN experts.
    pub loads: [Loads; 2],
    /// Elasticities of vanilla, largest first.
    pub knobs: Vec<(Knob, f64)>,
    /// What MoE++'s time stands on.
    pub stands_on: Vec<TimedBasis>,
    /// Where the verdict turns.
    pub break_evens: Vec<BreakEven>,
}

/// A scenario of one of its cases, whose MoE++ workload is derived from the vanilla one where it has none, and
/// what that changes. A derived one has this τ, or that of the recipe.
///
/// # Errors
/// What is found and what to do, where none can be derived or it cannot run.
pub fn paired(
    scenario: &Scenario,
    case: &Case,
    tau: Option<f64>,
) -> Result<(Scenario, Vec<String>), (String, String)> {
    let mut own = scenario.clone();
    own.cases = vec![case.clone()];
    if let Some(moepp) = case.moepp.first() {
        let shape = |workload: &Workload| (workload.model.layers, workload.model.hidden);
        if shape(moepp) != shape(&case.vanilla) {
            let found = format!("`{}` is another model than `{}`", moepp.name, case.vanilla.name);
            return Err((found, "leave `moepp` out to have it derived".to_owned()));
        }
        return Ok((own, Vec::new()));
    }
    let help = "name an MoE++ workload beside it, under `moepp`";
    let mut twin = case.vanilla.moepp_twin().map_err(|found| (found, help.to_owned()))?;
    if let Some(tau) = tau {
        twin.workload.model.experts.tau = Some(tau);
        for change in twin.changes.iter_mut().filter(|change| change.starts_with("τ = ")) {
            *change = format!("τ = {tau}, as was asked");
        }
    }
    if let Some(refusal) = own.refusal(&twin.workload) {
        return Err(refusal);
    }
    own.cases[0].moepp = vec![twin.workload];
    Ok((own, twin.changes))
}

/// Runs the pair, judges it, and looks for what turns the verdict.
///
/// # Errors
/// If a run exceeds representable time.
pub fn advise(question: &Question<'_>, threads: usize) -> Result<Advice, TooLong> {
    let scenario = question.scenario;
    let pair = [question.vanilla(), question.moepp()];
    let [vanilla, moepp] = outcomes(scenario, pair, &WhatIf::NOTHING, threads)?;
    let gain_percent = Estimate::of(&gains(&vanilla, &moepp));
    let shares = [&vanilla, &moepp].map(|outcomes| parts::shares(outcomes));
    let ffn_share = mean(&moepp.iter().map(Outcome::ffn_share).collect::<Vec<_>>());
    let taken: f64 = [Part::Ffn, Part::Exchange, Part::Waiting]
        .iter()
        .map(|part| shares[0][*part as usize])
        .sum();
    let proportional_percent = 100.0 * (1.0 / (1.0 - taken * (1.0 - ffn_share)) - 1.0);
    let evidence = verdict::Evidence {
        gain: &gain_percent,
        worth: question.worth_percent,
        proportional: proportional_percent,
        shares: &shares,
        to_be_trained: question.derived && !scenario.counted.has_backward(),
        placed: !pair[1].zero_computation_local,
    };
    let (verdict, because) = evidence.judge();
    let own = (pair[0], &Drawn::default());
    let knobs = sensitivities(scenario, own, vanilla[0].tokens_per_sec(), threads)?;
    let time = |outcomes: &[Outcome]| {
        Estimate::of(&outcomes.iter().map(|one| 1e3 * one.counted_secs()).collect::<Vec<_>>())
    };
    Ok(Advice {
        verdict,
        because,
        gain_percent,
        proportional_percent,
        counted_ms: [time(&vanilla), time(&moepp)],
        ffn_share,
        shares,
        loads: pair.map(|workload| Loads::of(workload, scenario.seeds.clone())),
        stands_on: moepp[0].stands_on.clone(),
        break_evens: break_even::all(question, &knobs, threads)?,
        knobs,
    })
}

/// One run of each of two workloads under every seed.
fn outcomes(
    scenario: &Scenario,
    pair: [&Workload; 2],
    what_if: &WhatIf,
    threads: usize,
) -> Result<[Vec<Outcome>; 2], TooLong> {
    let seeds: Vec<u64> = scenario.seeds.clone().collect();
    let runs = in_parallel(2 * seeds.len(), threads, |at| {
        run_if(scenario, pair[at % 2], scenario.overheads, seeds[at / 2], what_if, None)
    });
    let mut both = [Vec::new(), Vec::new()];
    for (at, run) in runs.into_iter().enumerate() {
        both[at % 2].push(run?);
    }
    Ok(both)
}

/// Equation (1), by seed.
fn gains(vanilla: &[Outcome], moepp: &[Outcome]) -> Vec<f64> {
    let pairs = vanilla.iter().zip(moepp);
    pairs.map(|(base, own)| 100.0 * (base.counted_secs() / own.counted_secs() - 1.0)).collect()
}
