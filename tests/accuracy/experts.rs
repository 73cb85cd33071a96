//! Is what is validated what runs, and do GPUs rank as their data sheets say?
//!
//! A pass says that a layer's experts cost in a run, to the picosecond, what `validate` predicts for
//! their row; that grouped GEMMs keep physical bounds; and that no GPU is ranked against both its
//! arithmetic and its memory. It does not say that grouped GEMMs are as fast as somebody's library.

use std::path::{Path, PathBuf};
use std::process::Command;

use moesim::base::table::Table;
use moesim::base::units::SimDuration;
use moesim::config::{Overrides, Scenario, ScenarioSource, Source, built_in_profile, workload};
use moesim::execution::blame::Reason;
use moesim::execution::cost::{LayerCost, Overheads};
use moesim::kernels::measurements::ExpertsRow;
use moesim::kernels::profile::{Precision, Profile};
use moesim::kernels::{ExpertsAsk, Kernels, Part, Support};
use moesim::studies::study::{Row, study};
use moesim::studies::validate::judge;
use moesim::workload::{Dtype, Execution, ExpertsKernel, Phase, Workload};
use serde_json::Value;

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn case(file: &str) -> String {
    path("tests/data/cases").join(file).display().to_string()
}

fn load(scenario: &str, set: &[&str]) -> Scenario {
    let overrides = Overrides::new(set.iter().map(|line| (*line).to_owned()).collect());
    let source = ScenarioSource::open(scenario, overrides).unwrap_or_else(|e| panic!("{e}"));
    source.load().unwrap_or_else(|mistake| panic!("{mistake}"))
}

fn refused(scenario: &str, set: &[&str]) -> String {
    let overrides = Overrides::new(set.iter().map(|line| (*line).to_owned()).collect());
    let source = ScenarioSource::open(scenario, overrides).unwrap_or_else(|e| panic!("{e}"));
    source.load().err().expect("a refusal").to_string()
}

fn rows(scenario: &str, set: &[&str]) -> Vec<Row> {
    study(&load(scenario, set), 2).unwrap()
}

/// One layer with the experts of a measured row, all on one GPU.
fn workload_of(row: &ExpertsRow) -> Workload {
    let text = std::fs::read_to_string(path("tests/data/cases/01-q30.toml")).unwrap();
    let mut workload = workload(&Source::built_in("q30", &text)).unwrap();
    let local = row.shape(false);
    (workload.model.hidden, workload.model.intermediate) = (local.hidden, local.inter);
    (workload.model.experts.ffn, workload.model.experts.top_k) = (row.experts, row.top_k);
    workload.batch.tokens_per_gpu = row.tokens;
    workload.batch.dtype = match row.precision {
        Precision::Bf16 => Dtype::Bf16,
        Precision::Fp8 | Precision::Fp8Block => Dtype::Fp8,
    };
    workload.stack.experts = ExpertsKernel::Named(row.source.clone());
    workload
}

/// Rows of every kernel and law of a table that models with a gate can have, spread over it.
fn some_rows(file: &Path) -> Vec<(usize, ExpertsRow)> {
    let table = Table::read(file).unwrap();
    let all = ExpertsRow::of(&table).unwrap().rows;
    let gated = |row: &ExpertsRow| row.ep == 1 && row.shape(false).gated;
    let own: Vec<_> = all.into_iter().filter(|(_, row)| gated(row)).collect();
    let step = own.len() / 97;
    own.into_iter().step_by(step.max(1)).collect()
}

/// Left to break: `choose_experts` by first of the map, or another shape in `experts_ask`.
#[test]
fn a_runs_experts_cost_what_validate_predicts_for_their_row() {
    for device in ["h100_sxm", "a100_sxm", "b200_sxm"] {
        let file = path("calibrate/data").join(format!("moe_{device}.parquet"));
        let (reports, _) = judge(&file, None).unwrap().unwrap();
        let profile = built_in_profile(&device.replace('_', "-")).unwrap();
        let kernels = Kernels::new(&profile, profile.data_sheet);
        let mut kinds = std::collections::BTreeSet::new();
        for (at, row) in some_rows(&file) {
            // Rows that physics rules out are not judged.
            let Some(judged) = reports[0].judged.iter().find(|judged| judged.row == at) else {
                assert_eq!((row.hidden, row.experts), (7168, 256), "{device} {row:?}");
                continue;
            };
            let workload = workload_of(&row);
            let mut ops = Vec::new();
            LayerCost::new(&workload, &kernels, Overheads::NONE).ffn(&row.local_slots(), &mut ops);
            assert_eq!(ops.len(), 1);
            assert_eq!(ops[0].time, SimDuration::from_secs(judged.predicted), "{device} {row:?}");
            kinds.insert((row.source.clone(), row.precision));
        }
        let known: std::collections::BTreeSet<_> = profile.experts.keys().cloned().collect();
        // Kernels that were measured on ungated shapes alone have no row here.
        assert!(!kinds.is_empty() && kinds.is_subset(&known), "{device}: {kinds:?}");
    }
}

fn seconds(profile: &Profile, ask: &ExpertsAsk<'_>, slots: &[u32]) -> f64 {
    let kernels = Kernels::new(profile, profile.data_sheet);
    kernels.experts(kernels.choose_experts(ask).unwrap(), ask.shape).seconds(slots)
}

/// One expert with all rows is two dense products and its activation: no more, no less.
#[test]
fn a_grouped_gemm_of_one_expert_is_the_dense_table() {
    let profile = built_in_profile("h100-sxm").unwrap();
    let kernels = Kernels::new(&profile, profile.data_sheet);
    let kernel = &ExpertsKernel::GroupedGemm;
    for precision in [Precision::Bf16, Precision::Fp8, Precision::Fp8Block] {
        let shape = moesim::kernels::experts::ExpertsShape {
            hidden: 4096,
            inter: 14_336,
            experts: 1,
            top_k: 2,
            gated: true,
        };
        let formats = &[precision];
        let ask = ExpertsAsk { shape, formats, kernel, phase: Phase::Training, slots: 8192 };
        let time = seconds(&profile, &ask, &[8192]);
        let dense = kernels.gemm(8192, 28_672, 4096, precision).secs()
            + kernels.gemm(8192, 4096, 14_336, precision).secs();
        let bytes = 8192 * 14_336 * (4 + precision.bytes() as u64);
        let moved = kernels.memory_bound(moesim::base::units::Bytes(bytes), 1).secs();
        assert!((time / (dense + moved) - 1.0).abs() < 1e-3, "{precision:?}: {time} for {dense}");
    }
}

/// Many small experts share the SMs and one launch: less than a loop, no less than the floor.
#[test]
fn a_grouped_gemm_is_faster_than_a_loop_and_slower_than_physics() {
    let profile = built_in_profile("h100-sxm").unwrap();
    let kernels = Kernels::new(&profile, profile.data_sheet);
    let kernel = &ExpertsKernel::GroupedGemm;
    for (experts, rows) in [(32_u32, 8_u32), (32, 64), (128, 16), (8, 512), (4, 8192)] {
        let shape = moesim::kernels::experts::ExpertsShape {
            hidden: 7168,
            inter: 2048,
            experts,
            top_k: 8,
            gated: true,
        };
        let formats = &[Precision::Fp8Block];
        let slots = u64::from(experts) * u64::from(rows);
        let ask = ExpertsAsk { shape, formats, kernel, phase: Phase::Decode, slots };
        let time = seconds(&profile, &ask, &vec![rows; experts as usize]);
        let gemm = |n, k| kernels.gemm(rows, n, k, Precision::Fp8Block).secs();
        // Activation and sorting, equation (5) of `grouped`, at the data sheet's bandwidth.
        let moved = slots as f64 * (5.0 * 2048.0 + 6.0 * 7168.0) / 3.35e12;
        let looped = f64::from(experts) * (gemm(4096, 7168) + gemm(7168, 2048)) + moved;
        let per_row = 3.0 * 7168.0 * 2048.0;
        let floor = (f64::from(experts) * per_row / 3.35e12)
            .max(2.0 * slots as f64 * per_row / (2.0 * 989e12));
        assert!(time >= floor, "{experts} x {rows}: {time} below {floor}");
        assert!(time < 1.2 * looped, "{experts} x {rows}: {time} against {looped} in a loop");
    }
}

/// Forward grouped GEMMs of DeepSeek-V3's published training trace, on an H800 (an H100's arithmetic) with
/// 112 of its SMs: 4 local experts, 4,096 tokens per rank at top-8, 1.74 ms up and 0.95 to 1.0 ms down.
#[test]
fn deepseeks_training_trace_is_met_within_a_quarter() {
    let profile = built_in_profile("h100-sxm").unwrap();
    let mut device = profile.data_sheet;
    let share = 112.0 / f64::from(device.sms);
    device.peak_bf16 = device.peak_bf16.scaled(share);
    device.peak_fp8 = device.peak_fp8.map(|peak| peak.scaled(share));
    device.sms = 112;
    let kernels = Kernels::new(&profile, device);
    let shape = moesim::kernels::experts::ExpertsShape {
        hidden: 7168,
        inter: 2048,
        experts: 4,
        top_k: 8,
        gated: true,
    };
    let formats = Precision::of_dtype(Dtype::Fp8);
    let kernel = &ExpertsKernel::Auto;
    let ask = ExpertsAsk { shape, formats, kernel, phase: Phase::Training, slots: 32_768 };
    let choice = kernels.choose_experts(&ask).unwrap();
    assert_eq!((choice.kernel(), choice.precision()), ("grouped-gemm", Precision::Fp8Block));
    // Activation and sorts are kernels of their own in the trace.
    let all = kernels.experts(choice, shape).seconds(&[8192; 4]);
    let moved = 32_768.0 * (2048.0 * 5.0 + 7168.0 * 6.0) / (3.35e12 * profile.memory.efficiency);
    let products = all - moved;
    assert!((products / 2.72e-3 - 1.0).abs() < 0.25, "{products} for 2.72 ms");
}

/// Tokens that are rounded to tiles leave no tile half empty: less time for as many rows.
#[test]
fn rounding_tokens_to_tiles_saves_what_tiles_waste() {
    let products = |rows: u32| {
        let set = vec![format!("workload.kernels.round_rows={rows}"), "seeds=0..1".to_owned()];
        let opened = ScenarioSource::open("tile-rounding", Overrides::new(set)).expect("built in");
        let scenario = opened.load().unwrap_or_else(|mistake| panic!("{mistake}"));
        let row = study(&scenario, 1).expect("short").remove(0);
        row.blame_ms[Reason::FfnGemm as usize] + row.blame_ms[Reason::FfnBackward as usize]
    };
    let (as_chosen, rounded) = (products(1), products(128));
    assert!(rounded < as_chosen && rounded > 0.7 * as_chosen, "{rounded} ms for {as_chosen}");
}

/// `auto`: by phase, and by what the tables cover.
#[test]
fn auto_goes_by_evidence_and_names_are_found_or_refused() {
    let profile = built_in_profile("h100-sxm").unwrap();
    let kernels = Kernels::new(&profile, profile.data_sheet);
    let chosen = |kernel: ExpertsKernel, phase: Phase, experts: u32, dtype: Dtype| {
        let (hidden, inter, top_k, gated) = (7168, 2048, 8, true);
        let shape = moesim::kernels::experts::ExpertsShape { hidden, inter, experts, top_k, gated };
        let formats = Precision::of_dtype(dtype);
        let ask = ExpertsAsk { shape, formats, kernel: &kernel, phase, slots: 32_768 };
        let found = kernels.choose_experts(&ask).map_err(|none| none.to_string())?;
        Ok::<_, String>((found.kernel().to_owned(), found.precision()))
    };
    let auto = |phase, experts, dtype| chosen(ExpertsKernel::Auto, phase, experts, dtype).unwrap();
    let triton = "sglang_fused_moe_triton".to_owned();
    let grouped = "grouped-gemm".to_owned();
    assert_eq!(auto(Phase::Prefill, 256, Dtype::Bf16), (triton.clone(), Precision::Bf16));
    assert_eq!(auto(Phase::Decode, 256, Dtype::Fp8), (triton, Precision::Fp8Block));
    assert_eq!(auto(Phase::Training, 256, Dtype::Fp8), (grouped.clone(), Precision::Fp8Block));
    assert_eq!(auto(Phase::Prefill, 4, Dtype::Fp8), (grouped, Precision::Fp8Block));
    let cutlass = chosen(ExpertsKernel::Cutlass, Phase::Prefill, 128, Dtype::Bf16).unwrap();
    assert_eq!(cutlass.0, "sglang_flashinfer_cutlass_moe");
    let none = chosen(ExpertsKernel::TrtLlm, Phase::Prefill, 128, Dtype::Bf16).unwrap_err();
    assert!(none.contains("sglang_fused_moe_triton (bfloat16)"), "{none}");
    assert!(none.contains("grouped-gemm (bfloat16, fp8, fp8_block)"), "{none}");
}

/// Case 01: Mixtral's experts, between 1.8 and 3.5 times as fast on H100 as on A100.
#[test]
fn case_01_experts_on_h100_are_faster_than_on_a100_as_their_gemms_are() {
    let h100 = rows(&case("01-h100-experts.toml"), &[])[0].time_ms.mean;
    let a100 = mixtral("a100-4x8", "a100-sxm");
    assert!((1.8..3.5).contains(&(a100 / h100)), "{a100} ms on A100, {h100} ms on H100");
}

/// Milliseconds of Mixtral's experts on a cluster of 32 GPUs.
fn mixtral(topology: &str, profile: &str) -> f64 {
    let set = [format!("topology={topology}"), format!("profile={profile}")];
    rows(&case("01-h100-experts.toml"), &set.each_ref().map(String::as_str))[0].time_ms.mean
}

/// Case 01: 128 experts of one layer on one H100; Triton was measured elsewhere at 11.5 ms untuned, and a
/// tuned kernel at about 4.7.
#[test]
fn case_01_all_experts_of_one_layer_on_one_gpu() {
    let row = &rows(&case("01-q30-h100.toml"), &[])[0];
    assert!((4.0..13.0).contains(&row.time_ms.mean), "{} ms", row.time_ms.mean);
    let experts = row.stands_on.iter().find(|one| one.basis.part == Part::Experts).unwrap();
    assert!(experts.basis.name.starts_with("sglang_fused_moe_triton"), "{}", experts.basis);
}

/// Case 02: fp8 runs on the profile's own fp8_block table, not on borrowed constants.
#[test]
fn case_02_fp8_is_found_where_a_profile_has_it_by_block() {
    let row = &rows(&case("02-fp8.toml"), &[])[0];
    assert!(row.stands_on.iter().all(|one| !one.basis.is_borrowed()), "{:?}", row.stands_on);
    let experts = row.stands_on.iter().find(|one| one.basis.part == Part::Experts).unwrap();
    assert!(experts.basis.name.contains("fp8_block"), "{}", experts.basis);
    // The experts' operations at the fp8 peak; the case found them at 8 % of it.
    let workload = &row.workload;
    let per_row = 6.0 * f64::from(workload.model.hidden) * f64::from(workload.model.intermediate);
    let slots = f64::from(workload.batch.tokens_per_gpu * workload.model.experts.top_k);
    let least = 1e3 * per_row * slots * f64::from(workload.model.layers) / 1978.9e12;
    let share = least / row.time_ms.mean;
    assert!((0.2..0.95).contains(&share), "{share} of the fp8 peak");
}

/// Case 05: a GPU without the unit is refused, with the remedy; its peak counts where it is given.
#[test]
fn case_05_fp8_needs_the_unit_and_its_peak_counts() {
    let without = refused(&case("05-fp8-without-unit.toml"), &[]);
    assert!(without.contains("the GPU has no fp8 arithmetic"), "{without}");
    assert!(without.contains("batch.dtype = \"bf16\""), "{without}");
    let topology = format!("topology={}", case("05-no-fp8.toml"));
    let layout = "workload.layout.expert_parallel=8";
    let few = "workload.model.layers=1";
    let no_peak = refused(&case("02-fp8.toml"), &[&topology, layout, few]);
    assert!(no_peak.contains("gpu.peak_fp8"), "{no_peak}");
    let time = |peak: &str| {
        let peak = format!("topology.gpu.peak_fp8={peak} TFLOP/s");
        rows(&case("02-fp8.toml"), &[&topology, layout, few, &peak])[0].time_ms.mean
    };
    let (slow, fast) = (time("1000"), time("1978.9"));
    assert!(slow > 1.3 * fast, "{slow} ms at 1,000 TFLOP/s, {fast} at 1,978.9");
}

const SHIPPED: [(&str, &str, f64, f64); 14] = [
    ("l40s", "L40S", 362.0, 864.0),
    ("a100-sxm", "A100", 312.0, 2039.0),
    ("h100-sxm", "H100", 989.0, 3350.0),
    ("h200-sxm", "H200", 989.0, 4800.0),
    ("b200-sxm", "B200", 2250.0, 7700.0),
    ("gb200", "GB200", 2500.0, 8000.0),
    ("h800-sxm", "H800", 989.0, 3350.0),
    ("a800-sxm", "A800", 312.0, 2039.0),
    ("h20", "H20", 148.0, 4000.0),
    ("h200-nvl", "H200 NVL", 835.5, 4800.0),
    ("b300-sxm", "B300", 2250.0, 7750.0),
    ("gb300", "GB300", 2500.0, 8000.0),
    ("rtx-pro-6000-server", "RTX PRO 6000", 467.8, 1597.0),
    ("mi300x", "MI300X", 1307.4, 5300.0),
];

const MODELS: [&str; 5] =
    ["mixtral-8x7b", "olmoe-1b-7b", "qwen3-235b-a22b", "deepseek-v3", "gpt-oss-120b"];

/// Seconds of one layer's experts with even loads, on a GPU by its own profile.
fn of_model(name: &str, profile: &Profile, memory: f64) -> f64 {
    let source = moesim::config::built_in_workload(name).unwrap();
    let source = source.with_overrides(["batch.dtype=bf16"]);
    let workload = workload(&source).unwrap();
    assert_eq!(workload.execution, Execution::Grouped, "{name}");
    let mut device = profile.data_sheet;
    device.memory_bandwidth = device.memory_bandwidth.scaled(memory);
    let kernels = Kernels::new(profile, device);
    let slots = workload.batch.tokens_per_gpu * workload.slots_per_round();
    let each = vec![slots / workload.experts_per_gpu(); workload.experts_per_gpu() as usize];
    let mut ops = Vec::new();
    LayerCost::new(&workload, &kernels, Overheads::NONE).ffn(&each, &mut ops);
    ops.iter().map(|op| op.time.secs()).sum()
}

/// A GPU that another beats in both arithmetic and memory is not faster, and no ratio of times exceeds
/// the larger ratio of peaks by more than three in ten.
#[test]
fn gpus_rank_as_their_data_sheets_say() {
    let profiles: Vec<Profile> =
        SHIPPED.iter().map(|(name, ..)| built_in_profile(name).unwrap()).collect();
    for model in MODELS {
        let times: Vec<f64> = profiles.iter().map(|p| of_model(model, p, 1.0)).collect();
        for (a, (slow, _, flops, bytes)) in SHIPPED.iter().enumerate() {
            for (b, (fast, _, more_flops, more_bytes)) in SHIPPED.iter().enumerate() {
                if more_flops < flops || more_bytes < bytes || a == b {
                    continue;
                }
                let ratio = times[a] / times[b];
                let most = (more_flops / flops).max(more_bytes / bytes);
                assert!(ratio > 0.95, "{model}: {slow} {ratio} times {fast}");
                assert!(ratio < 1.3 * most, "{model}: {fast} {ratio} times {slow}");
            }
        }
        let [l40s, a100, h100] = [times[0], times[1], times[2]];
        assert!(l40s > a100, "{model}: L40S {l40s}, A100 {a100}");
        assert!((1.4..3.5).contains(&(a100 / h100)), "{model}: H100 {} times", a100 / h100);
    }
}

#[test]
fn more_memory_bandwidth_never_loses() {
    for (name, ..) in SHIPPED {
        let profile = built_in_profile(name).unwrap();
        for model in MODELS {
            let (own, more) = (of_model(model, &profile, 1.0), of_model(model, &profile, 1.5));
            assert!(more <= own * (1.0 + 1e-9), "{name}, {model}: {own} then {more}");
        }
    }
}

fn moesim(args: &[&str]) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_moesim")).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

/// An L40S has no table of fp8_block, and an A100's none of fp8 at all: dense products then borrow.
#[test]
fn borrowing_is_said_and_strict_refuses_it() {
    let scenario = case("02-fp8.toml");
    let borrow = ["--set", "profile=a100-sxm", "--set", "workload.model.layers=1"];
    let count = ["--set", "workload.kernels.experts=triton"];
    let (ok, _, error) = moesim(&[&["run", &scenario][..], &borrow, &count].concat());
    assert!(!ok && error.contains("has no experts' kernel `triton`"), "{error}");
    let dense = ["--set", "workload.experts.execution=sequential"];
    let (ok, out, error) = moesim(&[&["run", &scenario][..], &borrow, &dense].concat());
    assert!(ok && out.contains("borrowed from"), "{out}{error}");
    let (ok, _, error) = moesim(&[&["run", &scenario, "--strict"][..], &borrow, &dense].concat());
    assert!(!ok && error.contains("--strict"), "{error}");
    let (ok, out, error) = moesim(&["run", &case("01-q30-h100.toml"), "--strict", "--json"]);
    assert!(ok, "{error}");
    let json: Value = serde_json::from_str(&out).unwrap();
    let bases = json["results"][0]["stands_on"].as_array().unwrap();
    let shares: f64 = bases.iter().map(|basis| basis["share"].as_f64().unwrap()).sum();
    assert!((shares - 1.0).abs() < 1e-6, "{bases:?}");
}

/// Every part of a whole forward pass but its exchanges says what it stands on.
#[test]
fn a_forward_pass_stands_on_named_kernels() {
    let set = ["counted=model-forward", "workload.model.layers=2"];
    let row = &rows(&case("01-h100-experts.toml"), &set)[0];
    for part in [Part::Experts, Part::Dense, Part::Gate, Part::Memory] {
        assert!(row.stands_on.iter().any(|one| one.basis.part == part), "{part:?}");
    }
    let derived = |one: &moesim::kernels::TimedBasis| matches!(&one.basis.support, Support::Derived { from } if from.contains("dense GEMMs"));
    assert!(row.stands_on.iter().any(derived), "{:?}", row.stands_on);
}
