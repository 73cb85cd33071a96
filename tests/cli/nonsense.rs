//! Is anything printed that is not meant, or accepted that cannot be?
//!
//! A pass says that these inputs, each of which once printed nonsense or panicked, get an answer or a
//! message. The mutants of `cli/smoke.rs` look for more of their kind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use moesim::base::table::{Column, Table};

fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("nonsense-{test}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder of ours");
    folder
}

/// Exit status, standard output and standard error.
fn moesim(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moesim"));
    let output = command.current_dir(folder).args(args).output().expect("moesim starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

const PLAN: [&str; 8] = [
    "plan",
    "a100-4x8",
    "--layer-ms",
    "2",
    "--seeds",
    "0..1",
    "--set",
    "workload.batch.micro_batches=1",
];

#[test]
fn quality_and_tau_beyond_all_measure_are_refused() {
    let here = folder("plan");
    for (line, message) in [
        ("0.5,1e308", "quality: found 1e308"),
        ("1e308,40", "tau: found 1e308"),
        ("0.5,nan", "quality: found NaN"),
        ("1e-308,40", "tau: found 1e-308"),
    ] {
        fs::write(here.join("quality.csv"), format!("tau,quality\n0.25,41\n{line}\n"))
            .expect("ours");
        let (code, out, told) = moesim(&here, &[&PLAN[..], &["--quality", "quality.csv"]].concat());
        assert_eq!((code, out.as_str()), (Some(1), ""), "{line}: {told}");
        assert!(told.contains(message) && told.contains("quality.csv:3:"), "{line}: {told}");
        assert!(told.contains("help: "), "{line}: {told}");
    }
    for tau in ["1e308", "1001", "0.0009", "nan", "inf"] {
        let (code, out, told) = moesim(&here, &[&PLAN[..], &["--tau", tau]].concat());
        assert_eq!((code, out.as_str()), (Some(2), ""), "{tau}: {told}");
        assert!(told.contains("give a number from 0.001 to 1000"), "{tau}: {told}");
    }
}

/// Found by the long run of mutants: the rate that meets such a time is infinite.
#[test]
fn targets_that_are_next_to_nothing_are_refused() {
    let here = folder("target");
    for target in ["5e-324", "1e-308", "1e300", "0", "-1", "inf", "nan"] {
        for of in ["--layer-ms", "--step-ms", "--tokens-per-s"] {
            let (code, out, told) = moesim(&here, &["plan", "a100-4x8", of, target]);
            assert_eq!((code, out.as_str()), (Some(2), ""), "{of} {target}: {told}");
            assert!(told.contains("from 1e-12 to 1e18"), "{of} {target}: {told}");
        }
    }
}

#[test]
fn where_the_makespan_alone_is_wanted_no_other_time_is_shown() {
    let here = folder("makespan");
    let flows = ["flows", "--topology", "a100-4x8", "--pattern", "uniform", "--makespan-only"];
    let (code, out, told) = moesim(&here, &flows);
    assert_eq!(code, Some(0), "{told}");
    assert!(
        out.contains("makespan ") && !out.contains("last byte") && !out.contains("last GPUs"),
        "{out}"
    );
    let (_, out, _) = moesim(&here, &[&flows[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    for key in ["finish_s", "sent_s", "arrival_s"] {
        assert!(json[key].is_null(), "{key}: {}", json[key]);
    }
    assert!(json["makespan_s"].as_f64().is_some_and(|seconds| seconds > 0.0));
    let (code, out, told) = moesim(&here, &[&flows[..], &["--csv"]].concat());
    assert_eq!((code, out.as_str()), (Some(1), ""), "{told}");
    assert!(told.contains("--makespan-only") && told.contains("help: "), "{told}");
}

#[test]
fn no_makespan_lies_below_its_lower_bound() {
    let here = folder("bound");
    for pattern in ["uniform", "hot-destination", "zipf16"] {
        for engine in ["exact", "quantised", "closed-form"] {
            let args =
                ["flows", "--gpus", "16", "--pattern", pattern, "--engine", engine, "--json"];
            let (_, out, told) = moesim(&here, &args);
            let json: serde_json::Value =
                serde_json::from_str(&out).unwrap_or_else(|_| panic!("{told}"));
            let seconds = |key: &str| json[key].as_f64().expect("seconds");
            let (makespan, least) = (seconds("makespan_s"), seconds("lower_bound_s"));
            // Exact times are rounded in their last digits.
            assert!(
                makespan >= least * (1.0 - 1e-12),
                "{pattern}, {engine}: {makespan} below {least}"
            );
        }
    }
}

/// A recording of 12 sequences over `experts` experts; one token chooses `stray`.
fn recording(path: &Path, experts: i64, stray: i64) {
    let tokens = 480;
    let column = |of: &dyn Fn(i64) -> i64| {
        Column::Integers((0..tokens).map(|token| Some(of(token))).collect())
    };
    let first = |token: i64| if token == 100 { stray } else { (token * 7 + token / 40) % experts };
    let second = |token: i64| ((token * 7 + token / 40) % experts + 1 + token % 2) % experts;
    let table = Table::new("recording").with("seq", column(&|token| token / 40));
    table.with("l00_k0", column(&first)).with("l00_k1", column(&second)).write(path).expect("ours");
}

#[test]
fn one_stray_expert_is_asked_about() {
    let here = folder("stray");
    recording(&here.join("stray.parquet"), 8, 2590);
    let fit = |more: &[&str]| moesim(&here, &[&["gate", "fit", "stray.parquet"], more].concat());
    let (code, _, told) = fit(&[]);
    assert_eq!(code, Some(1));
    let found = "has ids up to 2590, but only 9 experts are ever chosen";
    assert!(told.contains(found) && told.contains("--experts 2591"), "{told}");
    let (code, _, told) = fit(&["--experts", "8"]);
    assert_eq!(code, Some(1));
    assert!(told.contains("row 100 chooses an expert that --experts 8 has no place for"), "{told}");
    let (_, _, told) = moesim(&here, &["gate", "show", "stray.parquet"]);
    assert!(told.contains(found), "{told}");
    recording(&here.join("sound.parquet"), 8, 3);
    let (code, out, told) = moesim(&here, &["gate", "fit", "sound.parquet", "--experts", "9"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(out.contains("2 of 9 experts per token"), "{out}");
}

/// Found by the long run of mutants: where neighbours share no expert, no error is relative to that.
#[test]
fn statistics_that_a_recording_has_nothing_of_have_no_relative_error() {
    let here = folder("nothing");
    let (tokens, path) = (480_i64, here.join("apart.parquet"));
    let column = |of: &dyn Fn(i64) -> i64| {
        Column::Integers((0..tokens).map(|token| Some(of(token))).collect())
    };
    let table = Table::new("recording").with("seq", column(&|token| token / 40));
    table.with("l00_k0", column(&|token| token % 4)).write(&path).expect("ours");
    let (code, out, told) = moesim(&here, &["gate", "fit", "apart.parquet"]);
    assert_eq!(code, Some(0), "{told}");
    let line = out.lines().find(|line| line.starts_with("overlap of tokens 1 apart"));
    let line = line.unwrap_or_else(|| panic!("{out}"));
    assert!(line.contains(" 0.000 ") && line.ends_with(" -"), "{line}");
}

#[test]
fn a_law_without_latents_can_be_fitted_and_followed() {
    let here = folder("rank");
    recording(&here.join("r.parquet"), 8, 3);
    let (code, _, told) =
        moesim(&here, &["gate", "fit", "r.parquet", "--rank", "0", "--out", "law.json"]);
    assert_eq!(code, Some(0), "{told}");
    let text = fs::read_to_string(here.join("law.json")).expect("a law");
    let law: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let own = law["layers"][0]["own"].as_array().expect("deviations");
    assert_eq!((law["rank"].as_u64(), own.len()), (Some(0), 8));
    assert!(own.iter().any(|own| own.as_f64().is_some_and(|own| own > 0.0)), "{own:?}");
}

#[test]
fn every_mistake_of_toml_has_a_help_line() {
    let here = folder("toml");
    let whole = "schema = 1\nname = \"n\"\n";
    for line in [
        "name = \"again\"",
        "key",
        "key =",
        "= 3",
        "key = [1, 2",
        "key = \"open",
        "key = 'open",
        "[table",
        "[[table]",
        "key = 01",
        "key = 1.",
        "key = .5",
        "key = {a = 1",
        "a.b = 1\na = 2",
        "key = \"\\q\"",
        "key = 1979-13-01",
        "key = word",
        "\"key = 1",
        "[a]\n[a]",
        "key = \"\u{1}\"",
        "key = 0xg",
        "a b = 1",
    ] {
        fs::write(here.join("wrong.toml"), format!("{whole}{line}\n")).expect("ours");
        let (code, _, told) = moesim(&here, &["check", "wrong.toml"]);
        assert_eq!(code, Some(1), "{line}");
        let help = told.split_once("\n  help: ").map_or("", |(_, help)| help.trim());
        assert!(!help.is_empty(), "{line}: {told}");
        assert!(told.contains("wrong.toml:"), "{line}: {told}");
    }
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("topologies/a100-4x8.toml");
    let text = fs::read_to_string(shipped).expect("a shipped file");
    let two = text.replace("[nodes.nic.pcie]", "[fabric.clos]\n[nodes.nic.pcie]");
    fs::write(here.join("two.toml"), two).expect("ours");
    let (code, _, told) = moesim(&here, &["check", "two.toml"]);
    assert_eq!(code, Some(1));
    assert!(!told.contains("exactly 1 element") && told.contains("\n  help: "), "{told}");
}

#[test]
fn no_tip_hands_an_option_over_as_a_name() {
    let here = folder("arguments");
    for args in [&["gate", "show", "--source"][..], &["run", "--source", "x"]] {
        let (code, out, told) = moesim(&here, args);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}: {told}");
        assert!(told.starts_with("error: ") && told.contains("try '--help'"), "{told}");
        assert!(!told.contains("to pass"), "{told}");
    }
    // A file may begin so.
    let (_, _, told) = moesim(&here, &["run", "-x.toml"]);
    assert!(told.contains("use '-- -"), "{told}");
    let (code, out, told) = moesim(&here, &["run", "--help"]);
    assert_eq!((code, told.as_str()), (Some(0), ""));
    assert!(out.contains("Usage: moesim run"), "{out}");
}
