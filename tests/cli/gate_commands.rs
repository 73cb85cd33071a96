//! Do the commands on gates hand each other what they write?
//!
//! A pass says that a law that was fitted is read back as it was written and that counts, figures and
//! pictures come out of the commands. It does not say that a law is good; `gate_traces` does.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use moesim::base::streams::Streams;
use moesim::base::table::Table;
use moesim::config::{built_in_workload, law_json, read_law, workload};
use moesim::gate::Gate;
use moesim::workload::{Latents, Law, LayerLaw, Lengths, Origin, Persistence};

/// A folder of its own for a test, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn moesim(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_moesim"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(args)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refusal(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn a_law() -> Law {
    let layer = |first: f64| LayerLaw {
        log_weights: (0..16).map(|i| first - 0.1 * f64::from(i)).collect(),
        loadings: (0..32).map(|i| 0.01 * f64::from(i) - 0.1).collect(),
        own: vec![1.0 / 3.0; 16],
        persistence: Some((0.25, 1.0 / 3.0)),
    };
    Law {
        rank: 2,
        slots: 2.0,
        layers: vec![layer(0.0), layer(-0.7)],
        latents: Latents::Recorded(
            vec![vec![0.1, -1.0 / 7.0], vec![1.5, 0.2]],
            Lengths::of(&[300, 20]),
        ),
        persistence: Persistence { share: 0.5, decay: 0.7, depth: 0.9 },
    }
}

/// To the last digit, wherever its latents come from.
#[test]
fn a_law_is_read_back_as_it_was_written() {
    let path = folder("law").join("law.json");
    let each = Latents::Sequences(Lengths::of(&[300, 20]));
    for latents in [a_law().latents, each, Latents::Normal] {
        let law = Law { latents, ..a_law() };
        std::fs::write(&path, law_json(&law, serde_json::json!({"from": "a test"}))).unwrap();
        assert_eq!(read_law(&path).unwrap(), law);
    }
}

/// Files written before lengths were kept, in which recorded sequences count alike.
#[test]
fn a_law_without_lengths_is_read() {
    let path = folder("old-law").join("law.json");
    let mut file: serde_json::Value =
        serde_json::from_str(&law_json(&a_law(), serde_json::Value::Null)).unwrap();
    file.as_object_mut().unwrap().remove("tokens");
    std::fs::write(&path, file.to_string()).unwrap();
    let Latents::Recorded(_, lengths) = read_law(&path).unwrap().latents else { panic!() };
    assert_eq!(lengths.tokens(), [1, 1]);
}

#[test]
fn each_mistake_in_a_law_has_its_message() {
    let folder = folder("bad-laws");
    let path = folder.join("law.json");
    let told = |law: &Law| {
        std::fs::write(&path, law_json(law, serde_json::Value::Null)).unwrap();
        read_law(&path).unwrap_err().found
    };
    assert_eq!(told(&Law { rank: 3, ..a_law() }), "layer 0 is not of 16 experts and rank 3");
    assert_eq!(told(&Law { slots: 17.0, ..a_law() }), "gives 17 slots to 16 experts");
    let mut law = a_law();
    law.layers[1].own[3] = -1.0;
    assert_eq!(told(&law), "layer 1 holds a number that is not a logit");
    let latents = Latents::Recorded(vec![vec![0.0]], Lengths::of(&[7]));
    assert_eq!(told(&Law { latents, ..a_law() }), "a recorded sequence has not 2 latents");
    assert_eq!(
        told(&Law { latents: Latents::Sequences(Lengths::of(&[7])), ..a_law() }),
        "has not the tokens of 2 recorded sequences"
    );
    let persistence = Persistence { share: 2.0, decay: 0.0, depth: 0.0 };
    assert_eq!(told(&Law { persistence, ..a_law() }), "has a persistence outside 0 to 1");
    std::fs::write(&path, "{\"schema\": 1,\n 7}").unwrap();
    assert_eq!(read_law(&path).unwrap_err().line, Some(2));
    assert!(read_law(&folder).unwrap_err().to_string().contains("is not a file of a law's size"));
}

/// A fitted law, named by a workload, decides its counts; one of other experts is refused.
#[test]
fn a_workload_follows_the_law_that_was_fitted() {
    let folder = folder("fit");
    let law = folder.join("gpt.json");
    let trace = "workloads/traces/gpt_oss_20b_decode_20k.parquet";
    let report = text(&moesim(&["gate", "fit", trace, "--out", law.to_str().unwrap()]));
    assert!(report.contains("correlation of layers' imbalance"), "{report}");
    assert!(report.contains("in short: popularity_concentration"), "{report}");
    let file = folder.join("mine.toml");
    let shipped = std::fs::read_to_string("workloads/moe-2b.toml").unwrap();
    let mine = shipped
        .replace("popularity_sd = 0.1", "law = \"gpt.json\" #")
        .replace("top_k     = 2", "top_k     = 4");
    std::fs::write(&file, mine).unwrap();
    let shown = text(&moesim(&["gate", "show", file.to_str().unwrap(), "--json"]));
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let peak = shown["layers"][3]["max_over_mean"].as_f64().unwrap();
    assert!(peak > 1.5, "loads of a real gate are uneven: {peak}");
    let refused =
        refusal(&moesim(&["gate", "show", file.to_str().unwrap(), "--set", "experts.ffn=64"]));
    assert!(
        refused.contains("gate.law: is of 32 experts, and the model has 64 FFN experts"),
        "{refused}"
    );
}

/// A law of FFN and zero-computation experts gives the FFN share that it was fitted to.
#[test]
fn a_law_of_all_experts_brings_its_own_ffn_share() {
    let folder = folder("fit-moepp");
    let law = folder.join("tiny.json");
    let trace = "workloads/traces/tiny_moepp_tau025.parquet";
    let report = text(&moesim(&[
        "gate",
        "fit",
        trace,
        "--judge",
        trace,
        "--order",
        "ffn=8,constant=2,copy=1,zero=1",
        "--tau",
        "0.25",
        "--out",
        law.to_str().unwrap(),
    ]));
    let seen = report.split("FFN experts per token: ").nth(1).unwrap();
    let seen: f64 = seen.split(',').next().unwrap().parse().unwrap();
    let mut workload = workload(&built_in_workload("moepp-0.6b").unwrap()).unwrap();
    workload.gating.origin = Origin::Law(Arc::new(read_law(&law).unwrap()));
    workload.gating.sampling = moesim::workload::Sampling::Counts;
    workload.batch.sequence_tokens = 128;
    let gate = Gate::new(&workload, Streams::new(1));
    let mut ffn = 0;
    for layer in 0..4 {
        let counts = gate.counts(layer, 0, 0..200);
        ffn += (0..8).map(|expert| counts.load(expert)).sum::<u64>();
    }
    let got = ffn as f64 / (4.0 * 200.0 * 2048.0);
    // 3,200 sequences of spread 0.3 in their share of two slots give it to 1 %.
    assert!((got / seen - 1.0).abs() < 0.05, "{got} FFN experts per token, recorded {seen}");
}

/// A recording is replayed by a workload that names it, and not by one with other choices.
#[test]
fn a_workload_replays_a_recording() {
    let folder = folder("replay");
    let file = folder.join("mine.toml");
    let trace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("workloads/traces/gpt_oss_20b_decode_20k.parquet");
    let shipped = std::fs::read_to_string("workloads/moe-2b.toml").unwrap();
    let mine = |k: u32| {
        shipped
            .replace("popularity_sd = 0.1", &format!("trace = {trace:?} #"))
            .replace("top_k     = 2", &format!("top_k     = {k}"))
    };
    std::fs::write(&file, mine(4)).unwrap();
    let shown = text(&moesim(&["gate", "show", file.to_str().unwrap(), "--gpus", "4"]));
    assert!(shown.contains("FFN experts per token: 4.000 (4: 100.0 %)"), "{shown}");
    std::fs::write(&file, mine(2)).unwrap();
    let refused = refusal(&moesim(&["gate", "show", file.to_str().unwrap()]));
    assert!(
        refused.contains("gate.trace: chooses 4 of 32 experts per token, and the model 2 of 32")
    );
}

/// Exported counts are those that the gate of a run with this seed draws, in either format.
#[test]
fn exported_counts_are_those_of_a_run() {
    let folder = folder("export");
    let shown = |name: &str| {
        let path = folder.join(name);
        let args = ["--gpus", "2", "--micro-batches", "3", "--seed", "9", "--export"];
        text(&moesim(
            &[&["gate", "show", "moepp-1b"], &args[..], &[path.to_str().unwrap()]].concat(),
        ));
        path
    };
    let table = Table::read(&shown("counts.parquet")).unwrap();
    let column = |name: &str| -> Vec<i64> {
        table.integers(name).unwrap().iter().map(|cell| cell.unwrap()).collect()
    };
    let (kept, dropped) = (column("kept"), column("dropped"));
    assert_eq!(table.rows(), 3 * 12 * 2 * 20);
    let moepp = workload(&built_in_workload("moepp-1b").unwrap()).unwrap();
    let counts = Gate::new(&moepp, Streams::new(9)).counts(5, 2, 0..2);
    let first = (2 * 12 + 5) * 2 * 20;
    for cell in 0..40 {
        assert_eq!(kept[first + cell], i64::from(counts.kept(cell / 20, cell % 20)));
        assert_eq!(dropped[first + cell], i64::from(counts.dropped(cell / 20, cell % 20)));
    }
    let csv = std::fs::read_to_string(shown("counts.csv")).unwrap();
    let line = format!("5,2,1,3,{},{}", counts.kept(1, 3), counts.dropped(1, 3));
    assert!(csv.lines().any(|of| of == line), "{line}");
    let bad = folder.join("counts.txt");
    let refused =
        refusal(&moesim(&["gate", "show", "moepp-1b", "--export", bad.to_str().unwrap()]));
    assert!(refused.contains("is not a name of a table"), "{refused}");
}

/// Both pictures in both formats, for a workload and for a recording.
#[test]
fn loads_are_drawn() {
    for what in ["moepp-1b", "workloads/traces/tiny_moepp_tau075.parquet"] {
        let folder = folder("plots").join("deep");
        text(&moesim(&["gate", "show", what, "--plot", folder.to_str().unwrap()]));
        for name in ["loads", "batches"] {
            let png = std::fs::read(folder.join(format!("{name}.png"))).unwrap();
            assert!(png.starts_with(b"\x89PNG") && png.len() > 5_000, "{what} {name}");
            let svg = std::fs::read_to_string(folder.join(format!("{name}.svg"))).unwrap();
            assert!(svg.contains("tokens in a batch") || svg.contains("layer"), "{what} {name}");
        }
    }
}

/// Mistakes in a table of counts and in the order of experts.
#[test]
fn each_mistake_in_counts_has_its_message() {
    let path = folder("counts").join("counts.csv");
    let refused = |text: &str| {
        std::fs::write(&path, text).unwrap();
        refusal(&moesim(&["gate", "fit", path.to_str().unwrap()]))
    };
    let told = refused("domain,layer,expert\n");
    assert!(told.contains("has no column `count`") && told.contains("counts.csv:1:1"), "{told}");
    let told = refused("domain,layer,expert,count\na,0,0,x\n");
    assert!(told.contains("count: `x` is not a whole number from 0 to "), "{told}");
    assert!(told.contains("counts.csv:2:7"), "{told}");
    assert!(
        refused("domain,layer,expert,count\na,0,0,5\n").contains("it takes counts of two experts")
    );
    let twice = "domain,layer,expert,count\na,0,0,5\na,0,0,5\na,0,1,1\nb,0,0,5\nb,0,1,5\nc,0,0,5\nc,0,1,1\n";
    assert!(refused(twice).contains("counts an expert twice"));
    let tiny = "workloads/traces/tiny_moepp_tau075.parquet";
    let told = refusal(&moesim(&["gate", "fit", tiny, "--order", "ffn=8"]));
    assert!(told.contains("`ffn=8` does not name 12 experts"), "{told}");
}
