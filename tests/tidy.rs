//! Do we keep our own rules?
//!
//! A pass says that modules use only modules below them, that nothing makes a run depend on more
//! than its inputs, that every cited key is listed, and that files are of a readable length. It
//! says nothing of whether the code is right.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Lower layers first. A module may use those of its own line and of the lines above it, never
/// those below. The same picture is in ARCHITECTURE.md.
const LAYERS: &[&[&str]] = &[
    &["units", "streams", "blame", "estimate", "whole", "plot"],
    &["calendar", "table", "workload", "profile", "kernel", "devices", "measurements"],
    &["topology", "traffic", "fluid"],
    &["placement", "gate", "network", "collective"],
    &["cost"],
    &["machine"],
    &["outcome", "run"],
    &["config"],
    &["study", "paper", "validate"],
    &["sweep", "compare", "timeline"],
    &["planner"],
    &["report"],
    &["cli"],
];

/// Words that make a run depend on more than its inputs, and what to use instead.
const BANNED: &[(&str, &str)] = &[
    ("HashMap", "BTreeMap: iteration order must not depend on the hasher"),
    ("HashSet", "BTreeSet: iteration order must not depend on the hasher"),
    ("Instant::now", "Calendar::now: wall-clock time belongs to the commands"),
    ("SystemTime", "nothing: a run knows no date"),
    ("thread_rng", "Streams: every draw has a named stream"),
    ("from_os_rng", "Streams: every draw has a named stream"),
];

/// Where a banned word is part of the job: what a command took is not what it simulated.
const ALLOWED: &[(&str, &str)] = &[("sim/cli", "Instant::now")];

/// The longest a source file may be; lower it as files get shorter, never raise it.
const MOST_LINES: usize = 500;

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of ours") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let text = fs::read_to_string(&path).expect("UTF-8");
                found.push((path.strip_prefix(root).expect("ours").to_owned(), text));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no source under {folder}");
    found
}

/// `sim/cost/dense.rs` → `cost`.
fn module_of(path: &Path) -> String {
    let second = path.iter().nth(1).expect("inside sim").to_string_lossy();
    second.trim_end_matches(".rs").to_owned()
}

fn rank(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The part of a file that is not its own tests.
fn product(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

#[test]
fn modules_use_only_what_lies_below_them() {
    for (path, text) in sources("sim") {
        let module = module_of(&path);
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let own = rank(&module).unwrap_or_else(|| panic!("{module} is in no layer of LAYERS"));
        for line in product(&text).lines().filter(|line| !line.trim_start().starts_with("//")) {
            for used in line.split("crate::").skip(1) {
                let end = used.find(|c: char| !c.is_alphanumeric() && c != '_');
                let used = &used[..end.unwrap_or(used.len())];
                let Some(theirs) = rank(used) else { continue };
                assert!(
                    theirs <= own,
                    "{}: {module} uses {used}, which lies above it",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn a_run_depends_on_its_inputs_alone() {
    for (path, text) in sources("sim") {
        for (word, instead) in BANNED {
            let allowed = ALLOWED.iter().any(|(folder, w)| path.starts_with(folder) && w == word);
            assert!(
                allowed || !product(&text).contains(word),
                "{}: {word}: use {instead}",
                path.display()
            );
        }
    }
}

#[test]
fn every_cited_key_is_listed() {
    let references =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("sim/REFERENCES.md"))
            .expect("sim/REFERENCES.md");
    let listed: BTreeSet<&str> =
        references.lines().filter_map(|line| line.strip_prefix("- [")?.split(']').next()).collect();
    for (path, text) in sources("sim") {
        for line in text.lines().filter(|line| line.trim_start().starts_with("//")) {
            for cited in line.split('[').skip(1) {
                let Some(inside) = cited.split(']').next() else { continue };
                let key = inside.split(',').next().unwrap_or_default();
                let is_key = key.len() > 3
                    && key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
                    && (key.ends_with(|c: char| c.is_ascii_digit()) || inside.contains(", "));
                assert!(
                    !is_key || listed.contains(key),
                    "{}: [{inside}] is not in sim/REFERENCES.md",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn files_are_of_a_readable_length() {
    for folder in ["sim", "calibrate", "tests", "benches"] {
        for (path, text) in sources(folder) {
            let lines = text.lines().count();
            assert!(lines <= MOST_LINES, "{} has {lines} lines", path.display());
        }
    }
}
