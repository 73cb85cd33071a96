//! Does validation keep its accuracy, and its head when tables are broken?
//!
//! The accuracy tests predict shapes as if they had never been measured and fail when errors grow
//! past what the documentation states by the margin in the test. A pass does not say that a GPU
//! nobody measured is predicted as well.

use std::path::{Path, PathBuf};

use moesim::table::{Column, Table, Texts};
use moesim::validate::{ValidateArgs, ValidateError, run};
use serde_json::Value;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("calibrate/data")
}

/// A folder of its own for each test.
fn scratch(name: &str) -> PathBuf {
    let folder =
        std::env::temp_dir().join(format!("moesim-validate-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn report(args: &ValidateArgs) -> (Value, Option<String>) {
    let mut out = Vec::new();
    let args = ValidateArgs { json: true, ..args.clone() };
    let mistake = match run(&args, &|_| Ok(None), &mut out) {
        Ok(()) => None,
        Err(ValidateError::Refused(mistake)) => Some(mistake.to_string()),
        Err(ValidateError::Output(error)) => panic!("{error}"),
    };
    (serde_json::from_slice(&out).unwrap_or(Value::Null), mistake)
}

/// A folder with copies of some of the stored tables.
fn folder_with(name: &str, files: &[&str]) -> PathBuf {
    let folder = scratch(name);
    for file in files {
        std::fs::copy(data().join(file), folder.join(file)).unwrap();
    }
    folder
}

/// Stated left-out errors (median, 90th percentile) and the margin by which they may grow.
#[test]
fn left_out_shapes_are_predicted_as_well_as_stated() {
    let stated = [
        ("gemm_a100_sxm.parquet", 0.036, 0.120),
        ("moe_a100_sxm.parquet", 0.035, 0.270),
        ("moe_l40s.parquet", 0.043, 0.180),
        ("deepep_normal_1node_h100_sxm.parquet", 0.030, 0.140),
        ("deepep_ll_1node_h100_sxm.parquet", 0.035, 0.120),
    ];
    const MARGIN: f64 = 1.15;
    let dir = folder_with("stated", &stated.map(|(file, ..)| file));
    let (json, mistake) = report(&ValidateArgs { dir, leave_out: true, ..ValidateArgs::default() });
    assert_eq!(mistake, None);
    for (file, median, p90) in stated {
        let object = json.as_array().unwrap().iter().find(|o| o["file"] == file).unwrap();
        let (got, got_p90) = (&object["median_abs_error"], &object["p90_abs_error"]);
        assert!(got.as_f64().unwrap() <= median * MARGIN, "{file}: median {got}");
        assert!(got_p90.as_f64().unwrap() <= p90 * MARGIN, "{file}: 90th percentile {got_p90}");
        let baseline = object["baseline_median_abs_error"].as_f64().unwrap();
        assert!(got.as_f64().unwrap() < baseline, "{file}: no better than {baseline}");
        let covered = object["interval_90_coverage"].as_f64().unwrap();
        assert!((0.85..=0.95).contains(&covered), "{file}: a 90 % interval covers {covered}");
    }
}

#[test]
fn a_broken_table_is_named_and_the_others_are_still_judged() {
    let dir = folder_with("broken", &["nccl_a100_sxm.parquet"]);
    let whole = std::fs::read(data().join("gemm_a100_sxm.parquet")).unwrap();
    std::fs::write(dir.join("gemm_a100_sxm.parquet"), &whole[..whole.len() / 2]).unwrap();
    let (json, mistake) = report(&ValidateArgs { dir, ..ValidateArgs::default() });
    assert_eq!(json.as_array().unwrap().len(), 1);
    assert_eq!(json[0]["rows"], 336);
    assert!(mistake.unwrap().contains("gemm_a100_sxm.parquet: is corrupt or cut short"));
}

#[test]
fn a_table_of_another_schema_is_refused_in_words() {
    let dir = scratch("schema");
    let table = Table::new("x").with("m", Column::Integers(vec![Some(1)]));
    table.write(&dir.join("gemm_a100_sxm.parquet")).unwrap();
    let (_, mistake) = report(&ValidateArgs { dir, ..ValidateArgs::default() });
    assert!(mistake.unwrap().contains("column `dtype`: is missing"));
}

#[test]
fn rows_without_a_time_are_counted_and_a_table_of_none_is_reported() {
    let dir = scratch("nan");
    let texts =
        |word: &str| Column::Texts(Texts { words: vec![word.to_owned()], ids: vec![Some(0); 3] });
    let ones = || Column::Integers(vec![Some(64); 3]);
    let table = Table::new("x")
        .with("device", texts("NVIDIA A100-SXM4-80GB"))
        .with("dtype", texts("bfloat16"))
        .with("m", ones())
        .with("n", ones())
        .with("k", ones())
        .with("latency_us", Column::Numbers(vec![Some(f64::NAN), Some(0.0), None]));
    table.write(&dir.join("gemm_a100_sxm.parquet")).unwrap();
    let (json, mistake) = report(&ValidateArgs { dir, ..ValidateArgs::default() });
    assert_eq!(mistake, None);
    assert_eq!((&json[0]["rows"], &json[0]["skipped"]), (&0.into(), &3.into()));
    assert_eq!(json[0]["median_abs_error"], Value::Null);
}

#[test]
fn an_unknown_device_is_predicted_by_a_stated_rule() {
    let dir = scratch("unknown");
    std::fs::copy(data().join("nccl_h100_sxm.parquet"), dir.join("nccl_z900.parquet")).unwrap();
    let (json, mistake) = report(&ValidateArgs { dir, ..ValidateArgs::default() });
    assert_eq!(mistake, None);
    assert_eq!(json[0]["extrapolated_rows"], json[0]["rows"]);
    assert!(json[0]["extrapolation_rule"].as_str().unwrap().starts_with("unknown device"));
}

#[test]
fn a_folder_without_tables_is_refused() {
    let (_, mistake) = report(&ValidateArgs { dir: scratch("empty"), ..ValidateArgs::default() });
    assert!(mistake.unwrap().contains("holds nothing to validate"));
    let (_, mistake) = report(&ValidateArgs { dir: "no/such".into(), ..ValidateArgs::default() });
    assert!(mistake.unwrap().contains("cannot be read"));
}

#[test]
fn a_plot_has_a_point_for_every_row_of_a_small_table() {
    let dir = folder_with("plot", &["nccl_a100_sxm.parquet"]);
    let plots = scratch("plot").join("plots");
    let args = ValidateArgs { dir, plot: Some(plots.clone()), ..ValidateArgs::default() };
    let (_, mistake) = report(&args);
    assert_eq!(mistake, None);
    let svg = std::fs::read_to_string(plots.join("nccl_a100_sxm.svg")).unwrap();
    assert_eq!(svg.matches("<circle").count(), 336);
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
}
