//! Kernels that mostly move memory: a launch and a rate for all, and what these leave over of each of a layer's.
//!
//! ```text
//!   T = launches · t_launch + bytes / (B · η)                                    (1)
//!   T_kernel = T · exp(r)                                                        (2)
//! ```
//!
//! t_launch and η are fitted to what does nothing but move memory: copies, sums, permute, mix, copy experts. r of (2) is
//! what (1) leaves over of permute, mix, choice, copy and constant experts, at each width and size that was measured.
//! Choosing experts and constant experts compute as well, and are no evidence of a rate. A gate was measured as a
//! whole, too: what its products, measured alone, leave of it is what choosing takes, with all that lies between.

use std::collections::BTreeMap;

use moesim::base::units::SimDuration;
use moesim::kernels::profile::{Evidence, MemoryFit, MemoryKernel, MovingFit, Precision, Profile};
use moesim::kernels::{Device, Kernels};

use super::side;
use crate::evidence::{conformal_p90, law_of, residual_of};
use crate::least_squares::minimise;
use crate::measure::probes::loop_ops;
use crate::measure::samples::Sample;
use crate::measure::shapes::Shape;
use crate::residuals::{rounded, rounded_time};

/// Parts that move memory: how many kernels each launches, and whether it does nothing else.
const PARTS: [(&str, f64, bool); 9] = [
    ("copy", 1.0, true),
    ("axpy", 1.0, true),
    ("permute", 1.0, true),
    ("mix", 1.0, true),
    ("zero", 1.0, true),
    (loop_ops::COPY, 3.0, true),
    ("constant", 1.0, false),
    ("choose", 3.0, false),
    (loop_ops::CONSTANT, 4.0, false),
];

/// (bytes, launches, seconds) of what moves memory.
pub(super) fn moved(sample: &Sample) -> Option<(f64, f64, f64)> {
    let (_, launches, _) = PARTS.iter().find(|(part, ..)| *part == sample.point.part)?;
    // What was measured in 32 bits is counted as the simulator counts it, in 16.
    let own = if matches!(sample.point.part.as_str(), "choose") {
        1.0
    } else {
        2.0 / sample.format.bytes() as f64
    };
    Some((sample.point.bytes? as f64 * own, *launches, sample.timing.median))
}

/// Launch and rate of (1), and r of (2); none without copies.
pub(super) fn fit(device: &Device, samples: &[&Sample], on: &str) -> Option<MemoryFit> {
    let launch = samples.iter().find(|s| s.point.part == "kernel")?.timing.median;
    let rows: Vec<(f64, f64, f64)> = samples
        .iter()
        .filter(|s| PARTS.iter().any(|(part, _, only)| *only && *part == s.point.part))
        .filter_map(|s| moved(s))
        .collect();
    if rows.is_empty() {
        return None;
    }
    let peak = device.memory_bandwidth.bytes_per_sec();
    let errors = |p: &[f64]| -> Vec<f64> {
        let time = |(bytes, launches, _): &(f64, f64, f64)| launches * p[0] + bytes / (peak * p[1]);
        rows.iter().map(|row| (time(row) / row.2).ln()).collect()
    };
    let found = minimise(&[launch, 0.8], errors);
    let found = [rounded_time(found[0]), rounded(found[1])];
    let off = errors(&found);
    Some(MemoryFit {
        efficiency: found[1],
        launch: SimDuration::from_secs(found[0]),
        kernels: kernels_alone(samples, |bytes, launches| {
            launches * found[0] + bytes / (peak * found[1])
        }),
        evidence: Evidence {
            fitted_on: format!("{on}: copies, sums, permute, mix and copy experts"),
            rows: rows.len(),
            prior: residual_of(&off),
            held_out: None,
            left_out: String::new(),
            log_error_p90: conformal_p90(&off).map(rounded),
            log_errors: law_of(&off),
        },
    })
}

/// What (1) leaves over of each kernel of a layer, at the sizes it was measured at.
fn kernels_alone(
    samples: &[&Sample],
    predicted: impl Fn(f64, f64) -> f64,
) -> BTreeMap<MemoryKernel, MovingFit> {
    let mut found: BTreeMap<MemoryKernel, BTreeMap<u32, BTreeMap<u32, Vec<f64>>>> = BTreeMap::new();
    for sample in samples {
        let Some((kernel, width)) = kernel_of(sample) else { continue };
        let Some((bytes, launches, seconds)) = moved(sample) else { continue };
        // What a loop launches for an expert is charged as a visit.
        let launches = if kernel.launches() > 0 { launches } else { 0.0 };
        let Some(size) = side(Some(bytes.round() as u64)) else { continue };
        let left = (seconds / predicted(bytes, launches)).ln();
        let sizes = found.entry(kernel).or_default().entry(width).or_default();
        sizes.entry(size).or_default().push(left);
    }
    let mean = |(size, left): (u32, Vec<f64>)| (size, left.iter().sum::<f64>() / left.len() as f64);
    let fit = |widths: BTreeMap<u32, BTreeMap<u32, Vec<f64>>>| MovingFit {
        residual: widths
            .into_iter()
            .map(|(width, sizes)| (width, sizes.into_iter().map(mean).collect()))
            .collect(),
    };
    found.into_iter().map(|(kernel, widths)| (kernel, fit(widths))).collect()
}

/// The kernel of a layer that a sample is of, and the width of its rows.
fn kernel_of(sample: &Sample) -> Option<(MemoryKernel, u32)> {
    let p = &sample.point;
    let of_expert = sample.probe.starts_with("zero_computation");
    let (kernel, width) = match p.part.as_str() {
        "permute" => (MemoryKernel::Permute, p.hidden),
        "mix" => (MemoryKernel::Mix, p.hidden),
        "choose" => (MemoryKernel::Choose, p.all_experts),
        "copy" if of_expert => (MemoryKernel::Copy, p.hidden),
        "constant" if of_expert => (MemoryKernel::Constant, p.hidden),
        loop_ops::COPY => (MemoryKernel::LoopCopy, p.hidden),
        loop_ops::CONSTANT => (MemoryKernel::LoopConstant, p.hidden),
        _ => return None,
    };
    Some((kernel, side(width)?))
}

/// Takes what a whole gate takes beside its products for the choice of experts, where that is more than the choice
/// alone: a layer of two products has another kernel between them, and a gating residual.
pub(super) fn add_gates(profile: &mut Profile, samples: &[&Sample]) {
    let mut found: Vec<(u32, u32, f64)> = Vec::new();
    let kernels = Kernels::new(profile, profile.data_sheet);
    for sample in samples.iter().filter(|s| s.point.part == "gate") {
        let p = &sample.point;
        let sides = [p.tokens, p.all_experts, p.hidden].map(side);
        let [Some(tokens), Some(experts), Some(hidden)] = sides else { continue };
        let gemm = |n, k| kernels.gemm(tokens, n, k, Precision::Bf16).secs();
        let products = if Shape::named(&p.shape).is_some_and(|shape| shape.pathway_aware) {
            gemm(8 * experts, hidden) + gemm(experts, 8 * experts) + gemm(experts, experts)
        } else {
            gemm(experts, hidden)
        };
        let bytes = 12 * tokens * experts;
        let launches = f64::from(MemoryKernel::Choose.launches());
        let predicted = launches * profile.memory.launch.secs()
            + f64::from(bytes)
                / profile.data_sheet.memory_bandwidth.bytes_per_sec()
                / profile.memory.efficiency;
        let left = (sample.timing.median - products) / predicted;
        if left > 0.0 {
            found.push((experts, bytes, left.ln()));
        }
    }
    let choose = profile.memory.kernels.entry(MemoryKernel::Choose).or_default();
    for (experts, bytes, left) in found {
        let known = choose.residual.entry(experts).or_default().entry(bytes).or_insert(left);
        *known = known.max(left);
    }
}
