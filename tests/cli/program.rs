//! The program as its users run it, in a fresh folder of each test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A fresh folder of this name.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder of ours");
    folder
}

/// What `moesim` prints where it succeeds.
pub(crate) fn runs(folder: &Path, args: &[&str]) -> String {
    let output = moesim(folder, args);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {told}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What `moesim` says where it refuses.
pub(crate) fn refused(folder: &Path, args: &[&str]) -> String {
    let output = moesim(folder, args);
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

/// What `moesim` says and how it ends, run in this folder.
pub(crate) fn moesim(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moesim"));
    command.current_dir(folder).args(args).output().expect("moesim starts")
}
