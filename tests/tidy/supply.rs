//! What is built from: licences of packages, and where `unsafe` is.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::sources::{root, sources};

/// Modules that may be unsafe, and why. All else is forbidden it by its package's lints.
const UNSAFE: &[(&str, &str)] = &[
    ("calibrate/tool/examples/distributed/mpi.rs", "calls of MPI, which is loaded by name"),
    ("calibrate/tool/src/measure/device/cuda.rs", "calls of CUDA's driver"),
    ("calibrate/tool/src/measure/device/cuda/blas.rs", "calls of cuBLAS and cuBLASLt"),
    (
        "calibrate/tool/src/measure/device/cuda/hold.rs",
        "a kernel that holds a stream of CUDA's driver",
    ),
    (
        "calibrate/tool/src/measure/device/cuda/libraries.rs",
        "libraries that are loaded when they are there",
    ),
    ("calibrate/tool/src/measure/device/cuda/nccl.rs", "calls of NCCL, which is loaded by name"),
    ("calibrate/tool/src/measure/device/cuda/nvrtc.rs", "calls of CUDA's run-time compiler"),
    ("calibrate/tool/src/measure/device/cuda/opening.rs", "calls of CUDA's driver"),
    ("calibrate/tool/src/measure/device/cuda/peers.rs", "copies between GPUs by CUDA's driver"),
    (
        "calibrate/tool/src/measure/device/native/product.rs",
        "a call of `matrixmultiply`, which takes pointers",
    ),
    ("calibrate/tool/src/measure/telemetry/nvml.rs", "calls of NVML, which is loaded by name"),
    ("calibrate/tool/tests/nccl.rs", "a library that stands in for NCCL in its test"),
    ("web/src/lib.rs", "names of functions that a browser calls by"),
];

#[test]
fn only_named_modules_are_unsafe() {
    let manifest = |path: &str| fs::read_to_string(root().join(path)).expect("a manifest");
    assert!(
        manifest("Cargo.toml").contains("unsafe_code = \"forbid\""),
        "the library may be unsafe"
    );
    let tool = manifest("calibrate/tool/Cargo.toml");
    assert!(tool.contains("unsafe_code = \"deny\"") && tool.contains("undocumented_unsafe_blocks"));
    let folders = ["sim", "cli", "calibrate/tool", "benches", "examples", "web"];
    let own = folders.iter().flat_map(|folder| sources(folder));
    let allowing: BTreeSet<String> =
        own.filter(|(_, text)| text.contains("allow(unsafe_code)")).map(|(path, _)| path).collect();
    let named: BTreeSet<String> = UNSAFE.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(allowing, named, "modules that allow unsafe code are not those of UNSAFE");
    assert!(UNSAFE.iter().all(|(_, why)| !why.is_empty()));
}

/// The licences of a list in deny.toml.
fn allowed() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("deny.toml")).expect("deny.toml");
    let table: toml::Table = text.parse().expect("TOML");
    let list = table["licenses"]["allow"].as_array().expect("a list");
    list.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// Whether an SPDX expression can be met by licences that are allowed: `OR` needs one side, `AND` both.
fn met(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    either(&words, &mut at, allowed) && at == words.len()
}

fn either(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut any = both(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        any |= both(words, at, allowed);
    }
    any
}

fn both(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut all = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        all &= one(words, at, allowed);
    }
    all
}

fn one(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let Some(&word) = words.get(*at) else { return false };
    *at += 1;
    if word == "(" {
        let inner = either(words, at, allowed);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return inner && closed;
    }
    if let (Some(&"WITH"), Some(exception)) = (words.get(*at), words.get(*at + 1)) {
        *at += 2;
        return allowed.contains(&format!("{word} WITH {exception}"));
    }
    allowed.contains(word)
}

#[test]
fn expressions_of_licences_are_understood() {
    let allowed =
        BTreeSet::from(["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].map(String::from));
    for good in [
        "MIT",
        "MIT/GPL-3.0",
        "GPL-3.0 OR MIT",
        "MIT AND Apache-2.0",
        "(GPL-3.0 OR MIT) AND Apache-2.0",
        "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
    ] {
        assert!(met(good, &allowed), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "MIT WITH x", "(MIT", "MIT MIT", "MIT AND"] {
        assert!(!met(bad, &allowed), "{bad}");
    }
}

/// Every package that is built here, and where it comes from: licences of deny.toml, crates.io, no wildcards.
///
/// `cargo deny check` looks at other platforms' packages too, and at advisories, which need a list from outside.
#[test]
fn packages_have_licences_that_are_allowed() {
    let host = Command::new("rustc").arg("-vV").output().expect("rustc");
    let host = String::from_utf8(host.stdout).expect("UTF-8");
    let host =
        host.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host").to_owned();
    let told = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--offline",
            "--locked",
            "--filter-platform",
            &host,
        ])
        .current_dir(root())
        .output()
        .expect("cargo");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let graph: Value = serde_json::from_slice(&told.stdout).expect("JSON");
    let (allowed, mut wrong, mut seen) = (allowed(), Vec::new(), 0);
    for package in graph["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().unwrap_or_default();
        let license = package["license"].as_str().unwrap_or_default();
        if !met(license, &allowed) {
            wrong.push(format!("{name}: licence `{license}` is not in deny.toml"));
        }
        let source = package["source"].as_str();
        if source.is_some_and(|source| !source.starts_with("registry+")) {
            wrong.push(format!("{name}: comes from {source:?}"));
        }
        seen += usize::from(source.is_some());
    }
    assert!(seen > 100, "{seen} packages: is this the whole graph?");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
