//! Stand-ins for CUDA's libraries, built from the C++ beside this file: the driver, NVRTC, cuBLAS,
//! NCCL and NVML, found as the real ones are and done by the CPU. For tests alone.

// Each test uses a part of it.
#![allow(dead_code)]

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Set in the process that a test is run in again.
const WITHIN: &str = "STAND_IN_WITHIN";

/// The folder of the libraries, built if need be; none, and a word about it, without a C++ compiler.
pub fn libraries() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let built = Command::new("g++").arg("--version").output().is_ok().then(built);
        if built.is_none() {
            let what = "skipped, no C++ compiler (g++) to make stand-ins for CUDA's libraries";
            let _ = writeln!(std::io::stderr(), "{what}");
        }
        built
    });
    folder.as_deref()
}

/// Builds them, once for each version of their sources, whoever else is at it.
fn built() -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cuda_stand_in");
    let mut version = DefaultHasher::new();
    let mut names: Vec<PathBuf> =
        std::fs::read_dir(&sources).expect("sources").flatten().map(|e| e.path()).collect();
    names.sort();
    for name in names.iter().filter(|name| name.extension().is_none_or(|e| e != "rs")) {
        std::fs::read(name).expect("a source").hash(&mut version);
    }
    let all = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = all.join(format!("cuda-stand-in-{:016x}", version.finish()));
    std::fs::create_dir_all(all).expect("a folder for tests");
    let lock = std::fs::File::create(all.join("cuda-stand-in.lock")).expect("a lock");
    lock.lock().expect("a lock");
    if !folder.join("built").exists() {
        let output = Command::new(sources.join("build")).arg(&folder).output().expect("a script");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::write(folder.join("built"), "").expect("a mark");
    }
    folder
}

/// The command, with what it takes to find the stand-ins and nothing else.
pub fn with_stand_ins<'c>(command: &'c mut Command, variables: &[(&str, &str)]) -> &'c mut Command {
    let folder = libraries().expect("stand-ins, which the test looked for");
    command.env("LD_LIBRARY_PATH", folder).env("CALIBRATE_CUDA_LIBRARIES", folder);
    command.envs(variables.iter().copied())
}

/// Whether this process finds the stand-ins. One that does not runs the test of this name again in one
/// that does, with these variables, and fails if it fails there.
pub fn within(test: &str, variables: &[(&str, &str)]) -> bool {
    if std::env::var_os(WITHIN).is_some() {
        return true;
    }
    if libraries().is_none() {
        return false;
    }
    let mut again = Command::new(std::env::current_exe().expect("this program"));
    again.args(["--exact", test, "--nocapture"]).env(WITHIN, "1");
    let output = with_stand_ins(&mut again, variables).output().expect("this program runs");
    let said = text(&output);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    false
}

/// All that a program said.
pub fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said).into_owned()).concat()
}
