//! Does every result become the picture that fits it, by one command?
//!
//! A pass says that what each command prints or writes is recognised and drawn, that what is drawn says
//! the finding and the figures of the result, and that a file that is no result is refused with a way out.
//! It does not say that the picture is good to look at: people have to.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{self, refused, runs};

fn folder(test: &str) -> PathBuf {
    program::folder(&format!("plots-{test}"))
}

/// All text of an SVG, a line each.
fn words(svg: &Path) -> String {
    let text = fs::read_to_string(svg).expect("an SVG");
    let texts = text.split("<text").skip(1).filter_map(|text| {
        let inner = text.split_once('>')?.1.split_once('<')?.0;
        Some(inner.trim().to_owned())
    });
    texts.collect::<Vec<_>>().join("\n")
}

const SMALL: [&str; 6] = [
    "--set",
    "counted=moe-layer",
    "--set",
    "workload.batch.micro_batches=1",
    "--set",
    "seeds=0..2",
];

/// `moesim args…`, its JSON stored under a name.
fn stored(here: &Path, name: &str, args: &[&str]) {
    fs::write(here.join(name), runs(here, args)).expect("a file of ours");
}

#[test]
fn a_run_is_drawn_as_its_command_drew_it_and_says_what_it_found() {
    let here = folder("run");
    let mut args = vec!["run", "paper", "--json", "--plot", "drawn"];
    args.extend(SMALL);
    stored(&here, "run.json", &args);
    for kind in ["gain", "breakdown", "links"] {
        let told = runs(&here, &["plot", "run.json", "--kind", kind]);
        assert_eq!(told, format!("picture: run.{kind}.svg\n"));
        let own = fs::read(here.join(format!("run.{kind}.svg"))).expect("a picture");
        assert_eq!(own, fs::read(here.join(format!("drawn/{kind}.svg"))).expect("a picture"));
    }
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(here.join("run.json")).unwrap()).unwrap();
    let gains = json["results"].as_array().unwrap().iter().filter_map(|row| {
        Some((row["throughput_increase_percent"].as_f64()?, row["model"].as_str()?))
    });
    let most = gains.max_by(|a, b| a.0.total_cmp(&b.0)).expect("a gain");
    runs(&here, &["plot", "run.json", "--out", "default.svg"]);
    let said = words(&here.join("default.svg"));
    assert!(said.contains(&format!("to {:.0} % ({} at", most.0, most.1)), "{said}");
    let rows = json["results"].as_array().unwrap().iter();
    let uses = rows.flat_map(|row| row["link_use"].as_array().unwrap());
    let fullest = uses.map(|group| group["max_share"].as_f64().unwrap()).fold(0.0, f64::max);
    let said = words(&here.join("run.links.svg"));
    let title = format!("is the busiest link: {:.1} % of its bandwidth", 100.0 * fullest);
    assert!(said.contains(&title) && said.contains("nvlink gpu → node-switch"), "{title}: {said}");
    // On the cluster: every GPU has its box; PNG as well as SVG.
    runs(&here, &["plot", "run.json", "--kind", "cluster", "--workload", "moepp-1b"]);
    let said = words(&here.join("run.cluster.svg"));
    assert!(said.contains("gpu31") && said.contains("moepp-1b at τ"), "{said}");
    runs(&here, &["plot", "run.json", "--kind", "cluster", "--out", "cluster.png"]);
    assert_eq!(&fs::read(here.join("cluster.png")).unwrap()[1..4], b"PNG");
}

#[test]
fn comparisons_plans_flows_and_validations_are_known_by_what_they_hold() {
    let here = folder("others");
    let versus = ["--seeds", "0..2", "--set", "workload.batch.micro_batches=1", "--json"];
    let with = |args: &[&'static str]| [args, &versus].concat();
    stored(&here, "gpus.json", &with(&["compare", "a100-4x8", "h100-4x8-rail"]));
    stored(&here, "cost.json", &with(&["compare", "a100-4x8", "h100-4x8-rail", "--equal", "cost"]));
    stored(&here, "plan.json", &with(&["plan", "a100-4x8", "--layer-ms", "1.5"]));
    stored(&here, "flows.json", &["flows", "--pattern", "uniform", "--gpus", "16", "--json"]);
    for (file, kind, says) in [
        ("gpus.json", "throughput", "tokens/s per GPU"),
        ("cost.json", "cost", "tokens/s per USD"),
        ("plan.json", "front", "Pareto front"),
        ("flows.json", "links", "is the busiest link"),
    ] {
        let told = runs(&here, &["plot", file]);
        let picture = file.replace("json", &format!("{kind}.svg"));
        assert_eq!(told, format!("picture: {picture}\n"));
        let said = words(&here.join(picture));
        assert!(said.contains(says), "{file}: {said}");
    }
    let message = refused(&here, &["plot", "plan.json", "--kind", "cost"]);
    assert!(message.contains("cannot be drawn as cost"), "{message}");
    assert!(message.contains("help: what fits it: --kind front"), "{message}");
    // As other commands pass it on.
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("calibrate/data/nccl_l40s.parquet");
    fs::create_dir(here.join("measured")).expect("a folder of ours");
    fs::copy(data, here.join("measured/nccl_l40s.parquet")).expect("a file of ours");
    stored(&here, "validate.json", &["validate", "measured", "--json"]);
    runs(&here, &["plot", "validate.json"]);
    assert!(words(&here.join("validate.errors.svg")).contains("nine in ten"));
}

#[test]
fn a_sweep_is_drawn_from_its_folder_its_parquet_and_its_csv_alike() {
    let here = folder("sweep");
    let plan = "schema = 1\nname = \"small\"\nscenario = \"paper\"\nseeds = \"0..2\"\n[set]\n\
                counted = \"moe-layer\"\ntau = [0.75]\n\"workload.batch.micro_batches\" = 1\n[vary]\n\
                \"topology.nodes.nic.bandwidth\" = [\"100 Gb/s\", \"400 Gb/s\"]\n\
                \"workload.batch.tokens_per_gpu\" = [256, 1024]\n";
    fs::write(here.join("plan.toml"), plan).expect("a file of ours");
    runs(&here, &["sweep", "plan.toml", "--out", "done", "--plot", "--quiet"]);
    let drawn = fs::read(here.join("done/lines.svg")).expect("a picture");
    for (from, to) in [
        ("done", "done/lines.svg"),
        ("done/results.parquet", "done/results.lines.svg"),
        ("done/results.csv", "done/results.lines.svg"),
    ] {
        let _ = fs::remove_file(here.join(to));
        runs(&here, &["plot", from]);
        assert!(fs::read(here.join(to)).expect("a picture") == drawn, "{from}");
    }
    let said = words(&here.join("done/lines.svg"));
    assert!(said.contains("lines: workload.batch.tokens_per_gpu"), "{said}");
    // What is neither axis nor line is averaged over, and the picture says so.
    assert!(said.contains("bands: 95 % over seeds, model"), "{said}");
    runs(
        &here,
        &[
            "plot",
            "done",
            "--x",
            "workload.batch.tokens_per_gpu",
            "--y",
            "time_ms",
            "--hue",
            "model",
            "--log-x",
            "--out",
            "time.png",
        ],
    );
    let message = refused(&here, &["plot", "done", "--y", "speed"]);
    assert!(message.starts_with("error: done: there is no column `speed`"), "{message}");
    assert!(message.contains("help: did you mean `seed`?"), "{message}");
    runs(&here, &["gate", "show", "moepp-1b", "--export", "counts.parquet"]);
    runs(&here, &["plot", "counts.parquet"]);
    assert!(words(&here.join("counts.loads.svg")).contains("times the mean load"));
}

#[test]
fn what_is_no_result_is_refused_with_a_way_out_and_nothing_is_written() {
    let here = folder("wrong");
    fs::write(here.join("object.json"), "{\"fine\": 1}").unwrap();
    fs::write(here.join("broken.json"), "{\"results\": [").unwrap();
    fs::write(here.join("bytes.json"), [0xff, 0xfe, 0x00]).unwrap();
    fs::write(here.join("trace.pftrace"), [1, 2, 3]).unwrap();
    fs::write(here.join("empty.csv"), "").unwrap();
    fs::write(here.join("list.json"), "{\"files\": []}").unwrap();
    fs::write(here.join("clusters.json"), "{\"equal\": \"cost\", \"clusters\": []}").unwrap();
    fs::write(
        here.join("half.json"),
        "{\"counted\": \"experts\", \"results\": [{\"tau\": 1, \
        \"throughput_increase_percent\": 3}]}",
    )
    .unwrap();
    fs::create_dir(here.join("begun")).unwrap();
    fs::write(here.join("begun/rows.jsonl"), "{}\n").unwrap();
    for (file, found) in [
        ("no-such.json", "no-such.json: cannot be read"),
        ("object.json", "object.json: is JSON, but no result that can be drawn"),
        ("broken.json", "broken.json: is no JSON: EOF"),
        ("bytes.json", "bytes.json: is no JSON"),
        ("trace.pftrace", "trace.pftrace: is a trace: open it at ui.perfetto.dev"),
        ("empty.csv", "empty.csv: has no rows"),
        ("list.json", "list.json: holds no file with predictions"),
        ("clusters.json", "the key `workload` is missing"),
        ("half.json", "results[0]: the key `model` is missing"),
        ("begun", "begun: holds no results.parquet"),
        (".", ".: holds no results.parquet"),
    ] {
        let message = refused(&here, &["plot", file, "--out", "out.svg"]);
        assert!(message.starts_with(&format!("error: {found}")), "{file}: {message}");
        assert!(message.contains("\n  help: "), "{file}: {message}");
        assert!(!here.join("out.svg").exists(), "{file}");
    }
    fs::write(
        here.join("good.json"),
        "{\"files\": [{\"file\": \"a\", \"median_abs_error\": 0.1, \
        \"p90_abs_error\": 0.2}]}",
    )
    .unwrap();
    let message = refused(&here, &["plot", "good.json", "--out", "out.pdf"]);
    assert!(message.contains("a picture's name ends in .svg or .png"), "{message}");
    let message = refused(&here, &["plot", "good.json", "--out", "no/such/out.svg"]);
    assert!(message.contains("the picture cannot be written"), "{message}");
}
