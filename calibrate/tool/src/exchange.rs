//! Fits dispatch and combine: seven constants for each number of groups, then what they leave.
//!
//! In an NVLink domain nothing contends and the switch is the same for all: rates and bookkeeping are
//! fitted to all numbers of ranks at once, and only the start-up to each.

use std::collections::{BTreeMap, BTreeSet};

use moesim::kernels::curves::{Curves, Kriging, Scale};
use moesim::kernels::exchange::{ExchangePrior, ExchangeShape, Library};
use moesim::kernels::measurements::ExchangeRow;
use moesim::kernels::profile::{Evidence, ExchangeFit};

use crate::evidence::{conformal_p90, law_of, residual_of};
use crate::least_squares::minimise;
use crate::residuals::{Shapes, fill, rounded, rounded_time};

/// Lengths in doublings: numbers of groups have nothing to say of each other here.
const LENGTHS: [f64; 5] = [0.05, 3.0, 3.0, 3.0, 3.0];
const NOISE: f64 = 0.1;
/// How far a timing may lie from what its neighbours predict: of none, 0.2 and 0.1 the best under whole shapes
/// left out.
const CLIP: f64 = 0.1;

/// The fits of all exchanges among these rows, by name.
#[must_use]
pub fn fit(rows: &[ExchangeRow], on: &str) -> BTreeMap<String, ExchangeFit> {
    let names: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    let one = |name: &str| {
        let of: Vec<&ExchangeRow> = rows.iter().filter(|row| row.name == name).collect();
        let mut fit = of_rows(&of);
        fit.evidence = Evidence { fitted_on: format!("{on}: {name}"), ..fit.evidence };
        let held_out = held_out_errors(&of);
        fit.evidence.held_out = residual_of(&held_out);
        // Where one shape alone was measured nothing can be left out: intervals as of the prior.
        let widths = if held_out.is_empty() { prior_errors(&fit, &of) } else { held_out };
        fit.evidence.log_error_p90 = conformal_p90(&widths).map(rounded);
        fit.evidence.log_errors = law_of(&widths);
        fit.unseen_groups = unseen_groups(&of);
        (name.to_owned(), fit)
    };
    names.into_iter().map(one).collect()
}

/// Without held-out errors.
fn of_rows(rows: &[&ExchangeRow]) -> ExchangeFit {
    let (library, bytes) = (rows[0].library, rows[0].bytes);
    let groups: BTreeSet<u32> = rows.iter().map(|row| row.shape.groups).collect();
    let of = |n: u32| -> Vec<&ExchangeRow> {
        rows.iter().filter(|row| row.shape.groups == n).copied().collect()
    };
    let priors = match library {
        Library::NvlinkDomain => domain(rows, &groups),
        _ => groups.iter().map(|&n| (n, constants(&of(n)))).collect(),
    };
    let mut fit = ExchangeFit {
        library,
        bytes,
        priors,
        residual: Curves::none(),
        evidence: Evidence {
            fitted_on: String::new(),
            rows: rows.len(),
            prior: None,
            held_out: None,
            left_out: "whole (hidden, top-k, experts)".to_owned(),
            log_error_p90: None,
            log_errors: None,
        },
        unseen_groups: None,
    };
    let errors = prior_errors(&fit, rows);
    fit.evidence.prior = residual_of(&errors);
    let mut shapes = Shapes::new();
    for (row, error) in rows.iter().zip(&errors) {
        let s = row.shape;
        let at = vec![s.groups, s.hidden, s.top_k, s.experts, s.sms];
        shapes.entry(at).or_default().entry(row.tokens).or_default().push(-error);
    }
    let (knots, sites) = fill(&shapes);
    let scales = vec![Scale { share: 1.0, lengths: LENGTHS.to_vec() }];
    fit.residual = Curves::new(knots, sites, Kriging { scales, noise: NOISE, clip: CLIP });
    fit
}

fn prior_errors(fit: &ExchangeFit, rows: &[&ExchangeRow]) -> Vec<f64> {
    let error = |row: &&ExchangeRow| {
        let prior = &fit.priors[&row.shape.groups];
        (prior.seconds(row.library, row.shape, row.bytes, row.tokens.into()) / row.seconds).ln()
    };
    rows.iter().map(error).collect()
}

fn constants(rows: &[&ExchangeRow]) -> ExchangePrior {
    let least = rows.iter().map(|row| row.seconds).fold(f64::INFINITY, f64::min);
    let (per_sm, rate) = match (rows[0].library, rows[0].shape.groups) {
        (Library::DeepEpNormal, 1) => (17e9, 350e9),
        (Library::DeepEpNormal, _) => (5e9, 40e9),
        (Library::DeepEpLowLatency, 1) => (1e15, 250e9),
        (Library::DeepEpLowLatency, _) => (1e15, 45e9),
        (Library::NvlinkDomain, _) => (1e15, 600e9),
    };
    let start = [least, 5e-9, per_sm, rate, 3.0, 1650e9, 1e-9];
    rounded_prior(prior_of(&minimise(&start, |p| {
        let prior = prior_of(p);
        rows.iter().map(|row| log_error(&prior, row)).collect()
    })))
}

/// One set of rates for all numbers of ranks, and a start-up for each.
fn domain(rows: &[&ExchangeRow], groups: &BTreeSet<u32>) -> BTreeMap<u32, ExchangePrior> {
    let least = |n: u32| {
        let of = rows.iter().filter(|row| row.shape.groups == n);
        of.map(|row| row.seconds).fold(f64::INFINITY, f64::min)
    };
    let at: BTreeMap<u32, usize> = groups.iter().copied().zip(3..).collect();
    let prior = |p: &[f64], n: u32| prior_of(&[p[at[&n]], 1e-18, 1e15, p[0], 3.0, p[1], p[2]]);
    let mut start = vec![600e9, 1650e9, 1e-9];
    start.extend(groups.iter().map(|&n| least(n)));
    let found = minimise(&start, |p| {
        rows.iter().map(|row| log_error(&prior(p, row.shape.groups), row)).collect()
    });
    groups.iter().map(|&n| (n, rounded_prior(prior(&found, n)))).collect()
}

fn log_error(prior: &ExchangePrior, row: &ExchangeRow) -> f64 {
    (prior.seconds(row.library, row.shape, row.bytes, row.tokens.into()) / row.seconds).ln()
}

fn rounded_prior(p: ExchangePrior) -> ExchangePrior {
    ExchangePrior {
        alpha_s: rounded_time(p.alpha_s),
        expert_s: rounded_time(p.expert_s),
        sm_bandwidth: rounded(p.sm_bandwidth),
        bandwidth: rounded(p.bandwidth),
        sharpness: rounded(p.sharpness),
        local_bandwidth: rounded(p.local_bandwidth),
        slot_s: rounded_time(p.slot_s),
    }
}

fn prior_of(p: &[f64]) -> ExchangePrior {
    ExchangePrior {
        alpha_s: p[0],
        expert_s: p[1],
        sm_bandwidth: p[2].clamp(1e6, 1e17),
        bandwidth: p[3].clamp(1e6, 1e17),
        sharpness: p[4].clamp(1.0, 20.0),
        local_bandwidth: p[5].clamp(1e6, 1e17),
        slot_s: p[6],
    }
}

/// Log errors of all rows, each predicted by a fit that never saw its model shape.
fn held_out_errors(rows: &[&ExchangeRow]) -> Vec<f64> {
    let model = |s: ExchangeShape| (s.hidden, s.top_k, s.experts);
    let models: BTreeSet<_> = rows.iter().map(|row| model(row.shape)).collect();
    let mut errors = Vec::new();
    for left_out in models {
        let (mine, rest): (Vec<&ExchangeRow>, Vec<&ExchangeRow>) =
            rows.iter().partition(|row| model(row.shape) == left_out);
        let known: BTreeSet<u32> = rest.iter().map(|row| row.shape.groups).collect();
        if rest.is_empty() {
            continue;
        }
        let fit = of_rows(&rest);
        for row in mine.iter().filter(|row| known.contains(&row.shape.groups)) {
            errors.push((fit.seconds(row.shape, row.tokens, |_| false) / row.seconds).ln());
        }
    }
    errors
}

/// How far off a number of groups is that a fit to the others never saw; none without two to learn
/// of each other. One node is no case of several: it is left out of this.
fn unseen_groups(rows: &[&ExchangeRow]) -> Option<Evidence> {
    let of_nodes = rows[0].library != Library::NvlinkDomain;
    let rows: Vec<&ExchangeRow> =
        rows.iter().filter(|row| !of_nodes || row.shape.groups > 1).copied().collect();
    let groups: BTreeSet<u32> = rows.iter().map(|row| row.shape.groups).collect();
    if groups.len() < 2 {
        return None;
    }
    let mut errors = Vec::with_capacity(rows.len());
    for left_out in groups {
        let (mine, rest): (Vec<&ExchangeRow>, Vec<&ExchangeRow>) =
            rows.iter().partition(|row| row.shape.groups == left_out);
        let fit = of_rows(&rest);
        let error =
            |row: &ExchangeRow| (fit.seconds(row.shape, row.tokens, |_| false) / row.seconds).ln();
        errors.extend(mine.into_iter().map(error));
    }
    Some(Evidence {
        fitted_on: "the other numbers of groups".to_owned(),
        rows: errors.len(),
        held_out: residual_of(&errors),
        left_out: "each number of groups in turn".to_owned(),
        log_error_p90: conformal_p90(&errors).map(rounded),
        log_errors: law_of(&errors),
        ..Evidence::none()
    })
}
