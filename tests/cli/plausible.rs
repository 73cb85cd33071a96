//! Are figures that are hardly meant said, and what one key decides about others?
//!
//! A pass says that `check` doubts units that slipped without refusing them, and that a run says when a number of SMs chose
//! its library and when keys of [training] chose its phase.

use std::fs;

use crate::program::{folder, moesim, refused, runs};

const SCENARIO: &str = "schema = 1\nname = \"s\"\ntopology = \"h100-4x8-rail\"\ncounted = \"moe-layer\"\n\
                        seeds = \"0..1\"\ntau = [0.75]\n[[compare]]\nvanilla = \"moe-2b\"\nmoepp = \"moepp-2b\"\n";

const FEW: [&str; 4] =
    ["--set", "workload.batch.micro_batches=1", "--set", "workload.model.layers=2"];

/// A run's text in one line.
fn told(name: &str, more: &[&str]) -> String {
    let here = folder(name);
    fs::write(here.join("s.toml"), SCENARIO).expect("a file of ours");
    let text = runs(&here, &[&["run", "s.toml"], &FEW[..], more].concat());
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn check_doubts_units_that_slipped_and_refuses_none() {
    let here = folder("plausible-check");
    let shown = runs(&here, &["show", "h100-4x8-rail"]);
    let (right, wrong) = ("bandwidth = \"450 GB/s\"", "bandwidth = \"450 Gb/s\"");
    assert!(shown.contains(right), "{shown}");
    fs::write(here.join("t.toml"), shown.replace(right, wrong)).expect("a file of ours");
    let scenario = SCENARIO.replace("\"h100-4x8-rail\"", "\"t.toml\"");
    fs::write(here.join("s.toml"), scenario).expect("a file of ours");
    for file in ["t.toml", "s.toml"] {
        let said = runs(&here, &["check", file]);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let doubt = "a GPU's NVLink port of 56.25 GB/s is beyond the 100 to 4000 GB/s of data sheets: look for \
                     \"Gb/s\" for \"GB/s\"";
        assert!(said.starts_with(&format!("{file}: {doubt} {file}: a sound ")), "{said}");
    }
    assert!(runs(&here, &["check", "h100-4x8-rail"]).starts_with("h100-4x8-rail: a sound "));
}

#[test]
fn a_run_says_that_a_number_of_sms_chose_its_library() {
    let said = "exchange.sms = 8 has \"auto\" take deepep-normal, which takes a number of SMs, in place of nccl";
    assert!(told("plausible-sms", &["--set", "workload.exchange.sms=8"]).contains(said));
    assert!(!told("plausible-none", &[]).contains("exchange.sms"));
    let named =
        ["--set", "workload.exchange.library=deepep-normal", "--set", "workload.exchange.sms=8"];
    assert!(!told("plausible-named", &named).contains("exchange.sms"));
}

#[test]
fn a_run_says_that_keys_of_training_chose_its_phase() {
    let said = "keys of [training] make the batch of moe-2b one of training";
    let paired = ["--set", "workload.training.paired=true"];
    let forward = ["--set", "counted=model-forward"];
    let both = [&paired[..], &forward].concat();
    assert!(
        told("plausible-training", &both).contains(said),
        "{}",
        told("plausible-training", &both)
    );
    let phase = ["--set", "workload.batch.phase=prefill"];
    assert!(!told("plausible-phase", &[&both[..], &phase].concat()).contains("keys of [training]"));
    assert!(!told("plausible-forward", &forward).contains("keys of [training]"));
}

#[test]
fn a_format_without_kernels_is_refused_by_the_key_that_asks_for_it() {
    let here = folder("plausible-fp8");
    let scenario = "schema = 1\nname = \"s\"\ntopology = \"a100-4x8\"\nprofile = \"a100-sxm\"\ncounted = \"experts\"\n\
                    seeds = \"0..1\"\n[[compare]]\nvanilla = \"deepseek-v3\"\n";
    fs::write(here.join("s.toml"), scenario).expect("a file of ours");
    let unit = ["--set", "topology.gpu.peak_fp8=624 TFLOP/s"];
    let told = refused(&here, &[&["run", "s.toml"], &unit[..]].concat());
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        told.contains(
            "help: compute in bf16 (batch.dtype = \"bf16\"), or name a profile that was measured in it; a100-sxm has"
        ) && told.contains("batch.dtype: the profile a100-sxm has no kernel of experts in fp8_block or fp8"),
        "{told}"
    );
    let bf16 = ["--set", "workload.batch.dtype=bf16", "--set", "allow_oom=true"];
    assert!(moesim(&here, &[&["run", "s.toml"], &unit[..], &bf16].concat()).status.success());
}
