//! Hybrid-EP: calls and their kernels were timed apart, all with one number of tokens, which tells nothing of a start-up.
//!
//! ```text
//!   α               the median of call − kernel, by number of domains, over equation (8)
//!   ε, B_e, p, B    of kernels alone: in one domain at once, between domains at once, there B no more than a NIC carries
//! ```
//!
//! Dispatch in 8 bits in one domain takes longer by the rank and not by the ranks that tokens reach: u is 1 there. Fitted on
//! several nodes it would be 0.1, which nine rows do not tell from 0.

use std::collections::{BTreeMap, BTreeSet};

use moesim::base::statistics::{Rule, quantile};
use moesim::kernels::exchange::{ExchangePrior, NIC, startup_by_ranks};
use moesim::kernels::measurements::ExchangeRow;

use super::{rates_near, rounded_prior};
use crate::least_squares::minimise;

/// Constants of one domain, and of several.
pub(super) fn priors(
    rows: &[&ExchangeRow],
    groups: &BTreeSet<u32>,
) -> BTreeMap<u32, ExchangePrior> {
    let (one, several): (BTreeSet<u32>, _) = groups.iter().partition(|&&n| n <= 1);
    [one, several].iter().flat_map(|groups| alike(rows, groups)).collect()
}

fn alike(rows: &[&ExchangeRow], groups: &BTreeSet<u32>) -> BTreeMap<u32, ExchangePrior> {
    let rows: Vec<&ExchangeRow> =
        rows.iter().filter(|row| groups.contains(&row.shape.groups)).copied().collect();
    let Some(first) = rows.first() else { return BTreeMap::new() };
    let (engine, rate) = rates_near(first);
    let most = if first.shape.groups > 1 { NIC } else { f64::INFINITY };
    let unreached = if first.shape.groups <= 1 && first.bytes < 2.0 { 1.0 } else { 0.0 };
    let of = |p: &[f64]| ExchangePrior {
        alpha_s: 0.0,
        expert_s: p[0],
        sm_bandwidth: p[1].clamp(1e6, 1e17),
        bandwidth: p[2].clamp(1e6, 1e17).min(most),
        fabric: 1.0,
        own: 0.0,
        unreached,
        sharpness: p[3].clamp(1.0, 20.0),
        local_bandwidth: 1e15,
        slot_s: 0.0,
    };
    let kernel = |row: &ExchangeRow| row.kernel_s.unwrap_or(row.seconds);
    let found = minimise(&[1e-7, engine, rate, 2.0], |p| {
        let prior = of(p);
        let time = |row: &&ExchangeRow| {
            prior.seconds(row.library, row.shape, row.bytes, row.tokens.into()) / kernel(row)
        };
        rows.iter().map(|row| time(row).ln()).collect()
    });
    let startup = |n: u32| {
        let own = rows.iter().filter(|row| row.shape.groups == n);
        let beside =
            own.map(|row| (row.seconds - kernel(row)) / startup_by_ranks(row.library, row.shape));
        quantile(&beside.collect::<Vec<f64>>(), 0.5, Rule::Middle).unwrap_or(0.0)
    };
    let prior = |&n: &u32| (n, rounded_prior(ExchangePrior { alpha_s: startup(n), ..of(&found) }));
    groups.iter().map(prior).collect()
}

/// How far off constants are of a row, start-up by its ranks.
pub(super) fn log_error(prior: &ExchangePrior, row: &ExchangeRow) -> f64 {
    let alpha_s = prior.alpha_s * startup_by_ranks(row.library, row.shape);
    let own = ExchangePrior { alpha_s, ..*prior };
    (own.seconds(row.library, row.shape, row.bytes, row.tokens.into()) / row.seconds).ln()
}
