//! Is a stored result as good as a fresh one?
//!
//! A pass says that what commands print with `--json` reads back as the type that text and pictures are made
//! from, with nothing lost, and that its text is the text that the command prints. It does not say that the
//! figures are right.

use std::fmt::Debug;
use std::io::{self, Write};

use moesim::output::report::advice::AdviceResult;
use moesim::output::report::comparison::Comparison;
use moesim::output::report::evidence::loads::GateLoads;
use moesim::output::report::explanation::Explanation;
use moesim::output::report::goodput::GoodputResult;
use moesim::output::report::memory::MemoryResult;
use moesim::output::report::network::flows::FlowsResult;
use moesim::output::report::network::topology::ClusterDescription;
use moesim::output::report::plan::PlanResult;
use moesim::output::report::study::StudyResult;
use moesim::output::schema::{Labelled, Printed};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::program::{folder, moesim};

/// What a command prints with `--json`, as its type; the type's text is what the command prints without.
fn read_back<T: Printed + DeserializeOwned + PartialEq + Debug>(
    args: &[&str],
    text_of: fn(&T, &mut dyn Write) -> io::Result<()>,
) -> T {
    let here =
        folder(&format!("results-{}", args.join("-").replace(|c: char| !c.is_alphanumeric(), "-")));
    let printed = moesim(&here, &[args, &["--json"]].concat());
    assert!(printed.status.success(), "{args:?}: {}", String::from_utf8_lossy(&printed.stderr));
    let result: T = serde_json::from_slice(&printed.stdout).unwrap();
    let value: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(
        serde_json::to_value(Labelled::of(&result)).unwrap(),
        value,
        "{args:?}: something was lost"
    );
    let mut text = Vec::new();
    text_of(&result, &mut text).unwrap();
    let plain = moesim(&here, args);
    assert_eq!(
        String::from_utf8_lossy(&text),
        String::from_utf8_lossy(&plain.stdout),
        "{args:?}: the text of the stored result is another"
    );
    result
}

#[test]
fn runs_read_back_whatever_is_counted() {
    for counted in ["experts", "moe-layer", "model-forward", "layer-training", "training-step"] {
        let phase = if counted.contains("training") { "training" } else { "prefill" };
        let phase = format!("workload.batch.phase={phase}");
        let counted = format!("counted={counted}");
        let set = ["--set", &counted, "--set", "workload.batch.micro_batches=1"];
        let set = [&set[..], &["--set", &phase]].concat();
        let few = ["--set", "seeds=0..2", "--set", "tau=[0.75]", "--allow-oom"];
        let args = [&["run", "paper"][..], &set, &few].concat();
        let result = read_back(&args, StudyResult::write_text);
        assert_eq!(result.results.len(), 8);
        assert!(result.results.iter().all(|row| row.time.scope == result.counted));
    }
}

#[test]
fn runs_with_calibration_error_read_back() {
    let set = ["--set", "calibration_uncertainty=true", "--set", "seeds=0..3"];
    let few = ["--set", "workload.batch.micro_batches=1"];
    let result = read_back(&[&["run", "paper"][..], &set, &few].concat(), StudyResult::write_text);
    assert!(result.results.iter().all(|row| row.time.predicted.low.is_some()));
}

#[test]
fn comparisons_plans_and_explanations_read_back() {
    let pair = ["--seeds", "0..2", "--set", "workload.batch.micro_batches=1"];
    for equal in ["gpus", "cost"] {
        let clusters = ["compare", "a100-4x8", "h100-4x8-rail", "--equal", equal];
        read_back(&[&clusters[..], &pair].concat(), Comparison::write_text);
    }
    let asked = ["plan", "a100-4x8", "--layer-ms", "0.5", "--tau", "0.5,1"];
    read_back(&[&asked[..], &pair].concat(), PlanResult::write_text);
    let asked = ["explain", "paper", "--set", "seeds=0..2", "--set", "counted=moe-layer"];
    let set = ["--set", "workload.batch.micro_batches=1"];
    read_back(&[&asked[..], &set].concat(), Explanation::write_text);
}

#[test]
fn advice_reads_back_whatever_is_counted() {
    for counted in ["experts", "model-forward", "training-step"] {
        let counted = ["--counted", counted, "--set", "workload.batch.micro_batches=1"];
        let phase = ["--set", "workload.batch.phase=training", "--allow-oom", "--seeds", "0..2"];
        let few = ["--set", "workload.model.layers=4"];
        let asked = ["advise", "moe-1b", "--topology", "a100-4x8"];
        read_back(&[&asked[..], &counted, &phase, &few].concat(), AdviceResult::write_text);
    }
}

#[test]
fn goodput_reads_back() {
    let asked = ["goodput", "paper", "--workload", "moepp-1b", "--set", "counted=training-step"];
    let set = ["workload.batch.phase=training", "workload.batch.micro_batches=1"];
    let set = ["--set", set[0], "--set", set[1], "--set", "seeds=0..2", "--allow-oom"];
    let costs = ["--checkpoint-s", "60", "--restart-s", "600"];
    read_back(&[&asked[..], &set, &costs].concat(), GoodputResult::write_text);
}

#[test]
fn memory_and_clusters_read_back() {
    read_back(&["memory", "paper"], MemoryResult::write_text);
    read_back(&["topology", "h100-4x8-rail"], ClusterDescription::write_text);
}

#[test]
fn loads_of_gates_read_back() {
    read_back(&["gate", "show", "moepp-1b", "--micro-batches", "2"], GateLoads::write_text);
    let recording =
        concat!(env!("CARGO_MANIFEST_DIR"), "/workloads/traces/tiny_moepp_tau075.parquet");
    read_back(&["gate", "show", recording, "--micro-batches", "2"], GateLoads::write_text);
}

#[test]
fn flows_read_back() {
    let here = folder("results-flows");
    let printed = moesim(&here, &["flows", "--pattern", "zipf16", "--gpus", "16", "--json"]);
    let result: FlowsResult = serde_json::from_slice(&printed.stdout).unwrap();
    let value: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(serde_json::to_value(Labelled::of(&result)).unwrap(), value);
    let mut text = Vec::new();
    result.write_text(&mut text).unwrap();
    let plain = moesim(&here, &["flows", "--pattern", "zipf16", "--gpus", "16"]);
    assert_eq!(String::from_utf8_lossy(&text), String::from_utf8_lossy(&plain.stdout));
}
