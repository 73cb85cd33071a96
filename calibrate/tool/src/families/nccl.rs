//! Fits collectives within a node: four constants for each number of GPUs, and what they leave.

use std::collections::BTreeMap;

use moesim::base::units::{Bandwidth, Bytes, SimDuration};
use moesim::kernels::curves::{Curves, Kriging, Scale};
use moesim::kernels::measurements::CollectiveRow;
use moesim::kernels::profile::{CollectiveFit, CollectiveOp, Evidence};
use moesim::kernels::ramp::Ramp;

use crate::evidence::{conformal_p90, law_of, residual_of};
use crate::least_squares::minimise;
use crate::residuals::{Shapes, Sizes, fill, rounded, rounded_time};

/// Where the ramp may begin: the loss has a minimum near each.
const RAMP_STARTS: [f64; 4] = [3e4, 3e5, 3e6, 3e7];

/// The fit of one collective; none without rows.
#[must_use]
pub fn fit(
    op: CollectiveOp,
    rows: &[CollectiveRow],
    on: &str,
    peer_to_peer: bool,
) -> Option<CollectiveFit> {
    let mut by_gpus: BTreeMap<u32, Vec<&CollectiveRow>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.op == op && row.gpus > 1 && row.bytes > 0) {
        by_gpus.entry(row.gpus).or_default().push(row);
    }
    if by_gpus.is_empty() {
        return None;
    }
    let ramps: BTreeMap<u32, Ramp> = by_gpus.iter().map(|(&n, rows)| (n, ramp_of(rows))).collect();
    let (mut shapes, mut errors) = (Shapes::new(), Vec::new());
    for (gpus, rows) in &by_gpus {
        let sizes: &mut Sizes = shapes.entry(vec![*gpus]).or_default();
        for row in rows {
            let error = (ramps[gpus].seconds(sent(row)) / row.seconds).ln();
            errors.push(error);
            if let Ok(bytes) = u32::try_from(row.bytes) {
                sizes.entry(bytes).or_default().push(-error);
            }
        }
    }
    let (knots, sites) = fill(&shapes);
    let evidence = Evidence {
        fitted_on: format!("{on}, {}", op.name()),
        rows: errors.len(),
        prior: residual_of(&errors),
        held_out: None,
        left_out: String::new(),
        log_error_p90: conformal_p90(&errors).map(rounded),
        log_errors: law_of(&errors),
    };
    let mut fit = CollectiveFit {
        ramps,
        residual: Curves::new(
            knots,
            sites,
            Kriging {
                scales: vec![Scale { share: 1.0, lengths: vec![1.0] }],
                noise: 1.0,
                clip: f64::INFINITY,
            },
        ),
        evidence,
        unseen_gpus: None,
        peer_to_peer,
    };
    fit.unseen_gpus = unseen_gpus(&fit, &by_gpus);
    Some(fit)
}

/// How far off a number of GPUs is that was not measured; none without two to learn of each other.
fn unseen_gpus(
    fit: &CollectiveFit,
    by_gpus: &BTreeMap<u32, Vec<&CollectiveRow>>,
) -> Option<Evidence> {
    if by_gpus.len() < 2 {
        return None;
    }
    let mut errors = Vec::new();
    for (left_out, rows) in by_gpus {
        let others = fit.ramps.iter().filter(|(n, _)| *n != left_out).map(|(n, r)| (*n, *r));
        let rest = CollectiveFit { ramps: others.collect(), ..fit.clone() };
        errors.extend(
            rows.iter().map(|row| (rest.seconds(row.gpus, row.bytes as f64) / row.seconds).ln()),
        );
    }
    Some(Evidence {
        fitted_on: "the other numbers of GPUs".to_owned(),
        rows: errors.len(),
        held_out: residual_of(&errors),
        left_out: "each number of GPUs in turn".to_owned(),
        log_error_p90: conformal_p90(&errors).map(rounded),
        log_errors: law_of(&errors),
        ..Evidence::none()
    })
}

/// Bytes that one GPU sends to others.
fn sent(row: &CollectiveRow) -> f64 {
    row.bytes as f64 * (1.0 - 1.0 / f64::from(row.gpus))
}

fn ramp_of(rows: &[&CollectiveRow]) -> Ramp {
    let errors = |p: &[f64]| -> Vec<f64> {
        rows.iter().map(|row| (seconds(p, sent(row)) / row.seconds).ln()).collect()
    };
    let least = rows.iter().map(|row| row.seconds).fold(f64::INFINITY, f64::min);
    let rate = rows.iter().map(|row| sent(row) / row.seconds).fold(1.0, f64::max);
    let cost = |p: &[f64]| errors(p).iter().map(|e| e.abs()).sum::<f64>();
    let mut best = vec![least, rate, least, RAMP_STARTS[0]];
    for start in RAMP_STARTS {
        let found = minimise(&[least, rate, least, start], errors);
        if cost(&found) < cost(&best) {
            best = found;
        }
    }
    Ramp {
        alpha: SimDuration::from_ps((rounded_time(best[0]) * 1e12).round() as u64),
        bandwidth: Bandwidth::from_bytes_per_sec(rounded(best[1]).clamp(1.0, 1e18)),
        ramp: SimDuration::from_ps((rounded_time(best[2]) * 1e12).round() as u64),
        ramp_bytes: Bytes(rounded(best[3]).clamp(1.0, 1e15) as u64),
    }
}

/// Equation (1) of `moesim::kernels::ramp`, before its constants are rounded as they are written.
fn seconds(p: &[f64], sent: f64) -> f64 {
    p[0] + sent / p[1] + p[2] * (1.0 - (-sent / p[3]).exp())
}
