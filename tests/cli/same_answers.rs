//! Do all commands give one answer to one question, whatever is counted?
//!
//! A pass says that `run`, `compare --certain`, `plan --certain` and a sweep predict the same throughput of a vanilla
//! workload and of its MoE++ twin, to the last digit where each prints its own. It does not say that it is right.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program;

const TAU: &str = "0.75";

fn scenario(counted: &str) -> String {
    format!(
        "schema = 1\nname = \"same\"\ntopology = \"a100-4x8\"\ncounted = \"{counted}\"\nseeds = \"0..2\"\n\
         [[compare]]\nvanilla = \"moe-1b\"\nmoepp = \"moepp-1b\"\n"
    )
}

/// What is set everywhere: little work, and a phase that can be counted.
fn set(counted: &str) -> Vec<&'static str> {
    let mut lines = vec!["workload.batch.micro_batches=2", "workload.model.layers=4"];
    if counted.contains("training") {
        lines.push("workload.batch.phase=training");
    }
    lines
}

fn json(here: &Path, args: &[&str]) -> Value {
    let output = program::moesim(here, args);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {told}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Tokens a second of vanilla and of MoE++, means over the seeds of a sweep.
fn swept(here: &Path, counted: &str) -> [f64; 2] {
    let lines: String = set(counted).iter().filter_map(|line| line.split_once('=')).fold(
        String::new(),
        |all, (key, value)| {
            let value =
                value.parse::<u32>().map_or_else(|_| format!("\"{value}\""), |n| n.to_string());
            format!("{all}\"{key}\" = {value}\n")
        },
    );
    let plan = format!(
        "schema = 1\nname = \"same\"\nscenario = \"same.toml\"\n[set]\n{lines}[vary]\ntau = [0.5, {TAU}]\n"
    );
    fs::write(here.join("plan.toml"), plan).expect("a file of ours");
    let out = format!("swept-{counted}");
    let done = program::moesim(here, &["sweep", "plan.toml", "--out", &out, "--quiet"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut reader = csv::Reader::from_path(here.join(out).join("results.csv")).expect("results");
    let head = reader.headers().expect("a header").clone();
    let place = |name: &str| head.iter().position(|own| own == name).expect(name);
    let (point, moepp, rate) = (place("point"), place("moepp"), place("tokens_per_s"));
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    ["0", "1"].map(|which| {
        let own = rows.iter().filter(|row| &row[point] == "1" && &row[moepp] == which);
        let rates: Vec<f64> = own.map(|row| row[rate].parse().expect("a number")).collect();
        assert_eq!(rates.len(), 2, "a row for each seed");
        rates.iter().sum::<f64>() / 2.0
    })
}

#[test]
fn all_commands_give_one_answer_whatever_is_counted() {
    let here = program::folder("same-answers");
    for counted in ["experts", "moe-layer", "model-forward", "layer-training", "training-step"] {
        fs::write(here.join("same.toml"), scenario(counted)).expect("a file of ours");
        let set: Vec<&str> = set(counted).iter().flat_map(|line| ["--set", line]).collect();
        let ran = json(&here, &[&["run", "same.toml", "--json"], &set[..]].concat());
        let ran = [0, 1].map(|at: usize| number(&ran["results"][at]["tokens_per_s"]));
        let asked = ["a100-4x8", "--vanilla", "moe-1b", "--moepp", "moepp-1b", "--seeds", "0..2"];
        let more = [&asked[..], &["--certain", "--counted", counted, "--json"], &set].concat();
        let compared = &json(&here, &[&["compare"], &more[..]].concat())["clusters"][0];
        let compared = ["vanilla_tokens_per_s", "tokens_per_s"].map(|key| number(&compared[key]));
        assert_eq!(compared, ran, "compare, {counted}");
        let target = ["plan", "--tau", TAU, "--step-ms", "1000000"];
        let planned = json(&here, &[&target, &more[..]].concat());
        let of = |tau: Option<f64>| {
            let all = planned["candidates"].as_array().expect("candidates");
            let own = all.iter().find(|own| own["tau"].as_f64() == tau).expect("a candidate");
            number(&own["tokens_per_s"])
        };
        assert_eq!([of(None), of(Some(0.75))], ran, "plan, {counted}");
        for (swept, ran) in swept(&here, counted).iter().zip(ran) {
            assert!((swept / ran - 1.0).abs() < 1e-12, "sweep, {counted}: {swept} for {ran}");
        }
    }
}
