//! Does `moesim plan` recommend by what its user measured, and promise no more than its seeds show?
//!
//! A pass says that a measured curve decides as its points say, that what is unknown is shown as unknown, and that what
//! speaks against a curve is said. It does not say that quality depends on τ as the curve has it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{self, moesim};

/// `moesim plan` of a cluster that meets any target, with this curve of quality.
fn planned(folder: &Path, curve: &str, seeds: &str, more: &[&str]) -> String {
    fs::write(folder.join("mine.csv"), curve).expect("a file of ours");
    let args = [
        &["plan", "a100-4x8", "--layer-ms", "1000", "--quality", "mine.csv", "--seeds", seeds][..],
        &["--set", "workload.batch.micro_batches=1"],
        more,
    ];
    let output = moesim(folder, &args.concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn nothing_is_recommended_that_was_measured_as_worse_than_another_that_meets_the_target() {
    let folder = program::folder("planner-worse");
    // The rising curve closest to these is 40, 47.5, 47.5, 48: highest where 48 was measured, below the 50 at τ = 0.3.
    let curve = "tau,quality\n0.15,40\n0.3,50\n0.6,45\n0.9,48\n";
    let plan = json(&planned(&folder, curve, "0..2", &["--json"]));
    assert_eq!(plan["recommended"]["tau"], 0.3, "{}", plan["recommended"]);
    assert_eq!(plan["recommended"]["quality"], 47.5);
    // What was measured is looked at, and what was not has no quality.
    let candidates = plan["candidates"].as_array().expect("candidates");
    let taus: Vec<f64> = candidates.iter().filter_map(|one| one["tau"].as_f64()).collect();
    assert!([0.3, 0.6, 0.9].iter().all(|tau| taus.contains(tau)), "{taus:?}");
    assert!(candidates[0]["tau"].is_null() && candidates[0]["quality"].is_null(), "{plan}");
    assert!(plan["quality_doubts"].as_array().expect("doubts").is_empty(), "{plan}");
    // A τ between measured ones is worth what lies between them, not more.
    let taken = json(&planned(&folder, curve, "0..2", &["--json", "--tau", "0.6,0.7,0.9"]));
    assert_eq!(taken["recommended"]["tau"], 0.9);
}

#[test]
fn what_a_curve_does_not_tell_is_said() {
    let folder = program::folder("planner-unknown");
    let few = ["--tau", "0.5,1"];
    let text = planned(&folder, "tau,quality\n0.5,0.461\n1,0.472\n", "0..2", &few);
    let vanilla = text.lines().find(|line| line.contains(" vanilla ")).expect("a line");
    assert!(vanilla.trim_end().ends_with('–'), "{vanilla}");
    assert!(text.contains("vanilla: its quality is not given"), "{text}");
    assert!(text.contains("how far points scatter is unknown"), "{text}");
    assert!(text.contains("Take τ = 1 on") && text.contains("quality 0.4720."), "{text}");
    let told = text.split_once("quality: points").expect("what it follows").1;
    let told = told.split_once("counted:").expect("what is counted").0;
    assert!(told.lines().all(|line| line.chars().count() <= 80), "{told}");
    let given = "tau,quality,noise\n,44.0,0.5\n0.5,46.1,0.5\n1,44.2,0.5\n2,49.2,0.5\n";
    let text = planned(&folder, given, "0..2", &few);
    assert!(text.contains("± 0.50 as stated") && !text.contains("quality is not given"), "{text}");
    assert!(text.contains("warning: the points lie 2.7 times farther"), "{text}");
    let loss = "tau,quality\n0.5,3.1\n1,2.9\n2,2.7\n";
    let text = planned(&folder, loss, "0..2", &few);
    assert!(text.contains("warning: quality falls with τ"), "{text}");
    assert!(text.contains("Take τ = 0.5 on"), "{text}");
}

#[test]
fn one_seed_promises_three_quarters_at_most() {
    let folder = program::folder("planner-seed");
    let curve = "tau,quality\n0.5,46\n1,47\n";
    let text = planned(&folder, curve, "0..1", &["--tau", "0.5,1"]);
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.starts_with("Nothing meets the target with 90 %. Closest"), "{text}");
    assert!(flat(&text).contains("with probability 0.75."), "{text}");
    assert!(text.contains("probability: one seed shows no spread"), "{text}");
    let half = planned(&folder, curve, "0..1", &["--tau", "0.5,1", "--probability", "0.5"]);
    let taken = "Take τ = 1 on a100-4x8: it meets the target with probability 0.75";
    assert!(flat(&half).starts_with(taken), "{half}");
    // However far from the target, nothing is certain.
    let sure = planned(&folder, curve, "0..4", &["--tau", "0.5,1"]);
    assert!(
        flat(&sure).contains("probability >0.99 (asked: 0.90)") && sure.contains(" >0.999 "),
        "{sure}"
    );
}

#[test]
fn a_time_out_of_reach_asks_for_fewer_tokens_and_one_seed_for_more_seeds() {
    let folder = program::folder("planner-time");
    let plan = |target: &[&str]| {
        let args = ["plan", "a100-4x8", "--seeds", "0..1", "--tau", "0.25,0.75"];
        let few = ["--set", "workload.batch.micro_batches=1"];
        let output = moesim(&folder, &[&args[..], target, &few].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let short = plan(&["--layer-ms", "0.5"]);
    assert!(short.contains("fewer tokens per GPU") && !short.contains("times the GPUs"), "{short}");
    let enough = plan(&["--layer-ms", "1"]);
    assert!(enough.contains("One seed tells no probability above 0.75"), "{enough}");
    assert!(!enough.contains("To meet it on average"), "{enough}");
    // Of those that meet it on average alike, the best quality is named.
    assert!(enough.contains("Closest: τ = 0.75"), "{enough}");
    let few = plan(&["--tokens-per-s", "1e9"]);
    assert!(few.contains("times the GPUs"), "{few}");
}
