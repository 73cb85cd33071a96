//! Is a model without a twin, vanilla or MoE++, compared and planned by itself?
//!
//! A pass says that a workload alone gives what `moesim run` gives for it, and that nothing is said of a gain that was not
//! asked for.

use std::path::Path;

use serde_json::Value;

use crate::program::{folder, moesim};

const FEW: [&str; 6] = [
    "--seeds",
    "0..2",
    "--set",
    "workload.batch.micro_batches=1",
    "--set",
    "workload.model.layers=2",
];

fn said(here: &Path, args: &[&str], more: &[&str]) -> String {
    let output = moesim(here, &[args, &FEW, more].concat());
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn json(here: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&said(here, args, &["--json"])).expect("JSON")
}

#[test]
fn a_vanilla_model_alone_is_compared_and_has_no_gain() {
    let here = folder("alone-compare");
    let asked = ["compare", "h100-4x8-rail", "a100-4x8", "--vanilla", "mixtral-8x7b"];
    let text = said(&here, &asked, &["--plot", "alone.svg"]);
    assert!(text.starts_with("mixtral-8x7b alone, at equal gpus"), "{text}");
    assert!(!text.contains("gain, %") && !text.contains("±:"), "{text}");
    let compared = json(&here, &asked);
    assert!(compared["vanilla"].is_null(), "{compared}");
    for cluster in compared["clusters"].as_array().expect("clusters") {
        assert!(cluster["throughput_increase_percent"].is_null(), "{cluster}");
        assert!(cluster["vanilla_tokens_per_s"].is_null(), "{cluster}");
        assert!(cluster["tokens_per_s"].as_f64().expect("a number") > 0.0, "{cluster}");
    }
    std::fs::write(here.join("alone.json"), compared.to_string()).expect("a file of ours");
    let drawn = moesim(&here, &["plot", "alone.json"]);
    assert!(drawn.status.success(), "{}", String::from_utf8_lossy(&drawn.stderr));
    // An MoE++ model that has no vanilla one beside it.
    let moepp =
        json(&here, &["compare", "h100-4x8-rail", "--moepp", "longcat-flash", "--allow-oom"]);
    assert_eq!(moepp["workload"], "longcat-flash");
    let wrong = moesim(&here, &["compare", "h100-4x8-rail", "--moepp", "mixtral-8x7b"]);
    let told = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(told.contains("no zero-computation experts") && told.contains("--vanilla"), "{told}");
}

#[test]
fn a_workload_alone_gives_what_it_gives_in_a_pair() {
    let here = folder("alone-pair");
    let certain = ["compare", "a100-4x8", "--no-calibration-error"];
    let of = |more: &[&str]| json(&here, &[&certain[..], more].concat())["clusters"][0].clone();
    let pair = of(&["--vanilla", "moe-1b", "--moepp", "moepp-1b"]);
    assert_eq!(pair, of(&[]), "the pair is what is taken where nothing is named");
    assert_eq!(pair["vanilla_tokens_per_s"], of(&["--vanilla", "moe-1b"])["tokens_per_s"]);
    let moepp = of(&["--moepp", "moepp-1b", "--set", "moepp.experts.tau=0.75"]);
    assert_eq!(pair["tokens_per_s"], moepp["tokens_per_s"]);
}

#[test]
fn a_model_alone_is_planned_without_the_candidates_that_it_has_not() {
    let here = folder("alone-plan");
    let target = ["--layer-ms", "1000"];
    let vanilla = [&["plan", "h100-4x8-rail", "--vanilla", "mixtral-8x7b"][..], &target].concat();
    let plan = json(&here, &vanilla);
    assert_eq!(plan["candidates"].as_array().expect("candidates").len(), 1, "{plan}");
    assert!(plan["recommended"]["tau"].is_null() && plan["met"] == true, "{plan}");
    let text = said(&here, &vanilla, &[]);
    assert!(text.starts_with("Take vanilla on h100-4x8-rail: it meets"), "{text}");
    assert!(text.contains("quality: not asked for"), "{text}");
    let drawn = moesim(&here, &[&vanilla[..], &FEW, &["--plot", "no.svg"]].concat());
    assert_eq!(drawn.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&drawn.stderr).contains("no quality to draw"));
    let moepp = ["plan", "a100-4x8", "--moepp", "moepp-1b", "--tau", "0.5,1"];
    let plan = json(&here, &[&moepp[..], &target].concat());
    let taus: Vec<&Value> =
        plan["candidates"].as_array().expect("candidates").iter().map(|one| &one["tau"]).collect();
    assert_eq!(taus, [&Value::from(0.5), &Value::from(1.0)]);
}

#[test]
fn axes_that_change_nothing_are_refused() {
    let here = folder("alone-axes");
    let vanilla = ["h100-4x8-rail", "--vanilla", "mixtral-8x7b", "--tau", "0.5"];
    for args in [&["layouts"][..], &["plan", "--layer-ms", "10"]] {
        let output = moesim(&here, &[args, &vanilla].concat());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains("--tau: `mixtral-8x7b` has no τ"), "{args:?}: {told}");
    }
    let layer = ["layouts", "h100-4x8-rail", "--counted", "moe-layer", "--tp", "1,2"];
    let output = moesim(&here, &layer);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("--tp: divides attention and dense products"), "{told}");
}

/// One seed has one draw of the error that calibration left, which is neither a mean nor an interval: `compare` draws
/// none of it, and what draws it because it was asked to says so.
#[test]
fn one_seed_draws_no_calibration_error_unless_it_is_asked_to() {
    let here = folder("alone-seed");
    let compared = |more: &[&str]| {
        let one = ["compare", "a100-4x8", "--vanilla", "mixtral-8x7b", "--seeds", "0..1", "--json"];
        let short = ["--set", "workload.batch.micro_batches=1", "--set", "workload.model.layers=2"];
        let output = moesim(&here, &[&one[..], &short, more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    let (own, certain) = (compared(&[]), compared(&["--no-calibration-error"]));
    assert_eq!(own["clusters"], certain["clusters"]);
    let draw =
        |told: &Value| told["settings"][0]["cautions"].to_string().contains("are of one draw");
    assert!(!draw(&own));
    let asked = compared(&["--set", "calibration_uncertainty=true"]);
    assert!(draw(&asked) && asked["clusters"] != own["clusters"], "{asked}");
}

/// Seeds are the same wherever they are named: `--set seeds=…` decides about calibration error as `--seeds` does.
#[test]
fn seeds_that_are_set_draw_what_seeds_that_are_given_draw() {
    let here = folder("alone-set-seeds");
    let short = ["--set", "workload.batch.micro_batches=1", "--set", "workload.model.layers=2"];
    for command in [
        &["compare", "a100-4x8", "--vanilla", "mixtral-8x7b", "--json"][..],
        &["advise", "mixtral-8x7b", "--topology", "a100-4x8", "--json"],
    ] {
        let draws = |more: [&str; 2]| {
            let output = moesim(&here, &[command, &short, &more].concat());
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let told = String::from_utf8(output.stdout).expect("JSON");
            told.contains("\"calibration_uncertainty\": true")
        };
        for (seeds, expected) in [("0..1", false), ("0..2", true)] {
            assert_eq!(draws(["--seeds", seeds]), expected, "{command:?} --seeds {seeds}");
            for set in [format!("seeds={seeds}"), format!("seeds = \"{seeds}\"")] {
                assert_eq!(draws(["--set", &set]), expected, "{command:?} --set {set}");
            }
        }
    }
}

/// A column of figures says whose it is.
#[test]
fn memory_says_which_models_are_vanilla() {
    let here = folder("alone-memory");
    let text = "schema = 1\nname = \"s\"\ntopology = \"h800-8x8\"\ncounted = \"moe-layer\"\nseeds = \"0..1\"\n\
                [[compare]]\nvanilla = \"moe-1b\"\nmoepp = \"longcat-flash\"\n";
    std::fs::write(here.join("s.toml"), text).expect("writable");
    for (scenario, words) in
        [("shortcut", ["vanilla", "τ=0.25", "τ=0.75"]), ("s.toml", ["vanilla", "MoE++", ""])]
    {
        let told = String::from_utf8(moesim(&here, &["memory", scenario]).stdout).expect("UTF-8");
        let heads = told.lines().nth(3).expect("a table").split_whitespace();
        assert_eq!(heads.collect::<Vec<_>>().join(" "), words.join(" ").trim_end(), "{told}");
    }
}
