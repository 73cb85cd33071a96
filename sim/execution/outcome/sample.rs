//! A run of some of its units, and what it says of all of them.
//!
//! Units (`lowering::SampledSteps`) are simulated one after another as in the whole run. What unit m adds to the time
//! counted of a group of GPUs is
//!
//! ```text
//!   x_1 = c_1 + (e − c_n),   x_m = c_m − c_{m−1}                                               (1)
//! ```
//!
//! with `c_m` when the group has the last results of the m-th back and `e` when its last GPU is done, so that they sum to
//! the group's time. Where experts alone are counted, `c` is what an average GPU has worked until then, and there is
//! one group of all GPUs.

use super::Outcome;
use crate::base::units::{SimDuration, SimTime};
use crate::execution::Scope;
use crate::execution::blame::{Blame, Reason};
use crate::execution::lowering::{SampledSteps, Totals};
use crate::execution::machine::Finished;
use crate::kernels::TimedBasis;
use crate::network::NetworkReport;

/// The units of a run that were simulated.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// How many the run has.
    pub units: u32,
    /// Whether they are layers, and not whole micro-batches.
    pub of_layers: bool,
    /// How many at the end stand for themselves, as the first does.
    pub at_end: u32,
    /// Of each group what each that was simulated adds to the time counted, in seconds, equation (1).
    pub seconds: Vec<Vec<f64>>,
    /// Half the width of the interval of the whole run's counted time, in seconds; zero until it is estimated.
    pub half_width_secs: f64,
    /// The same of the ratio of a vanilla run's time to this one's, relative to it; zero where there is none.
    pub gain_half_width: f64,
    /// How much later than flows that share links the closed form is measured to be on average, relative to the counted
    /// time; zero where its exchanges are certified or none could be measured, and for other engines.
    pub engine_error: f64,
}

impl Sample {
    /// Of a finished run of these steps, with so many GPUs in a group.
    pub(in crate::execution) fn of(
        finished: &Finished,
        counted: Scope,
        (steps, group): (&SampledSteps, u32),
    ) -> Self {
        let groups = finished.blame.len() / group as usize;
        let mut ends: Vec<Vec<(SimTime, SimDuration)>> = vec![Vec::new(); groups];
        for end in &finished.unit_ends {
            ends[end.group].push((end.at, end.worked));
        }
        let seconds: Vec<Vec<f64>> = match counted {
            Scope::Experts => vec![worked(&ends, finished.blame.len())],
            _ => {
                let members = finished.blame.chunks(group as usize);
                ends.iter().zip(members).map(|(ends, of)| passed(ends, finished, of)).collect()
            }
        };
        let &SampledSteps { units, at_end, .. } = steps;
        Self {
            units,
            of_layers: at_end > 0,
            at_end,
            seconds,
            half_width_secs: 0.0,
            gain_half_width: 0.0,
            engine_error: 0.0,
        }
    }

    /// Share of the units that were simulated.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.simulated() as f64 / f64::from(self.units)
    }

    /// How many were simulated, and how many there are.
    #[must_use]
    pub fn counts(&self) -> [u64; 2] {
        [self.simulated() as u64, u64::from(self.units)]
    }

    /// How many were simulated.
    #[must_use]
    pub fn simulated(&self) -> usize {
        self.seconds.first().map_or(0, Vec::len)
    }
}

/// Equation (1) of the work of all groups, the mean over GPUs.
fn worked(ends: &[Vec<(SimTime, SimDuration)>], gpus: usize) -> Vec<f64> {
    let all = |at: usize| -> SimDuration { ends.iter().map(|of| of[at].1).sum() };
    let until = (0..ends[0].len()).map(|at| all(at).secs() / gpus as f64);
    differences(until)
}

/// Equation (1) of one group whose GPUs spent their time so.
fn passed(ends: &[(SimTime, SimDuration)], finished: &Finished, of: &[Blame]) -> Vec<f64> {
    let mut passed = differences(ends.iter().map(|(at, _)| at.since_start().secs()));
    let waits = of.iter().map(|blame| blame.of(Reason::Done)).min().unwrap_or(SimDuration::ZERO);
    let end = finished.makespan.saturating_sub(waits).secs();
    if let (Some(first), Some((last, _))) = (passed.first_mut(), ends.last()) {
        *first += end - last.since_start().secs();
    }
    passed
}

fn differences(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut before = 0.0;
    values.map(|value| value - std::mem::replace(&mut before, value)).collect()
}

impl Outcome {
    /// [`Sample::engine_error`] of a run.
    fn engine_error(&self) -> f64 {
        let report = &self.network_report;
        if report.error_bound.is_some() || report.certified == report.exchanges {
            return 0.0;
        }
        let travels = [Reason::Dispatch, Reason::Combine].map(|reason| self.mean_blame_ms(reason));
        report.mean_measured * travels.iter().sum::<f64>() / (1e3 * self.counted_secs())
    }

    /// Half the width of the interval of the counted time, in seconds: what a sample of the run leaves open, and what the
    /// closed form is measured to be off; zero of a whole run.
    #[must_use]
    pub fn half_width_secs(&self) -> f64 {
        let of = |sample: &Sample| {
            sample.half_width_secs + sample.engine_error.abs() * self.counted_secs()
        };
        self.sample.as_ref().map_or(0.0, of)
    }

    /// The whole run's outcome, by that of a sample of it: the time counted is `seconds`, give or take
    /// half the width of its interval; all other times are in proportion to it, and what is counted in proportion to
    /// units.
    ///
    /// # Panics
    /// If it is no outcome of a sample.
    #[must_use]
    pub fn of_whole(self, seconds: f64, half_width_secs: f64) -> Self {
        let longer = seconds / self.counted_secs();
        let engine_error = self.engine_error();
        let sample = self.sample.expect("units were sampled");
        let more = f64::from(sample.units) / sample.simulated() as f64;
        let makespan = SimDuration::from_ps((self.makespan.ps() as f64 * longer) as u64);
        let count = |count: u64| (count as f64 * more).round() as u64;
        let report = self.network_report;
        Self {
            makespan,
            blame: self.blame.iter().map(|blame| blame.stretched(longer, makespan)).collect(),
            hidden: self.hidden.iter().map(|time| time.scaled(longer)).collect(),
            network_report: NetworkReport {
                exchanges: count(report.exchanges),
                flows: count(report.flows),
                certified: count(report.certified),
                ..report
            },
            link_bytes: self.link_bytes.iter().map(|&bytes| count(bytes)).collect(),
            totals: whole_of(&self.totals, more),
            stands_on: self
                .stands_on
                .into_iter()
                .map(|one| TimedBasis { time: one.time.scaled(longer), ..one })
                .collect(),
            sample: Some(Sample { half_width_secs, engine_error, ..sample }),
            ..self
        }
    }
}

fn whole_of(totals: &Totals, more: f64) -> Totals {
    let count = |count: u64| (count as f64 * more).round() as u64;
    Totals {
        ffn_slots: count(totals.ffn_slots),
        zero_computation_slots: count(totals.zero_computation_slots),
        dropped_slots: count(totals.dropped_slots),
        dropped_weight: totals.dropped_weight * more,
        gated_tokens: count(totals.gated_tokens),
        padded_rows: count(totals.padded_rows),
        dispatched_bytes: count(totals.dispatched_bytes),
        hottest_rows: totals.hottest_rows,
    }
}
