//! Fits fused experts: nine constants a kernel, then what they leave over by shape and law.

use std::collections::{BTreeMap, BTreeSet};

use moesim::kernel::curves::Curves;
use moesim::kernel::experts::{ExpertsLoad, ExpertsPrior, ExpertsShape, TilePrior};
use moesim::kernel::{Device, ExpertsTimes, LAWS};
use moesim::measurements::ExpertsRow;
use moesim::profile::{Evidence, Family, Precision};

use crate::evidence::{conformal_p90, residual_of};
use crate::least_squares::minimise;
use crate::residuals::{Shapes, fill, rounded, rounded_time};

/// Correlation lengths of hidden, inter, experts and top-k in doublings, and relative noise.
const LENGTHS: [f64; 4] = [3.0, 3.0, 1.0, 1.0];
const NOISE: f64 = 0.1;

/// A row with what the prior needs of it.
struct Prepared<'r> {
    row: &'r ExpertsRow,
    shape: ExpertsShape,
    load: ExpertsLoad,
    slots: Vec<u32>,
}

/// A model whose every split by tensor parallelism is left out together.
type ModelKey = (u32, u32, u32, u32);

fn model_of(row: &ExpertsRow) -> ModelKey {
    (row.hidden, row.inter, row.experts, row.top_k)
}

/// The family fitted on these rows of one kernel and precision; none without rows.
///
/// Rows with several ranks are not used: their kernels spend time on other ranks' tokens.
#[must_use]
pub fn fit(
    device: &Device,
    precision: Precision,
    rows: &[&ExpertsRow],
    on: &str,
) -> Option<Family<ExpertsPrior>> {
    let prepared: Vec<Prepared<'_>> =
        rows.iter().filter(|row| row.ep == 1).map(|row| prepare(row)).collect();
    if prepared.is_empty() {
        return None;
    }
    let all: Vec<&Prepared<'_>> = prepared.iter().collect();
    let prior = constants(device, precision, &all);
    let prior_errors = errors(&prior, device, precision, &all);
    let mut family = Family {
        prior,
        residual: residuals(&prior, device, precision, &all),
        evidence: Evidence {
            fitted_on: format!("{on}, ep = 1"),
            rows: prepared.len(),
            prior: residual_of(&prior_errors),
            held_out: None,
            left_out: "each model shape with all its splits, from constants and table".to_owned(),
            log_error_p90: None,
        },
    };
    let held_out = held_out_errors(device, precision, &prepared);
    family.evidence.held_out = residual_of(&held_out);
    family.evidence.log_error_p90 = conformal_p90(&held_out).map(rounded);
    Some(family)
}

fn prepare(row: &ExpertsRow) -> Prepared<'_> {
    let slots = row.local_slots();
    let load = ExpertsLoad::of(&slots, row.top_k);
    let (hidden, inter) = (row.hidden, row.local_inter());
    let shape = ExpertsShape { hidden, inter, experts: slots.len() as u32, top_k: row.top_k };
    Prepared { row, shape, load, slots }
}

fn errors(
    prior: &ExpertsPrior,
    device: &Device,
    precision: Precision,
    rows: &[&Prepared<'_>],
) -> Vec<f64> {
    let error = |p: &&Prepared<'_>| {
        (prior.seconds(device, precision, p.shape, &p.load) / p.row.seconds).ln()
    };
    rows.iter().map(error).collect()
}

fn constants(device: &Device, precision: Precision, rows: &[&Prepared<'_>]) -> ExpertsPrior {
    let start = [2e-5, 0.2, 0.8, 1e-7, 0.45, 0.7, 1e-6, 3.0, 0.7];
    let fitted = minimise(&start, |p| errors(&prior_of(p), device, precision, rows));
    let prior = prior_of(&fitted);
    let tile = |tile: TilePrior| TilePrior {
        compute_efficiency: rounded(tile.compute_efficiency),
        memory_efficiency: rounded(tile.memory_efficiency),
        block_s: rounded_time(tile.block_s),
    };
    ExpertsPrior {
        launch_s: rounded_time(prior.launch_s),
        small: tile(prior.small),
        large: tile(prior.large),
        sharpness: rounded(prior.sharpness),
        traffic_efficiency: rounded(prior.traffic_efficiency),
    }
}

fn prior_of(p: &[f64]) -> ExpertsPrior {
    let tile = |p: &[f64]| TilePrior {
        compute_efficiency: p[0].clamp(0.002, 4.0),
        memory_efficiency: p[1].clamp(0.002, 4.0),
        block_s: p[2],
    };
    ExpertsPrior {
        launch_s: p[0],
        small: tile(&p[1..4]),
        large: tile(&p[4..7]),
        sharpness: p[7].clamp(1.0, 100.0),
        traffic_efficiency: p[8].clamp(0.002, 100.0),
    }
}

/// What the prior leaves over: one table a law, over shapes and tokens.
fn residuals(
    prior: &ExpertsPrior,
    device: &Device,
    precision: Precision,
    rows: &[&Prepared<'_>],
) -> Vec<Curves> {
    let errors = errors(prior, device, precision, rows);
    let table = |law: moesim::kernel::skew::Popularity| {
        let mut shapes: Shapes = BTreeMap::new();
        for (p, error) in rows.iter().zip(&errors).filter(|(p, _)| p.row.popularity == law) {
            let at = vec![p.shape.hidden, p.shape.inter, p.shape.experts, p.shape.top_k];
            shapes.entry(at).or_default().entry(p.row.tokens).or_default().push(-error);
        }
        let (knots, sites) = fill(&shapes);
        Curves::new(knots, sites, LENGTHS.to_vec(), NOISE)
    };
    LAWS.iter().map(|(_, law)| table(*law)).collect()
}

/// Log errors of all rows, each predicted by constants and tables that never saw its model.
fn held_out_errors(device: &Device, precision: Precision, rows: &[Prepared<'_>]) -> Vec<f64> {
    let models: BTreeSet<ModelKey> = rows.iter().map(|p| model_of(p.row)).collect();
    let mut found = Vec::with_capacity(rows.len());
    for model in models {
        let (left_out, rest): (Vec<&Prepared<'_>>, Vec<&Prepared<'_>>) =
            rows.iter().partition(|p| model_of(p.row) == model);
        if rest.is_empty() {
            continue;
        }
        let prior = constants(device, precision, &rest);
        let residual = residuals(&prior, device, precision, &rest);
        let family = Family { prior, residual, evidence: no_evidence() };
        let mut times: BTreeMap<ExpertsShape, ExpertsTimes> = BTreeMap::new();
        for p in left_out {
            let times = times.entry(p.shape).or_insert_with(|| {
                ExpertsTimes::without(&family, *device, precision, p.shape, false, |_| false)
            });
            found.push((times.seconds(&p.slots) / p.row.seconds).ln());
        }
    }
    found
}

fn no_evidence() -> Evidence {
    Evidence {
        fitted_on: String::new(),
        rows: 0,
        prior: None,
        held_out: None,
        left_out: String::new(),
        log_error_p90: None,
    }
}
