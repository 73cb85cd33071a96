//! Does every result become one page that says what it found, and asks no network for anything?
//!
//! A pass says that the page of each kind holds the question, the answer and the figures of its result, how to make it
//! again, and nothing that a browser would fetch; that no text of a result acts as markup; and that what is no result
//! is refused with a way out. How a browser shows it is for tests/browser to say.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{self, refused, runs};

fn folder(test: &str) -> PathBuf {
    program::folder(&format!("report-{test}"))
}

const SMALL: [&str; 8] = [
    "--set",
    "counted=moe-layer",
    "--set",
    "workload.batch.micro_batches=1",
    "--set",
    "seeds=0..2",
    "--set",
    "calibration_uncertainty=true",
];

/// The page of a stored result.
fn page(folder: &Path, result: &str) -> String {
    assert_eq!(runs(folder, &["report", result, "--out", "own.html"]), "page: own.html\n");
    let html = fs::read_to_string(folder.join("own.html")).expect("a page");
    asks_for_nothing(&html);
    assert!(html.starts_with("<!DOCTYPE html><html lang=\"en\">"), "{result}");
    html
}

/// The same of what a command prints.
fn page_of(folder: &Path, args: &[&str]) -> (Value, String) {
    let printed = runs(folder, args);
    fs::write(folder.join("own.json"), &printed).expect("a file of ours");
    (serde_json::from_str(&printed).expect("JSON"), page(folder, "own.json"))
}

/// That nothing is fetched, and that what is opened is closed, in order.
fn asks_for_nothing(html: &str) {
    for word in [" src=", " href=", "url(", "@import", "fetch(", "XMLHttpRequest"] {
        assert!(!html.contains(word), "the page has {word}");
    }
    assert!(html.contains("default-src &#39;none&#39;") || html.contains("default-src 'none'"));
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some((_, tag)) = rest.split_once('<') {
        let (tag, after) = tag.split_once('>').expect("a tag ends");
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap_or_default();
        rest = after;
        if tag.starts_with('!') || tag.ends_with('/') || ["meta", "br"].contains(&name) {
            continue;
        }
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "closed, {} bytes before the end", rest.len());
            continue;
        }
        open.push(name);
        if name == "script" || name == "style" {
            let at = rest.find(&format!("</{name}>")).expect("it is closed");
            rest = &rest[at..];
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

#[test]
fn the_page_of_a_run_holds_its_numbers_and_how_to_make_it_again() {
    let here = folder("run");
    let mut args = vec!["run", "paper", "--json"];
    args.extend(SMALL);
    let (run, html) = page_of(&here, &args);
    assert!(
        html.contains("What does MoE++ gain over vanilla MoE on 32 × A100-SXM4-80GB (a100-4x8)?")
    );
    for row in run["results"].as_array().expect("rows") {
        let ms = row["moe_layers_ms"].as_f64().expect("a time");
        let decimals = if ms < 10.0 { 3 } else { 1 };
        assert!(html.contains(&format!("<td>{ms:.decimals$} ± ")), "{ms}");
        if let Some(gain) = row["throughput_increase_percent"].as_f64() {
            let low = row["throughput_increase_percent_p05"].as_f64().expect("an interval");
            assert!(html.contains(&format!("<td>{gain:.1} ± ")), "{gain}");
            assert!(html.contains(&format!("<td>{low:.1} to ")), "{low}");
        }
    }
    for input in run["made_by"]["inputs"].as_array().expect("inputs") {
        assert!(html.contains(input["digest"].as_str().expect("a digest")), "{input}");
    }
    let made = "<code>moesim run paper --json --set counted=moe-layer --set workload.batch.micro_batches=1";
    assert!(html.contains(made) && html.contains("arXiv 2410.07348, Table 2"));
    for part in [
        "Where the time goes",
        "Busiest links",
        "How sure it is",
        "What it stands on",
        "What is left out",
    ] {
        assert!(html.contains(&format!(">{part}</h2>")), "{part}");
    }
    // Pictures say their numbers where readers point, and in words.
    assert!(html.matches("data-hint=").count() > 40 && html.matches("<svg ").count() == 3);
    // The result itself lies within.
    let stored = html.split_once("type=\"application/json\">").expect("the result").1;
    let stored = stored.split_once("</script>").expect("its end").0.replace("\\u003c", "<");
    assert_eq!(serde_json::from_str::<Value>(&stored).expect("JSON"), run);
    runs(&here, &["report", "own.json", "--cluster"]);
    let html = fs::read_to_string(here.join("own.html")).expect("beside the result");
    assert!(html.contains("The cluster at work") && html.contains("gpu0"), "the cluster");
    runs(&here, &["report", "own.json", "--timeline"]);
    let html = fs::read_to_string(here.join("own.html")).expect("beside the result");
    assert!(html.contains("A stretch of the timeline") && html.contains("% of this stretch"));
}

#[test]
fn every_result_has_a_page_that_says_what_was_asked_and_answered() {
    let here = folder("kinds");
    let said = |args: &[&str], words: &[&str]| {
        let args = [args, &["--json"]].concat();
        let html = page_of(&here, &args).1;
        words.iter().for_each(|words| assert!(html.contains(words), "{args:?}: {words}"));
        assert!(html.contains("How to make it again"), "{args:?}");
    };
    let two = ["--seeds", "0..2", "--set", "workload.batch.micro_batches=1"];
    let pair = [&["compare", "a100-4x8", "h100-4x8-rail"], &two[..]].concat();
    said(&pair, &["Which cluster gives moepp-1b", "h100-4x8-rail gives the most: ", "What binds"]);
    let plan = [&["plan", "a100-4x8", "--layer-ms", "1.5"], &two[..]].concat();
    said(&plan, &["Which τ meets", "Pareto front", "Candidates"]);
    let sizes = ["--ep", "4,8", "--tp", "1", "--pp", "1", "--tokens", "1024"];
    let layouts = [&["layouts", "a100-4x8"], &two[..], &sizes[..]].concat();
    said(&layouts, &["Which layout of moepp-1b", "best for throughput", "Layouts that none beats"]);
    let advise = [&["advise", "mixtral-8x7b", "--topology", "h100-4x8-rail"], &two[..]].concat();
    said(&advise, &["Does mixtral-8x7b as MoE++", "Gain over τ", "Where the verdict turns"]);
    said(
        &["flows", "--pattern", "zipf16", "--gpus", "16"],
        &["How long do ", "How full links are"],
    );
    let fits =
        ["Does paper fit into the memory of 32", "Yes, all ", "FFN experts", "What is left out"];
    said(&["memory", "paper"], &fits);
    let small = ["--set", "topology.gpu.memory=\"0.3 GB\"", "--allow-oom"];
    let lacks = ["No, ", "do not fit."];
    said(&[&["memory", "paper"][..], &small].concat(), &lacks);
    said(&["topology", "a100-4x8"], &["What is this cluster?"]);
    said(&["gate", "show", "moepp-1b"], &["How does the gate spread tokens?"]);
}

#[test]
fn published_systems_have_a_page_with_each_figure_predicted_and_measured() {
    let here = folder("systems");
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("calibrate/data/systems/systems.csv");
    let all = fs::read_to_string(all).expect("the table");
    let few: Vec<&str> = all.lines().take(5).collect();
    fs::write(here.join("few.csv"), few.join("\n")).expect("a file of ours");
    let (told, html) = page_of(&here, &["validate", "systems", "few.csv", "--json"]);
    let rows = told["rows"].as_array().expect("rows");
    let judged: Vec<&Value> = rows.iter().filter(|row| row["error"].is_number()).collect();
    assert!(judged.len() >= 2 && judged.len() < rows.len(), "{told}");
    for row in judged {
        let error = format!("{:+.1} %", 100.0 * row["error"].as_f64().expect("an error"));
        let id = row["id"].as_str().expect("its id");
        assert!(html.contains(&error) && html.contains(id), "{id}: {error}");
    }
    assert!(html.contains("Predicted against measured, ms") && html.contains("Half of "), "{html}");
    assert!(html.contains("1 figures: peak memory"), "what is left out");
}

#[test]
fn a_sweep_s_folder_has_a_page() {
    let here = folder("sweep");
    let plan = "schema = 1\nname = \"t\"\nscenario = \"paper\"\nseeds = \"0..1\"\n[set]\ncounted = \"moe-layer\"\n\
                \"workload.batch.micro_batches\" = 1\n[vary]\n\"workload.batch.tokens_per_gpu\" = [512, 1024]\n";
    fs::write(here.join("t.toml"), plan).expect("a file of ours");
    runs(&here, &["sweep", "t.toml", "--out", "swept"]);
    assert_eq!(runs(&here, &["report", "swept"]), "page: swept/report.html\n");
    let html = fs::read_to_string(here.join("swept/report.html")).expect("a page");
    asks_for_nothing(&html);
    assert!(html.contains("workload.batch.tokens_per_gpu") && html.contains("<svg "), "{html}");
    assert!(html.contains("How do results vary over swept?"), "no path of this machine");
    assert!(
        html.contains("<code>moesim sweep t.toml --out swept</code>")
            && html.contains("built-in scenario")
    );
}

#[test]
fn texts_of_a_result_are_shown_and_do_nothing() {
    let here = folder("hostile");
    let mut args = vec!["run", "paper", "--json"];
    args.extend(SMALL);
    let mut run: Value = serde_json::from_str(&runs(&here, &args)).expect("JSON");
    let hostile = "</title></svg><script>alert(1)</script><img x=\"'&\">";
    run["scenario"] = hostile.into();
    run["made_by"]["arguments"][1] = hostile.into();
    for row in run["results"].as_array_mut().expect("rows") {
        row["workload"] = hostile.into();
        row["model"] = hostile.into();
        row["link_use"][0]["busiest"] = hostile.into();
    }
    fs::write(here.join("own.json"), run.to_string()).expect("a file of ours");
    let html = page(&here, "own.json");
    assert!(!html.contains("<script>alert") && !html.contains("<img"), "markup");
    assert!(html.contains("&lt;script&gt;alert(1)"), "it is shown");
}

#[test]
fn what_has_no_page_is_refused_with_a_way_out() {
    let here = folder("refused");
    fs::write(here.join("no.json"), "{\"a\": 1}").expect("a file of ours");
    let said = refused(&here, &["report", "no.json"]);
    assert!(said.contains("no result that can be drawn") && said.contains("--json"), "{said}");
    assert!(!here.join("no.html").exists(), "nothing is written");
    let flows = runs(&here, &["flows", "--pattern", "uniform", "--gpus", "8", "--json"]);
    fs::write(here.join("flows.json"), flows).expect("a file of ours");
    let said = refused(&here, &["report", "flows.json", "--cluster"]);
    assert!(said.contains("leave --cluster out"), "{said}");
    let said = refused(&here, &["report", "flows.json", "--out", "no/such/folder.html"]);
    assert!(said.contains("cannot be written"), "{said}");
}
