//! Do we keep our own rules?
//!
//! A pass says that modules use only what lies below them and form no circles, that nothing makes a
//! run depend on more than its inputs, that every cited key is listed, and that files and functions
//! are of a readable length. It says nothing of whether the code is right.

#[path = "tidy/modules.rs"]
mod modules;
#[path = "tidy/mutants.rs"]
mod mutants;
#[path = "tidy/packages.rs"]
mod packages;
#[path = "tidy/sources.rs"]
mod sources;
#[path = "tidy/supply.rs"]
mod supply;

use std::collections::BTreeSet;
use std::fs;

use modules::Crate;
use sources::{product, root, sources};

/// The rooms of the library, lowest first: a room may use those before it, never those after it.
/// The program in `cli/` stands on top of all. ARCHITECTURE.md has the same table.
const LAYERS: [&str; 12] = [
    "base",
    "workload",
    "kernels",
    "topology",
    "gate",
    "placement",
    "network",
    "execution",
    "config",
    "studies",
    "output",
    "commands",
];

/// Words that make a run depend on more than its inputs, and what to use instead.
const BANNED: &[(&str, &str)] = &[
    ("HashMap", "BTreeMap: iteration order must not depend on the hasher"),
    ("HashSet", "BTreeSet: iteration order must not depend on the hasher"),
    ("Instant::now", "Calendar::now: wall-clock time belongs to the commands"),
    ("SystemTime", "nothing: a run knows no date"),
    ("thread_rng", "Streams: every draw has a named stream"),
    ("from_os_rng", "Streams: every draw has a named stream"),
    ("clap", "cli/: the library has no command line"),
    ("indicatif", "cli/: the library has no terminal"),
];

/// What is done in one file alone, by the word that does it, for all packages.
const HOMES: &[(&str, &str)] = &[
    ("rayon", "sim/base/threads.rs"),
    ("thread::scope", "sim/base/threads.rs"),
    ("thread::spawn", "sim/base/threads.rs"),
    ("available_parallelism", "sim/base/threads.rs"),
    ("crc32fast", "sim/base/hashes.rs"),
];

/// The longest a source file may be.
const MOST_LINES: usize = 400;

/// Files that are longer than `MOST_LINES`, with the most they may have. The list may only shrink.
const LONGER_FILES: &[(&str, usize)] = &[
    ("calibrate/tool/src/measure/device/cuda.rs", 454),
    ("calibrate/tool/src/measure/device/wgpu.rs", 441),
];

/// How many functions may be longer than this many lines, signature and braces included. Lower the
/// counts as functions get shorter, never raise them.
const LONG_FUNCTIONS: [(usize, usize); 2] = [(40, 89), (60, 13)];

/// The most modules that one module or room may have as direct children.
const MOST_CHILDREN: usize = 12;

/// Rooms that have more, with the most they may have. The list may only shrink.
const MORE_CHILDREN: &[(&str, usize)] = &[];

/// The packages' source folders, and the name by which the others use them.
const CRATES: [(&str, &str); 3] =
    [("sim", "moesim"), ("cli", "moesim_program"), ("calibrate/tool/src", "calibrate")];

fn crates() -> Vec<Crate> {
    CRATES.iter().map(|(folder, name)| Crate::read(folder, name)).collect()
}

#[test]
fn rooms_use_only_the_rooms_below_them() {
    let library = Crate::read("sim", "moesim");
    let rooms: BTreeSet<&str> = library.children_of(&[]).collect();
    assert_eq!(rooms, BTreeSet::from(LAYERS), "the rooms of sim/ are not those of LAYERS");
    let rank = |room: &str| LAYERS.iter().position(|layer| *layer == room);
    for edge in library.edges() {
        let (from, to) = (rank(&edge.from_child), rank(&edge.to_child));
        if edge.parent.is_empty() {
            assert!(to <= from, "{edge}: `{}` lies above it", edge.to_child);
        }
    }
}

/// Between the children of one module there are no circles, at any depth and in every package.
///
/// A child may use what its parent defines itself (a type that all children share), and a parent its
/// children. What a parent only re-exports counts as its child's: `super::X` does not hide a circle.
#[test]
fn siblings_form_no_circles() {
    let circles: Vec<String> = crates().iter().flat_map(Crate::circles).collect();
    assert!(circles.is_empty(), "circles of imports:\n{}", circles.join("\n"));
}

#[test]
fn rooms_have_a_dozen_modules_at_most() {
    for package in crates() {
        for (module, children) in package.families() {
            let most = allowance(MORE_CHILDREN, &module).unwrap_or(MOST_CHILDREN);
            assert!(
                children <= most,
                "{module} has {children} direct children, {most} are allowed"
            );
        }
    }
}

#[test]
fn the_table_of_rooms_in_the_documentation_is_that_of_the_code() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let rooms: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("| room |"))
        .skip(2)
        .map_while(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let expected: Vec<&str> = LAYERS.into_iter().chain(["cli"]).collect();
    assert_eq!(rooms, expected, "the table `| room |` in ARCHITECTURE.md");
}

#[test]
fn a_run_depends_on_its_inputs_alone() {
    for (path, text) in sources("sim") {
        for (word, instead) in BANNED {
            assert!(!uses(&text, word), "{path}: {word}: use {instead}");
        }
    }
}

#[test]
fn what_has_a_home_is_done_there_alone() {
    for (path, text) in ["sim", "cli", "calibrate/tool/src"].iter().flat_map(|dir| sources(dir)) {
        for (word, home) in HOMES {
            let there = path == *home || path.ends_with("/tests.rs");
            assert!(there || !uses(&text, word), "{path}: {word}: use {home}");
        }
    }
}

/// Whether a file, its tests left out, has a word by itself or as an end of a path.
fn uses(text: &str, word: &str) -> bool {
    product(text).split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).any(|used| {
        used == word
            || used.ends_with(&format!("::{word}"))
            || used.starts_with(&format!("{word}::"))
    })
}

#[test]
fn every_cited_key_is_listed() {
    let references =
        fs::read_to_string(root().join("sim/REFERENCES.md")).expect("sim/REFERENCES.md");
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
                    "{path}: [{inside}] is not in sim/REFERENCES.md"
                );
            }
        }
    }
}

/// Paths in comments and documents, such as `sim/gate.rs`, lead to files.
#[test]
fn every_source_file_named_exists() {
    let documents = ["", "docs", "calibrate", "topologies", "workloads", "scenarios", "notebooks"];
    let documents = documents.iter().flat_map(|folder| sources::documents(folder));
    let code = ["sim", "cli", "calibrate/tool", "tests", "benches", "examples", "fuzz/targets"];
    for (path, text) in code.iter().flat_map(|folder| sources(folder)).chain(documents) {
        let is_code = path.ends_with(".rs");
        let comments = text.lines().filter(|line| !is_code || line.trim_start().starts_with("//"));
        for word in comments
            .flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && !"/._-".contains(c)))
        {
            let named = ["sim/", "cli/", "tests/", "examples/", "calibrate/tool/"]
                .iter()
                .any(|folder| word.starts_with(folder));
            // Capitals stand for a name of the reader's: `sim/topology/FAMILY.rs`.
            let given = word.ends_with(".rs") && !word.contains(|c: char| c.is_uppercase());
            assert!(!(named && given) || root().join(word).exists(), "{path}: there is no {word}");
        }
    }
}

#[test]
fn files_are_of_a_readable_length() {
    for folder in ["sim", "cli", "calibrate/tool", "tests", "benches", "examples", "fuzz/targets"] {
        for (path, text) in sources(folder) {
            let lines = text.lines().count();
            let most = allowance(LONGER_FILES, &path).unwrap_or(MOST_LINES);
            assert!(lines <= most, "{path} has {lines} lines, {most} are allowed");
        }
    }
}

#[test]
fn functions_are_of_a_readable_length() {
    let lengths: Vec<(usize, String)> = crates().iter().flat_map(Crate::functions).collect();
    for (lines, most) in LONG_FUNCTIONS {
        let mut longer: Vec<_> = lengths.iter().filter(|(length, _)| *length > lines).collect();
        longer.sort();
        let list: Vec<String> = longer.iter().map(|(n, name)| format!("{n} {name}")).collect();
        assert!(
            longer.len() <= most,
            "{} functions have over {lines} lines, {most} are allowed:\n{}",
            longer.len(),
            list.join("\n")
        );
    }
}

fn allowance(list: &[(&str, usize)], name: &str) -> Option<usize> {
    list.iter().find(|(listed, _)| *listed == name).map(|(_, most)| *most)
}
