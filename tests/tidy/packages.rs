//! What packages hold: all that is compiled in, and little else.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::sources::{root, sources};

/// Files by folder and ending.
type Kinds = &'static [(&'static str, &'static [&'static str])];

/// Each package: where it lies, what its files are, by folder and ending, and the most megabytes of them.
const PACKAGES: [(&str, &str, Kinds, u64); 2] = [
    ("moesim", "", MOESIM, 7),
    (
        "calibrate",
        "calibrate/tool",
        &[("", &["Cargo.toml", "Cargo.lock", "README.md", "build.rs"]), ("src/", &[".rs"])],
        1,
    ),
];

const MOESIM: Kinds = &[
    (
        "",
        &["Cargo.toml", "Cargo.lock", ".md", "LICENSE", "LICENSE-APACHE", "LICENSE-MIT", "NOTICE"],
    ),
    ("sim/", &[".rs", ".toml", ".md", ".ttf", ".css", ".js", "LICENSE"]),
    ("cli/", &[".rs", ".toml", ".html", ".css", ".js"]),
    ("benches/", &[".rs"]),
    ("examples/", &[".rs"]),
    ("docs/", &[".md"]),
    ("topologies/", &[".toml", ".md"]),
    ("workloads/", &[".toml", ".md"]),
    ("scenarios/", &[".toml", ".md"]),
    ("calibrate/profiles/", &[".toml", ".parquet"]),
    ("calibrate/overheads/", &[".toml"]),
    ("calibrate/data/", &[".csv", "sglang_moe_configs.parquet"]),
    ("calibrate/data/systems/", &[".csv", ".md"]),
    // A unit test's.
    ("tests/data/cases/", &["09-config.json"]),
];

/// The files of a package, but for those that cargo makes.
fn packed(package: &str) -> BTreeSet<String> {
    let told = Command::new(env!("CARGO"))
        .args(["package", "--list", "--allow-dirty", "--offline", "--package", package])
        .current_dir(root())
        .output()
        .expect("cargo");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let text = String::from_utf8(told.stdout).expect("UTF-8").replace('\\', "/");
    let made = ["Cargo.toml.orig", ".cargo_vcs_info.json"];
    text.lines().filter(|file| !made.contains(file)).map(str::to_owned).collect()
}

/// What is compiled in is in the package: one that lacks it builds here and nowhere else.
#[test]
fn the_package_holds_what_is_compiled_in() {
    let packed = packed("moesim");
    let mut missing = Vec::new();
    for (path, text) in sources("sim").into_iter().chain(sources("cli")) {
        let texts = text.split("include_str!(\"").skip(1);
        for part in texts.chain(text.split("include_bytes!(\"").skip(1)) {
            let from_here = part.split('"').next().unwrap_or_default();
            let folder = Path::new(&path).parent().expect("a folder").join(from_here);
            let Ok(file) = root().join(folder).canonicalize() else { continue };
            let whole = root().canonicalize().expect("the root");
            let Ok(file) = file.strip_prefix(whole) else { continue };
            let file = file.to_string_lossy().replace('\\', "/");
            if root().join(&file).is_file() && !packed.contains(&file) {
                missing.push(format!("{path}: {file}"));
            }
        }
    }
    assert!(missing.is_empty(), "add to `include` in Cargo.toml:\n{}", missing.join("\n"));
}

/// A profile whose table is another's is compiled in with that one: the file beside it has to be a copy.
#[test]
fn profiles_are_compiled_in_with_the_tables_beside_them() {
    for profile in moesim::config::built_in_profiles() {
        let file = root().join(format!("calibrate/profiles/{}.parquet", profile.name));
        let beside = fs::read(&file).expect("a table");
        assert!(beside == profile.table, "{} is not what is compiled in", file.display());
    }
}

#[test]
fn packages_hold_nothing_else_and_are_small() {
    for (package, folder, kinds, most) in PACKAGES {
        let mut bytes = 0;
        for file in packed(package) {
            let (inner, name) = file.rsplit_once('/').map_or(("", file.as_str()), |at| at);
            let inner = if inner.is_empty() { String::new() } else { format!("{inner}/") };
            let fits = kinds.iter().any(|(within, endings)| {
                let there =
                    if within.is_empty() { inner.is_empty() } else { inner.starts_with(within) };
                there && endings.iter().any(|ending| name.ends_with(ending))
            });
            assert!(fits, "{package}: what is {file} for at run time? See `include` in Cargo.toml");
            let lies = [root().join(folder).join(&file), root().join(&file)];
            bytes +=
                lies.iter().find_map(|path| fs::metadata(path).ok()).map_or(0, |own| own.len());
        }
        assert!(bytes > 100_000 && bytes < most << 20, "{package}: {bytes} bytes are packed");
    }
}

/// Tests build the library once for the command line and for the Python package, with the features of the command line. That
/// proves something of wheels without them as long as the library reads no feature.
#[test]
fn the_library_reads_no_feature() {
    for (path, text) in sources("sim") {
        let reads = ["feature = \"", "cfg!(feature", "CARGO_FEATURE"];
        let found = reads.iter().find(|word| text.contains(**word));
        assert!(found.is_none(), "{path}: {} in the library, which has none", found.unwrap());
    }
}
