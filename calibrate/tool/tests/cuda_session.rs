//! Does a whole session with CUDA run as a user runs it: measure, resume, fit, compare, report?
//!
//! A pass says that on stand-ins for CUDA's libraries, at small sizes and among two GPUs, each command
//! takes what the one before it left. The stand-ins' times are those of a CPU: nothing is said of how
//! good predictions for a GPU are. Without a C++ compiler this test says so and passes.

use std::path::Path;
use std::process::Command;

use calibrate::measure::samples;

mod cuda_stand_in;
use cuda_stand_in::{libraries, text, with_stand_ins};

fn passes(args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_calibrate"));
    let devices = [("STAND_IN_DEVICES", "2")];
    let output =
        with_stand_ins(command.args(args), &devices).output().expect("a program that runs");
    let said = text(&output);
    assert!(output.status.success(), "{args:?}: {said}");
    said
}

/// Measures until nothing is left, in sessions of which the first is cut short.
fn measured(out: &Path) -> usize {
    let folder = out.to_str().expect("a name in UTF-8");
    let mut before = 0;
    for minutes in ["0.03", "0.3", "0.3", "0.3", "0.3", "0.3"] {
        let args = ["measure", "--backend", "cuda", "--small", "--shape", "tiny"];
        let said = passes(&[&args[..], &["--minutes", minutes, "--out", folder]].concat());
        assert!(
            said.contains("NVIDIA stand-in for tests (cuda, CUDA 13.0; device clock)"),
            "{said}"
        );
        assert!(said.contains(&format!("{before} found measured")), "{said}");
        assert!(minutes != "0.03" || said.contains("left out for lack of time"), "{said}");
        before = samples::read_folder(out).expect("samples").len();
        if !said.contains("left out") {
            return before;
        }
    }
    panic!("six sessions were too little");
}

#[test]
fn a_check_says_what_works_and_what_does_not() {
    if libraries().is_none() {
        return;
    }
    let check = |variables: &[(&str, &str)], seconds: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_calibrate"));
        command.args(["check", "--backend", "cuda", "--seconds", seconds]);
        let output = with_stand_ins(&mut command, variables).output().expect("a program that runs");
        (output.status.success(), text(&output))
    };
    let two = ("STAND_IN_DEVICES", "2");
    let (passed, said) = check(&[two], "600");
    assert!(passed && said.contains("27 of 27 parts of probes work"), "{said}");
    let (passed, said) = check(&[two, ("STAND_IN_FAIL", "ncclCommInitAll@1+=2")], "600");
    assert!(passed && said.contains("26 of 27 parts of probes work"), "{said}");
    assert!(said.contains("cannot       exchange alltoall: the device refused: NCCL"), "{said}");
    let (passed, said) = check(&[("STAND_IN_IDLE", "if (i < p.n) y[i] = x[i];")], "600");
    assert!(!passed && said.contains("wrong        memory copy: "), "{said}");
    assert!(said.contains("1 of 25 parts compute something else"), "{said}");
    let (passed, said) = check(&[("STAND_IN_FAIL", "cuLaunchKernel@9=700")], "600");
    assert!(!passed && said.contains("nothing more can be asked of it"), "{said}");
    let (passed, said) = check(&[], "0");
    assert!(!passed && said.contains("not reached  gemm dense"), "{said}");
}

#[test]
fn the_session_runs_and_its_loop_closes() {
    if libraries().is_none() {
        return;
    }
    let out = std::env::temp_dir().join(format!("calibrate-cuda-loop-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&out);
    let count = measured(&out);
    let rows = samples::read_folder(&out).expect("samples");
    let of = |part: &str| rows.iter().filter(|row| row.point.part == part).count();
    for part in ["kernel", "wait", "copy", "dense", "grouped", "peer", "alltoall", "upload"] {
        assert!(of(part) > 0, "nothing of {part} among {count}");
    }
    for part in ["vanilla grouped", "moepp grouped", "moepp sequential"] {
        assert!(of(part) > 0, "nothing of {part} among {count}");
    }
    // The management library was found and read; what was rotated fits no cache.
    assert!(rows.iter().all(|row| row.mhz == Some(1000.0) && row.watts == Some(100.0)));
    let (profile, folder) = (out.join("mine.toml"), out.to_str().expect("a name in UTF-8"));
    let profile = profile.to_str().expect("a name in UTF-8");
    let said = passes(&["fit", "--samples", folder, "--out", profile]);
    assert!(said.contains(&format!("all {count} points that were planned")), "{said}");
    let said = passes(&["compare", profile]);
    assert!(said.contains("median error") && said.contains("sequential"), "{said}");
    passes(&["report", profile, "--out", folder]);
    for picture in ["layers.svg", "gains.svg"] {
        let svg = std::fs::read_to_string(out.join(picture)).expect("a picture");
        assert!(svg.contains("</svg>"), "{picture} is no whole picture");
    }
    std::fs::remove_dir_all(out).unwrap();
}
