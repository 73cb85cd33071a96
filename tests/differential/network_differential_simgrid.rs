//! Do two simulators agree? Ours against SimGrid 3.32, on 240 stored cases.
//!
//! `tests/data/simgrid` holds the cases, SimGrid's answers and what made them; `rerun.sh` there runs
//! SimGrid again. A pass says that the exact engine shares links as SimGrid's pure max–min model
//! does, for stars, two levels, tangled routes with ceilings, and staggered starts. It does not say
//! that either is right about real networks.

use moesim::base::units::LinkId;
use moesim::network::fluid::{Choice, Engine, Problem, solve};

const CASES: &str = include_str!("../data/simgrid/cases.txt");
const ANSWERS: &str = include_str!("../data/simgrid/answers.txt");
/// Latency of every flow in `driver.cpp`.
const LATENCY_S: f64 = 1e-6;

fn numbers(words: &str) -> Vec<f64> {
    words.split_whitespace().map(|word| word.parse().expect("a number")).collect()
}

/// The cases by number: the shape and the problem.
fn cases() -> Vec<(String, Problem)> {
    let mut cases: Vec<(String, Problem)> = Vec::new();
    for line in CASES.lines() {
        let (kind, rest) = line.split_once(' ').expect("a kind and its words");
        match kind {
            "case" => cases.push((rest.to_owned(), Problem::default())),
            "capacity" => cases.last_mut().expect("a case").1 = Problem::new(numbers(rest)),
            "flow" => {
                let words = numbers(rest);
                let route: Vec<LinkId> = words[3..].iter().map(|&l| LinkId(l as u32)).collect();
                let problem = &mut cases.last_mut().expect("a case").1;
                let flow = problem.add(&route, words[0], words[1] + LATENCY_S);
                if words[2] > 0.0 {
                    problem.set_ceiling(flow, words[2]);
                }
            }
            other => panic!("a line of {other}"),
        }
    }
    cases
}

fn answers() -> Vec<Vec<f64>> {
    let line = |line: &str| numbers(line.strip_prefix("case ").expect("a case"))[1..].to_vec();
    ANSWERS.lines().map(line).collect()
}

/// The greatest relative error of a finish time over all cases.
fn worst(engine: Engine, epsilon: f64) -> (f64, String) {
    let (cases, answers) = (cases(), answers());
    assert!(cases.len() >= 200, "only {} cases", cases.len());
    assert_eq!(cases.len(), answers.len());
    let mut worst = (0.0, String::new());
    for ((name, problem), answer) in cases.iter().zip(&answers) {
        let choice = Choice { engine: Some(engine), epsilon, ..Choice::default() };
        let times = solve(problem, &choice).expect("every flow ends").finish_s;
        assert_eq!(times.len(), answer.len(), "case {name}");
        for (flow, (got, want)) in times.iter().zip(answer).enumerate() {
            let error = (got - want).abs() / want;
            assert!(error.is_finite(), "case {name}, flow {flow}: {got} for {want}");
            if error > worst.0 {
                worst = (error, format!("case {name}, flow {flow}: {got} for {want}"));
            }
        }
    }
    worst
}

#[test]
fn the_exact_engine_gives_the_answers_of_simgrid() {
    let (error, place) = worst(Engine::Exact, 0.01);
    assert!(error <= 1e-6, "{error:.2e}: {place}");
}

#[test]
fn the_quantised_engine_stays_within_its_error_of_simgrid() {
    for epsilon in [0.03, 0.01, 0.001] {
        let (error, place) = worst(Engine::Quantised, epsilon);
        assert!(error <= epsilon, "{error:.2e}: {place}");
    }
}

/// The makespans that SimGrid found on the two-tier platform, with 10 us of latency a path.
#[test]
fn exchanges_of_128_gpus_take_what_simgrid_says() {
    use moesim::base::units::Bytes;
    use moesim::config::{built_in_topology, read_topology};
    use moesim::network::traffic::{Pattern, PatternKind, generate};
    use moesim::network::{Transport, build_problem};
    let topology = read_topology(&built_in_topology("two-tier-8").unwrap()).unwrap();
    for (kind, makespan_ms) in [(PatternKind::Zipf16, 3.542_222), (PatternKind::Zipfc, 3.166_918)] {
        let (mean, sigma, seed) = (Bytes(1 << 20), 0.5, 0);
        let pattern = Pattern { kind, gpus: 128, group: 128, mean, sigma, seed };
        let problem =
            build_problem(&topology, &generate(&pattern).unwrap(), &Transport::IDEAL, &[]);
        for (engine, slack) in [(Engine::ClosedForm, 1e-6), (Engine::Quantised, 0.01)] {
            let choice = Choice { engine: Some(engine), ..Choice::default() };
            let got = solve(&problem, &choice).unwrap().makespan_s * 1e3;
            assert!((got / makespan_ms - 1.0).abs() <= slack, "{kind:?}: {got} ms");
        }
    }
}
