//! Does the user get helped? Each wrong input, and the exact message it gets.
//!
//! A pass says that each mistake below is refused with the message in `data/mistakes.txt`, with exit
//! status 1, without a panic, and without a file written. It does not say that no other mistake can
//! slip through. After a deliberate change of words, run with `UPDATE_EXPECT=1` and read the
//! difference.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

mod drafts;
mod overlap;
mod wrong;
use drafts::DRAFTS;
use overlap::OVERLAP;
use wrong::CASES;
use wrong::Wrong::{self, Args, Bytes, Edit, Given, Scenario, Size, Text};

fn shipped(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("a shipped file")
}

fn edited(name: &str, from: &str, to: &str) -> String {
    let text = shipped(name);
    assert!(text.contains(from), "{name} has no `{from}` to change");
    text.replacen(from, to, 1)
}

/// A folder of its own for a case, emptied first.
fn folder(case: usize) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("mistake-{case}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a writable target folder");
    folder
}

fn message(case: usize, wrong: &Wrong) -> String {
    let folder = folder(case);
    let file = folder.join("wrong.toml");
    let args: Vec<&str> = match wrong {
        Edit(name, from, to) => {
            fs::write(&file, edited(name, from, to)).expect("writable");
            vec!["check", "wrong.toml"]
        }
        Bytes(bytes) => {
            fs::write(&file, bytes).expect("writable");
            vec!["check", "wrong.toml"]
        }
        Size(size) => {
            fs::File::create(&file).and_then(|f| f.set_len(*size)).expect("writable");
            vec!["check", "wrong.toml"]
        }
        Scenario(from, to) => {
            fs::write(&file, edited("scenarios/paper.toml", from, to)).expect("writable");
            vec!["run", "wrong.toml"]
        }
        Args(args) => args.to_vec(),
        Given(name, args) => {
            fs::write(&file, shipped(name)).expect("writable");
            args.to_vec()
        }
        Text(text, args) => {
            fs::write(&file, text).expect("writable");
            args.to_vec()
        }
    };
    let before = fs::read_dir(&folder).expect("readable").count();
    let output = Command::new(env!("CARGO_BIN_EXE_moesim"))
        .args(&args)
        .current_dir(&folder)
        .output()
        .expect("moesim starts");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "case {case}: {stderr}");
    assert!(!stderr.contains("panicked"), "case {case}: {stderr}");
    assert!(output.stdout.is_empty(), "case {case} printed results");
    assert_eq!(fs::read_dir(&folder).expect("readable").count(), before, "case {case} wrote");
    stderr
}

#[test]
fn each_mistake_gets_its_message() {
    let got: String = CASES
        .iter()
        .chain(OVERLAP)
        .chain(DRAFTS)
        .enumerate()
        .map(|(case, (name, wrong))| format!("# {name}\n{}\n", message(case, wrong)))
        .collect();
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mistakes.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&stored, &got).expect("writable");
    }
    let expected = fs::read_to_string(&stored).expect("tests/data/mistakes.txt");
    for (got, expected) in got.split("\n\n").zip(expected.split("\n\n")) {
        assert_eq!(got, expected);
    }
    assert_eq!(got.len(), expected.len());
}
