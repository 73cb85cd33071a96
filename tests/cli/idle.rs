//! Do clusters that a layout does not divide run with idle GPUs, which are said and paid for?
//!
//! A pass says that whole replicas run as on a cluster of their size, that every command says how many GPUs idle, and that
//! price and throughput per GPU count those, too. It does not say which GPUs would best be left idle.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{folder, moesim};

/// 10 GPUs of a node; the 1B pair in groups of 4 uses 8.
const SET: [&str; 8] = [
    "--set",
    "workload.batch.micro_batches=1",
    "--set",
    "workload.layout.expert_parallel=4",
    "--set",
    "workload.model.layers=2",
    "--set",
    "topology.nodes.count=1",
];

fn said(here: &Path, args: &[&str]) -> String {
    let output = moesim(here, &[args, &SET].concat());
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn of(gpus: u32) -> String {
    format!("topology.nodes.gpus_per_node={gpus}")
}

#[test]
fn whole_replicas_run_as_alone_and_idle_gpus_are_said_and_paid_for() {
    let here = folder("idle-commands");
    let scenario = "schema = 1\nname = \"s\"\ntopology = \"h100-4x8-rail\"\ncounted = \"model-forward\"\nseeds = \"0..2\"\n\
                    [[compare]]\nvanilla = \"moe-1b\"\nmoepp = \"moepp-1b\"\n";
    fs::write(here.join("s.toml"), scenario).expect("a file of ours");
    let nics = ["--set", "topology.nodes.nic.per_node=1", "--seeds", "0..2"];
    let ten = of(10);
    let ten = ["--set", ten.as_str()];
    let words = "2 of 10 GPUs idle: replicas of 4 use 8";
    for command in ["run", "explain", "memory"] {
        let text = said(&here, &[&[command, "s.toml"][..], &nics[..2], &ten].concat());
        let first: Vec<&str> = text.lines().take(3).collect();
        assert!(first.join(" ").contains(words), "{command}: {text}");
    }
    let cluster = |gpus: u32, more: &[&str]| -> Value {
        let gpus = of(gpus);
        let base = ["compare", "h100-4x8-rail", "--no-calibration-error", "--json", "--set", &gpus];
        serde_json::from_str::<Value>(&said(&here, &[&base[..], &nics, more].concat()))
            .expect("JSON")["clusters"][0]
            .clone()
    };
    let [idle, full] = [10, 8].map(|gpus| cluster(gpus, &[]));
    assert_eq!(idle["tokens_per_s"], full["tokens_per_s"], "eight GPUs work");
    let per = |of: &Value, key: &str| of[key].as_f64().expect("a number");
    assert!((per(&idle, "tokens_per_s_per_gpu") - per(&idle, "tokens_per_s") / 10.0).abs() < 1e-6);
    assert!(per(&idle, "usd") > per(&full, "usd") && per(&idle, "watts") > per(&full, "watts"));
    let compared = said(&here, &[&["compare", "h100-4x8-rail"][..], &nics, &ten].concat());
    assert!(compared.lines().nth(1).expect("lines").contains(words), "{compared}");
    let plan = ["plan", "h100-4x8-rail", "--layer-ms", "1000", "--tau", "1"];
    let planned = said(&here, &[&plan[..], &nics, &ten].concat());
    let first: Vec<&str> = planned.lines().take(7).collect();
    assert!(first.join(" ").contains(words), "{planned}");
    let layouts = ["layouts", "h100-4x8-rail", "--ep", "1,4,8", "--tokens", "2048", "--json"];
    let found: Value =
        serde_json::from_str(&said(&here, &[&layouts[..], &nics, &ten].concat())).expect("JSON");
    assert_eq!(found["refused"], 0, "{found}");
    let traced = ["timeline", "s.toml", "--out", "t.pftrace"];
    said(&here, &[&traced[..], &nics[..2], &ten].concat());
}

#[test]
fn without_a_whole_replica_nothing_runs_and_the_arithmetic_is_said() {
    let here = folder("idle-none");
    let few = of(3);
    let asked =
        ["compare", "h100-4x8-rail", "--set", &few, "--set", "topology.nodes.nic.per_node=1"];
    let told = moesim(&here, &[&asked[..], &SET].concat());
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(
        told.contains("not even one replica fits: 1 pipeline stage of groups of 4 take 4 GPUs, and there are 3"),
        "{told}"
    );
    assert!(told.contains("help: give layout.expert_parallel = 2 or less"), "{told}");
}
