//! Can a result be made again from what it says?
//!
//! A pass says that JSON of each command names its version, arguments and inputs by digest, that
//! `moesim reproduce` makes it again, and that a changed result, file or argument is said to be that.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("reproduce-{test}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder of ours");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("topologies/a100-4x8.toml");
    fs::copy(shipped, folder.join("own.toml")).expect("a shipped file");
    folder
}

fn moesim(folder: &Path, args: &[&str]) -> Result<String, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moesim"));
    let output = command.current_dir(folder).args(args).output().expect("moesim starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

const SMALL: [&str; 4] =
    ["--set", "workload.batch.micro_batches=1", "--set", "workload.model.layers=8"];

/// A table of measurements, one of counts, and the first published systems.
fn measurements(folder: &Path) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("calibrate/data");
    fs::create_dir(folder.join("measured")).expect("ours");
    let table = "nccl_l40s.parquet";
    fs::copy(data.join(table), folder.join("measured").join(table)).expect("a shipped file");
    let counts = "domain,layer,expert,count\na,0,0,5\na,0,1,7\nb,0,0,6\nb,0,1,2\n";
    fs::write(folder.join("counts.csv"), counts).expect("ours");
    let systems = fs::read_to_string(data.join("systems/systems.csv")).expect("a shipped file");
    let few: String = systems.split_inclusive('\n').take(4).collect();
    fs::write(folder.join("few.csv"), few).expect("ours");
}

#[test]
fn results_of_every_command_are_made_again() {
    let here = folder("all");
    fs::write(
        here.join("flows.csv"),
        "source,destination,bytes,start_s\n0,1,1000,0\n1,9,50000,0\n",
    )
    .expect("ours");
    measurements(&here);
    let run = ["run", "paper", "--json", "--set", "counted=moe-layer", "--set", "seeds=0..1"];
    let two = ["own.toml=a100-sxm", "h100-4x8-rail", "--seeds", "0..2", "--json"];
    for (args, inputs) in [
        ([&run[..], &SMALL].concat(), &["paper", "a100-4x8", "moepp-1b", "moepp-loop"][..]),
        ([&["compare"], &two[..], &SMALL, &["--plot", "no.svg"]].concat(), &["own.toml", "moe-1b"]),
        ([&["plan", "--layer-ms", "2"], &two[..], &SMALL].concat(), &["own.toml", "h100-4x8-rail"]),
        (
            vec!["flows", "flows.csv", "--topology", "own.toml", "--json"],
            &["flows.csv", "own.toml"],
        ),
        (vec!["topology", "own.toml", "--json"], &["own.toml"]),
        (vec!["gate", "show", "moepp-1b", "--micro-batches", "1", "--json"], &["moepp-1b"]),
        (vec!["gate", "fit", "counts.csv", "--json"], &["counts.csv"]),
        (
            vec!["validate", "measured", "--json", "--plot", "no.svg"],
            &["measured/nccl_l40s.parquet", "l40s"],
        ),
        (vec!["validate", "systems", "few.csv", "--json"], &["few.csv"]),
        (
            [
                &["advise", "moe-1b", "--topology", "a100-4x8", "--seeds", "0..2", "--json"],
                &SMALL[..],
            ]
            .concat(),
            &["moe-1b"],
        ),
    ] {
        let text = moesim(&here, &args).unwrap_or_else(|told| panic!("{args:?}: {told}"));
        let made_by = &serde_json::from_str::<Value>(&text).expect("JSON")["made_by"];
        assert_eq!(made_by["moesim"], env!("CARGO_PKG_VERSION"));
        assert_eq!(made_by["arguments"], Value::from(args.clone()));
        let read = made_by["inputs"].as_array().expect("inputs");
        for name in inputs {
            let input = read.iter().find(|input| input["name"] == *name);
            let input = input.unwrap_or_else(|| panic!("{args:?} read no {name}: {read:?}"));
            assert_eq!(input["digest"].as_str().map(str::len), Some(16));
            assert_eq!(input["built_in"], Path::new(name).extension().is_none());
        }
        fs::write(here.join("result.json"), &text).expect("ours");
        let _ = fs::remove_file(here.join("no.svg"));
        let _ = fs::remove_dir_all(here.join("no.svg"));
        let told =
            moesim(&here, &["reproduce", "result.json"]).unwrap_or_else(|told| panic!("{told}"));
        assert!(told.contains("reproduced, ") && told.contains("values are the same"), "{told}");
        assert!(!here.join("no.svg").exists(), "files are not written again");
    }
}

#[test]
fn what_came_out_otherwise_is_named_with_its_reason() {
    let here = folder("changed");
    let args = ["topology", "own.toml", "--json"];
    let text = moesim(&here, &args).expect("a sound file");
    let again = |text: &str| {
        fs::write(here.join("result.json"), text).expect("ours");
        moesim(&here, &["reproduce", "result.json"])
    };
    // A result that was edited.
    let told = again(&text.replace("\"gpus\": 32", "\"gpus\": 33")).expect_err("another number");
    assert!(told.contains("came out otherwise: gpus was 33, is 32"), "{told}");
    assert!(told.contains("this is a defect"), "{told}");
    // An input that was edited.
    let own = fs::read_to_string(here.join("own.toml")).expect("ours");
    fs::write(here.join("own.toml"), own.replace("300 GB/s", "301 GB/s")).expect("ours");
    let told = again(&text).expect_err("another file");
    assert!(told.contains("help: own.toml has changed since"), "{told}");
    // What says nothing, or something else.
    assert!(again("{}").expect_err("nothing").contains("does not say what it was made by"));
    let other = text.replace("\"topology\",", "\"timeline\", \"--out\", \"x\",");
    let told = again(&other).expect_err("a command that writes");
    assert!(told.contains("help: "), "{told}");
    assert!(again("[1").expect_err("no JSON").contains("is no JSON"));
}
