//! Do runs that stop at a precision say how far they are from whole runs?
//!
//! A pass says that intervals cover what the whole run gives as often as they promise, of times and of gains, where units
//! are micro-batches or layers and where several groups race. It does not say that the whole run is right.

use moesim::config::{CaseSpec, Overrides, Scenario, ScenarioSource, ScenarioSpec, Seeds};
use moesim::execution::Scope;
use moesim::execution::outcome::{Outcome, Sample};
use moesim::network::fluid::Engine;
use moesim::studies::study::{Reached, run, run_beside, study};

/// The paper's smallest pair, with few tokens.
fn scenario(overrides: &[&str]) -> Scenario {
    let small = ["workload.batch.tokens_per_gpu=256", "workload.batch.sequence_tokens=256"];
    let lines = small.iter().chain(overrides).map(|line| (*line).to_owned());
    let pair = CaseSpec { vanilla: "moe-0.6b".to_owned(), moepp: Some("moepp-0.6b".to_owned()) };
    let seeds: Seeds = "0..3".parse().unwrap();
    let spec = ScenarioSpec::new("small", "a100-4x8", Scope::MoeLayer, seeds, pair);
    let source = ScenarioSource::of_spec(&spec, Overrides::new(lines.collect()));
    source.load().unwrap_or_else(|mistake| panic!("{mistake}"))
}

/// Micro-batches of one group, of two groups that race, experts alone, and layers of a single micro-batch.
fn kinds() -> [Scenario; 4] {
    let micro_batches = ["workload.model.layers=2", "workload.batch.micro_batches=24"];
    let of = |more: &[&str]| scenario(&[&micro_batches[..], more].concat());
    [
        of(&["counted=moe-layer", "topology.nodes.count=1", "precision=0.6%"]),
        of(&["counted=moe-layer", "topology.nodes.count=2", "precision=0.6%"]),
        of(&["counted=experts", "topology.nodes.count=1", "precision=0.3%"]),
        scenario(&[
            "counted=moe-layer",
            "topology.nodes.count=1",
            "workload.model.layers=36",
            "workload.batch.micro_batches=1",
            "precision=1%",
        ]),
    ]
}

/// Groups over two nodes, whose exchanges the closed form is measured to carry about as well as ε asks.
fn over_nodes() -> Scenario {
    scenario(&[
        "topology=h100-4x8-rail",
        "topology.nodes.count=2",
        "workload.layout.expert_parallel=16",
        "workload.experts.ffn=16",
        "workload.model.layers=1",
        "workload.batch.micro_batches=48",
        "workload.batch.tokens_per_gpu=2048",
        "precision=0.5%",
        "epsilon=0.005",
    ])
}

/// Of 40 runs at most six may miss: 2 would, give or take three standard deviations of 1.4.
#[test]
fn intervals_cover_runs_with_flows_whichever_engine_a_sample_takes() {
    let mut scenario = over_nodes();
    let (precision, network) = (scenario.precision, scenario.network);
    let (mut missed, mut closed) = ([0; 3], 0);
    for seed in 0..40 {
        scenario.seeds = seed..seed + 1;
        (scenario.precision, scenario.network) = (precision, network);
        let [vanilla, own] = pair(&scenario, seed);
        let by_closed_form = |of: &&Outcome| of.network_report.engine == Engine::ClosedForm;
        closed += [&vanilla, &own].into_iter().filter(by_closed_form).count();
        let rows = [[vanilla.clone()], [own.clone()]];
        let [of_vanilla, of_own] = [&rows[0], &rows[1]]
            .map(|row| Reached::of(&scenario, row, Some(&rows[0])).expect("a precision is asked"));
        scenario.precision = None;
        scenario.network.engine = Some(Engine::Exact);
        let whole = pair(&scenario, seed);
        let off = |sampled: &Outcome, whole: &Outcome| {
            100.0 * (sampled.counted_secs() / whole.counted_secs() - 1.0).abs()
        };
        let gain =
            |[vanilla, own]: [&Outcome; 2]| 100.0 * vanilla.counted_secs() / own.counted_secs();
        let of_gain = gain([&vanilla, &own]) - gain([&whole[0], &whole[1]]);
        let found = [
            (off(&vanilla, &whole[0]), of_vanilla.time_percent),
            (off(&own, &whole[1]), of_own.time_percent),
            (of_gain.abs(), of_own.gain_percent.unwrap_or(0.0)),
        ];
        for (missed, (off, half)) in missed.iter_mut().zip(found) {
            *missed += u32::from(off > half + 1e-6);
        }
    }
    // Both engines were taken.
    assert!((10..70).contains(&closed), "{closed} of 80 samples by the closed form");
    assert!(missed.iter().all(|&missed| missed <= 6), "{missed:?} of 40 miss");
}

/// Vanilla and MoE++ of the first case under a seed.
fn pair(scenario: &Scenario, seed: u64) -> [Outcome; 2] {
    let case = &scenario.cases[0];
    let vanilla = run(scenario, &case.vanilla, scenario.overheads, seed).unwrap();
    let own = run_beside(scenario, &case.moepp[0], &vanilla).unwrap();
    [vanilla, own]
}

/// Of 1,000 runs (250 of each kind) at most 71 may miss, for each of: the time of vanilla, of MoE++, and the gain. Of
/// intervals that miss in one case of 20, 50 do, give or take three standard deviations of √(1000 · 0.05 · 0.95) = 6.9.
#[test]
fn intervals_cover_the_whole_run_in_nineteen_of_twenty_cases() {
    let (mut missed, mut errors, mut widths) = ([0; 3], [0.0_f64; 3], [0.0_f64; 3]);
    let (mut simulated, mut units) = (0, 0);
    for mut scenario in kinds() {
        let precision = scenario.precision;
        for seed in 0..250 {
            scenario.seeds = seed..seed + 1;
            scenario.precision = precision;
            let [vanilla, own] = pair(&scenario, seed);
            scenario.precision = None;
            let whole = pair(&scenario, seed);
            let gain = |[vanilla, own]: &[Outcome; 2]| vanilla.counted_secs() / own.counted_secs();
            let of_time = |of: &Outcome| half(of, |sample| sample.half_width_secs);
            let of_gain = half(&own, |sample| sample.gain_half_width);
            let sampled = [vanilla, own];
            let found = [
                (sampled[0].counted_secs() - whole[0].counted_secs(), of_time(&sampled[0])),
                (sampled[1].counted_secs() - whole[1].counted_secs(), of_time(&sampled[1])),
                (gain(&sampled) - gain(&whole), gain(&sampled) * of_gain),
            ];
            for (at, (error, half)) in found.into_iter().enumerate() {
                // Times are kept in picoseconds, rounded once for each reason of each GPU.
                missed[at] += u32::from(error.abs() > half + 1e-9 * whole[1].counted_secs());
                (errors[at], widths[at]) = (errors[at] + error * error, widths[at] + half * half);
            }
            for outcome in &sampled {
                let counts = outcome.sample.as_ref().map_or([1, 1], Sample::counts);
                (simulated, units) = (simulated + counts[0], units + counts[1]);
            }
        }
    }
    assert!(missed.iter().all(|&missed| missed <= 71), "{missed:?} of 1,000 miss");
    // Nor are they wide for nothing: the root mean square of errors is within a third and a tenth of that of half-widths.
    for (error, width) in errors.iter().zip(widths) {
        let ratio = (error / width).sqrt();
        assert!((0.1..0.5).contains(&ratio), "errors are {ratio} of half-widths");
    }
    assert!(10 * simulated < 7 * units, "{simulated} of {units} units were simulated");
}

fn half(of: &Outcome, value: impl Fn(&Sample) -> f64) -> f64 {
    of.sample.as_ref().map_or(0.0, value)
}

#[test]
fn what_is_asked_is_reached_and_said() {
    let scenario = scenario(&["seeds=0..3", "counted=moe-layer", "precision=0.8%"]);
    for row in study(&scenario, 2).unwrap() {
        let Reached { asked_percent, time_percent, gain_percent, simulated, units, .. } =
            row.reached.unwrap();
        assert!((asked_percent - 0.8).abs() < 1e-9);
        assert!(time_percent <= 0.8, "{}: {time_percent}", row.workload.name);
        assert!(gain_percent.unwrap_or(0.0) <= 0.8 * 2.0, "{gain_percent:?}");
        assert!(0 < simulated && simulated < units, "{simulated} of {units}");
    }
}

#[test]
fn what_cannot_be_sampled_is_run_whole() {
    let pipeline = ["counted=model-forward", "workload.layout.pipeline_parallel=4"];
    let few = ["counted=moe-layer", "workload.batch.micro_batches=1"];
    for overrides in [pipeline, few] {
        let mut asked = scenario(&overrides);
        let workload = asked.cases[0].vanilla.clone();
        let of = |scenario: &Scenario| run(scenario, &workload, scenario.overheads, 0).unwrap();
        let whole = of(&asked);
        asked.precision = Some(0.01);
        assert_eq!(of(&asked), whole);
        assert!(whole.sample.is_none());
    }
}
