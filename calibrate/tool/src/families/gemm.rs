//! Fits dense GEMM: seven constants, then what they leave over at every (N, K).

use std::collections::BTreeMap;

use moesim::base::statistics::{Rule, quantile};
use moesim::base::units::SimDuration;
use moesim::kernels::curves::{Curves, Kriging, Scale};
use moesim::kernels::gemm::{GemmPrior, GemmShape};
use moesim::kernels::measurements::GemmRow;
use moesim::kernels::profile::{Evidence, Family, Precision};
use moesim::kernels::{Device, GemmTimes};

use crate::evidence::{conformal_p90, law_of, residual_of};
use crate::least_squares::minimise;
use crate::residuals::{Shapes, fill, rounded, rounded_time};

/// Correlation lengths of N and K in doublings, relative noise, and how far a timing may lie from what
/// its neighbours predict: the best of a few dozen settings under whole shapes left out, over all
/// devices, so the error stated for those is a little optimistic.
const LENGTHS: [f64; 2] = [3.0, 12.0];
const NOISE: f64 = 0.05;
const CLIP: f64 = 0.07;
/// Rows that the constants are fitted on; more change them in the third digit.
const FIT_ROWS: usize = 5000;

/// The family fitted on these rows of one precision; none without rows.
#[must_use]
pub fn fit(
    device: &Device,
    precision: Precision,
    rows: &[GemmRow],
    on: &str,
) -> Option<Family<GemmPrior>> {
    if rows.is_empty() {
        return None;
    }
    let prior = constants(device, precision, rows);
    let error =
        |row: &GemmRow| (prior.seconds(device, precision, shape_of(row)) / row.seconds).ln();
    let prior_errors: Vec<f64> = rows.iter().map(error).collect();
    let mut shapes: Shapes = BTreeMap::new();
    for (row, error) in rows.iter().zip(&prior_errors) {
        shapes.entry(vec![row.n, row.k]).or_default().entry(row.m).or_default().push(-error);
    }
    let (knots, sites) = fill(&shapes);
    let scales = vec![Scale { share: 1.0, lengths: LENGTHS.to_vec() }];
    let kriging = Kriging { scales, noise: NOISE, clip: CLIP };
    let residual = vec![Curves::new(knots, sites, kriging)];
    let evidence = Evidence {
        fitted_on: on.to_owned(),
        rows: rows.len(),
        prior: residual_of(&prior_errors),
        held_out: None,
        left_out: "each (n, k)".to_owned(),
        log_error_p90: None,
        log_errors: None,
    };
    let mut family = Family { prior, residual, evidence };
    let held_out = held_out_errors(device, precision, &family, rows);
    family.evidence.held_out = residual_of(&held_out);
    family.evidence.log_error_p90 = conformal_p90(&held_out).map(rounded);
    family.evidence.log_errors = law_of(&held_out);
    Some(family)
}

fn shape_of(row: &GemmRow) -> GemmShape {
    GemmShape { m: row.m, n: row.n, k: row.k }
}

fn constants(device: &Device, precision: Precision, rows: &[GemmRow]) -> GemmPrior {
    let every = rows.len().div_ceil(FIT_ROWS);
    let sample: Vec<&GemmRow> = rows.iter().step_by(every).collect();
    let fitted = minimise(&[2.5e-6, 0.85, 0.8, 1e-6, 16.0, 2.0, 3.0], |p| {
        let prior = prior_of(p);
        let error =
            |row: &&GemmRow| (prior.seconds(device, precision, shape_of(row)) / row.seconds).ln();
        sample.iter().map(error).collect()
    });
    let prior = prior_of(&fitted);
    GemmPrior {
        launch_s: rounded_time(prior.launch_s),
        compute_efficiency: rounded(prior.compute_efficiency),
        memory_efficiency: rounded(prior.memory_efficiency),
        wave_s: rounded_time(prior.wave_s),
        half_intensity: rounded(prior.half_intensity),
        split_speedup: rounded(prior.split_speedup),
        sharpness: rounded(prior.sharpness),
    }
}

fn prior_of(p: &[f64]) -> GemmPrior {
    GemmPrior {
        launch_s: p[0],
        // No kernel exceeds its peak.
        compute_efficiency: p[1].min(1.0),
        memory_efficiency: p[2],
        wave_s: p[3],
        half_intensity: p[4].clamp(0.002, 1e4),
        split_speedup: p[5].clamp(0.002, 100.0),
        sharpness: p[6].max(1.0),
    }
}

/// Log errors of all rows, each predicted without its own (N, K).
fn held_out_errors(
    device: &Device,
    precision: Precision,
    family: &Family<GemmPrior>,
    rows: &[GemmRow],
) -> Vec<f64> {
    let mut times: BTreeMap<(u32, u32), GemmTimes> = BTreeMap::new();
    let error = |row: &GemmRow| {
        let times = times.entry((row.n, row.k)).or_insert_with(|| {
            let skip = |n, k| (n, k) == (row.n, row.k);
            GemmTimes::without(family, *device, precision, (row.n, row.k), None, skip)
        });
        (times.seconds(row.m) / row.seconds).ln()
    };
    rows.iter().map(error).collect()
}

/// What small and large GEMMs say of kernels that only move memory.
#[must_use]
pub fn memory(
    device: &Device,
    rows: &[GemmRow],
    on: &str,
) -> Option<moesim::kernels::profile::MemoryFit> {
    let tiny = |row: &&GemmRow| row.m <= 16 && row.n <= 64 && row.k <= 64;
    let launches: Vec<f64> = rows.iter().filter(tiny).map(|row| row.seconds).collect();
    let launch = quantile(&launches, 0.5, Rule::Linear).unwrap_or(0.0);
    let weights = |row: &GemmRow| f64::from(row.n) * f64::from(row.k);
    let streams: Vec<&GemmRow> =
        rows.iter().filter(|row| row.m <= 8 && weights(row) >= STREAMED_WEIGHTS).collect();
    if launches.is_empty() || streams.is_empty() {
        return None;
    }
    let peak = device.memory_bandwidth.bytes_per_sec();
    let rate = |row: &&GemmRow| 2.0 * weights(row) / (row.seconds - launch).max(1e-9) / peak;
    let rates: Vec<f64> = streams.iter().map(rate).collect();
    let efficiency = rounded(quantile(&rates, 0.5, Rule::Linear).unwrap_or(0.0));
    let error =
        |row: &&GemmRow| ((launch + 2.0 * weights(row) / (peak * efficiency)) / row.seconds).ln();
    let errors: Vec<f64> = streams.iter().map(error).collect();
    let evidence = Evidence {
        fitted_on: format!(
            "{on}: launch from m ≤ 16 with n, k ≤ 64; rate from m ≤ 8 with weights that no cache holds"
        ),
        rows: launches.len() + streams.len(),
        prior: residual_of(&errors),
        held_out: None,
        left_out: String::new(),
        log_error_p90: conformal_p90(&errors).map(rounded),
        log_errors: law_of(&errors),
    };
    Some(moesim::kernels::profile::MemoryFit {
        efficiency,
        launch: SimDuration::from_secs(rounded_time(launch)),
        kernels: BTreeMap::new(),
        evidence,
    })
}

/// Fifty million weights: 100 MB in bf16, twice the largest L2 cache here.
const STREAMED_WEIGHTS: f64 = 50e6;
