//! Do the fuzz targets hold on their seeds, on what fuzzing found, and on a few mutants of them?
//!
//! A pass says that targets of `fuzz/` fit the library as it is and that what was found once stays mended. It
//! finds nothing new: `fuzz/run` does.

use std::fs;
use std::path::{Path, PathBuf};

#[path = "../../fuzz/targets/mod.rs"]
mod targets;

use targets::Target;

/// Shipped files of a target that are small enough for a test without optimisation.
const MOST_BYTES: u64 = 40_000;
const MOST_SEEDS: usize = 6;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files of `FOLDER/BEGINNING*ENDING`, or the one that is named.
fn files(pattern: &str) -> Vec<PathBuf> {
    let Some((before, ending)) = pattern.split_once('*') else { return vec![root().join(pattern)] };
    let (folder, beginning) = before.rsplit_once('/').unwrap_or(("", before));
    let entries = fs::read_dir(root().join(folder)).expect("a folder of shipped files");
    let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let fits = |path: &PathBuf| {
        name(path).is_some_and(|name| name.starts_with(beginning) && name.ends_with(ending))
    };
    let mut found: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(fits).collect();
    found.sort();
    found
}

fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let shipped = target
        .seeds
        .iter()
        .flat_map(|pattern| files(pattern))
        .filter(|path| path.metadata().is_ok_and(|of| of.len() <= MOST_BYTES));
    let shipped = shipped.take(MOST_SEEDS).map(|path| fs::read(path).expect("a shipped file"));
    target.small.iter().map(|text| text.as_bytes().to_vec()).chain(shipped).collect()
}

#[test]
fn targets_hold_on_seeds_and_near_them() {
    for target in targets::all() {
        for seed in seeds(target) {
            (target.holds)(&seed);
            for part in 1..4 {
                (target.holds)(&seed[..seed.len() * part / 4]);
            }
            let mut flipped = seed.clone();
            for at in (0..seed.len()).step_by(1 + seed.len() / 8) {
                flipped[at] ^= 0x10;
                (target.holds)(&flipped);
            }
        }
    }
}

#[test]
fn what_was_found_stays_mended() {
    let kept = root().join("fuzz/kept");
    for folder in fs::read_dir(kept).into_iter().flatten().flatten() {
        let name = folder.file_name().to_string_lossy().into_owned();
        let Some(target) = targets::all().find(|target| target.name == name) else { continue };
        for file in fs::read_dir(folder.path()).expect("a folder").flatten() {
            let bytes = fs::read(file.path()).expect("a file");
            let held = std::panic::catch_unwind(|| (target.holds)(&bytes)).is_ok();
            assert!(held, "{} is not mended", file.path().display());
        }
    }
}

/// A target that accepts nothing tests nothing.
#[test]
fn refusals_without_help_are_seen() {
    let caught = std::panic::catch_unwind(|| {
        targets::helpful(&moesim::config::Diagnostic::of("a", "is wrong", " "));
    });
    assert!(caught.is_err());
    targets::helpful(&moesim::config::Diagnostic::of("a", "is wrong", "mend it"));
}
