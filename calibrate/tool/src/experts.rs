//! Fits fused experts: nine constants a kernel, then what they leave over by shape and law.

use std::collections::{BTreeMap, BTreeSet};

use moesim::kernels::curves::{Curves, Kriging, Scale};
use moesim::kernels::experts::{
    ExpertsLoad, ExpertsPrior, ExpertsShape, TilePrior, is_squared_relu,
};
use moesim::kernels::measurements::ExpertsRow;
use moesim::kernels::profile::{Evidence, Family, Precision};
use moesim::kernels::{Device, FusedTimes, LAWS};

use crate::device::DataSheet;
use crate::evidence::{conformal_p90, law_of, residual_of};
use crate::least_squares::minimise;
use crate::residuals::{Shapes, fill_at, rounded, rounded_time};

/// Correlation lengths of hidden, inter, experts and top-k in doublings: half of what is left over
/// varies slowly with shape, half belongs to (experts, inter), by which SGLang keeps its tuned
/// configurations, whatever the hidden size.
const SLOW: [f64; 4] = [3.0, 3.0, 2.0, 2.0];
const SHARP: [f64; 4] = [8.0, 0.3, 0.3, 4.0];
const NOISE: f64 = 0.1;
/// How far a timing may lie from what its neighbours predict: of none, 0.2 and 0.1 the best under whole shapes
/// left out.
const CLIP: f64 = 0.1;

fn scales() -> Vec<Scale> {
    [SLOW, SHARP].map(|lengths| Scale { share: 0.5, lengths: lengths.to_vec() }).to_vec()
}

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

/// What is known before anything is fitted.
#[derive(Clone, Copy, Debug)]
struct Known {
    device: Device,
    precision: Precision,
    cache_bytes: f64,
    always_gated: bool,
}

/// The family fitted on these rows of one kernel and precision; none without rows.
///
/// Rows with several ranks are not used: their kernels spend time on other ranks' tokens. Whether
/// squared-ReLU models were timed with a gate is decided by which of the two fits better.
#[must_use]
pub fn fit(
    sheet: &DataSheet,
    precision: Precision,
    rows: &[&ExpertsRow],
    on: &str,
) -> Option<Family<ExpertsPrior>> {
    let rows: Vec<&ExpertsRow> = rows.iter().filter(|row| row.ep == 1).copied().collect();
    if rows.is_empty() {
        return None;
    }
    let (device, cache_bytes) = (sheet.device(), sheet.cache_mb * 1e6);
    let known = |always_gated| Known { device, precision, cache_bytes, always_gated };
    let off = |always_gated| {
        let known = known(always_gated);
        let prepared = prepare(&known, &rows);
        let all: Vec<&Prepared<'_>> = prepared.iter().collect();
        let errors = errors(&constants(&known, &all), &known, &all);
        errors.iter().map(|e| e.abs()).sum::<f64>()
    };
    let doubtful = rows.iter().any(|r| is_squared_relu(r.hidden, r.inter, r.experts, r.top_k));
    let known = known(doubtful && off(true) < off(false));
    let prepared = prepare(&known, &rows);
    let all: Vec<&Prepared<'_>> = prepared.iter().collect();
    let prior = constants(&known, &all);
    let prior_errors = errors(&prior, &known, &all);
    let held_out = held_out_errors(&known, &prepared);
    Some(Family {
        prior,
        residual: residuals(&prior, &known, &all),
        evidence: Evidence {
            fitted_on: format!("{on}, ep = 1"),
            rows: prepared.len(),
            prior: residual_of(&prior_errors),
            held_out: residual_of(&held_out),
            left_out: "each model shape with all its splits, from constants and table".to_owned(),
            log_error_p90: conformal_p90(&held_out).map(rounded),
            log_errors: law_of(&held_out),
        },
    })
}

fn prepare<'r>(known: &Known, rows: &[&'r ExpertsRow]) -> Vec<Prepared<'r>> {
    let one = |row: &&'r ExpertsRow| {
        let slots = row.local_slots();
        let load = ExpertsLoad::of(&slots, row.top_k);
        Prepared { row, shape: row.shape(known.always_gated), load, slots }
    };
    rows.iter().map(one).collect()
}

fn errors(prior: &ExpertsPrior, known: &Known, rows: &[&Prepared<'_>]) -> Vec<f64> {
    let error = |p: &&Prepared<'_>| {
        (prior.seconds(&known.device, known.precision, p.shape, &p.load) / p.row.seconds).ln()
    };
    rows.iter().map(error).collect()
}

fn constants(known: &Known, rows: &[&Prepared<'_>]) -> ExpertsPrior {
    let start = [2e-5, 0.2, 0.8, 1e-7, 0.45, 0.7, 1e-6, 3.0, 0.7, 4.0];
    let fitted = minimise(&start, |p| errors(&prior_of(known, p), known, rows));
    let prior = prior_of(known, &fitted);
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
        cache_speedup: rounded(prior.cache_speedup),
        ..prior
    }
}

fn prior_of(known: &Known, p: &[f64]) -> ExpertsPrior {
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
        cache_bytes: known.cache_bytes,
        cache_speedup: p[9].clamp(0.002, 100.0),
        always_gated: known.always_gated,
    }
}

/// What the prior leaves over: one table a law, over shapes and tokens. All have the same knots, as
/// they are read together; a law without rows, as a session that was cut off may leave one, takes the
/// table of all rows.
fn residuals(prior: &ExpertsPrior, known: &Known, rows: &[&Prepared<'_>]) -> Vec<Curves> {
    let errors = errors(prior, known, rows);
    let knots: BTreeSet<u32> = rows.iter().map(|p| p.row.tokens).collect();
    let knots: Vec<u32> = knots.into_iter().collect();
    let shapes_of = |fits: &dyn Fn(&Prepared<'_>) -> bool| {
        let mut shapes: Shapes = BTreeMap::new();
        for (p, error) in rows.iter().zip(&errors).filter(|(p, _)| fits(p)) {
            let at = vec![p.shape.hidden, p.shape.inter, p.shape.experts, p.shape.top_k];
            shapes.entry(at).or_default().entry(p.row.tokens).or_default().push(-error);
        }
        shapes
    };
    let table = |law: moesim::kernels::skew::Popularity| {
        let mut shapes = shapes_of(&|p| p.row.popularity == law);
        if shapes.is_empty() {
            shapes = shapes_of(&|_| true);
        }
        let sites = fill_at(&shapes, &knots);
        let knots = knots.iter().map(|&k| f64::from(k)).collect();
        Curves::new(knots, sites, Kriging { scales: scales(), noise: NOISE, clip: CLIP })
    };
    LAWS.iter().map(|(_, law)| table(*law)).collect()
}

/// Log errors of all rows, each predicted by constants and tables that never saw its model.
fn held_out_errors(known: &Known, rows: &[Prepared<'_>]) -> Vec<f64> {
    let models: BTreeSet<ModelKey> = rows.iter().map(|p| model_of(p.row)).collect();
    let mut found = Vec::with_capacity(rows.len());
    for model in models {
        let (left_out, rest): (Vec<&Prepared<'_>>, Vec<&Prepared<'_>>) =
            rows.iter().partition(|p| model_of(p.row) == model);
        if rest.is_empty() {
            continue;
        }
        let prior = constants(known, &rest);
        let residual = residuals(&prior, known, &rest);
        let family = Family { prior, residual, evidence: Evidence::none() };
        let mut times: BTreeMap<ExpertsShape, FusedTimes> = BTreeMap::new();
        for p in left_out {
            let times = times.entry(p.shape).or_insert_with(|| {
                FusedTimes::without(&family, known.device, known.precision, p.shape, |_| false)
            });
            found.push((times.seconds(&p.slots) / p.row.seconds).ln());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use moesim::kernels::skew::Popularity;

    fn row(tokens: u32, popularity: Popularity, seconds: f64) -> ExpertsRow {
        ExpertsRow {
            source: "any".to_owned(),
            precision: Precision::Bf16,
            tokens,
            hidden: 64,
            inter: 128,
            top_k: 2,
            experts: 4,
            tp: 1,
            ep: 1,
            popularity,
            seconds,
        }
    }

    /// As a session that was cut off leaves them: each law asked at other sizes, one not at all.
    #[test]
    fn laws_measured_at_other_sizes_or_not_at_all_make_a_family() {
        let of = |law: Popularity, sizes: &[u32]| {
            sizes.iter().map(|&t| row(t, law, 1e-5 + f64::from(t) * 1e-7)).collect::<Vec<_>>()
        };
        let rows = [
            of(Popularity::Balanced, &[1, 8, 64, 512]),
            of(Popularity::PowerLaw(1.01), &[1, 4, 16, 64, 256, 512, 1024]),
        ]
        .concat();
        let rows: Vec<&ExpertsRow> = rows.iter().collect();
        let sheet = DataSheet::named("a100-sxm").unwrap();
        let family = fit(sheet, Precision::Bf16, &rows, "made up").unwrap();
        let knots: Vec<usize> = family.residual.iter().map(|c| c.knots().len()).collect();
        assert_eq!(knots, [8, 8, 8], "1, 4, 8, 16, 64, 256, 512, 1024 for every law");
        let shape = ExpertsShape { hidden: 64, inter: 128, experts: 4, top_k: 2, gated: true };
        let (device, precision) = (sheet.device(), Precision::Bf16);
        let times = FusedTimes::without(&family, device, precision, shape, |_| false);
        for tokens in [1, 5, 64, 1000] {
            let slots = Popularity::Balanced.slots(tokens, 4, 2);
            let (predicted, meant) = (times.seconds(&slots), 1e-5 + f64::from(tokens) * 1e-7);
            assert!((predicted / meant - 1.0).abs() < 0.2, "{tokens}: {predicted} for {meant}");
        }
    }
}
