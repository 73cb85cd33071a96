//! Do parts of a layer take what they are derived to take, on a GPU that none of it was fitted on?
//!
//! Measured on one H200 through PyTorch (`calibrate/data/h200`), and nothing here was fitted on it. Predicted from the
//! shipped profile of the H200, whose own tables are products alone. A pass says that forward products, attention
//! forward and backward, gradients of products and of experts, norms and the optimiser are within the errors that the
//! guide states; it says nothing of other GPUs, nor of times under 100 us, which hold the launching of kernels.

use std::collections::BTreeMap;

use moesim::base::statistics::{Rule, quantile};
use moesim::base::units::Bytes;
use moesim::config::{Kind, built_in, built_in_profile, workload};
use moesim::execution::cost::{KernelTimes, Scores, WeightGradients};
use moesim::kernels::Kernels;
use moesim::workload::Dtype;

const TABLE: &str = include_str!("../../calibrate/data/h200/parts.csv");
/// Shorter times were measured with the launching of their kernels, in microseconds.
const SHORTEST: f64 = 100.0;

/// Parts, and the most that median, 90th percentile and bias of their errors are stated to be, in percent.
const STATED: [(&str, [f64; 3]); 8] = [
    ("gemm-forward", [9.0, 14.0, 4.0]),
    ("gemm-input-gradient", [9.0, 14.0, 8.0]),
    ("gemm-weight-gradient", [11.0, 18.0, 11.0]),
    ("attention-forward-cudnn_attention", [9.0, 18.0, 6.0]),
    ("attention-backward-cudnn_attention", [17.0, 41.0, 17.0]),
    ("experts-weight-gradient", [11.0, 41.0, 9.0]),
    ("rms-norm-forward", [31.0, 31.0, 31.0]),
    ("adamw-fused", [19.0, 35.0, 19.0]),
];

struct Row {
    part: &'static str,
    sides: BTreeMap<&'static str, f64>,
    us: f64,
}

impl Row {
    fn side(&self, name: &str) -> f64 {
        self.sides[name]
    }

    fn count(&self, name: &str) -> u32 {
        self.side(name) as u32
    }
}

fn rows() -> Vec<Row> {
    let row = |line: &'static str| {
        let fields: Vec<&str> = line.split(',').collect();
        let pairs = fields[1].split(' ').filter_map(|pair| pair.split_once('='));
        let sides = pairs.filter_map(|(name, value)| Some((name, value.parse().ok()?)));
        Row { part: fields[0], sides: sides.collect(), us: fields[4].parse().expect("a time") }
    };
    TABLE.lines().filter(|line| !line.starts_with('#')).skip(1).map(row).collect()
}

/// Attention under a causal mask, by equation (3) of `execution::cost::dense`.
fn attention(kernels: &dyn KernelTimes, row: &Row) -> f64 {
    let length = row.side("s");
    let pairs = row.side("b") * row.side("h") * length * length;
    let half = 0.5 * (1.0 + 900.0 / length).min(2.0);
    let dims = row.count("qk") + row.count("v");
    kernels.attention(Scores { pairs: pairs * half, dims, dtype: Dtype::Bf16 }).secs()
}

/// What is predicted for a part, in seconds; none where the simulator has no such kernel.
fn predicted(kernels: &dyn KernelTimes, row: &Row) -> Option<f64> {
    let gemm = |m: u32, n: u32, k: u32| kernels.gemm(n, k, Dtype::Bf16)(m.into()).secs();
    let sides = || (row.count("m"), row.count("n"), row.count("k"));
    let moved = |bytes: f64| kernels.memory_bound(Bytes(bytes as u64), 1).secs();
    match row.part {
        "gemm-forward" => {
            let (m, n, k) = sides();
            Some(gemm(m, n, k))
        }
        "gemm-input-gradient" => {
            let (m, n, k) = sides();
            Some(gemm(m, k, n))
        }
        "gemm-weight-gradient" => {
            let (m, n, k) = sides();
            Some(gemm(n, k, m))
        }
        "attention-forward-cudnn_attention" => Some(attention(kernels, row)),
        "attention-backward-cudnn_attention" => Some(3.0 * attention(kernels, row)),
        "rms-norm-forward" => Some(moved(4.0 * row.side("tokens") * row.side("hidden"))),
        // Weights, moments and gradients read in 32 bits, all but gradients written.
        "adamw-fused" => Some(moved(28.0 * row.side("parameters"))),
        _ => None,
    }
}

/// Weight gradients of the experts of a model over their forward products, measured and predicted.
fn gradients_of_experts(
    kernels: &Kernels,
    model: &str,
    (up, down): ([u32; 2], [u32; 2]),
) -> Vec<f64> {
    let mut workload = workload(&built_in(Kind::Workload, model).expect("a model")).expect("valid");
    // PyTorch computes in 16 bits, writes its gradients so, and adds nothing up: 2 bytes moved, not 2·b_g.
    workload.batch.dtype = Dtype::Bf16;
    workload.training.gradient_bytes = 1;
    let gradients = WeightGradients::new(&workload, kernels);
    let all = rows();
    let of = |part: &str, [n, k]: [u32; 2], experts: u32, each: u32| {
        let fits = |row: &&Row| {
            row.part == part
                && row.count("n") == n
                && row.count("k") == k
                && row.count("experts") == experts
                && row.count("rows") == each
        };
        all.iter().find(fits).map(|row| row.us * 1e-6)
    };
    let mut errors = Vec::new();
    for experts in [8, 32] {
        for each in [64, 128, 256, 512, 1024, 2048] {
            let both = |part| Some(of(part, up, experts, each)? + of(part, down, experts, each)?);
            let Some(measured) = both("grouped-weight-gradient") else { continue };
            let found = gradients.time(&vec![each; experts as usize]).secs();
            errors.push(found / measured - 1.0);
        }
    }
    errors
}

fn summary(errors: &[f64]) -> [f64; 3] {
    let sizes: Vec<f64> = errors.iter().map(|e| e.abs()).collect();
    let at = |of: &[f64], level| quantile(of, level, Rule::Linear).expect("an error");
    [at(&sizes, 0.5), at(&sizes, 0.9), at(errors, 0.5)]
}

#[test]
fn parts_take_what_they_are_derived_to_take() {
    let profile = built_in_profile("h200-sxm").expect("a profile");
    let kernels = Kernels::new(&profile, profile.data_sheet);
    let mut errors: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for row in rows().iter().filter(|row| row.us >= SHORTEST) {
        if let Some(seconds) = predicted(&kernels, row) {
            errors.entry(row.part).or_default().push(seconds * 1e6 / row.us - 1.0);
        }
    }
    let deepseek = ([4096, 7168], [7168, 2048]);
    let mixtral = ([28_672, 4096], [4096, 14_336]);
    let mut experts = gradients_of_experts(&kernels, "deepseek-v3", deepseek);
    experts.extend(gradients_of_experts(&kernels, "mixtral-8x7b", mixtral));
    errors.insert("experts-weight-gradient", experts);
    // Median, 90th percentile and bias in percent that the documents state for each part.
    for (part, stated) in STATED {
        let errors = &errors[part];
        let found = summary(errors).map(|e| 100.0 * e);
        let within = found.iter().zip(stated).all(|(found, most)| found.abs() <= most);
        assert!(within, "{part}: {found:?}, stated {stated:?}");
    }
    assert_eq!(errors.len(), STATED.len(), "{:?}", errors.keys());
}
