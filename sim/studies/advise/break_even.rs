//! Where the verdict turns as one thing changes: τ, a link's bandwidth, the batch, the expert-parallel group.
//!
//! At each value vanilla and MoE++ run under the first [`SEEDS`] seeds, the same at every value (common random
//! numbers), so that differences between values are not those of draws. MoE++ *pays* where the mean gain reaches
//! what the user calls worth it. A grid is run whole; wherever two neighbours differ, the interval is halved at
//! geometric means until its ends differ by [`RESOLUTION`]. Between neighbours that agree a turn and a turn back can
//! hide; the curve that was run is part of the result. Without pipeline stages what is alike runs less often:
//! [`MICRO_BATCHES`] micro-batches of a forward pass at most, and [`LAYERS`] layers, with dense layers in front and
//! vocabulary in proportion. Whether a value fits into memory is asked of the whole model.

use super::Question;
use crate::base::order::ascending;
use crate::base::statistics::mean;
use crate::base::threads::in_parallel;
use crate::execution::lowering::Drawn;
use crate::execution::outcome::TooLong;
use crate::studies::compare::Knob;
use crate::studies::study::{WhatIf, run_keeping};
use crate::topology::LinkClass;
use crate::workload::{Origin, Workload};

/// Most seeds of a point.
const SEEDS: usize = 4;
/// Most micro-batches of a forward pass.
const MICRO_BATCHES: u32 = 2;
/// Most layers with experts.
const LAYERS: u32 = 12;
/// The ratio of the two values between which a verdict is said to turn.
pub(super) const RESOLUTION: f64 = 1.04;
/// τ that are looked at [moepp, Table 3], and beyond.
const TAUS: [f64; 9] = [0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, 8.0];
/// Doublings of a bandwidth either way.
const BANDWIDTH_DOUBLINGS: i32 = 3;
/// Doublings of the batch either way.
const BATCH_DOUBLINGS: i32 = 4;
/// The most tokens on a GPU, as workload files have it.
const MOST_TOKENS: f64 = 16_777_216.0;

/// What is varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Varied {
    /// τ of MoE++.
    Tau,
    /// What the links of a class deliver, by the slowest of them in GB/s.
    Bandwidth(LinkClass),
    /// Tokens on a GPU in one micro-batch.
    TokensPerGpu,
    /// GPUs that share one copy of the FFN experts.
    ExpertParallel,
}

/// The gain at one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The value.
    pub at: f64,
    /// The mean gain in percent.
    pub gain_percent: f64,
}

/// Two neighbouring values: MoE++ pays at one and not at the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Turn {
    /// Where it pays.
    pub pays: Point,
    /// Where it does not.
    pub fails: Point,
}

/// Where the verdict turns along one thing.
#[derive(Clone, Debug, PartialEq)]
pub struct BreakEven {
    /// What is varied.
    pub varied: Varied,
    /// Its value now; none where it has none.
    pub now: Option<f64>,
    /// All that was run, by value.
    pub curve: Vec<Point>,
    /// Where it turns; nowhere if empty.
    pub turns: Vec<Turn>,
    /// Values that could not be run, and why.
    pub left_out: Vec<(f64, String)>,
    /// Why it was not varied at all, where it was not.
    pub idle: Option<String>,
}

/// All break-evens; `knobs` are vanilla's elasticities.
pub(super) fn all(
    question: &Question<'_>,
    knobs: &[(Knob, f64)],
    threads: usize,
) -> Result<Vec<BreakEven>, TooLong> {
    let class = knobs.iter().find_map(|(knob, elasticity)| match knob {
        Knob::Bandwidth(class) => Some((*class, *elasticity)),
        Knob::Startup => None,
    });
    let bandwidth = class.map(|(class, _)| Varied::Bandwidth(class));
    let all =
        [Some(Varied::Tau), bandwidth, Some(Varied::TokensPerGpu), Some(Varied::ExpertParallel)];
    let no_link = class.is_none_or(|(_, elasticity)| elasticity <= 0.0);
    let one = |varied: Varied| {
        let idle = match varied {
            Varied::Bandwidth(_) if no_link => Some("no link matters to vanilla".to_owned()),
            Varied::Tau if question.moepp().model.experts.tau.is_none() => {
                Some("the workload says itself what share of slots FFN experts get".to_owned())
            }
            _ => None,
        };
        break_even(question, varied, idle, threads)
    };
    all.into_iter().flatten().map(one).collect()
}

fn break_even(
    question: &Question<'_>,
    varied: Varied,
    idle: Option<String>,
    threads: usize,
) -> Result<BreakEven, TooLong> {
    let now = now(question, varied);
    let mut found = BreakEven { varied, now, curve: vec![], turns: vec![], left_out: vec![], idle };
    if found.idle.is_some() {
        return Ok(found);
    }
    let base = match varied {
        Varied::Tau => Some(vanilla_times(question, threads)?),
        _ => None,
    };
    // Runs that differ in links alone share what their gates decided.
    let shared = Shared::of(question, varied);
    let known = Known { base: base.as_deref(), shared: &shared };
    let gain = |at: f64| gain_over(question, (varied, at), &known, threads);
    for at in grid(question, varied) {
        match gain(at)? {
            Ok(gain_percent) => found.curve.push(Point { at, gain_percent }),
            Err(why) => found.left_out.push((at, why)),
        }
    }
    let worth = question.worth_percent;
    let ends: Vec<[Point; 2]> = found.curve.windows(2).map(|pair| [pair[0], pair[1]]).collect();
    for ends in ends {
        found.turns.extend(turn(varied, ends, worth, &gain, &mut found.curve)?);
    }
    ascending(&mut found.curve, |one| one.at);
    Ok(found)
}

/// Where it turns between two values, if it does; what is run on the way joins the curve.
fn turn(
    varied: Varied,
    [mut low, mut high]: [Point; 2],
    worth: f64,
    gain: &dyn Fn(f64) -> Result<Result<f64, String>, TooLong>,
    curve: &mut Vec<Point>,
) -> Result<Option<Turn>, TooLong> {
    let pays = |point: &Point| point.gain_percent >= worth;
    if pays(&low) == pays(&high) {
        return Ok(None);
    }
    while let Some(at) = between(varied, low.at, high.at) {
        let Ok(gain_percent) = gain(at)? else { break };
        let middle = Point { at, gain_percent };
        curve.push(middle);
        if pays(&middle) == pays(&low) { low = middle } else { high = middle }
    }
    let (pays, fails) = if pays(&low) { (low, high) } else { (high, low) };
    Ok(Some(Turn { pays, fails }))
}

/// A value between two at which it is worth looking; none where they are near enough.
fn between(varied: Varied, low: f64, high: f64) -> Option<f64> {
    let middle = (low * high).sqrt();
    let middle = match varied {
        Varied::ExpertParallel => return None,
        Varied::TokensPerGpu => middle.round(),
        Varied::Tau | Varied::Bandwidth(_) => middle,
    };
    (high / low > RESOLUTION && low < middle && middle < high).then_some(middle)
}

/// The value of what is varied in the pair as it is.
fn now(question: &Question<'_>, varied: Varied) -> Option<f64> {
    let workload = question.moepp();
    match varied {
        Varied::Tau => workload.model.experts.tau,
        Varied::TokensPerGpu => Some(f64::from(workload.batch.tokens_per_gpu)),
        Varied::ExpertParallel => Some(f64::from(workload.layout.expert_parallel)),
        Varied::Bandwidth(class) => {
            let links = question.scenario.topology.links().iter();
            let of_class = links.filter(|link| link.class == class);
            of_class.map(|link| link.bandwidth.gb_per_sec()).reduce(f64::min)
        }
    }
}

/// The values to look at first, rising, that of now among them.
fn grid(question: &Question<'_>, varied: Varied) -> Vec<f64> {
    let now = now(question, varied);
    let doublings = |most: i32| {
        let powers = (-most..=most).map(|power| 2_f64.powi(power));
        powers.filter_map(|factor| Some(now? * factor)).collect::<Vec<f64>>()
    };
    let mut values = match varied {
        Varied::Tau => TAUS.into_iter().chain(now).collect(),
        Varied::Bandwidth(_) => doublings(BANDWIDTH_DOUBLINGS),
        Varied::TokensPerGpu => doublings(BATCH_DOUBLINGS)
            .into_iter()
            .map(|tokens| tokens.round().clamp(1.0, MOST_TOKENS))
            .collect(),
        Varied::ExpertParallel => {
            let layout = &question.moepp().layout;
            let places = question.moepp().model.experts.ffn + layout.places.redundant();
            let stage = layout.in_use(question.scenario.topology.gpus()) / layout.pipeline_parallel;
            let fits = |size: &u32| places.is_multiple_of(*size) && stage.is_multiple_of(*size);
            (1..=stage.min(places)).filter(fits).map(f64::from).collect()
        }
    };
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}

/// Vanilla's times where MoE++'s τ alone is varied.
fn vanilla_times(question: &Question<'_>, threads: usize) -> Result<Vec<f64>, TooLong> {
    let mut vanilla = question.vanilla().clone();
    vanilla.stack.phase = Some(vanilla.phase());
    shorten(question, &mut vanilla);
    times(question, &[&vanilla], (&WhatIf::NOTHING, &Shared::default()), threads)
}

/// What runs of one break-even know of each other.
struct Known<'a> {
    /// Vanilla's times by seed, where it does not change.
    base: Option<&'a [f64]>,
    /// What gates decided, where they do not change.
    shared: &'a Shared,
}

/// What the gates of vanilla and MoE++ decided under each seed; nothing where they decide anew at every value.
#[derive(Default)]
struct Shared(Vec<Drawn>);

impl Shared {
    fn of(question: &Question<'_>, varied: Varied) -> Self {
        let seeds = question.scenario.seeds.clone().take(SEEDS).count();
        let of_links = matches!(varied, Varied::Bandwidth(_));
        Self((0..if of_links { 2 * seeds } else { 0 }).map(|_| Drawn::default()).collect())
    }
}

/// The mean gain in percent with one thing at a value, or why it cannot be run.
fn gain_over(
    question: &Question<'_>,
    (varied, at): (Varied, f64),
    known: &Known<'_>,
    threads: usize,
) -> Result<Result<f64, String>, TooLong> {
    let mut pair = [question.vanilla().clone(), question.moepp().clone()];
    let mut what_if = WhatIf::NOTHING;
    for workload in &mut pair {
        // What `auto` takes is not to change with the batch.
        workload.stack.phase = Some(workload.phase());
        match varied {
            Varied::Tau => {}
            Varied::Bandwidth(class) => {
                let factor = now(question, varied).map_or(1.0, |now| at / now);
                what_if = WhatIf::faster(class, factor);
            }
            Varied::TokensPerGpu => workload.batch.tokens_per_gpu = at as u32,
            Varied::ExpertParallel => workload.layout.expert_parallel = at as u32,
        }
    }
    if varied == Varied::Tau {
        pair[1].model.experts.tau = Some(at);
    }
    let refused = pair.iter().find_map(|workload| question.scenario.refusal(workload));
    if let Some((found, _)) = refused {
        return Ok(Err(found));
    }
    pair.iter_mut().for_each(|workload| shorten(question, workload));
    let [vanilla, moepp] = &pair;
    let nothing = Shared::default();
    let (base, own): (Vec<f64>, Vec<f64>) = if let Some(base) = known.base {
        (base.to_vec(), times(question, &[moepp], (&what_if, &nothing), threads)?)
    } else {
        let both = times(question, &[vanilla, moepp], (&what_if, known.shared), threads)?;
        both.chunks_exact(2).map(|pair| (pair[0], pair[1])).unzip()
    };
    let gains: Vec<f64> =
        base.iter().zip(own).map(|(base, own)| 100.0 * (base / own - 1.0)).collect();
    Ok(Ok(mean(&gains)))
}

/// The times counted of workloads under the first seeds, all workloads of a seed beside each other.
fn times(
    question: &Question<'_>,
    workloads: &[&Workload],
    (what_if, shared): (&WhatIf, &Shared),
    threads: usize,
) -> Result<Vec<f64>, TooLong> {
    let scenario = question.scenario;
    let seeds = scenario.seeds.clone().take(SEEDS).collect::<Vec<u64>>();
    let each = workloads.len();
    let runs = in_parallel(each * seeds.len(), threads, |at| {
        let (own, seed) = (workloads[at % each], seeds[at / each]);
        let run = (own, scenario.overheads, seed);
        run_keeping(scenario, run, what_if, None, shared.0.get(at))
    });
    runs.into_iter().map(|run| run.map(|outcome| outcome.counted_secs())).collect()
}

/// Fewer micro-batches and layers where they are alike.
fn shorten(question: &Question<'_>, workload: &mut Workload) {
    if workload.layout.pipeline_parallel > 1 {
        return;
    }
    if !question.scenario.counted.has_backward() {
        workload.batch.micro_batches = workload.batch.micro_batches.min(MICRO_BATCHES);
    }
    let model = &mut workload.model;
    // A recording or a law is of all its layers.
    if model.layers <= LAYERS || workload.gating.origin != Origin::Drawn {
        return;
    }
    let part = |number: u32| {
        (f64::from(number) * f64::from(LAYERS) / f64::from(model.layers)).round() as u32
    };
    model.vocabulary = part(model.vocabulary).max(1);
    model.dense.leading_layers = part(model.dense.leading_layers);
    model.layers = LAYERS;
}
