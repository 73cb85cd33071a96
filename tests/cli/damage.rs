//! What becomes of a sweep whose journal is damaged, or written by two?
//!
//! A pass says that damage anywhere in the journal ends `--resume` and `merge` with a message that names
//! the line, that nothing false is taken from it, and that `--rerun-damaged` comes to the same bytes as a
//! sweep that was never touched. `studies::sweep::journal` flips every bit and kills at every byte.

use std::fs;
use std::path::{Path, PathBuf};

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
"topology.nodes.nic.bandwidth" = ["50 Gb/s", "100 Gb/s", "200 Gb/s"]
tau = 0.5
"#;

fn folder(test: &str) -> PathBuf {
    let folder = program::folder(&format!("damage-{test}"));
    fs::write(folder.join("plan.toml"), PLAN.replace("tau = 0.5", "tau = [0.5]")).expect("ours");
    folder
}

/// Standard output of a success, or standard error of a refusal.
fn moesim(folder: &Path, args: &[&str]) -> Result<String, String> {
    let output = program::moesim(folder, args);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    match output.status.code() {
        Some(0) => Ok(text(output.stdout)),
        Some(1) => Err(text(output.stderr)),
        other => panic!("{args:?}: exit status {other:?}: {}", text(output.stderr)),
    }
}

fn results(folder: &Path) -> Vec<Vec<u8>> {
    let names = ["results.parquet", "results.csv", "columns.md"];
    names.map(|name| fs::read(folder.join(name)).expect(name)).to_vec()
}

#[test]
fn damage_is_named_by_its_line_and_run_again_when_asked() {
    let here = folder("lines");
    let table = moesim(&here, &["sweep", "plan.toml", "--out", "a"]).expect("a sound plan");
    // Cells are shown whole: their last six characters are alike.
    for cell in [" 50 Gb/s ", " 100 Gb/s ", " 200 Gb/s "] {
        assert!(table.contains(cell), "no{cell}in\n{table}");
    }
    let (whole, journal) = (results(&here.join("a")), here.join("a/rows.jsonl"));
    let sound = fs::read_to_string(&journal).expect("a journal");
    let lines: Vec<&str> = sound.split_inclusive('\n').collect();
    let with = |line: String| lines[..3].concat() + &line + &lines[4..].concat();
    let fewer_cells = lines[3].replacen("[[", "[[7,", 1);
    for (damaged, at) in [
        (with("{\"task\":2,\"rows\":[]}\n".to_owned()), 4),
        (with(fewer_cells), 4),
        (with(lines[3].replacen('1', "2", 1)), 4),
        (with("\0".repeat(512) + "\n"), 4),
        (lines[0].replace(':', ";") + &lines[1..].concat(), 1),
        (format!("{}{}", lines[0], lines[1..].concat().replacen("\"task\"", "\"tusk\"", 1)), 2),
    ] {
        for args in [
            &["sweep", "plan.toml", "--out", "a", "--resume", "--quiet"][..],
            &["merge", "plan.toml", "a", "--out", "merged"],
        ] {
            fs::write(&journal, &damaged).expect("ours");
            let told = moesim(&here, args).expect_err("a damaged journal is refused");
            assert!(told.contains(&format!("a/rows.jsonl:{at}: ")), "{told}");
            assert!(told.contains("--rerun-damaged"), "{told}");
            assert_eq!(fs::read_to_string(&journal).expect("a journal"), damaged, "it was changed");
        }
        let again = ["sweep", "plan.toml", "--out", "a", "--resume", "--rerun-damaged", "--quiet"];
        moesim(&here, &again).unwrap_or_else(|told| panic!("{told}"));
        assert!(results(&here.join("a")) == whole, "other bytes after damage of line {at}");
        let kept = fs::read_to_string(here.join("a/rows.damaged.jsonl")).expect("the damaged one");
        assert_eq!(kept, damaged);
    }
}

#[test]
fn a_journal_in_use_or_unreadable_is_said_to_be_that() {
    let here = folder("use");
    moesim(&here, &["sweep", "plan.toml", "--out", "a", "--quiet"]).expect("a sound plan");
    let resume = ["sweep", "plan.toml", "--out", "a", "--resume"];
    let held = fs::File::open(here.join("a/rows.jsonl")).expect("a journal");
    held.lock().expect("a file system with locks");
    let told = moesim(&here, &resume).expect_err("two writers");
    assert!(told.contains("a/rows.jsonl: is being written by another moesim"), "{told}");
    drop(held);
    fs::remove_file(here.join("a/rows.jsonl")).expect("ours");
    fs::create_dir(here.join("a/rows.jsonl")).expect("ours");
    let told = moesim(&here, &resume).expect_err("a folder is no journal");
    assert!(told.contains("cannot be read") && !told.contains("written"), "{told}");
    let told = moesim(&here, &["merge", "plan.toml", "none", "--out", "b"]).expect_err("no shard");
    assert!(told.contains("none/rows.jsonl: cannot be read"), "{told}");
    assert!(!here.join("b").exists(), "a folder for nothing");
}

#[test]
fn files_that_a_sweep_does_not_read_are_not_its_inputs() {
    let here = folder("inputs");
    moesim(&here, &["sweep", "plan.toml", "--out", "a", "--quiet"]).expect("a sound plan");
    // Names that stand in the built-in files: of a profile's table, of a device, of a format.
    for name in ["a100-sxm.parquet", "a100-sxm", "bf16", "NVIDIA A100-SXM4-80GB", "paper"] {
        fs::write(here.join(name), "unrelated").expect("a file of ours");
    }
    let resume = ["sweep", "plan.toml", "--out", "a", "--resume", "--quiet"];
    moesim(&here, &resume).unwrap_or_else(|told| panic!("{told}"));
}
