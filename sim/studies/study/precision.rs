//! Runs as long as a wanted precision asks: a sample of their units, and more of them until the interval is narrow.
//!
//! Units are whole micro-batches where there are [`MANY`], else the layers of micro-batches. They are
//! drawn at random without replacement, in an order that the seed alone decides: vanilla and MoE++ of a
//! seed, and runs with other links, draw the same ones. What they say of the whole is in [`expand`].
//!
//! The interval is looked at after each sample. Look j leaves out `0.05 / 2^j` of what may happen, all looks together
//! less than 0.05: the interval with which a run stops covers the whole run's time with 95 % however often
//! was looked.
//!
//! The closed form of exchanges is chosen (`network = "auto"`) where it is measured to be within half of the wanted width,
//! and what it is measured to be off is part of the interval, which is of the whole run with flows. A whole run that is
//! chosen an engine for may be off by ε on average, and says so.
//!
//! Run whole: micro-batches that pipeline stages hand on, which wait for each other; training; what an observer
//! watches; few units; and what would need most of its units. There the interval has no width.

use rand::seq::SliceRandom;

use super::expansion::{Expansion, Groups, expand, students};
use crate::base::statistics::{COVERAGE, variance};
use crate::base::streams::Streams;
use crate::config::Scenario;
use crate::execution::Scope;
use crate::execution::lowering::{Drawn, SampledSteps};
use crate::execution::outcome::{Outcome, Sample, TooLong};
use crate::execution::run::{Inputs, simulate};
use crate::network::NetworkChoice;
use crate::workload::{Overlap, Workload};

/// Micro-batches from which whole ones are drawn.
const MANY: u32 = 8;
/// Layers of micro-batches from which these are drawn where micro-batches are few.
const MANY_LAYERS: u32 = 16;
/// Units that are drawn first: Student's law then knows little of their variance, and its interval is as wide as that asks.
const FIRST: usize = 4;
/// Of a run's units the share from which all are simulated.
const MOST: f64 = 0.7;
/// A sample that is made larger aims at this share of the width that is wanted.
const AIM: f64 = 0.85;

/// How much of some runs was simulated, and how precise the mean of their counted time is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reached {
    /// Half the width of the interval that was asked for, in percent of the time.
    pub asked_percent: f64,
    /// The same of the interval reached: zero where all runs are whole.
    pub time_percent: f64,
    /// Half the width of the interval of the mean gain, in percent as the gain is; none without a vanilla run.
    pub gain_percent: Option<f64>,
    /// Units that were simulated; equal to `units` where all runs are whole.
    pub simulated: u64,
    /// Units that all runs have.
    pub units: u64,
    /// Whether units are layers of micro-batches, and not whole ones.
    pub of_layers: bool,
}

impl Reached {
    /// Of runs under each seed, beside vanilla runs of these; none where no precision was asked for.
    #[must_use]
    pub fn of(scenario: &Scenario, own: &[Outcome], vanilla: Option<&[Outcome]>) -> Option<Self> {
        let asked_percent = 100.0 * scenario.precision?;
        let quadratic = |sum: f64, half: f64| sum.hypot(half);
        let half = |of: &Outcome| of.sample.as_ref().map_or(0.0, |sample| sample.half_width_secs);
        let time: f64 = own.iter().map(Outcome::counted_secs).sum();
        let of_time = own.iter().map(half).fold(0.0, quadratic);
        // What engines are off is off under every seed.
        let off = own.iter().map(|own| engine_error(own) * own.counted_secs()).sum::<f64>().abs();
        let of_gain = |vanilla: &[Outcome]| {
            let ratio = |base: &Outcome, own: &Outcome| base.counted_secs() / own.counted_secs();
            let pairs = || vanilla.iter().zip(own);
            let sampled = pairs().map(|(base, own)| {
                // Beside a whole run the gain is as uncertain as the vanilla run alone.
                let of_base = half(base) / base.counted_secs();
                let gain = own.sample.as_ref().map_or(of_base, |sample| sample.gain_half_width);
                ratio(base, own) * gain
            });
            let off = pairs().map(|(base, own)| ratio(base, own) * engines_differ(base, own));
            100.0 * (sampled.fold(0.0, quadratic) + off.sum::<f64>().abs()) / own.len() as f64
        };
        let counts = own.iter().map(|of| of.sample.as_ref().map_or([1; 2], Sample::counts));
        let counts = counts.fold([0; 2], |sum, of| [sum[0] + of[0], sum[1] + of[1]]);
        Some(Self {
            asked_percent,
            time_percent: 100.0 * (of_time + off) / time,
            gain_percent: vanilla.map(of_gain),
            simulated: counts[0],
            units: counts[1],
            of_layers: own.iter().any(|of| of.sample.as_ref().is_some_and(|s| s.of_layers)),
        })
    }
}

fn engine_error(outcome: &Outcome) -> f64 {
    outcome.sample.as_ref().map_or(0.0, |sample| sample.engine_error)
}

/// How much more the engine is off in a vanilla run than in another, each relative to its time.
fn engines_differ(vanilla: &Outcome, own: &Outcome) -> f64 {
    engine_error(vanilla) - engine_error(own)
}

/// The units of a run, in the order in which they are drawn.
struct Units {
    of_layers: bool,
    /// Micro-batches, and rounds of each on a stage.
    shape: [u32; 2],
    order: Vec<u32>,
    groups: Groups,
}

/// Micro-batches, and rounds of each on a stage.
fn shape_of_run(workload: &Workload) -> [u32; 2] {
    let rounds = workload.layers_per_gpu() * workload.gating.scheme.rounds();
    [workload.batch.micro_batches, rounds]
}

/// Whether a run of a workload has units that are drawn alike, and enough of them: where it has not, it is simulated whole
/// whatever precision is asked for.
#[must_use]
pub fn can_be_sampled(workload: &Workload, counted: Scope) -> bool {
    let in_turn = workload.layout.pipeline_parallel > 1 && counted == Scope::ModelForward;
    let [micro_batches, rounds] = shape_of_run(workload);
    // Drafts have an output each.
    let alike = workload.gating.scheme.rounds() == 1 && workload.drafts() == 0;
    let alone = workload.stack.overlap == Overlap::None && alike;
    let layers = alone && micro_batches * rounds >= MANY_LAYERS;
    !counted.has_backward() && !in_turn && (micro_batches >= MANY || layers)
}

impl Units {
    /// Those of a run that is worth sampling.
    fn of(inputs: &Inputs<'_>, counted: Scope, seed: u64) -> Option<Self> {
        let workload = inputs.workload;
        if !can_be_sampled(workload, counted) {
            return None;
        }
        let shape = shape_of_run(workload);
        let of_layers = shape[0] < MANY;
        let last = if of_layers { shape[0] * shape[1] - 1 } else { shape[0] };
        let mut order: Vec<u32> = (1..last).collect();
        order.shuffle(&mut Streams::new(seed).named("precision/units"));
        Some(Self { of_layers, shape, order, groups: groups_of(inputs) })
    }

    /// The steps of a sample of this many of them, in order of time; none where that is most of the run.
    fn steps(&self, drawn: usize) -> Option<SampledSteps> {
        if drawn as f64 > MOST * self.order.len() as f64 {
            return None;
        }
        let mut numbers = self.order[..drawn].to_vec();
        numbers.push(0);
        if !self.of_layers {
            numbers.sort_unstable();
            return Some(SampledSteps::of_micro_batches(&numbers, self.shape));
        }
        numbers.push(self.shape[0] * self.shape[1] - 1);
        numbers.sort_unstable();
        Some(SampledSteps::of_rounds(&numbers, self.shape))
    }
}

/// Whether a run's groups differ by what they draw alone: all GPUs and links are in full health, and each group lies in a
/// node, which are all alike. Groups over several nodes may meet different routes.
fn groups_of(inputs: &Inputs<'_>) -> Groups {
    let (topology, layout) = (inputs.topology, &inputs.workload.layout);
    let healthy = topology.slow_gpus().is_empty()
        && topology.flapping().is_empty()
        && topology.sick_links().next().is_none();
    let within = topology.gpus_per_node().is_multiple_of(layout.expert_group());
    let alike = healthy && within && layout.pipeline_parallel == 1;
    if alike { Groups::Alike } else { Groups::Unknown }
}

/// The outcome of a run by samples of it, as large as the scenario's precision asks, beside a vanilla run where there is one;
/// none where it is to be run whole.
pub(super) fn precise(
    scenario: &Scenario,
    inputs: &Inputs<'_>,
    seed: u64,
    vanilla: Option<&Outcome>,
) -> Option<Result<Outcome, TooLong>> {
    let wanted = scenario.precision?;
    let units = Units::of(inputs, scenario.counted, seed)?;
    let (own, seeds) = (Drawn::default(), scenario.seeds.end - scenario.seeds.start);
    // What gates decided in a sample holds in a larger one.
    let drawn = inputs.drawn.or(Some(&own));
    let wide = Wanted { precision: wanted, seeds };
    let on_average = inputs.network.on_average.min(0.5 * wanted);
    let network = NetworkChoice { on_average, ..inputs.network };
    let run = |steps: Option<&_>| simulate(&Inputs { steps, drawn, network, ..*inputs }, seed);
    Some(sampled(&units, wide, vanilla, run))
}

/// What half an interval of the mean over seeds may measure, relative to it.
#[derive(Clone, Copy)]
struct Wanted {
    precision: f64,
    seeds: u64,
}

impl Wanted {
    /// What of it samples of each seed have beside what the engine is off: half of it at least, where no engine is better.
    /// Samples are independent, and their mean is what is wanted so precisely; engines are off alike.
    fn beside(self, engine_error: f64) -> f64 {
        let left = (self.precision - engine_error.abs()).max(0.5 * self.precision);
        left * (self.seeds as f64).sqrt()
    }
}

/// The outcome of a whole run by a sample of its units: `run` simulates some steps, or all.
///
/// The counted time is wanted so precisely, and its ratio to that of the vanilla run beside it, where there is one.
///
/// # Errors
/// If a run exceeds representable time.
fn sampled(
    units: &Units,
    wanted: Wanted,
    beside: Option<&Outcome>,
    run: impl Fn(Option<&SampledSteps>) -> Result<Outcome, TooLong>,
) -> Result<Outcome, TooLong> {
    let of_vanilla = beside.and_then(|vanilla| vanilla.sample.as_ref());
    let mut drawn = of_vanilla.map_or(FIRST, |sample| drawn_of(sample).max(FIRST));
    let mut outside = 1.0 - COVERAGE;
    while let Some(steps) = units.steps(drawn) {
        outside *= 0.5;
        let outcome = run(Some(&steps))?;
        let sample = outcome.sample.as_ref().expect("steps were given");
        let known = (&sample.seconds[..], units.groups);
        let Expansion { seconds, half_width } = expand(known, shape_of(sample), outside);
        let own = half_width / seconds;
        let mut whole = outcome.of_whole(seconds, half_width);
        let of_gain = beside.map_or(0.0, |vanilla| gain_half_width(vanilla, &whole, outside));
        let sample = whole.sample.iter_mut();
        sample.for_each(|sample| sample.gain_half_width = of_gain);
        let of_pair = beside.map_or(0.0, |vanilla| engines_differ(vanilla, &whole));
        let widest = own / wanted.beside(engine_error(&whole));
        let widest = widest.max(of_gain / wanted.beside(of_pair));
        if widest <= 1.0 {
            return Ok(whole);
        }
        drawn = enough(drawn, units.order.len(), widest / AIM);
    }
    run(None)
}

/// How many units make an interval so many times as narrow.
fn enough(drawn: usize, all: usize, narrower: f64) -> usize {
    let [n, all] = [drawn, all].map(|count| (count as f64).recip());
    let wanted = ((n - all) / (narrower * narrower) + all).recip();
    (wanted.ceil() as usize).max(drawn + 1)
}

fn drawn_of(sample: &Sample) -> usize {
    sample.simulated() - 1 - sample.at_end as usize
}

fn shape_of(sample: &Sample) -> (usize, usize) {
    (sample.units as usize, sample.at_end as usize)
}

/// Half the width of the interval of the ratio of two counted times, relative to it: paired unit by unit where both are
/// of one group and drew the same, and as if they were independent otherwise. That is too wide, as units of a
/// seed share their draws.
fn gain_half_width(vanilla: &Outcome, own: &Outcome, outside: f64) -> f64 {
    let apart = || relative_half_width(vanilla).hypot(relative_half_width(own));
    let (Some(of_vanilla), Some(of_own)) = (&vanilla.sample, &own.sample) else {
        return apart();
    };
    let alike = of_vanilla.seconds.len() == 1
        && of_own.seconds.len() == 1
        && (of_vanilla.units, of_vanilla.at_end) == (of_own.units, of_own.at_end)
        && of_vanilla.simulated() == of_own.simulated();
    if !alike {
        return apart();
    }
    let drawn = drawn_of(of_own);
    let of = |sample: &Sample, whole: &Outcome| -> Vec<f64> {
        sample.seconds[0][1..=drawn].iter().map(|x| x / whole.counted_secs()).collect()
    };
    let (base, own) = (of(of_vanilla, vanilla), of(of_own, own));
    let apart: Vec<f64> = base.iter().zip(&own).map(|(base, own)| base - own).collect();
    let all = (of_own.units - 1 - of_own.at_end) as f64;
    let n = drawn as f64;
    students(n - 1.0, outside) * all * (variance(&apart) / n * (1.0 - n / all)).sqrt()
}

/// Half the width of the interval of a run's counted time, relative to it; nothing of a whole run.
fn relative_half_width(outcome: &Outcome) -> f64 {
    outcome.sample.as_ref().map_or(0.0, |sample| sample.half_width_secs / outcome.counted_secs())
}
