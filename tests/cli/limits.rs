//! Are inputs beyond the stated limits refused at once, and are the limits those of docs/trust.md?
//!
//! A pass says that each limit of the table there is refused one beyond it, with help, and that the numbers in the
//! table are the program's. Files of 256 MiB are holes: nothing is written, and nothing may be read of them.

use std::fs::{self, File};
use std::path::Path;

use moesim::base::table::{Column, MAX_ROWS, MAX_TABLE_BYTES, Table};
use moesim::config::{MAX_FILE_BYTES, MAX_TASKS, TAU};
use moesim::topology::{MAX_EXPLICIT_GPUS, MAX_GPUS, MAX_LINKS};

use crate::program;

/// What a command that must fail says.
fn refused(here: &Path, args: &[&str]) -> String {
    let output = program::moesim(here, args);
    let told = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(matches!(output.status.code(), Some(1 | 2)), "{args:?}: {told}");
    assert!(told.contains("help: ") || told.contains("give a number"), "{args:?}: {told}");
    told
}

fn says(here: &Path, args: &[&str], what: &str) {
    let told = refused(here, args);
    assert!(told.contains(what), "{args:?}: {told}");
}

/// A file of this size without any bytes in it.
fn hole(path: &Path, bytes: u64) {
    File::create(path).and_then(|file| file.set_len(bytes)).expect("a file of ours");
}

#[test]
fn files_that_are_too_long_are_refused_unread() {
    let here = program::folder("limits-files");
    hole(&here.join("long.toml"), MAX_FILE_BYTES + 1);
    says(&here, &["check", "long.toml"], "reads TOML files of up to 8388608 bytes");
    hole(&here.join("long.parquet"), MAX_TABLE_BYTES + 1);
    says(&here, &["gate", "show", "long.parquet"], "tables of up to 268435456 bytes are read");
    hole(&here.join("law.json"), (256 << 20) + 1);
    let law = "gate.law='law.json'";
    let workload = include_str!("../../cli/smoke/vanilla.toml").replace("popularity_sd = 0.1", "");
    fs::write(here.join("own.toml"), workload).expect("a file of ours");
    says(&here, &["gate", "show", "own.toml", "--set", law], "is not a file of a law's size");
}

#[test]
fn clusters_that_are_too_large_are_refused_unbuilt() {
    let here = program::folder("limits-clusters");
    let shipped = "topologies/a100-4x8.toml";
    let own = fs::read_to_string(shipped).expect("a shipped file");
    let nodes = |count: u32| {
        let text: String = own
            .lines()
            .map(|line| match line.trim_start().starts_with("count ") {
                true => format!("count = {count}\n"),
                false => format!("{line}\n"),
            })
            .collect();
        fs::write(here.join("own.toml"), text).expect("a file of ours");
    };
    nodes(MAX_GPUS / 8 + 1);
    says(&here, &["topology", "own.toml"], "build at most 1048576 GPUs");
    let graph = |gpus: u32| {
        let head = own.split("[nodes]").next().expect("a head");
        let text =
            format!("{head}[graph]\ngpus = {gpus}\ngpus_per_node = 1\nswitches = []\nlinks = []\n");
        fs::write(here.join("graph.toml"), text).expect("a file of ours");
    };
    graph(MAX_EXPLICIT_GPUS + 1);
    says(&here, &["topology", "graph.toml"], "2048");
}

#[test]
fn sweeps_that_are_too_long_are_refused_unbegun() {
    let here = program::folder("limits-sweeps");
    let plan = |axes: &str| {
        let head = "schema = 1\nname = \"long\"\nscenario = \"paper\"\n[vary]\n";
        fs::write(here.join("plan.toml"), format!("{head}{axes}")).expect("a file of ours");
    };
    let range = |key: &str, to: u32| format!("\"{key}\" = {{ from = 1, to = {to}, step = 1 }}\n");
    plan(&range("workload.batch.tokens_per_gpu", 100_001));
    says(&here, &["sweep", "plan.toml", "--out", "out"], "100000");
    let both = range("workload.batch.tokens_per_gpu", 5000) + &range("workload.model.layers", 1001);
    plan(&both);
    says(&here, &["sweep", "plan.toml", "--out", "out"], "a sweep has at most 5000000 runs");
    assert!(!here.join("out").exists(), "nothing was begun");
}

/// A recording with these columns, of one token that chose one expert in each.
fn recording(path: &Path, columns: impl Iterator<Item = String>) {
    let one = |table: Table, name: String| table.with(&name, Column::Integers(vec![Some(1)]));
    columns.fold(Table::new("recording"), one).write(path).expect("a file of ours");
}

#[test]
fn recordings_beyond_the_limits_are_not_read_in_part() {
    let here = program::folder("limits-recordings");
    recording(&here.join("layers.parquet"), (0..=512).map(|layer| format!("l{layer:02}_k0")));
    says(&here, &["gate", "show", "layers.parquet"], "is of more than 512 layers");
    recording(&here.join("choices.parquet"), (0..=64).map(|k| format!("l00_k{k}")));
    says(&here, &["gate", "show", "choices.parquet"], "is of more than 64 choices");
    let beyond = Table::new("recording").with("l00_k0", Column::Integers(vec![Some(4096)]));
    beyond.write(&here.join("experts.parquet")).expect("a file of ours");
    says(&here, &["gate", "show", "experts.parquet"], "give ids from 0 to 4095");
}

#[test]
fn no_command_takes_a_tau_beyond_the_limits() {
    let here = program::folder("limits-tau");
    for tau in ["0.0009", "1000.1"] {
        let set = format!("tau=[{tau}]");
        let own = format!("moepp.experts.tau={tau}");
        refused(&here, &["run", "paper", "--set", &set]);
        refused(&here, &["explain", "paper", "--set", &set]);
        refused(&here, &["memory", "paper", "--set", &set]);
        refused(&here, &["compare", "a100-4x8", "--set", &own]);
        refused(&here, &["layouts", "a100-4x8", "--tau", tau]);
        refused(&here, &["plan", "a100-4x8", "--layer-ms", "2", "--tau", tau]);
        refused(&here, &["advise", "moepp-1b", "--topology", "a100-4x8", "--tau", tau]);
    }
}

#[test]
fn the_limits_of_the_documentation_are_those_of_the_program() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/trust.md"));
    let text = text.expect("docs/trust.md");
    let table = text.split("\n## Limits").nth(1).expect("a section").split("\n## ").next();
    let table = table.expect("a section").replace(',', "");
    for limit in [
        u128::from(MAX_FILE_BYTES >> 20),
        u128::from(MAX_TABLE_BYTES >> 20),
        MAX_ROWS as u128,
        u128::from(MAX_GPUS),
        u128::from(MAX_LINKS),
        u128::from(MAX_EXPLICIT_GPUS),
        MAX_TASKS,
        *TAU.end() as u128,
    ] {
        let is_there =
            table.split(|c: char| !c.is_ascii_digit()).any(|word| word == limit.to_string());
        assert!(is_there, "the table of limits does not say {limit}");
    }
}

/// Address space that a command may take, in KiB: docs/trust.md has what it takes.
#[cfg(target_os = "linux")]
#[test]
fn memory_grows_with_gpus_as_stated() {
    let here = program::folder("limits-memory");
    let shipped = fs::read_to_string("topologies/h100-4x8-rail.toml").expect("a shipped file");
    let cluster = |nodes: u32| {
        let line = |line: &str| match line.split_whitespace().next() {
            Some("count") => format!("count = {nodes}\n"),
            Some("nodes_per_leaf") => "nodes_per_leaf = 16\n".to_owned(),
            _ => format!("{line}\n"),
        };
        fs::write(here.join("own.toml"), shipped.lines().map(line).collect::<String>())
            .expect("ours");
    };
    let within = |kib: u32, args: &str| {
        let script = format!("ulimit -v {kib}; exec \"$0\" {args}");
        let output = std::process::Command::new("sh")
            .current_dir(&here)
            .env("MALLOC_ARENA_MAX", "1")
            .args(["-c", &script, env!("CARGO_BIN_EXE_moesim")])
            .output()
            .expect("a shell");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args} in {kib} KiB: {told}");
    };
    cluster(16_384);
    within(400_000, "topology own.toml");
    cluster(128);
    within(600_000, "compare own.toml --certain --seeds 0..1 --set workload.batch.micro_batches=1");
}
