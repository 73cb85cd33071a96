//! Does the search of layouts find what running all of them finds?
//!
//! A pass says that on small spaces, forward and training, the front is that of all layouts, and that no bound lies
//! above the time that was run. It does not say so of larger spaces, whose bounds are made the same way.

use std::fs;
use std::path::Path;

use moesim::config::{self, CaseSpec, Overrides, ScenarioSource, ScenarioSpec};
use moesim::execution::Scope;
use moesim::output::report::layouts::LayoutsResult;
use moesim::studies::compare::ClusterCase;
use moesim::studies::layouts::{Objective, Search, Space, search, search_told};
use moesim::workload::Overlap;

use crate::program::{folder, moesim};

fn cluster(topology: &str, counted: Scope, set: &[&str]) -> ClusterCase {
    let pair = CaseSpec { vanilla: "moe-1b".to_owned(), moepp: Some("moepp-1b".to_owned()) };
    let spec = ScenarioSpec::new("t", topology, counted, "0..2".parse().unwrap(), pair);
    let small = ["workload.batch.micro_batches=4", "workload.model.layers=4"];
    let set = small.iter().chain(set).map(|line| (*line).to_owned()).collect();
    let scenario = ScenarioSource::of_spec(&spec, Overrides::new(set)).load().unwrap();
    let book = config::read_prices(&config::built_in_prices()).unwrap();
    ClusterCase::new(topology.to_owned(), scenario, &book)
}

fn small() -> Space {
    Space {
        expert_parallel: vec![1, 4, 8, 16, 3],
        tensor_parallel: vec![1, 2],
        pipeline_parallel: vec![1, 2],
        tokens_per_gpu: vec![512, 2048],
        ..Space::default()
    }
}

fn front(found: &Search) -> Vec<String> {
    found.front.iter().map(|&at| format!("{:?}", found.run[at].layout)).collect()
}

fn compared(counted: Scope, set: &[&str], objective: Objective) -> Search {
    let clusters = [cluster("h100-4x8-rail", counted, set), cluster("a100-4x8", counted, set)];
    let all = search(&clusters, &small(), objective, true, 2).unwrap();
    let some = search(&clusters, &small(), objective, false, 2).unwrap();
    assert_eq!(all.bounded, 0);
    for found in [&all, &some] {
        let counted = found.refused.0 + found.too_large.0 + found.bounded + found.run.len();
        assert_eq!(counted, found.all);
        assert!(found.refused.0 > 0, "3 divides no experts");
    }
    for one in &all.run {
        assert!(one.least_ms <= one.step_ms, "the bound lies above the run: {one:?}");
    }
    assert_eq!(front(&all), front(&some));
    assert_eq!(all.run[0], some.run[0], "the best is the same");
    some
}

/// Overlaps are an axis: each is run as a run of its own would, and bounds hold for them.
#[test]
fn overlaps_are_an_axis() {
    let clusters = [cluster("h100-4x8-rail", Scope::ModelForward, &[])];
    let overlaps = vec![Overlap::None, Overlap::TwoBatch, Overlap::Chunks(2)];
    let space = Space {
        expert_parallel: vec![1, 8, 16],
        tensor_parallel: vec![1],
        pipeline_parallel: vec![1],
        tokens_per_gpu: vec![512],
        overlaps,
        ..Space::default()
    };
    let all = search(&clusters, &space, Objective::Throughput, true, 2).unwrap();
    let some = search(&clusters, &space, Objective::Throughput, false, 2).unwrap();
    for one in &all.run {
        assert!(one.least_ms <= one.step_ms, "the bound lies above the run: {one:?}");
    }
    assert_eq!(front(&all), front(&some));
    let times = |overlap: Overlap| {
        let own = all.run.iter().filter(|one| one.layout.overlap == overlap);
        own.map(|one| (one.layout.expert_parallel, one.step_ms)).collect::<Vec<_>>()
    };
    assert!(times(Overlap::None).iter().any(|(group, _)| *group == 1));
    for overlap in [Overlap::TwoBatch, Overlap::Chunks(2)] {
        let own = times(overlap);
        assert!(!own.is_empty() && own.iter().all(|(group, _)| *group > 1), "{own:?}");
        assert_ne!(own, times(Overlap::None));
    }
}

#[test]
fn the_front_of_a_forward_pass_is_that_of_all_layouts() {
    let found = compared(Scope::ModelForward, &[], Objective::Throughput);
    assert!(found.bounded > found.all / 4, "bounds drop: {found:?}");
    compared(Scope::MoeLayer, &[], Objective::Latency);
}

#[test]
fn the_front_of_a_training_step_is_that_of_all_layouts() {
    let trains = ["workload.batch.phase=training"];
    compared(Scope::TrainingStep, &trains, Objective::Cost);
}

#[test]
fn a_result_has_its_counts_and_its_front() {
    let clusters = [cluster("h100-4x8-rail", Scope::MoeLayer, &[])];
    let found = search(&clusters, &small(), Objective::Throughput, false, 2).unwrap();
    let asked = (Objective::Throughput, &[][..]);
    let result = LayoutsResult::of(Default::default(), asked, &clusters, &found);
    assert_eq!(result.front.len(), found.front.len());
    let mut text = Vec::new();
    result.write_text(&mut text).unwrap();
    // Lines break where a terminal ends.
    let text = String::from_utf8(text).unwrap().replace('\n', " ");
    assert!(text.contains("dropped by their bounds"), "{text}");
    let json = serde_json::to_string(&result).unwrap();
    assert_eq!(serde_json::from_str::<LayoutsResult>(&json).unwrap(), result);
}

#[test]
fn progress_reaches_its_end_and_never_goes_back() {
    let clusters = [cluster("h100-4x8-rail", Scope::MoeLayer, &[])];
    let steps = std::cell::RefCell::new(Vec::new());
    let told = |done: usize, all: usize| steps.borrow_mut().push((done, all));
    search_told(&clusters, &small(), (Objective::Throughput, false), 2, &told).unwrap();
    let steps = steps.into_inner();
    assert!(steps.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 == pair[1].1));
    assert!(steps.last().is_some_and(|(done, all)| done == all), "{steps:?}");
    // From the start on, and at each run: several layouts at once may take minutes.
    assert_eq!(steps[0].0, 0, "{steps:?}");
    assert!(steps.windows(2).all(|pair| pair[1].0 - pair[0].0 <= 8), "{steps:?}");
}

/// Where nothing fits, what comes nearest to it is named with its layout.
#[test]
fn the_least_that_does_not_fit_is_named() {
    let here = folder("layouts-least");
    let asked = ["layouts", "h100-4x8-rail", "--counted", "model-forward", "--seeds", "0..1"];
    let few = ["--ep", "8,16,4", "--tokens", "2048,1024"];
    let more = ["--pp", "1", "--tp", "1", "--set", "topology.gpu.memory=250 MB"];
    let output = moesim(&here, &[&asked[..], &few, &more].concat());
    let told = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("help: the least: expert_parallel = 16, 1024 tokens on a GPU: "),
        "{told}"
    );
}

const ASKED: [&str; 13] = [
    "layouts",
    "h100-4x8-rail",
    "a100-4x8",
    "--ep",
    "1,8",
    "--tokens",
    "1024,2048",
    "--tau",
    "0.5,1",
    "--seeds",
    "0..1",
    "--set",
    "workload.batch.micro_batches=1",
];

/// The layouts of the 1B pair, as printed; `UPDATE_EXPECT=1` rewrites it.
#[test]
fn layouts_are_printed_as_they_were_within_a_terminal_and_drawn_alike() {
    let here = folder("layouts-golden");
    let printed = moesim(&here, &[&ASKED[..], &["--plot", "now.svg"]].concat());
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let told = String::from_utf8(printed.stdout).unwrap();
    let table = told.split("\n\n").nth(1).expect("a table");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/layouts.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &told).unwrap();
    }
    assert_eq!(
        told,
        fs::read_to_string(&path).unwrap(),
        "UPDATE_EXPECT=1, and read the difference"
    );
    let stored = moesim(&here, &[&ASKED[..], &["--json"]].concat());
    fs::write(here.join("found.json"), stored.stdout).unwrap();
    let drawn = moesim(&here, &["plot", "found.json", "--out", "later.svg"]);
    assert!(drawn.status.success(), "{}", String::from_utf8_lossy(&drawn.stderr));
    let [now, later] = ["now.svg", "later.svg"].map(|name| fs::read(here.join(name)).unwrap());
    assert!(now == later && String::from_utf8_lossy(&now).contains("gives the most"));
}

#[test]
fn where_no_layout_can_be_run_the_command_fails_and_says_why() {
    let here = folder("layouts-none");
    let one = ["layouts", "a100-4x8", "--ep", "3", "--tp", "1", "--tokens", "512"];
    let none = moesim(&here, &one);
    let told = String::from_utf8_lossy(&none.stderr).into_owned();
    assert_eq!((none.status.code(), none.stdout.len()), (Some(1), 0), "{told}");
    assert!(told.contains("no layout of moepp-1b can be run: 1 layout: 1 not allowed"), "{told}");
    let why = "of one: EP 3, TP 1, PP 1, 512 tokens per GPU, nccl: 16 places of FFN experts do not spread evenly";
    assert!(told.split_whitespace().collect::<Vec<_>>().join(" ").contains(why), "{told}");
}

/// Of several clusters without a library all are named, each with its profile.
#[test]
fn all_clusters_that_lack_a_library_are_named() {
    let set = "vanilla.exchange.library=hybrid-ep";
    let clusters = ["compare", "a100-4x8", "b200-4x8", "mi300x-4x8"];
    let lacks = [&clusters[..], &["--vanilla", "mixtral-8x7b", "--set", set]].concat();
    let none = moesim(&folder("layouts-lacks"), &lacks);
    let told = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(told.contains("of which the profile `a100-sxm` has no measurements"), "{told}");
    assert!(
        told.contains("refused too: mi300x-4x8: exchange.library = \"hybrid-ep\", of which"),
        "{told}"
    );
    assert!(!told.contains("b200-4x8:"), "{told}");
}

/// A library whose name is nearly right is named.
#[test]
fn a_library_that_is_not_known_is_answered_with_the_nearest() {
    let none =
        moesim(&folder("layouts-library"), &["layouts", "a100-4x8", "--library", "hybridep"]);
    let told = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(told.contains("did you mean `hybrid-ep`? choose from: auto, nccl,"), "{told}");
}

/// Layouts are searched in place of the workload's own, which need not fit the cluster.
#[test]
fn a_layout_that_is_not_searched_need_not_fit_the_cluster() {
    let here = folder("layouts-own-layout");
    let node = [
        "layouts",
        "h100-4x8-rail",
        "--set",
        "topology.nodes.count=1",
        "--vanilla",
        "mixtral-8x7b",
    ];
    let few = ["--seeds", "0..1", "--library", "nccl", "--set", "workload.batch.micro_batches=2"];
    let asked = ["--ep", "4,8", "--tokens", "1024", "--json"];
    let front = |more: &[&str]| {
        let output = moesim(&here, &[&node[..], &few, &asked, more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let found = serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON");
        assert_eq!(found["settings"][0]["idle"], serde_json::Value::Null, "{found}");
        found["front"].clone()
    };
    let two_nodes = [
        "--set",
        "workload.layout.pipeline_parallel=2",
        "--set",
        "workload.layout.expert_parallel=8",
        // A forward pass of half the stages has half the micro-batches.
        "--set",
        "workload.batch.micro_batches=4",
    ];
    assert_eq!(front(&[]), front(&two_nodes));
}

/// Batches are searched in place of the workload's own, which need not fit into memory.
#[test]
fn a_batch_that_is_not_searched_need_not_fit_into_memory() {
    let here = folder("layouts-own-batch");
    let large = ["--set", "workload.batch.tokens_per_gpu=1048576"];
    let own = ["layouts", "h100-4x8-rail", "--vanilla", "mixtral-8x7b", "--ep", "8", "--json"];
    let few = ["--seeds", "0..1", "--library", "nccl", "--set", "workload.batch.micro_batches=1"];
    let found = |more: &[&str]| {
        let output = moesim(&here, &[&own[..], &few, &["--tokens", "1024"], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON")
    };
    let (small, large) = (found(&[]), found(&large));
    assert_eq!(small["front"], large["front"]);
    assert_eq!((&large["simulated"], &large["too_large"]), (&1.into(), &0.into()));
    assert_eq!(large["settings"][0]["does_not_fit"], serde_json::json!([]));
    let best = &large["front"][0];
    let [all, each] =
        ["tokens_per_s", "tokens_per_s_per_gpu"].map(|key| best[key].as_f64().expect("a number"));
    assert!((each * 32.0 / all - 1.0).abs() < 1e-12, "{best}");
}
