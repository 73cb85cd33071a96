//! Fits dispatch and combine: constants for all numbers of groups, then what they leave.
//!
//! In an NVLink domain nothing contends and the switch is the same for all: rates and bookkeeping are
//! fitted to all numbers of ranks at once, and only the start-up to each. Several nodes have the same
//! library, SMs and NICs as well; what else slows some of them is the fabric between, whose share of the
//! NICs' rate is fitted to each beside its start-up. One node is a machine of its own.

use std::collections::{BTreeMap, BTreeSet};

use moesim::kernels::curves::{Curves, Kriging, Scale};
use moesim::kernels::exchange::{ExchangePrior, ExchangeShape, Library, NIC};
use moesim::kernels::measurements::ExchangeRow;
use moesim::kernels::profile::{Evidence, ExchangeFit, LogErrors};

use crate::evidence::{conformal_p90, law_of, residual_of};
use crate::least_squares::minimise;
use crate::residuals::{Shapes, fill, rounded, rounded_time};

mod hybrid;

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
        let errors = |fits: &dyn Fn(u32) -> bool| -> Vec<f64> {
            held_out.iter().filter(|(groups, _)| fits(*groups)).map(|(_, error)| *error).collect()
        };
        let (one, several) = (errors(&|n| n <= 1), errors(&|n| n > 1));
        if fit.library == Library::NvlinkDomain || one.is_empty() || several.is_empty() {
            let all: Vec<f64> = held_out.iter().map(|(_, error)| *error).collect();
            // Where one shape alone was measured nothing can be left out: intervals as of the prior.
            let widths = if all.is_empty() { prior_errors(&fit, &of) } else { all.clone() };
            (fit.evidence.log_error_p90, fit.evidence.log_errors) = width_and_law(&widths);
            fit.evidence.held_out = residual_of(&all);
        } else {
            let left_out = fit.evidence.left_out.clone();
            fit.one_node = Some(of_errors(("the same, one node", &left_out), &one));
            (fit.evidence.log_error_p90, fit.evidence.log_errors) = width_and_law(&several);
            fit.evidence.held_out = residual_of(&several);
        }
        fit.unseen_groups = unseen_groups(&of);
        (name.to_owned(), fit)
    };
    names.into_iter().map(one).collect()
}

/// Constants of every number of groups.
fn priors_of(rows: &[&ExchangeRow]) -> BTreeMap<u32, ExchangePrior> {
    let library = rows[0].library;
    let groups: BTreeSet<u32> = rows.iter().map(|row| row.shape.groups).collect();
    let of = |n: u32| -> Vec<&ExchangeRow> {
        rows.iter().filter(|row| row.shape.groups == n).copied().collect()
    };
    match library {
        Library::NvlinkDomain => domain(rows, &groups),
        Library::HybridEp => hybrid::priors(rows, &groups),
        Library::DeepEpNormal | Library::DeepEpLowLatency => {
            let (one, several): (BTreeSet<u32>, _) = groups.iter().partition(|&&n| n <= 1);
            let of_one = one.iter().map(|&n| (n, constants(&of(n))));
            of_one.chain(of_nodes(rows, &several)).collect()
        }
    }
}

/// Without held-out errors.
fn of_rows(rows: &[&ExchangeRow]) -> ExchangeFit {
    let (library, bytes) = (rows[0].library, rows[0].bytes);
    let priors = priors_of(rows);
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
        one_node: None,
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
        if fit.library == Library::HybridEp {
            return hybrid::log_error(&fit.priors[&row.shape.groups], row);
        }
        let prior = &fit.priors[&row.shape.groups];
        (prior.seconds(row.library, row.shape, row.bytes, row.tokens.into()) / row.seconds).ln()
    };
    rows.iter().map(error).collect()
}

/// Where the search starts: bytes per second of an engine and of the link. Where no model has few experts, the data
/// leave a receiver's rate open: it starts from what eight experts on eight H100 and B200 show (dispatch 3.8 to 4.1,
/// combine 22 to 33 GB/s).
fn rates_near(row: &ExchangeRow) -> (f64, f64) {
    let receiver = if row.name.contains("combine") { 25e9 } else { 4e9 };
    match (row.library, row.shape.groups) {
        (Library::DeepEpNormal, 1) => (17e9, 350e9),
        (Library::DeepEpNormal, _) => (12e9, 44e9),
        (Library::DeepEpLowLatency, 1) => (receiver, 250e9),
        (Library::DeepEpLowLatency, _) => (receiver, 45e9),
        (Library::HybridEp, 1) => (200e9, 800e9),
        (Library::HybridEp, _) => (20e9, NIC),
        (Library::NvlinkDomain, _) => (1e15, 600e9),
    }
}

/// Copies of a token that stay, where the search starts: normal kernels touch the own one once.
const fn own_near(library: Library) -> f64 {
    match library {
        Library::DeepEpNormal => 1.0,
        Library::DeepEpLowLatency | Library::HybridEp | Library::NvlinkDomain => 0.0,
    }
}

fn constants(rows: &[&ExchangeRow]) -> ExchangePrior {
    let library = rows[0].library;
    let (engine, rate) = rates_near(rows[0]);
    let start = [least(rows), 5e-9, engine, rate, 3.0, 1650e9, 1e-9, own_near(library).max(0.001)];
    let of = |p: &[f64]| ExchangePrior { own: own_of(library, p[7]), ..prior_of(p) };
    rounded_prior(of(&minimise(&start, |p| {
        let prior = of(p);
        rows.iter().map(|row| log_error(&prior, row)).collect()
    })))
}

fn least(rows: &[&ExchangeRow]) -> f64 {
    rows.iter().map(|row| row.seconds).fold(f64::INFINITY, f64::min)
}

fn own_of(library: Library, fitted: f64) -> f64 {
    if library == Library::DeepEpNormal { fitted } else { 0.0 }
}

/// Constants in the search over all numbers of nodes before start-ups and shares of the fabric.
const SHARED: usize = 6;
/// The fabric's share where the search starts: it may rise and fall.
const FABRIC_NEAR: f64 = 0.98;

/// One set of rates for all numbers of nodes, a start-up and the fabric's share for each. The least
/// congested number of nodes has the whole of it.
fn of_nodes(rows: &[&ExchangeRow], groups: &BTreeSet<u32>) -> BTreeMap<u32, ExchangePrior> {
    let rows: Vec<&ExchangeRow> =
        rows.iter().filter(|row| groups.contains(&row.shape.groups)).copied().collect();
    let Some(first) = rows.first() else { return BTreeMap::new() };
    let (library, (engine, rate)) = (first.library, rates_near(first));
    let at: BTreeMap<u32, usize> = groups.iter().copied().zip((SHARED..).step_by(2)).collect();
    let mut start = vec![5e-9, engine, rate, 3.0, 1e-9, own_near(library).max(0.001)];
    for &n in groups {
        let of: Vec<&ExchangeRow> = rows.iter().filter(|r| r.shape.groups == n).copied().collect();
        start.extend([least(&of), FABRIC_NEAR]);
    }
    let prior = |p: &[f64], n: u32| {
        let (alpha, fabric) = (p[at[&n]], p[at[&n] + 1]);
        let of = prior_of(&[alpha, p[0], p[1], p[2], p[3], 1650e9, p[4]]);
        match library {
            Library::DeepEpNormal => ExchangePrior {
                bandwidth: of.bandwidth.min(NIC),
                fabric: fabric.min(1.0),
                own: p[5],
                ..of
            },
            Library::DeepEpLowLatency | Library::HybridEp | Library::NvlinkDomain => of,
        }
    };
    let found = minimise(&start, |p| {
        rows.iter().map(|row| log_error(&prior(p, row.shape.groups), row)).collect()
    });
    let fitted: BTreeMap<u32, ExchangePrior> =
        groups.iter().map(|&n| (n, prior(&found, n))).collect();
    let most = fitted.values().map(|prior| prior.fabric).fold(0.0, f64::max);
    let of_most = |p: ExchangePrior| ExchangePrior {
        bandwidth: p.bandwidth * most,
        fabric: p.fabric / most,
        ..p
    };
    fitted.into_iter().map(|(n, p)| (n, rounded_prior(of_most(p)))).collect()
}

/// One set of rates for all numbers of ranks, and a start-up for each.
fn domain(rows: &[&ExchangeRow], groups: &BTreeSet<u32>) -> BTreeMap<u32, ExchangePrior> {
    let least = |n: u32| {
        let of: Vec<&ExchangeRow> = rows.iter().filter(|r| r.shape.groups == n).copied().collect();
        least(&of)
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
        fabric: rounded(p.fabric),
        own: rounded(p.own),
        unreached: rounded(p.unreached),
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
        fabric: 1.0,
        own: 0.0,
        unreached: 0.0,
        sharpness: p[4].clamp(1.0, 20.0),
        local_bandwidth: p[5].clamp(1e6, 1e17),
        slot_s: p[6],
    }
}

/// Numbers of groups and log errors of all rows, each predicted by a fit that never saw its model shape.
fn held_out_errors(rows: &[&ExchangeRow]) -> Vec<(u32, f64)> {
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
            let error = (fit.seconds(row.shape, row.tokens, |_| false) / row.seconds).ln();
            errors.push((row.shape.groups, error));
        }
    }
    errors
}

/// How far off a number of groups is that a fit to the others never saw; none without two to learn
/// of each other. One node is no case of several: it is left out of this. The fabric is taken as known:
/// what it does at one number of nodes, no other tells.
fn unseen_groups(rows: &[&ExchangeRow]) -> Option<Evidence> {
    let whole = of_rows(rows);
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
        let fabric = whole.fabric(left_out);
        let error = |row: &ExchangeRow| {
            (fit.seconds_on(fabric, row.shape, row.tokens, |_| false) / row.seconds).ln()
        };
        errors.extend(mine.into_iter().map(error));
    }
    Some(of_errors(("the other numbers of groups", "each number of groups in turn"), &errors))
}

/// What errors of predictions say, made from what without what.
fn of_errors((fitted_on, left_out): (&str, &str), errors: &[f64]) -> Evidence {
    let (log_error_p90, log_errors) = width_and_law(errors);
    Evidence {
        fitted_on: fitted_on.to_owned(),
        rows: errors.len(),
        held_out: residual_of(errors),
        left_out: left_out.to_owned(),
        log_error_p90,
        log_errors,
        ..Evidence::none()
    }
}

/// The width of intervals and the law that go with these errors.
fn width_and_law(errors: &[f64]) -> (Option<f64>, Option<LogErrors>) {
    (conformal_p90(errors).map(rounded), law_of(errors))
}
