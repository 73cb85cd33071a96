//! Where do files go, and what becomes of what was there?
//!
//! A pass says that commands write standard output for `-`, follow links, write devices and pipes straight,
//! keep modes, touch no file of the user's but the one that is named, and write no control character to a
//! terminal or a picture. `base::atomic_file` has its own tests of each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::program::{self, moesim};

fn folder(test: &str) -> PathBuf {
    program::folder(&format!("outputs-{test}"))
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

const FLOWS: [&str; 7] =
    ["flows", "--topology", "a100-4x8", "--pattern", "uniform", "--bytes", "1 MB"];

#[test]
fn a_dash_is_standard_output_and_what_people_read_goes_beside_it() {
    let here = folder("dash");
    for (args, begins) in [
        (vec!["topology", "a100-4x8", "--svg", "-"], "<svg"),
        ([&FLOWS[..], &["--plot", "-"]].concat(), "<svg"),
        (
            vec!["gate", "show", "moepp-1b", "--micro-batches", "1", "--export", "-"],
            "round,micro_batch",
        ),
    ] {
        let output = moesim(&here, &args);
        let (out, err) = said(&output);
        assert!(output.status.success(), "{args:?}: {err}");
        assert!(out.starts_with(begins), "{args:?}: {out:.200}");
        assert!(
            !err.is_empty() && !out.contains(err.lines().next().unwrap_or_default()),
            "{args:?}"
        );
    }
    assert_eq!(fs::read_dir(&here).expect("a folder").count(), 0, "a file named - was written");
}

#[cfg(unix)]
#[test]
fn links_devices_modes_and_neighbours_are_left_as_they_are() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let here = folder("unix");
    let draw = |to: &str| moesim(&here, &["topology", "a100-4x8", "--svg", to]);
    // As /dev/stdout, which root could replace if the code under test were broken: this cannot be.
    let output = draw("/proc/self/fd/1");
    assert!(output.status.success(), "{}", said(&output).1);
    assert!(said(&output).0.contains("<svg"), "a pipe is standard output too");
    // For the same reason a full device of our own, where making one is allowed.
    let own = here.join("full");
    let made = Command::new("mknod").arg(&own).args(["c", "1", "7"]).output();
    let made = made.is_ok_and(|output| output.status.success());
    let device = if made { own.clone() } else { PathBuf::from("/dev/full") };
    symlink(&device, here.join("full.svg")).expect("a link");
    let output = draw("full.svg");
    let kind = fs::metadata(&device).expect("a device").file_type();
    assert!(!kind.is_file(), "a device was replaced");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).1.contains("No space left"), "{}", said(&output).1);
    assert!(here.join("full.svg").is_symlink(), "a link to a device was replaced");
    fs::write(here.join("secret.svg"), "old").expect("a file of ours");
    fs::write(here.join("a.svg.tmp"), "the user's").expect("a file of ours");
    fs::set_permissions(here.join("secret.svg"), fs::Permissions::from_mode(0o600)).expect("ours");
    symlink("secret.svg", here.join("a.svg")).expect("a link");
    let output = draw("a.svg");
    assert!(output.status.success(), "{}", said(&output).1);
    assert!(here.join("a.svg").is_symlink(), "a link was replaced");
    let written = fs::read_to_string(here.join("secret.svg")).expect("the picture");
    assert!(written.starts_with("<svg"), "{written:.100}");
    let mode = fs::metadata(here.join("secret.svg")).expect("the picture").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the mode was not kept");
    assert_eq!(fs::read_to_string(here.join("a.svg.tmp")).expect("the user's"), "the user's");
}

#[cfg(unix)]
#[test]
fn a_path_that_is_no_text_is_refused_alike_by_every_command() {
    use std::os::unix::ffi::OsStrExt;
    let here = folder("bytes");
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.toml");
    fs::write(here.join(name), "schema = 1\n").expect("a file of ours");
    for command in ["run", "check", "sweep", "topology", "plot", "import", "flows"] {
        let mut moesim = Command::new(env!("CARGO_BIN_EXE_moesim"));
        let output =
            moesim.current_dir(&here).arg(command).arg(name).output().expect("moesim starts");
        let (_, told) = said(&output);
        assert_eq!(output.status.code(), Some(1), "{command}: {told}");
        assert!(told.contains("is not UTF-8\n  help: rename"), "{command}: {told}");
    }
}

#[test]
fn control_characters_in_names_reach_neither_terminals_nor_pictures() {
    let here = folder("control");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("topologies/a100-4x8.toml");
    let text = fs::read_to_string(shipped).expect("a shipped file");
    let evil = text.replace("\"a100-4x8\"", "\"a\\u001b[31m<b>\\u0007\\u202e\"");
    assert_ne!(text, evil);
    fs::write(here.join("evil.toml"), &evil).expect("a file of ours");
    let flows =
        [&["flows", "--topology", "evil.toml"], &FLOWS[3..], &["--plot", "flows.svg"]].concat();
    for args in [vec!["topology", "evil.toml", "--svg", "topology.svg"], flows] {
        let output = moesim(&here, &args);
        let (out, err) = said(&output);
        assert!(output.status.success(), "{err}");
        assert!(
            out.contains("\\u001b[31m") && !out.contains(['\u{1b}', '\u{7}', '\u{202e}']),
            "{out:?}"
        );
    }
    for picture in ["topology.svg", "flows.svg"] {
        let svg = fs::read_to_string(here.join(picture)).expect("a picture");
        assert!(!svg.contains(|c: char| c.is_control() && c != '\n'), "{picture}");
    }
    fs::write(here.join("wrong.toml"), evil.replace("300 GB/s", "\\u001b[2Jfast")).expect("ours");
    let (_, told) = said(&moesim(&here, &["topology", "wrong.toml"]));
    assert!(told.contains("\\u001b[2Jfast") && !told.contains('\u{1b}'), "{told:?}");
}

#[test]
fn a_megabyte_in_a_field_is_not_echoed() {
    let here = folder("long");
    let long = "x".repeat(1_000_000);
    let text = format!("schema = 1\nname = \"n\"\nscenario = \"{long}\"\n[vary]\ntau = [1.0]\n");
    fs::write(here.join("plan.toml"), text).expect("a file of ours");
    let (_, told) = said(&moesim(&here, &["sweep", "plan.toml"]));
    assert!(told.len() < 8_000 && told.contains(" characters … "), "{} bytes", told.len());
    assert!(told.contains("plan.toml") && told.contains("help: "), "{told}");
}

#[test]
fn a_picture_of_a_plan_stays_in_its_folder() {
    let here = folder("plot");
    for name in ["../x", "a/b", "/tmp/x", "..", "a\\\\b", "", ".hidden", "a\\u0000b"] {
        let plan = format!(
            "schema = 1\nname = \"n\"\nscenario = \"paper\"\nseeds = \"0..1\"\n[vary]\ntau = [0.5]\n\
             [plot.\"{name}\"]\nx = \"tau\"\ny = \"time_ms\"\n"
        );
        fs::write(here.join("plan.toml"), plan).expect("a file of ours");
        let (_, told) = said(&moesim(&here, &["sweep", "plan.toml", "--out", "out"]));
        assert!(
            told.contains("plan.toml:7") && told.contains("is not a plain file name"),
            "{told}"
        );
        assert!(!here.join("out").exists() && !here.join("x.svg").exists(), "{name}");
    }
}
