//! Does `moesim goodput` say what failures leave, and refuse what makes no sense?
//!
//! A pass says that the share kept falls with more GPUs' failures, that the interval asked for is used in whole steps, that
//! the days drawn agree with the closed form, and that a result reads back. It does not say how often real GPUs fail.

use std::fs;

use serde_json::Value;

use crate::program::{folder, moesim};

const SCENARIO: &str = "schema = 1\nname = \"s\"\ntopology = \"a100-4x8\"\ncounted = \"training-step\"\nseeds = \"0..2\"\n\
                        tau = [0.75]\n[[compare]]\nvanilla = \"moe-1b\"\nmoepp = \"moepp-1b\"\n";
const SET: [&str; 4] =
    ["--set", "workload.batch.phase=training", "--set", "workload.batch.micro_batches=1"];

#[test]
fn failures_cost_throughput_and_checkpoints_are_set_against_them() {
    let here = folder("goodput");
    fs::write(here.join("s.toml"), SCENARIO).expect("a file of ours");
    let asked = |more: &[&str]| -> Value {
        let args = ["goodput", "s.toml", "--checkpoint-s", "60", "--restart-s", "600", "--json"];
        let output = moesim(&here, &[&args[..], &SET, more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let number = |value: &Value| value.as_f64().expect("a number");
    let [often, seldom] = ["100", "50000"].map(|hours| asked(&["--gpu-mtbf-hours", hours]));
    for result in [&often, &seldom] {
        assert_eq!(result["schema"], "goodput-result/1");
        for run in result["runs"].as_array().expect("runs") {
            let (share, drawn) = (number(&run["share"]), number(&run["drawn_share"][0]));
            assert!((drawn / share - 1.0).abs() < 0.02, "{run}");
            assert!(number(&run["worst_tenth_share"]) < share, "{run}");
            let kept = number(&run["goodput_tokens_per_s"]) / number(&run["tokens_per_s"]);
            assert!((kept - share).abs() < 1e-9, "{run}");
        }
    }
    let share = |result: &Value| number(&result["runs"][1]["share"]);
    assert!(share(&often) < share(&seldom) && share(&seldom) < 1.0);
    let own = asked(&["--gpu-mtbf-hours", "100", "--interval-s", "60"]);
    let run = &own["runs"][1];
    let steps = number(&run["interval_s"]) / (1e-3 * number(&run["step_ms"]));
    assert!((steps - steps.round()).abs() < 1e-6 && share(&own) < share(&often), "{run}");
}

#[test]
fn what_is_no_training_step_or_would_never_end_is_refused() {
    let here = folder("goodput-refused");
    fs::write(here.join("s.toml"), SCENARIO).expect("a file of ours");
    let told = |args: &[&str]| {
        let costs = ["--checkpoint-s", "60", "--restart-s", "600"];
        let output = moesim(&here, &[args, &costs, &SET].concat());
        assert!(!output.status.success(), "{args:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let forward = told(&["goodput", "s.toml", "--set", "counted=moe-layer"]);
    assert!(forward.contains("failures stop training steps"), "{forward}");
    let hopeless = told(&["goodput", "s.toml", "--gpu-mtbf-hours", "0.1"]);
    assert!(hopeless.contains("no work would ever be kept"), "{hopeless}");
}
