//! Is nothing decided in silence: is every default said, and every command asked the same thing the same way?
//!
//! A pass says that the choices below are the same in all commands, are printed, or are refused where they would have
//! no effect. It does not say that there are no others.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program;

fn folder(test: &str) -> PathBuf {
    program::folder(&format!("choices-{test}"))
}

/// What `moesim` prints, and whether it succeeds.
fn said(folder: &Path, args: &[&str]) -> (bool, String) {
    let output = program::moesim(folder, args);
    let text = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.success(), String::from_utf8(text).expect("UTF-8"))
}

fn json(folder: &Path, args: &[&str]) -> Value {
    let (good, text) = said(folder, &[args, &["--json"]].concat());
    assert!(good, "{args:?}: {text}");
    serde_json::from_str(&text).expect("JSON")
}

fn refused(folder: &Path, args: &[&str], with: &str) {
    let (good, text) = said(folder, args);
    assert!(!good && text.contains(with) && text.contains("help:"), "{args:?}: {text}");
}

/// The 1B pair on a cluster, without a word of overheads or profile.
fn small(folder: &Path, topology: &str, counted: &str) {
    let text = format!(
        "schema = 1\nname = \"small\"\ntopology = \"{topology}\"\ncounted = \"{counted}\"\nseeds = \"0..2\"\n\
         [[compare]]\nvanilla = \"moe-1b\"\nmoepp = \"moepp-1b\"\n"
    );
    fs::write(folder.join("small.toml"), text).expect("a file of ours");
}

const FEW: &str = "workload.batch.micro_batches=1";

#[test]
fn run_compare_and_plan_take_the_same_overheads_and_say_them() {
    let folder = folder("overheads");
    for counted in ["experts", "moe-layer", "model-forward"] {
        small(&folder, "h100-4x8-rail", counted);
        let run = json(&folder, &["run", "small.toml", "--set", FEW]);
        let gain = run["results"][1]["throughput_increase_percent"].as_f64().unwrap();
        let asked = [
            "h100-4x8-rail",
            "--counted",
            counted,
            "--seeds",
            "0..2",
            "--no-calibration-error",
            "--set",
            FEW,
        ];
        let compare = json(&folder, &[&["compare"], &asked[..]].concat());
        let ours = compare["clusters"][0]["throughput_increase_percent"].as_f64().unwrap();
        assert!((gain - ours).abs() < 1e-6 * gain.abs(), "{counted}: {gain} for {ours}");
        let (_, text) = said(&folder, &["run", "small.toml", "--set", FEW]);
        assert!(text.contains("overheads moepp-loop (none named"), "{text}");
        assert_eq!(compare["settings"][0]["overheads"], "moepp-loop");
        assert_eq!(compare["settings"][0]["overheads_named"], false);
        assert_eq!(compare["settings"][0]["counted"], counted);
    }
    // What a comparison overrides decides, not what its file says.
    let grouped =
        ["compare", "h100-4x8-rail", "--no-calibration-error", "--seeds", "0..1", "--set", FEW];
    let both = "workload.experts.execution='grouped'";
    let compare = json(&folder, &[&grouped[..], &["--set", both]].concat());
    assert_eq!(compare["settings"][0]["overheads"], "none");
}

#[test]
fn a_phase_that_was_assumed_is_the_phase_that_is_stated() {
    let folder = folder("phase");
    small(&folder, "h100-4x8-rail", "model-forward");
    let time = |set: &[&str]| {
        let run = json(&folder, &[&["run", "small.toml", "--set", FEW], set].concat());
        (run["results"][0]["makespan_ms"].clone(), run["results"][0]["phase_assumed"].clone())
    };
    let (assumed, yes) = time(&[]);
    assert!(assumed.is_number());
    let (stated, no) = time(&["--set", "workload.batch.phase='prefill'"]);
    assert_eq!((assumed, yes, no), (stated, Value::Bool(true), Value::Bool(false)));
    let (_, text) = said(&folder, &["run", "small.toml", "--set", FEW]);
    assert!(text.contains("phase: prefill (batch.phase is not given"), "{text}");
}

#[test]
fn buffers_are_those_of_the_library_that_carries() {
    let folder = folder("ledger");
    let text = "schema = 1\nname = \"decode\"\ntopology = \"h100-4x8-rail\"\ncounted = \"moe-layer\"\n\
                seeds = \"0..1\"\n[[compare]]\nvanilla = \"deepseek-v3\"\n";
    fs::write(folder.join("decode.toml"), text).expect("a file of ours");
    let decode = [
        "memory",
        "decode.toml",
        "--set",
        "workload.batch.tokens_per_gpu=128",
        "--set",
        "workload.batch.sequence_tokens=1",
        "--set",
        "workload.batch.phase='decode'",
    ];
    let buffers = |set: &[&str]| {
        let ledger = json(&folder, &[&decode[..], set].concat());
        ledger["workloads"][0]["memory"]["exchange_buffers_bytes"].as_u64().unwrap()
    };
    let named = buffers(&["--set", "workload.exchange.library='deepep-low-latency'"]);
    assert!(named > 0 && buffers(&[]) == named, "{} for {named}", buffers(&[]));
}

#[test]
fn keys_and_flags_without_effect_are_refused() {
    let folder = folder("refused");
    small(&folder, "h100-4x8-rail", "moe-layer");
    let run = ["run", "small.toml", "--set"];
    refused(
        &folder,
        &[&run[..], &["workload.kernels.experts='no-such-kernel'"]].concat(),
        "has no effect",
    );
    refused(&folder, &["compare", "h100-4x8-rail", "--set", "tau=[0.1,0.75]"], "gives 2 τ");
    let sweep =
        "schema = 1\nname = \"s\"\nscenario = \"paper\"\n[vary]\nseeds = [\"0..1\", \"5..8\"]\n";
    fs::write(folder.join("plan.toml"), sweep).expect("a file of ours");
    refused(&folder, &["sweep", "plan.toml", "--out", "out"], "changes the seeds");
    // An A100 has no fp8 unit, whatever the cluster had.
    let a100 = Path::new(env!("CARGO_MANIFEST_DIR")).join("calibrate/profiles/a100-sxm.toml");
    let fp8 = ["--set", "workload.batch.dtype='fp8'"];
    let on = ["run", "small.toml", "--profile", a100.to_str().unwrap()];
    refused(&folder, &[&on[..], &fp8].concat(), "no timings in fp8");
    let (good, text) = said(&folder, &[&on[..], &["--set", FEW]].concat());
    assert!(good && text.contains("kept of the cluster"), "{text}");
}

#[test]
fn a_plan_recommends_nothing_that_does_not_fit_and_says_what_it_left_out() {
    let folder = folder("plan");
    let asked = [
        "plan",
        "h100-4x8-rail",
        "--layer-ms",
        "1000",
        "--tau",
        "0.25,2",
        "--no-calibration-error",
        "--seeds",
        "0..1",
        "--set",
        FEW,
        "--set",
        "vanilla.batch.tokens_per_gpu=512",
        "--set",
        "vanilla.batch.sequence_tokens=512",
    ];
    let fits = |memory: &str| {
        let memory = format!("topology.gpu.memory='{memory}'");
        let plan = json(&folder, &[&asked[..], &["--set", &memory]].concat());
        let candidates = plan["candidates"].as_array().unwrap().clone();
        assert!(plan["recommended"].is_null() || plan["recommended"]["fits"] == true, "{plan}");
        for one in &candidates {
            assert_eq!(one["fits"] == true, one["too_large"].is_null(), "{one}");
        }
        candidates.iter().map(|one| one["fits"].as_bool().unwrap()).collect::<Vec<bool>>()
    };
    assert!(fits("80 GB").iter().all(|fits| *fits));
    let tight: Vec<bool> = (300..330)
        .step_by(2)
        .map(|mb| format!("{mb} MB"))
        .find_map(|memory| {
            let memory_set = format!("topology.gpu.memory='{memory}'");
            let (good, _) = said(&folder, &[&asked[..], &["--set", &memory_set]].concat());
            good.then(|| fits(&memory))
        })
        .expect("some size holds what the file asks for");
    assert!(tight.contains(&true) && tight.contains(&false), "{tight:?}");
    let dear = json(
        &folder,
        &[
            "plan",
            "h100-4x8-rail",
            "gb200-nvl72",
            "--layer-ms",
            "1000",
            "--tau",
            "1",
            "--no-calibration-error",
            "--seeds",
            "0..1",
            "--set",
            FEW,
            "--max-usd",
            "2500000",
        ],
    );
    let kept = dear["settings"].as_array().unwrap().len();
    assert_eq!(kept + dear["left_out"].as_array().unwrap().len(), 2, "{dear}");
    assert_eq!(dear["left_out"][0]["cluster"], "gb200-nvl72");
}

#[test]
fn published_gains_stand_beside_the_papers_gpus_alone() {
    let folder = folder("published");
    let run =
        ["run", "paper", "--set", "seeds=0..1", "--set", "tau=[0.75]", "--set", "breakdown=0.75"];
    let with = |more: &[&str]| said(&folder, &[&run[..], more].concat()).1;
    assert!(with(&[]).contains("published"));
    // Another GPU, another batch, other sizes: nothing of that was published.
    for set in ["topology=h100-4x8-rail", FEW, "workload.model.hidden=1024"] {
        let other = with(&["--set", set]);
        assert!(!other.contains("published"), "{set}: {other}");
    }
}

#[test]
fn blame_of_a_forward_pass_over_tensor_parallel_gpus_sums_to_its_time() {
    let folder = folder("blame");
    small(&folder, "h100-4x8-rail", "model-forward");
    let run = json(
        &folder,
        &["run", "small.toml", "--set", FEW, "--set", "workload.layout.tensor_parallel=2"],
    );
    let result = &run["results"][0];
    let blame: f64 =
        result["blame"].as_object().unwrap().values().map(|ms| ms.as_f64().unwrap()).sum();
    let makespan = result["makespan_ms"].as_f64().or(result["forward_ms"].as_f64()).unwrap();
    assert!(result["blame"]["tensor_parallel_ms"].as_f64().unwrap() > 0.0);
    assert!((blame / makespan - 1.0).abs() < 1e-6, "{blame} of {makespan}");
}

#[test]
fn another_gpus_profile_is_said_by_explain_and_timeline_too() {
    let folder = folder("borrowed");
    small(&folder, "h20-4x8", "moe-layer");
    let set = ["--set", FEW, "--set", "profile='h100-sxm'"];
    for command in
        [&["explain", "small.toml"][..], &["timeline", "small.toml", "--out", "t.pftrace"]]
    {
        let (good, text) = said(&folder, &[command, &set].concat());
        assert!(good && text.contains("applied to"), "{command:?}: {text}");
    }
}

#[test]
fn loop_overheads_say_what_was_set_and_where_they_were_fitted() {
    let folder = folder("loop");
    small(&folder, "h100-4x8-rail", "experts");
    let run = ["run", "small.toml", "--set", FEW, "--set", "seeds=0..1"];
    let (_, own) = said(&folder, &run);
    assert!(own.contains("moepp-loop: fitted on A100-SXM4-80GB, applied to H100"), "{own}");
    assert!(own.contains("range over loop costs"), "{own}");
    // What was fitted allows nothing once a figure of it is set.
    let set = [&run[..], &["--set", "overheads.slot_traffic='1 MB'"]].concat();
    let (_, other) = said(&folder, &set);
    assert!(other.contains("overheads moepp-loop with --set"), "{other}");
    assert!(!other.contains("range over loop costs"), "{other}");
    let none = [&set[..], &["--set", "overheads='none'"]].concat();
    refused(&folder, &none, "they are `none`");
}

#[test]
fn shifts_by_layer_are_as_many_as_layers() {
    let folder = folder("shifts");
    let shift = |list: &str| format!("gate.ffn_logit_shift={list}");
    let shown = |list: &str| said(&folder, &["gate", "show", "moepp-1b", "--set", &shift(list)]);
    let twelve = format!("{:?}", [0.1; 12]);
    assert!(shown("0.1").0 && shown(&twelve).0, "{}", shown(&twelve).1);
    refused(
        &folder,
        &["gate", "show", "moepp-1b", "--set", &shift("[3, -3]")],
        "has 2 values for 12 layers",
    );
}

#[test]
fn overheads_are_fitted_at_the_scenarios_own_micro_batch_or_not_at_all() {
    let folder = folder("fit");
    let set =
        ["--set", "workload.batch.tokens_per_gpu=1536", "--set", "workload.batch.micro_batches=4"];
    let (good, text) = said(&folder, &[&["fit-overheads"][..], &set].concat());
    assert!(good && text.contains("micro-batches of 1536 tokens"), "{text}");
    let head = "model,ffn_experts,zero_computation_experts,tau,expert_forward_ms,\
                throughput_increase_percent\n";
    fs::write(folder.join("rows.csv"), format!("{head}9B,8,0,,535.3,\n")).expect("a file of ours");
    refused(&folder, &["fit-overheads", "--from", "rows.csv"], "has 0 rows of models");
    // Rows that cannot tell the numbers apart leave the search where it began; nothing is not a number.
    fs::write(folder.join("rows.csv"), head.to_owned() + &"0.6B,8,0,,535.3,\n".repeat(3))
        .expect("a file of ours");
    let (good, text) =
        said(&folder, &[&["fit-overheads", "--from", "rows.csv"][..], &set].concat());
    assert!(good && !text.contains("NaN"), "{text}");
}

/// Keys of files that no comparison names are said to change nothing, whether a scenario or a command line sets them.
#[test]
fn keys_of_files_that_are_not_named_are_said() {
    let here = crate::program::folder("choices-not-named");
    let text = "schema = 1\nname = \"s\"\ntopology = \"h100-4x8-rail\"\ncounted = \"moe-layer\"\nseeds = \"0..1\"\n\
                [[compare]]\nvanilla = \"pangu-pro-moe\"\n[set]\n\"moepp.exchange.overlap\" = \"two-batch\"\n";
    std::fs::write(here.join("s.toml"), text).expect("writable");
    let told = crate::program::runs(&here, &["run", "s.toml", "--set", "overheads.visit_us=1"]);
    for said in [
        "moepp.exchange.overlap changes nothing here: no comparison names a `moepp`",
        "overheads.visit_us changes nothing here: there are no overheads",
    ] {
        let plain = told.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(plain.contains(said), "{told}");
    }
    assert!(!crate::program::runs(&here, &["run", "grouped-experts"]).contains("changes nothing"));
}

/// A table that the named file has not, and of which a scenario overrides a part, is said to be absent there.
#[test]
fn a_table_that_is_overridden_and_absent_is_said() {
    let here = crate::program::folder("choices-absent-table");
    let told =
        crate::program::refused(&here, &["run", "hybrid-ep", "--set", "topology=gb300-nvl72"]);
    let plain = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for said in [
        "`gb300-nvl72` has no [nodes.nic] to override: name another that has, or override the rest too, for example:",
        "bandwidth = \"400 Gb/s\"",
    ] {
        assert!(plain.contains(said), "{told}");
    }
}

/// An acceptance where nothing is drafted is said to change nothing.
#[test]
fn an_acceptance_without_drafts_is_said() {
    let here = crate::program::folder("choices-no-drafts");
    let text = "schema = 1\nname = \"s\"\ntopology = \"h100-4x8-rail\"\ncounted = \"moe-layer\"\nseeds = \"0..1\"\n\
                [[compare]]\nvanilla = \"pangu-pro-moe\"\n[set]\n\"workload.batch.phase\" = \"decode\"\n\
                \"workload.batch.sequence_tokens\" = 1\n\"workload.batch.acceptance\" = 0.8\n";
    std::fs::write(here.join("s.toml"), text).expect("writable");
    let told = crate::program::runs(&here, &["run", "s.toml"]);
    let plain = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(plain.contains("batch.acceptance changes nothing for pangu-pro-moe"), "{told}");
}

/// Keys that a scenario's text states may stand without quotes, and mistakes in them are placed in its own line.
#[test]
fn what_a_scenario_states_is_placed_where_it_stands() {
    let here = crate::program::folder("choices-stated");
    let head = "schema = 1\nname = \"s\"\ntopology = \"h100-4x8-rail\"\ncounted = \"moe-layer\"\nseeds = \"0..1\"\n\
                [[compare]]\nvanilla = \"pangu-pro-moe\"\n[set]\n";
    let with = |line: &str| {
        std::fs::write(here.join("s.toml"), format!("{head}{line}\n")).expect("writable");
        crate::program::moesim(&here, &["run", "s.toml", "--json"])
    };
    let said = |line: &str| String::from_utf8(with(line).stderr).expect("UTF-8");
    for (line, found) in [
        (
            "\"workload.exchange.overlap\" = \"tow-batch\"",
            "exchange.overlap: unknown choice `tow-batch`",
        ),
        ("workload.exchange.overlap = 3", "exchange.overlap: is no text"),
        ("\"topology.nodes.count\" = 0", "topology.nodes.count: found 0"),
        ("colour = 3", "`colour` is no key of a file that the scenario names"),
    ] {
        let message = said(line);
        assert!(message.contains(found), "{line}: {message}");
        assert!(message.contains("s.toml:9:") && message.contains(line), "{line}: {message}");
        assert!(!message.contains("--set"), "{line}: {message}");
    }
    let results = |line: &str| {
        let output = with(line);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        json["results"].clone()
    };
    let quoted = results("\"workload.batch.tokens_per_gpu\" = 64");
    assert_eq!(quoted, results("workload.batch.tokens_per_gpu = 64"));
    assert_eq!(quoted, results("workload = { batch = { tokens_per_gpu = 64 } }"));
    assert_ne!(quoted, results(""));
}
