//! Fits fused experts: fourteen constants a kernel, then what they leave over by shape and law.

use std::collections::{BTreeMap, BTreeSet};

use moesim::base::statistics::{Rule, quantile};
use moesim::kernels::curves::Curves;
use moesim::kernels::experts::tiles::TileRule;
use moesim::kernels::experts::{
    ExpertsLoad, ExpertsPrior, ExpertsShape, FOREIGN, Interval, OWN, is_squared_relu,
};
use moesim::kernels::measurements::ExpertsRow;
use moesim::kernels::profile::{Evidence, Family, Precision};
use moesim::kernels::skew::Popularity;
use moesim::kernels::times::fused::kriging;
use moesim::kernels::{Device, FusedTimes, LAWS, floor};

use crate::device::DataSheet;
use crate::evidence::{conformal_p90, law_of, residual_of};
use crate::least_squares::minimise;
use crate::residuals::{Shapes, fill_at, rounded, rounded_time};

/// Where constants start, and what they are pulled to where the data leave them open: about what A100, H100,
/// B200 and L40S have in common.
const START: [f64; 14] =
    [2e-5, 0.6, 0.85, 11.0, 4e-8, 3e-7, 5e-7, 6.3e9, 0.87, 0.75, 0.085, 2.5, 0.6, 2.7];
/// No kernel comes nearer to a peak.
const MOST_EFFICIENT: f64 = 0.95;
/// Of rows with several ranks those with at most this many local experts are used, at every third size: they say
/// how few experts behave, of which single ranks have next to none.
const MOST_LOCAL: u32 = 64;
/// Tables whose collector gave each rank its share are told by how well single ranks predict several, at sizes
/// where slots and not weights take the time: by the median |log error|.
const SAME_COLLECTOR: f64 = 0.25;
const MANY_TOKENS: u32 = 1024;

/// A row with what the prior needs of it.
struct Prepared<'r> {
    row: &'r ExpertsRow,
    shape: ExpertsShape,
    load: ExpertsLoad,
}

/// A model whose every split by tensor and expert parallelism is left out together.
type ModelKey = (u32, u32, u32, u32);

const fn model_of(row: &ExpertsRow) -> ModelKey {
    (row.hidden, row.inter, row.experts, row.top_k)
}

/// What is known before anything is fitted.
#[derive(Clone, Copy, Debug)]
struct Known {
    device: Device,
    precision: Precision,
    cache_bytes: f64,
    always_gated: bool,
    tiles: TileRule,
}

/// The family fitted on these rows of one kernel and precision; none without rows.
///
/// Rows that physics rules out are refused ([`floor::refused`]). Of rows with several ranks, whose kernels spend
/// time on other ranks' tokens, balanced ones in bf16 of few local experts are used where the collector gave the rank
/// its share. Whether squared-ReLU models were timed with a gate is decided by which of the two fits
/// better, and never for a gate where physics rules more rows out with it.
#[must_use]
pub fn fit(
    sheet: &DataSheet,
    (precision, tiles): (Precision, TileRule),
    rows: &[&ExpertsRow],
    on: &str,
) -> Option<Family<ExpertsPrior>> {
    let (device, cache_bytes) = (sheet.device(), sheet.cache_mb * 1e6);
    let known = |always_gated| Known { device, precision, cache_bytes, always_gated, tiles };
    let single: Vec<&ExpertsRow> = rows.iter().filter(|row| row.ep == 1).copied().collect();
    if single.is_empty() {
        return None;
    }
    let [gated, as_known] = [true, false].map(known);
    let possible = |known: &Known| prepare(known, &single).len();
    let off = |known: &Known| fitted(known, &single).1.iter().map(|e| e.abs()).sum::<f64>();
    let doubtful = rows.iter().any(|r| is_squared_relu(r.inter, r.experts, r.top_k))
        && possible(&gated) >= possible(&as_known);
    let known = if doubtful && off(&gated) < off(&as_known) { gated } else { as_known };
    let prepared = prepare(&known, &with_few_experts(&known, &single, rows));
    let all: Vec<&Prepared<'_>> = prepared.iter().collect();
    let own: Vec<&Prepared<'_>> = prepared.iter().filter(|p| p.row.ep == 1).collect();
    let mut prior = constants(&known, &all);
    let prior_errors = errors(&prior, &known, &own);
    let held_out = held_out(&known, &prepared);
    prior.interval = interval(&held_out);
    let held_out: Vec<f64> = held_out.values().flatten().map(|(error, _)| *error).collect();
    let several = if own.len() < all.len() {
        format!(", ep = 1, and balanced ones of up to {MOST_LOCAL} local experts, ep > 1")
    } else {
        ", ep = 1".to_owned()
    };
    Some(Family {
        prior,
        residual: residuals(&prior, &known, &all),
        evidence: Evidence {
            fitted_on: format!("{on}{several}"),
            rows: prepared.len(),
            prior: residual_of(&prior_errors),
            held_out: residual_of(&held_out),
            left_out: "each model shape with all its splits, from constants and table".to_owned(),
            log_error_p90: conformal_p90(&held_out).map(rounded),
            log_errors: law_of(&held_out),
        },
    })
}

/// Constants of these rows and the log errors that they leave.
fn fitted(known: &Known, rows: &[&ExpertsRow]) -> (ExpertsPrior, Vec<f64>) {
    let prepared = prepare(known, rows);
    let all: Vec<&Prepared<'_>> = prepared.iter().collect();
    let prior = constants(known, &all);
    let errors = errors(&prior, known, &all);
    (prior, errors)
}

/// The rows of single ranks, and those of several that say how few experts behave.
fn with_few_experts<'r>(
    known: &Known,
    single: &[&'r ExpertsRow],
    rows: &[&'r ExpertsRow],
) -> Vec<&'r ExpertsRow> {
    let sizes: BTreeSet<u32> = rows.iter().map(|row| row.tokens).collect();
    let sizes: BTreeSet<u32> = sizes.into_iter().step_by(3).collect();
    let useful = |row: &&&ExpertsRow| {
        let balanced = row.popularity == Popularity::Balanced && row.ep > 1;
        balanced && row.experts / row.ep <= MOST_LOCAL && sizes.contains(&row.tokens)
    };
    let several: Vec<&ExpertsRow> = rows.iter().filter(useful).copied().collect();
    let mut used = single.to_vec();
    let asked = known.precision == Precision::Bf16
        && !matches!(known.tiles, TileRule::ByRows | TileRule::Rows(_));
    if !asked || several.is_empty() {
        return used;
    }
    let (prior, _) = fitted(known, single);
    let prepared = prepare(known, &several);
    let many: Vec<_> = prepared.iter().filter(|p| p.row.tokens >= MANY_TOKENS).collect();
    let off = errors(&prior, known, &many);
    let off: Vec<f64> = off.iter().map(|e| e.abs()).collect();
    if quantile(&off, 0.5, Rule::Linear).is_some_and(|median| median < SAME_COLLECTOR) {
        used.extend(several);
    }
    used
}

/// Rows with what the prior needs of them, less those that physics rules out.
fn prepare<'r>(known: &Known, rows: &[&'r ExpertsRow]) -> Vec<Prepared<'r>> {
    let one = |row: &&'r ExpertsRow| {
        let load = ExpertsLoad::of(&row.local_slots(), row.top_k).among(row.tokens, row.top_k);
        (*row, row.shape(known.always_gated), load)
    };
    let loaded: Vec<floor::Loaded<'r>> = rows.iter().map(one).collect();
    let refused = floor::refused(&loaded, &known.device, known.cache_bytes);
    let kept = loaded.into_iter().zip(refused).filter(|(_, reason)| reason.is_none());
    kept.map(|((row, shape, load), _)| Prepared { row, shape, load }).collect()
}

fn errors(prior: &ExpertsPrior, known: &Known, rows: &[&Prepared<'_>]) -> Vec<f64> {
    let error = |p: &&Prepared<'_>| {
        (prior.seconds(&known.device, known.precision, p.shape, &p.load) / p.row.seconds).ln()
    };
    rows.iter().map(error).collect()
}

fn constants(known: &Known, rows: &[&Prepared<'_>]) -> ExpertsPrior {
    let found = minimise(&START, |p| errors(&prior_of(known, p), known, rows));
    let rounded_times = [0, 4, 5, 6];
    let round = |(place, value): (usize, &f64)| {
        if rounded_times.contains(&place) { rounded_time(*value) } else { rounded(*value) }
    };
    let found: Vec<f64> = found.iter().enumerate().map(round).collect();
    prior_of(known, &found)
}

fn prior_of(known: &Known, p: &[f64]) -> ExpertsPrior {
    let share = |share: f64| share.clamp(0.02, MOST_EFFICIENT);
    ExpertsPrior {
        launch_s: p[0],
        small_efficiency: share(p[1]),
        large_efficiency: share(p[2]),
        cache_bandwidth: p[3].clamp(0.3, 60.0),
        step_s: p[4],
        block_s: p[5],
        latency_s: p[6],
        ragged_rate: p[7].clamp(1e8, 1e12),
        memory_efficiency: share(p[8]),
        narrow_efficiency: p[9].clamp(0.3, 1.0),
        refetched: p[10].clamp(1e-3, 1.0),
        sharpness: p[11].clamp(1.0, 8.0),
        traffic_efficiency: p[12].clamp(0.002, 3.0),
        cache_bytes: known.cache_bytes,
        cache_speedup: p[13].clamp(0.01, 30.0),
        always_gated: known.always_gated,
        tiles: known.tiles,
        measured_tiles: known.tiles,
        interval: None,
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
            let whose = if p.row.ep == 1 { OWN } else { FOREIGN };
            let at = vec![p.shape.hidden, p.shape.inter, p.shape.experts, p.shape.top_k, whose];
            shapes.entry(at).or_default().entry(p.row.tokens).or_default().push(-error);
        }
        shapes
    };
    let table = |law: Popularity| {
        let mut shapes = shapes_of(&|p| p.row.popularity == law);
        if shapes.is_empty() {
            shapes = shapes_of(&|_| true);
        }
        let sites = fill_at(&shapes, &knots);
        Curves::new(knots.iter().map(|&k| f64::from(k)).collect(), sites, kriging())
    };
    LAWS.iter().map(|(_, law)| table(*law)).collect()
}

/// Log errors and kriging's σ of single ranks' rows by model, each predicted by constants and tables that
/// never saw its model.
fn held_out(known: &Known, rows: &[Prepared<'_>]) -> BTreeMap<ModelKey, Vec<(f64, f64)>> {
    let own = rows.iter().filter(|p| p.row.ep == 1);
    let models: BTreeSet<ModelKey> = own.map(|p| model_of(p.row)).collect();
    let mut found = BTreeMap::new();
    for model in models {
        let (left_out, rest): (Vec<&Prepared<'_>>, Vec<&Prepared<'_>>) =
            rows.iter().partition(|p| model_of(p.row) == model);
        if !rest.iter().any(|p| p.row.ep == 1) {
            continue;
        }
        let prior = constants(known, &rest);
        let residual = residuals(&prior, known, &rest);
        let one = Some(Interval { known: 1.0, absent: 1.0 });
        let prior = ExpertsPrior { interval: one, ..prior };
        let family = Family { prior, residual, evidence: Evidence::none() };
        let mut times: BTreeMap<ExpertsShape, FusedTimes> = BTreeMap::new();
        let of_model = |p: &Prepared<'_>| {
            let times = times.entry(p.shape).or_insert_with(|| {
                FusedTimes::without(&family, known.device, known.precision, p.shape, |_| false)
            });
            let spread = times.half_width(&p.load).unwrap_or(1.0);
            ((times.seconds_of(&p.load) / p.row.seconds).ln(), spread)
        };
        let own = left_out.into_iter().filter(|p| p.row.ep == 1);
        found.insert(model, own.map(of_model).collect());
    }
    found
}

/// Half-widths in units of σ; none of no models left out.
fn interval(held_out: &BTreeMap<ModelKey, Vec<(f64, f64)>>) -> Option<Interval> {
    let scaled = |rows: &Vec<(f64, f64)>| -> Vec<f64> {
        rows.iter().map(|(error, spread)| error.abs() / spread.max(1e-3)).collect()
    };
    let all: Vec<f64> = held_out.values().flat_map(scaled).collect();
    let of_model = |rows| quantile(&scaled(rows), 0.9, Rule::Linear);
    let models: Vec<f64> = held_out.values().filter_map(of_model).collect();
    // Of a few the largest stands for the quantile that they do not reach.
    let p90_or_largest = |values: &[f64]| {
        quantile(values, 0.9, Rule::Conformal).or_else(|| quantile(values, 1.0, Rule::Nearest))
    };
    let (absent, known) = (p90_or_largest(&models)?, p90_or_largest(&all)?);
    Some(Interval { known: rounded(known), absent: rounded(absent.max(known)) })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let kernel = (Precision::Bf16, TileRule::ByRows);
        let family = fit(sheet, kernel, &rows, "made up").unwrap();
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
