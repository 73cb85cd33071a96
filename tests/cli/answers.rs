//! Are the decisions right: what binds, when a cluster catches up, which τ to take, which GPU decides?
//!
//! A pass says that elasticities, break-even bandwidths, recommendations, fronts, explanations and the pairs
//! of a sweep agree with runs made here one by one, and with what paper says where it gives the answer. It
//! does not say that the runs themselves are right.

use std::fs;
use std::path::Path;
use std::process::Command;

use moesim::base::statistics::Estimate;
use moesim::config::{self, Overrides, Scenario, ScenarioSource};
use moesim::execution::blame::Reason;
use moesim::studies::compare::{ClusterCase, Equal, Knob, break_even, evaluate, ratio};
use moesim::studies::planner::{Question, Target, Trend, plan};
use moesim::studies::study::{self, WhatIf};
use moesim::topology::LinkClass;

const SMALL: [&str; 3] = ["counted=moe-layer", "workload.batch.micro_batches=1", "seeds=0..3"];

/// The paper's 1B pair at τ = 0.75 in groups of this many GPUs, with these overrides.
fn pair(group: u32, set: &[&str]) -> Scenario {
    let lines = SMALL.iter().chain(set).map(|line| (*line).to_owned()).collect();
    let mut scenario =
        ScenarioSource::open("paper", Overrides::new(lines)).unwrap().load().unwrap();
    scenario.cases = vec![scenario.cases[1].clone()];
    scenario.cases[0].moepp.retain(|workload| workload.model.experts.tau == Some(0.75));
    assert_eq!(scenario.cases[0].moepp.len(), 1);
    let case = &mut scenario.cases[0];
    for workload in std::iter::once(&mut case.vanilla).chain(&mut case.moepp) {
        workload.layout.expert_parallel = group;
    }
    scenario
}

fn cluster_case(name: &str, group: u32, set: &[&str]) -> ClusterCase {
    let book = config::read_prices(&config::built_in_prices()).unwrap();
    ClusterCase::new(name.to_owned(), pair(group, set), &book)
}

/// NICs so slow that, with experts over two nodes, hardly anything else counts.
const SLOW: [&str; 1] = ["topology.nodes.nic.bandwidth=2 Gb/s"];

#[test]
fn where_nics_decide_alone_a_percent_of_them_is_a_percent_of_throughput() {
    let slow = evaluate(&cluster_case("slow", 16, &SLOW), 2).unwrap();
    let (knob, elasticity) = slow.binds().expect("something binds");
    assert_eq!(knob, Knob::Bandwidth(LinkClass::Nic));
    assert!((0.95..=1.0).contains(&elasticity), "{elasticity}");
    // Within nodes, NICs carry nothing.
    let inside = evaluate(&cluster_case("inside", 8, &[]), 2).unwrap();
    let nic =
        inside.sensitivities.iter().find(|(knob, _)| *knob == Knob::Bandwidth(LinkClass::Nic));
    assert_eq!(nic.map(|(_, e)| *e), Some(0.0));
    assert!(inside.sensitivities.windows(2).all(|pair| pair[0].1 >= pair[1].1), "largest first");
}

#[test]
fn the_break_even_bandwidth_is_that_of_the_cluster_to_catch_up_with() {
    let fast = ["topology.nodes.nic.bandwidth=2.4 Gb/s"];
    let (slow, fast) = (cluster_case("slow", 16, &SLOW), cluster_case("fast", 16, &fast));
    let leader = evaluate(&fast, 2).unwrap();
    let target = leader.moepp[0] / f64::from(leader.gpus);
    let factor = break_even(&slow, LinkClass::Nic, target).unwrap().expect("it can catch up");
    // 2 Gb/s and 2.4 Gb/s; bisected to 1 %. Leaves' uplinks are as slow as all NICs below them, and
    // would decide if NICs were much faster.
    assert!((1.2..1.215).contains(&factor), "{factor}");
    assert_eq!(break_even(&slow, LinkClass::Nic, 1e9).unwrap(), None, "nothing is that fast");
    // Equal shares are what they say.
    let other = evaluate(&slow, 2).unwrap();
    for (equal, amount) in [
        (Equal::Gpus, f64::from(leader.gpus)),
        (Equal::Cost, leader.cost.total().usd.expect("every part has a price")),
        (Equal::Power, leader.cost.total().watts.expect("every part has a power")),
    ] {
        assert!(amount > 0.0);
        let own: Vec<f64> = leader.moepp.iter().map(|tokens| tokens / amount).collect();
        assert_eq!(leader.per(equal), Some(own), "{equal:?}");
    }
    let apart = ratio(&other, &leader, Equal::Gpus);
    assert!(apart.differs() && (0.83..0.86).contains(&apart.mean), "{apart:?}");
    assert!(!ratio(&leader, &leader, Equal::Gpus).differs());
}

#[test]
fn the_planner_takes_the_largest_tau_that_meets_the_target() {
    let cluster_cases = [cluster_case("a100-4x8", 8, &[])];
    let trend = Trend::published("1B").unwrap();
    let taus = [0.1, 0.25, 0.5, 0.75, 1.0];
    let tokens = |tau: f64| {
        let scenario = &cluster_cases[0].scenario;
        let mut own = scenario.cases[0].moepp[0].clone();
        own.model.experts.tau = Some(tau);
        let runs = scenario.seeds.clone().map(|seed| {
            study::run(scenario, &own, scenario.overheads, seed).unwrap().tokens_per_sec()
        });
        runs.collect::<Vec<f64>>()
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    // Between what 0.5 and 0.25 give.
    let target = f64::midpoint(mean(&tokens(0.5)), mean(&tokens(0.25)));
    let question = Question {
        cluster_cases: &cluster_cases,
        taus: &taus,
        target: Target::TokensPerSec(target),
        probability: 0.9,
        trend: Some(&trend),
    };
    let answer = plan(&question, 2).unwrap();
    let best = &answer.candidates[answer.best.expect("0.25 meets it")];
    let tau = best.tau.expect("not vanilla");
    assert!(tau > 0.25 && tau < 0.5 && best.probability >= 0.9, "{best:?}");
    assert_eq!(best.tokens_per_sec, tokens(tau), "its throughput is that of its own runs");
    let misses = |c: &&moesim::studies::planner::Candidate| c.tau.is_some_and(|own| own > tau);
    assert!(answer.candidates.iter().filter(misses).all(|c| c.probability < 0.9));
    // To the digit that quality tells: its noise is that of a third of τ.
    assert_eq!(tau, (10.0 * tau).round() / 10.0, "one digit");
    let next = answer.candidates.iter().filter_map(|c| c.tau).filter(|own| *own > tau);
    let next = next.fold(f64::INFINITY, f64::min);
    assert!((next - tau - 0.1).abs() < 1e-12, "{tau} and {next} are a step of that digit apart");
    // The front by its definition.
    let beats = |b: &moesim::studies::planner::Candidate,
                 a: &moesim::studies::planner::Candidate| {
        let [qb, qa] = [b, a].map(|own| own.quality.expect("published").expected);
        b.mean() >= a.mean() && qb >= qa && (b.mean() > a.mean() || qb > qa)
    };
    for (at, own) in answer.candidates.iter().enumerate() {
        let beaten = answer.candidates.iter().any(|other| beats(other, own));
        assert_eq!(answer.front.contains(&at), !beaten, "{own:?}");
    }
    // Out of reach: the fastest comes closest.
    let question = Question { target: Target::TokensPerSec(1e12), ..question };
    let answer = plan(&question, 2).unwrap();
    assert_eq!(answer.best, None);
    assert_eq!(answer.candidates[answer.closest].tau, Some(0.1));
}

fn moesim(args: &[&str], folder: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moesim"));
    let output = command.current_dir(folder).args(args).output().expect("moesim starts");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn an_explanation_names_the_gpu_that_waits_least_and_what_really_shrank() {
    let set: Vec<&str> = SMALL.iter().flat_map(|line| ["--set", *line]).collect();
    let here = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let told = moesim(&[&["explain", "paper", "--workload", "moepp-1b"], &set[..]].concat(), here);
    let scenario = pair(8, &[]);
    let case = &scenario.cases[0];
    let run = |workload| study::run(&scenario, workload, scenario.overheads, 0).unwrap();
    let (vanilla, own) = (run(&case.vanilla), run(&case.moepp[0]));
    let waits: Vec<f64> = (0..own.blame.len()).map(|gpu| own.waited_ms(gpu)).collect();
    let least = waits.iter().copied().fold(f64::INFINITY, f64::min);
    let gpu = waits.iter().position(|wait| *wait == least).expect("a GPU");
    let share = 100.0 * least / own.makespan.ms();
    let says = format!("GPU {gpu} decides most often: it waits {share:.0} % of the time");
    assert!(told.contains(&says), "{says}: {told}");
    let saved = |reason: Reason| vanilla.mean_blame_ms(reason) - own.mean_blame_ms(reason);
    let most = Reason::ALL.into_iter().max_by(|a, b| saved(*a).total_cmp(&saved(*b))).unwrap();
    assert!(told.contains(&format!("MoE++ shortens {}", most.label())), "{most:?}: {told}");
    let outcomes = |workload| {
        let one = |seed| study::run(&scenario, workload, scenario.overheads, seed).unwrap();
        scenario.seeds.clone().map(|seed| one(seed).tokens_per_sec()).collect::<Vec<f64>>()
    };
    let pairs = outcomes(&case.moepp[0]).into_iter().zip(outcomes(&case.vanilla));
    let gains: Vec<f64> = pairs.map(|(own, base)| 100.0 * (own / base - 1.0)).collect();
    // Paired by seed: the interval is that of the pairs' own gains.
    let gain = Estimate::of(&gains);
    let says = format!(": {:.1} ± {:.1} % more", gain.mean, gain.half_width.expect("three seeds"));
    assert!(told.contains(&says), "{says}: {told}");
}

#[test]
fn each_row_of_a_sweep_is_the_run_that_it_says_paired_by_seed() {
    let here = Path::new(env!("CARGO_TARGET_TMPDIR")).join("answers-rows");
    let _ = fs::remove_dir_all(&here);
    fs::create_dir_all(&here).expect("a folder of ours");
    let plan = "schema = 1\nname = \"rows\"\nscenario = \"paper\"\nseeds = \"0..2\"\n[set]\n\
                counted = \"moe-layer\"\n\"workload.batch.micro_batches\" = 1\n[vary]\n\
                tau = [0.25, 0.75]\n\"workload.batch.tokens_per_gpu\" = [256, 512]\n\
                \"moepp.slots.factor\" = [1.5, 8.0]\n";
    fs::write(here.join("plan.toml"), plan).expect("a file of ours");
    let told = moesim(&["sweep", "plan.toml", "--out", "done"], &here);
    let mut reader = csv::Reader::from_path(here.join("done/results.csv")).unwrap();
    let head = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    // 8 points × 4 cases × 2 seeds × vanilla and MoE++.
    assert_eq!(rows.len(), 128);
    let place = |name: &str| head.iter().position(|own| own == name).expect(name);
    let number = |row: &csv::StringRecord, name: &str| row[place(name)].parse::<f64>().unwrap();
    for (at, row) in rows.iter().enumerate() {
        let (point, seed) = (number(row, "point") as usize, number(row, "seed") as u64);
        // In order of point, case, seed and workload.
        let case = at / 4 % 4;
        assert_eq!(
            (point, seed, at % 2),
            (at / 16, at as u64 / 2 % 2, number(row, "moepp") as usize)
        );
        let set = [
            format!("tau=[{}]", &row[place("tau")]),
            format!(
                "workload.batch.tokens_per_gpu={}",
                &row[place("workload.batch.tokens_per_gpu")]
            ),
            format!("moepp.slots.factor={}", &row[place("moepp.slots.factor")]),
        ];
        let lines = SMALL.iter().map(|line| (*line).to_owned()).chain(set).collect();
        let scenario =
            ScenarioSource::open("paper", Overrides::new(lines)).unwrap().load().unwrap();
        let case = &scenario.cases[case];
        let run = |workload| {
            let nothing = &WhatIf::NOTHING;
            study::run_if(&scenario, workload, scenario.overheads, seed, nothing, None).unwrap()
        };
        let base = 1e3 * run(&case.vanilla).counted_secs();
        let own = if at % 2 == 0 { base } else { 1e3 * run(&case.moepp[0]).counted_secs() };
        assert_eq!(number(row, "vanilla_time_ms"), base, "row {at}");
        assert_eq!(number(row, "time_ms"), own, "row {at}");
        if at % 2 == 1 {
            let gain = number(row, "throughput_increase_percent");
            assert!((gain - 100.0 * (base / own - 1.0)).abs() < 1e-9, "row {at}: {gain}");
        }
    }
    // What is printed of a point is the mean over its seeds: here of the first, the second row in four.
    let gains = [1, 3].map(|at: usize| number(&rows[at], "throughput_increase_percent"));
    let gain = Estimate::of(&gains);
    let says = format!("{:.1} ± {:.1}", gain.mean, gain.half_width.expect("two seeds"));
    let line = told.lines().find(|line| line.contains("moepp-0.6b")).expect("a line");
    assert!(line.trim_end().ends_with(&says), "{says}: {line}");
}
