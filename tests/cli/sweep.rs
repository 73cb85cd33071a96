//! Sweeps as their users treat them: killed, resumed, cut into shards, misspelt.
//!
//! A pass says that results are the same bytes however a sweep was run, and that no wrong plan starts
//! one. It says nothing of whether a run is right.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::program;

const PLAN: &str = r#"
schema = 1
name = "small"
scenario = "paper"
seeds = "0..2"
[set]
counted = "moe-layer"
"workload.batch.micro_batches" = 1
[vary]
"topology.nodes.nic.bandwidth" = { from = "100 Gb/s", to = "400 Gb/s", factor = 2 }
"workload.batch.tokens_per_gpu" = [256, 1024]
tau = [0.25, 1.0]
[plot.gain]
x = "topology.nodes.nic.bandwidth"
y = "throughput_increase_percent"
hue = "model"
"#;

/// A fresh folder of this test, with a plan in it.
fn folder(test: &str, plan: &str) -> PathBuf {
    let folder = program::folder(&format!("sweep-{test}"));
    fs::write(folder.join("plan.toml"), plan).expect("a file of ours");
    folder
}

fn moesim(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moesim"));
    command.current_dir(folder).args(args).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn runs(folder: &Path, args: &[&str]) {
    let output = moesim(folder, args).output().expect("moesim starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {told}");
}

fn refused(folder: &Path, args: &[&str]) -> String {
    let output = moesim(folder, args).output().expect("moesim starts");
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

/// The bytes of all results but the journal, whose lines are in order of finishing.
fn results(folder: &Path) -> Vec<(String, Vec<u8>)> {
    ["results.parquet", "results.csv", "columns.md", "gain.svg"]
        .map(|name| (name.to_owned(), fs::read(folder.join(name)).expect(name)))
        .to_vec()
}

#[test]
fn results_are_the_same_bytes_for_any_threads_and_shards() {
    let here = folder("shards", PLAN);
    runs(&here, &["sweep", "plan.toml", "--out", "one", "--threads", "1"]);
    runs(&here, &["sweep", "plan.toml", "--out", "many", "--threads", "7"]);
    assert_eq!(results(&here.join("one")), results(&here.join("many")));
    for shard in ["1/3", "2/3", "3/3"] {
        let out = format!("shard{}", &shard[..1]);
        runs(&here, &["sweep", "plan.toml", "--out", &out, "--shard", shard]);
    }
    let message = refused(&here, &["merge", "plan.toml", "shard1", "shard3", "--out", "merged"]);
    assert!(message.contains("tasks are in none of these folders"), "{message}");
    runs(&here, &["merge", "plan.toml", "shard3", "shard1", "shard2", "--out", "merged"]);
    assert_eq!(results(&here.join("one")), results(&here.join("merged")));
}

#[test]
fn a_sweep_killed_ten_times_and_resumed_equals_one_that_was_not() {
    let here = folder("killed", PLAN);
    runs(&here, &["sweep", "plan.toml", "--out", "whole"]);
    let mut kept = 0;
    for kill in 0..10_u64 {
        let mut child = moesim(&here, &["sweep", "plan.toml", "--out", "cut", "--resume"])
            .spawn()
            .expect("moesim starts");
        std::thread::sleep(Duration::from_millis(40 + 23 * kill));
        // The sweep may have ended before: then there is nothing left to kill.
        let _ = child.kill();
        let _ = child.wait();
        let journal = fs::read_to_string(here.join("cut/rows.jsonl")).unwrap_or_default();
        let whole = journal.matches('\n').count();
        assert!(whole >= kept, "a kill lost finished tasks: {whole} after {kept}");
        kept = whole;
    }
    runs(&here, &["sweep", "plan.toml", "--out", "cut", "--resume"]);
    assert_eq!(results(&here.join("whole")), results(&here.join("cut")));
    let journal = fs::read_to_string(here.join("cut/rows.jsonl")).expect("a journal");
    // 3 bandwidths × 2 batches × 2 τ × 4 cases × 2 seeds, and the head.
    assert_eq!(journal.lines().count(), 1 + 96, "no task was run twice");
}

#[test]
fn a_torn_line_is_cut_off_and_its_task_run_again() {
    let here = folder("torn", PLAN);
    runs(&here, &["sweep", "plan.toml", "--out", "a"]);
    let journal = here.join("a/rows.jsonl");
    let whole = fs::read(&journal).expect("a journal");
    fs::write(&journal, &whole[..whole.len() - 37]).expect("a file of ours");
    let before = results(&here.join("a"));
    runs(&here, &["sweep", "plan.toml", "--out", "a", "--resume"]);
    assert_eq!(before, results(&here.join("a")));
    // A torn line longer than the whole one that takes its place: nothing of it may be left.
    let kept = whole[..whole.len() - 37].to_vec();
    fs::write(&journal, [kept, vec![b'x'; 100_000]].concat()).expect("a file of ours");
    runs(&here, &["sweep", "plan.toml", "--out", "a", "--resume"]);
    assert!(fs::read(&journal).expect("a journal") == whole, "the journal is not what it was");
    // Killed before even the first line was whole.
    fs::write(&journal, &whole[..9]).expect("a file of ours");
    runs(&here, &["sweep", "plan.toml", "--out", "a", "--resume"]);
    assert_eq!(before, results(&here.join("a")));
}

#[test]
fn results_of_another_plan_are_not_mixed_in() {
    let here = folder("foreign", PLAN);
    runs(&here, &["sweep", "plan.toml", "--out", "a"]);
    let message = refused(&here, &["sweep", "plan.toml", "--out", "a"]);
    assert!(message.contains("holds results already"), "{message}");
    fs::write(here.join("plan.toml"), PLAN.replace("1024", "2048")).expect("a file of ours");
    let message = refused(&here, &["sweep", "plan.toml", "--out", "a", "--resume"]);
    assert!(message.contains("results of another plan"), "{message}");
}

#[test]
fn wrong_plans_are_refused_before_anything_is_written() {
    let cases = [
        (PLAN.replace("tokens_per_gpu", "tokens_per_gqu"), "unknown key `tokens_per_gqu`"),
        (PLAN.replace("[256, 1024]", "[]"), "there is no value to take"),
        (PLAN.replace("[256, 1024]", "[256, -3]"), "-3"),
        (
            PLAN.replace("[0.25, 1.0]", "{ from = 0.1, to = 2.0, steps = 100000 }")
                .replace("[256, 1024]", "{ from = 1, to = 10000, step = 1 }"),
            "points",
        ),
        (PLAN.replace("x = \"topology", "x = \"typology"), "there is no column"),
        (PLAN.replace("scenario = \"paper\"", "scenario = \"papers\""), "papers"),
    ];
    for (at, (plan, message)) in cases.iter().enumerate() {
        let here = folder(&format!("wrong{at}"), plan);
        let told = refused(&here, &["sweep", "plan.toml", "--out", "out"]);
        assert!(told.contains(message), "case {at}: {told}");
        assert!(!here.join("out/results.parquet").exists(), "case {at} wrote results");
    }
    let here = folder("unwritable", PLAN);
    fs::write(here.join("file"), "").expect("a file of ours");
    let told = refused(&here, &["sweep", "plan.toml", "--out", "file/out"]);
    assert!(told.contains("file/out"), "{told}");
}
