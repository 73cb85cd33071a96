//! Is what changes nothing said with a result, and what is left out of it?
//!
//! A pass says that keys of a gate that act on what is not there are named, and shares of slots that are dropped. It does not
//! say that no other key is without effect.

use std::fs;
use std::path::Path;

use crate::program;

/// What `run` prints of the 1B pair's layers with these lines set, in one line.
fn run(folder: &Path, lines: &[&str]) -> String {
    let text = "schema = 1\nname = \"small\"\ntopology = \"h100-4x8-rail\"\ncounted = \"moe-layer\"\nseeds = \"0..2\"\n\
                [[compare]]\nvanilla = \"moe-1b\"\nmoepp = \"moepp-1b\"\n";
    fs::write(folder.join("small.toml"), text).expect("a file of ours");
    let sets =
        ["workload.batch.micro_batches=1"].iter().chain(lines).flat_map(|line| ["--set", line]);
    let told =
        program::runs(folder, &["run", "small.toml"].into_iter().chain(sets).collect::<Vec<_>>());
    told.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn keys_of_the_gate_that_move_nothing_are_said_with_the_result() {
    let folder = program::folder("said-gate-keys");
    let drifts = "gate.drift changes nothing here: what drifts is the share of `sequence_sd`";
    let persists = "gate.persistence changes nothing here: gates draw counts";
    let [drift, persist] = ["workload.gate.drift=0.5", "workload.gate.persistence=0.5"];
    assert!(run(&folder, &[drift]).contains(drifts));
    assert!(run(&folder, &[persist]).contains(persists));
    let varied = ["workload.gate.sequence_sd=0.5", "workload.gate.sequence_common=0.5"];
    assert!(!run(&folder, &[drift, varied[0], varied[1]]).contains("changes nothing"));
    assert!(
        !run(&folder, &[persist, "workload.gate.sampling='exact'"]).contains("changes nothing")
    );
    let window = run(&folder, &["workload.model.sliding_window=64"]);
    assert!(
        window.contains("model.sliding_window changes nothing here: attention is no part"),
        "{window}"
    );
}

#[test]
fn dropped_slots_are_said_where_there_are_any() {
    let folder = program::folder("said-dropped");
    let skewed = run(&folder, &["workload.gate.popularity_sd=1"]);
    let said = skewed.split("dropped: ").nth(1).expect("it is said");
    assert!(said.contains("% of vanilla's slots and ") && said.contains("of MoE++'s"), "{said}");
    let all = run(&folder, &["workload.slots.factor=100"]);
    assert!(!all.contains("dropped: "), "{all}");
}

/// A model without τ that drops nothing is no vanilla one, whose least share would be none.
#[test]
fn dropped_slots_of_vanilla_are_those_of_models_without_zero_computation_experts() {
    let folder = program::folder("said-dropped-alone");
    let text = "schema = 1\nname = \"t\"\ntopology = \"h100-4x8-rail\"\ncounted = \"experts\"\nseeds = \"0..1\"\n\
                allow_oom = true\n[[compare]]\nvanilla = \"moe-1b\"\nmoepp = \"longcat-flash\"\n\
                [set]\n\"workload.model.layers\" = 1\n\"workload.batch.micro_batches\" = 1\n\
                \"vanilla.gate.popularity_sd\" = 1\n";
    fs::write(folder.join("t.toml"), text).expect("a file of ours");
    let told = program::runs(&folder, &["run", "t.toml"]);
    let said = told.split("dropped: ").nth(1).expect("it is said");
    let line = said.split_whitespace().take(10).collect::<Vec<_>>().join(" ");
    assert!(line.ends_with("% of vanilla's slots and 0.0 % of MoE++'s;"), "{line}");
}

#[test]
fn small_tau_are_told_apart_and_each_is_run_once() {
    let folder = program::folder("said-tau");
    let told = run(&folder, &["tau=[0.001,0.005,0.25]"]);
    for shown in ["0.001", "0.005", "0.25"] {
        assert!(told.contains(&format!(" {shown} ")), "{shown}: {told}");
    }
    let twice = program::refused(&folder, &["run", "small.toml", "--set", "tau=[0.5,0.25,0.5]"]);
    assert!(twice.contains("τ = 0.5 is listed twice"), "{twice}");
}
