//! Is advice what its runs say, and does it turn where it says?
//!
//! A pass says that the gain, the shares and both sides of every break-even agree with runs made here one by one,
//! that each verdict has a scenario which gets it, and that what is printed is `data/advice.txt`. It does not say
//! that runs are right, nor that a gain is worth what the thresholds say.

use std::fs;
use std::path::Path;

use moesim::base::statistics::Estimate;
use moesim::config::{Overrides, Scenario, ScenarioSource};
use moesim::studies::advise::{Advice, Question, Varied, Verdict, WORTH_PERCENT, advise, paired};
use moesim::studies::study::{WhatIf, run_if};
use moesim::workload::Workload;

use crate::program::{folder, moesim};

const SMALL: [&str; 3] = ["counted=moe-layer", "workload.batch.micro_batches=1", "seeds=0..3"];

fn scenario(set: &[&str]) -> Scenario {
    let lines = SMALL.iter().chain(set).map(|line| (*line).to_owned()).collect();
    ScenarioSource::open("paper", Overrides::new(lines)).unwrap().load().unwrap()
}

/// The paper's 1B pair at τ = 0.75, or its vanilla alone.
fn asked(set: &[&str], vanilla_only: bool) -> (Scenario, Vec<String>) {
    let scenario = scenario(set);
    let mut case = scenario.cases[1].clone();
    case.moepp.retain(|own| own.model.experts.tau == Some(0.75) && !vanilla_only);
    paired(&scenario, &case, None).unwrap()
}

fn answer(scenario: &Scenario, derived: bool) -> Advice {
    let question = Question { scenario, derived, worth_percent: WORTH_PERCENT };
    advise(&question, 2).unwrap()
}

/// Gains by seed of runs made here.
fn gains(scenario: &Scenario, change: impl Fn(&mut Workload), what_if: &WhatIf) -> Vec<f64> {
    let case = &scenario.cases[0];
    let time = |workload: &Workload, seed: u64| {
        let mut own = workload.clone();
        own.stack.phase = Some(own.phase());
        change(&mut own);
        run_if(scenario, &own, scenario.overheads, seed, what_if, None).unwrap().counted_secs()
    };
    let one = |seed| 100.0 * (time(&case.vanilla, seed) / time(&case.moepp[0], seed) - 1.0);
    scenario.seeds.clone().map(one).collect()
}

#[test]
fn each_verdict_has_a_scenario() {
    let verdict = |set: &[&str], vanilla_only: bool| {
        let (scenario, changes) = asked(set, vanilla_only);
        answer(&scenario, !changes.is_empty()).verdict
    };
    assert_eq!(verdict(&[], false), Verdict::Adopt);
    assert_eq!(verdict(&[], true), Verdict::AdoptIfTrainedAnew);
    assert_eq!(verdict(&["seeds=0..1"], false), Verdict::Defer);
    let training = ["counted=layer-training", "workload.batch.phase=training", "allow_oom=true"];
    assert_eq!(verdict(&training, true), Verdict::Adopt, "what trains anyhow is trained as MoE++");
    // One token per GPU: launches and startups take the time.
    let few = ["workload.batch.tokens_per_gpu=1", "workload.experts.execution=grouped"];
    assert_eq!(verdict(&few, false), Verdict::Avoid);
}

#[test]
fn a_break_even_lies_between_runs_on_its_two_sides() {
    let (scenario, _) = asked(&[], false);
    let found = answer(&scenario, false);
    let own = Estimate::of(&gains(&scenario, |_| {}, &WhatIf::NOTHING));
    assert_eq!(found.gain_percent, own);
    let mut turned = 0;
    for even in &found.break_evens {
        for turn in &even.turns {
            turned += 1;
            assert!(turn.pays.gain_percent >= WORTH_PERCENT, "{turn:?}");
            assert!(turn.fails.gain_percent < WORTH_PERCENT, "{turn:?}");
            let ratio = (turn.pays.at / turn.fails.at).ln().abs().exp();
            assert!(ratio < 1.041 || even.varied != Varied::Tau, "{turn:?}");
            for point in [turn.pays, turn.fails] {
                let change = |own: &mut Workload| match even.varied {
                    Varied::Tau if own.model.experts.tau.is_some() => {
                        own.model.experts.tau = Some(point.at);
                    }
                    Varied::TokensPerGpu => own.batch.tokens_per_gpu = point.at as u32,
                    Varied::ExpertParallel => own.layout.expert_parallel = point.at as u32,
                    Varied::Tau | Varied::Bandwidth(_) => {}
                };
                let what_if = match even.varied {
                    Varied::Bandwidth(class) => {
                        WhatIf::faster(class, point.at / even.now.expect("a bandwidth"))
                    }
                    _ => WhatIf::NOTHING,
                };
                let mean = Estimate::of(&gains(&scenario, change, &what_if)).mean;
                assert!((mean - point.gain_percent).abs() < 1e-9, "{even:?}: {mean}");
            }
        }
        // What was run agrees with the turns: between two of them nothing changes.
        let changes = even.curve.windows(2).filter(|pair| {
            (pair[0].gain_percent >= WORTH_PERCENT) != (pair[1].gain_percent >= WORTH_PERCENT)
        });
        assert_eq!(changes.count(), even.turns.len(), "{even:?}");
    }
    assert!(turned >= 1, "τ alone takes the gain away");
}

#[test]
fn shares_sum_to_one_and_placed_experts_are_named() {
    let (scenario, _) = asked(&["moepp.experts.zero_computation=placed"], false);
    let found = answer(&scenario, false);
    for shares in found.shares {
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
    }
    let here = folder("advice-placed");
    let args = ["advise", "paper", "--workload", "moepp-1b", "--set", "counted=moe-layer"];
    let set = ["--set", "workload.batch.micro_batches=1", "--set", "seeds=0..2"];
    let placed = ["--set", "moepp.experts.zero_computation=placed"];
    let told = moesim(&here, &[&args[..], &set, &placed].concat());
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("placed like FFN experts, dispatched like them"), "{told}");
}

#[test]
fn a_gate_without_a_twin_is_refused_with_its_reason() {
    let here = folder("advice-refused");
    let told = moesim(&here, &["advise", "pangu-pro-moe", "--topology", "h100-4x8-rail"]);
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.contains("takes equally many experts of each group"), "{told}");
}

#[test]
fn a_twin_has_the_tau_that_is_asked_for() {
    let here = folder("advice-tau");
    let asked = ["advise", "moe-1b", "--topology", "a100-4x8", "--tau", "0.4", "--seeds", "0..2"];
    let set = ["--set", "workload.model.layers=1", "--set", "workload.batch.micro_batches=1"];
    let printed = moesim(&here, &[&asked[..], &set].concat());
    let told = String::from_utf8_lossy(&printed.stdout).into_owned();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    assert!(told.contains("moe-1b as MoE++ at τ = 0.4") && told.contains("as was asked"), "{told}");
    assert!(told.contains("τ: now 0.40;") && told.contains("stands on: "), "{told}");
}

#[test]
fn what_advice_cannot_be_given_on_is_answered_with_what_can() {
    let here = folder("advice-wrong");
    let on = ["--topology", "a100-4x8"];
    for (args, code, found, help) in [
        (vec!["mixtral-8x7b"], 1, "is a workload: on which cluster?", "--topology h100-4x8-rail"),
        (vec!["paper", on[0], on[1]], 1, "is a scenario", "--set topology=a100-4x8"),
        (vec!["moepp-1b", on[0], on[1]], 1, "is MoE++ already", "name a scenario that has both"),
        (vec!["moe-1b", on[0], on[1], "--worth", "1e300"], 2, "a gain in percent", "--worth"),
    ] {
        let output = moesim(&here, &[&["advise"][..], &args].concat());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
        assert!(told.contains(found) && told.contains(help), "{args:?}: {told}");
    }
}

/// A vanilla model on a cluster, as printed; `UPDATE_EXPECT=1` rewrites it.
#[test]
fn advice_on_a_vanilla_model_is_what_it_was() {
    let here = folder("advice-golden");
    let asked = ["advise", "mixtral-8x7b", "--topology", "h100-4x8-rail", "--seeds", "0..2"];
    let set = ["--set", "calibration_uncertainty=false", "--set", "workload.model.layers=2"];
    let printed = moesim(&here, &[&asked[..], &set].concat());
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let told = String::from_utf8(printed.stdout).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/advice.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &told).unwrap();
    }
    assert_eq!(
        told,
        fs::read_to_string(&path).unwrap(),
        "UPDATE_EXPECT=1, and read the difference"
    );
}
