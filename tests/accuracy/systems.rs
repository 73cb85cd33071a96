//! Is every published figure judged, or said why not?
//!
//! A pass says that every row gets a number or a reason, and that a row's number is that of the
//! scenario which it exports. It does not say that the numbers are right.

use std::collections::BTreeMap;

use moesim::studies::validate::systems::summary::{self, SystemRow};
use moesim::studies::validate::systems::{self, Row, Verdict};

/// The rows that a filter keeps, judged.
fn judged(keep: impl Fn(&Row) -> bool) -> Vec<Verdict> {
    let rows = systems::rows(None).unwrap();
    systems::judge(rows.into_iter().filter(keep).collect(), 2)
}

/// Replaces cells of a row.
type Change = fn(&mut Row);

/// A row with some cells replaced.
fn with(row: &Row, change: impl Fn(&mut Row)) -> Row {
    let mut row = row.clone();
    change(&mut row);
    row
}

fn megatron_layer() -> Row {
    let rows = systems::rows(None).unwrap();
    rows.into_iter().find(|row| row.family == "layer" && row.phase == "forward").unwrap()
}

#[test]
fn every_row_gets_a_number_or_a_reason() {
    let short = |row: &Row| !matches!(row.family.as_str(), "serving" | "train_step");
    let small = |row: &Row| row.family == "train_step" && row.n_gpus == "8" && row.gbs.len() < 3;
    let verdicts = judged(|row| short(row) || small(row));
    assert!(verdicts.iter().any(|verdict| small(&verdict.row) && verdict.outcome.is_ok()));
    for verdict in &verdicts {
        let json = serde_json::to_value(SystemRow::of(verdict)).unwrap();
        let status = json["status"].as_str().unwrap();
        assert_eq!(status == "judged", json["error"].is_number(), "{json}");
        assert_eq!(verdict.outcome.is_ok(), json["predicted"].is_number(), "{json}");
        assert!(!status.is_empty() && json["measured"].is_number(), "{json}");
    }
    let text = summary::text("systems.csv", &verdicts);
    let unjudged = verdicts.iter().filter(|verdict| verdict.outcome.is_err()).count();
    let (_, listed) = text.split_once("not judged, because\n").unwrap();
    let rows = |line: &str| line.split_whitespace().next().unwrap().parse::<usize>().unwrap();
    assert_eq!(listed.lines().map(rows).sum::<usize>(), unjudged);
}

/// A layer that waits for its host says nothing of the GPUs but that they were no slower.
#[test]
fn measurements_bound_by_the_host_are_upper_bounds() {
    let verdicts = judged(|row| row.is_upper_bound() && row.id.contains("anchor"));
    assert!(verdicts.len() >= 3, "{} rows", verdicts.len());
    for verdict in &verdicts {
        let predicted = verdict.outcome.as_ref().unwrap().predicted;
        assert!(predicted <= verdict.measured.unwrap(), "{}: {predicted}", verdict.row.id);
        assert!(verdict.error().is_none() && verdict.covered().is_none());
        assert!(SystemRow::of(verdict).status.contains("upper bound"));
    }
    assert!(!megatron_layer().is_upper_bound());
}

/// A figure that its own source calls a fault of one release says nothing of predictions.
#[test]
fn rows_whose_notes_say_so_are_not_judged() {
    let row = Row { note: "known regression: do not judge by it".to_owned(), ..megatron_layer() };
    let verdicts = systems::judge(vec![row, megatron_layer()], 1);
    assert_eq!(verdicts[0].outcome, Err("its own note says not to judge by it".to_owned()));
    assert!(verdicts[1].judged().is_some());
}

/// What no table describes must be said, and must not stop the others.
#[test]
fn unknown_cells_are_reasons() {
    let known = megatron_layer();
    let changes: [(&str, Change); 18] = [
        ("gpu is `Z9`, and rows are predicted on these alone: H100,", |row| row.gpu = "Z9".into()),
        ("the GPU is not stated", |row| row.gpu.clear()),
        ("timings in int3", |row| row.dtype_compute = "int3".into()),
        ("dispatcher is `pigeon`, which is not known: write NCCL", |row| {
            row.dispatcher = "pigeon".into()
        }),
        ("kernel `abacus`", |row| row.gemm_kernel = "abacus".into()),
        ("routing `odd` is not understood", |row| row.routing = "odd".into()),
        ("topk 9 is more than experts 8", |row| row.topk = "9".into()),
        ("hidden is `-1`", |row| row.hidden = "-1".into()),
        ("hidden is `1e99`", |row| row.hidden = "1e99".into()),
        ("the scenario is refused", |row| row.hidden = "100000000".into()),
        ("do not spread evenly", |row| row.experts = "9".into()),
        ("does not fill nodes", |row| {
            (row.ep, row.n_gpus, row.experts) = ("12".into(), "12".into(), "12".into());
        }),
        ("ep is 8 on 4 GPUs", |row| row.n_gpus = "4".into()),
        ("value is `many`", |row| row.value = "many".into()),
        ("the unit `parsec`", |row| row.unit = "parsec".into()),
        ("tensor parallelism", |row| row.tp = "8".into()),
        ("operations is `some`", |row| row.operations = "some".into()),
        ("timings in fp6", |row| row.attention = "fp6".into()),
    ];
    let expected: BTreeMap<usize, &str> =
        changes.iter().enumerate().map(|(at, (reason, _))| (at + 1, *reason)).collect();
    let changed = changes.iter().map(|(_, change)| with(&known, change));
    let rows: Vec<Row> = std::iter::once(known.clone()).chain(changed).collect();
    let verdicts = systems::judge(rows, 2);
    assert!(verdicts[0].outcome.is_ok(), "{:?}", verdicts[0].outcome);
    for (at, reason) in expected {
        let got = verdicts[at].outcome.as_ref().unwrap_err();
        assert!(got.contains(reason), "expected `{reason}`, got `{got}`");
    }
}

/// What `--export` writes is what was judged.
#[test]
fn a_rows_scenario_is_the_run_that_judges_it() {
    let row = megatron_layer();
    let folder = std::env::temp_dir().join(format!("moesim-systems-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in systems::scenario(&row).unwrap().files {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let path = folder.join("scenario.toml");
    let overrides = moesim::config::Overrides::default();
    let opened = moesim::config::ScenarioSource::open(&path.to_string_lossy(), overrides);
    let rows = moesim::studies::study::study(&opened.unwrap().load().unwrap(), 1).unwrap();
    let verdict = systems::judge(vec![row], 1).remove(0);
    let predicted = verdict.outcome.unwrap().predicted;
    assert!((rows[0].time_ms.mean / predicted - 1.0).abs() < 1e-9, "{predicted}");
    std::fs::remove_dir_all(folder).unwrap();
}

/// What is written says what it stands on, and that it does not run where it does not.
#[test]
fn a_rows_scenario_says_what_was_assumed_and_what_it_lacks() {
    let noted = with(&megatron_layer(), |row| {
        row.note = "clocks\nlocked".into();
        row.dispatcher.clear();
    });
    let scenario = systems::scenario(&noted).unwrap();
    let (name, text) = &scenario.files[0];
    assert_eq!((name.as_str(), &scenario.refusal), ("scenario.toml", &None));
    assert!(text.contains("\n# The row's note: clocks locked\n"), "{text}");
    assert!(text.contains("\n# Assumed: dispatcher not stated: library"), "{text}");
    let large = systems::scenario(&with(&noted, |row| row.hidden = "100000000".into())).unwrap();
    let refusal = large.refusal.expect("no such model runs");
    let said = format!("# It does not run as it is: {refusal}\n");
    assert!(refusal.starts_with("the scenario is refused: ") && large.files[0].1.contains(&said));
}

/// Errors may grow by this factor before the documentation must be wrong.
const MARGIN: f64 = 1.1;
/// Median and largest error of Megatron's forward layers, as docs/systems.md states them.
const LAYERS: (f64, f64) = (0.151, 0.217);

#[test]
fn forward_layers_are_predicted_as_well_as_stated() {
    let layers = |row: &Row| row.family == "layer" && row.phase == "forward" && row.trust == "A";
    let mut errors: Vec<f64> =
        judged(layers).iter().filter_map(Verdict::error).map(f64::abs).collect();
    assert_eq!(errors.len(), 6, "all six layers are judged");
    errors.sort_by(f64::total_cmp);
    let median = (errors[2] + errors[3]) / 2.0;
    assert!(median <= LAYERS.0 * MARGIN, "{errors:?}");
    assert!(errors[5] <= LAYERS.1 * MARGIN, "{errors:?}");
}

/// TFLOP/s over tokens/s of one set-up are operations a token: windows of attention are left out of them.
#[test]
fn operations_of_a_token_are_those_that_rows_count() {
    let verdicts = judged(|row| row.id.starts_with("bridge-26.06-GPT-OSS-120B-B300-MXFP8"));
    let of = |unit: &str, what: fn(&Verdict) -> f64| {
        what(verdicts.iter().find(|verdict| verdict.row.unit == unit).expect("a row of this unit"))
    };
    let predicted = |verdict: &Verdict| verdict.outcome.as_ref().expect("judged").predicted;
    let measured = |verdict: &Verdict| verdict.measured.expect("a number");
    let per_token = |what| of("TFLOP/s/GPU", what) / of("tokens/s/GPU", what);
    let (ours, theirs) = (per_token(predicted), per_token(measured));
    assert!((ours / theirs - 1.0).abs() < 0.02, "{ours} for {theirs} TFLOP a token");
}

/// A row that leaves overlap and recomputation to its recipe runs as the recipe says.
#[test]
fn a_row_runs_by_its_recipe() {
    let rows = systems::rows(None).unwrap();
    let workload = |id: &str| {
        let row = rows.iter().find(|row| row.id == id).expect("a row of this id");
        let files = systems::scenario(row).unwrap().files;
        files.into_iter().find(|(name, _)| name == "workload.toml").unwrap().1
    };
    let late = workload("bridge-26.08-Qwen3-30B-A3B-GB300-MXFP8-g512-iter");
    let early = workload("bridge-26.04-Qwen3-30B-A3B-GB300-MXFP8-g512-iter");
    assert!(late.contains("paired = true") && early.contains("paired = false"));
    let said = ["recompute = \"none\"", "gradients = \"bf16\"", "dispatch_dtype = \"bf16\""];
    assert!(said.iter().all(|line| late.contains(line)), "{late}");
    // Products that are fused in a graph of the whole step, and before that neither.
    assert!(late.contains("epilogue = \"activation\"") && early.contains("epilogue = \"plain\""));
    assert!(early.contains("pad_rows = 32") && early.contains("layer_launch = \"1.9 ms\""));
    assert!(!late.contains("pad_rows") && !late.contains("layer_launch"));
    let bare = workload("bridge-26.02-Qwen3-235B-A22B-B300-MXFP8-g8192-iter");
    assert!(bare.contains("layer_launch = \"3.4 ms\""), "{bare}");
}
