//! Tells the program which commit it was built from, so that samples can say so.
//!
//! Only what is certain is told: outside a git checkout of this repository there is no commit, and
//! sources that differ from it are marked. The script runs again when HEAD moves or a source changes.

use std::path::Path;
use std::process::Command;

/// What the program is made of.
const SOURCES: [&str; 5] = ["calibrate/tool", "sim", "Cargo.toml", "Cargo.lock", "topologies"];

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for source in
        ["calibrate/tool/src", "calibrate/tool/build.rs", "sim", "Cargo.toml", "Cargo.lock"]
    {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    let git = |args: &[&str]| {
        let output = Command::new("git").arg("-C").arg(&root).args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    // Sources unpacked inside another repository are none of that repository's commits.
    if git(&["ls-files", "--error-unmatch", "calibrate/tool/build.rs"]).is_none() {
        return;
    }
    // Moves with every commit and checkout; git tells where it is, as a work tree has its own.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        let log = root.join(log);
        if log.exists() {
            println!("cargo::rerun-if-changed={}", log.display());
        }
    }
    let status: Vec<&str> = [&["status", "--porcelain", "--"], SOURCES.as_slice()].concat();
    if let (Some(commit), Some(changes)) = (git(&["rev-parse", "HEAD"]), git(&status)) {
        let mark = if changes.is_empty() { "" } else { ", with changes" };
        println!("cargo::rustc-env=CALIBRATE_COMMIT={commit}{mark}");
    }
}
