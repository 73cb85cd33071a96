//! Predicts the rows of one table.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::predictor::Predictor;
use super::{Judged, Kind, LeaveOut, baseline};
use crate::base::table::{Table, TableError};
use crate::kernels::curves::Site;
use crate::kernels::exchange::Library;
use crate::kernels::experts::{ExpertsLoad, ExpertsPrior, ExpertsShape};
use crate::kernels::measurements::{CollectiveRow, ExchangeRow, ExpertsRow, GemmRow, Rows};
use crate::kernels::profile::{CollectiveFit, Evidence, Family, Precision, Profile};
use crate::kernels::skew::Popularity;
use crate::kernels::times::fused::FEW_EXPERTS;
use crate::kernels::{
    ExpertsAsk, ExpertsChoice, ExpertsTimes, FusedTimes, GemmTimes, Kernels, NoKernel, Support,
    floor,
};
use crate::workload::{ExpertsKernel, Phase};

/// Predictions of rows, and the reasons why others have none.
pub(super) type Outcome = (Vec<Judged>, BTreeMap<&'static str, usize>);

pub(super) fn table(
    kind: Kind,
    predictor: &Predictor,
    table: &Table,
    out: Option<LeaveOut>,
) -> Result<Outcome, TableError> {
    let profile = predictor.profile();
    match kind {
        Kind::Gemm => Ok(gemm(predictor, GemmRow::of(table)?, out)),
        Kind::Experts => Ok(experts(profile, ExpertsRow::of(table)?, out)),
        Kind::Exchange(Library::NvlinkDomain) => {
            Ok(exchanges(profile, ExchangeRow::of_nvlink(table)?, out))
        }
        Kind::Exchange(library) => {
            Ok(exchanges(profile, ExchangeRow::of_deepep(table, library, predictor.ranks)?, out))
        }
        Kind::Collective => Ok(collectives(profile, CollectiveRow::of(table)?, out)),
    }
}

fn gemm(predictor: &Predictor, found: Rows<GemmRow>, out: Option<LeaveOut>) -> Outcome {
    let leave_out = out == Some(LeaveOut::Shape);
    let mut known: BTreeMap<(Precision, u32, u32), GemmTimes> = BTreeMap::new();
    let mut judged = Vec::with_capacity(found.rows.len());
    for (row, r) in found.rows {
        let profile = predictor.of_gemm(r.n, r.k);
        let kernels = Kernels::new(profile, profile.data_sheet);
        let times = known.entry((r.precision, r.n, r.k)).or_insert_with(|| {
            let skip = |n, k| leave_out && (n, k) == (r.n, r.k);
            kernels.dense_without(r.n, r.k, &[r.precision], skip)
        });
        judged.push(Judged {
            row,
            predicted: times.seconds(r.m),
            measured: r.seconds,
            baseline: Some(baseline::gemm(&profile.data_sheet, &r)),
            half_width: profile.gemm.get(&r.precision).and_then(|f| f.evidence.log_error_p90),
            extrapolated: *times.support() != Support::Measured,
        });
    }
    (judged, found.skipped)
}

fn experts(profile: &Profile, found: Rows<ExpertsRow>, out: Option<LeaveOut>) -> Outcome {
    let kernels = Kernels::new(profile, profile.data_sheet);
    let mut skipped = found.skipped;
    let mut known: BTreeMap<(String, Precision, ExpertsShape), FusedTimes> = BTreeMap::new();
    let mut judged = Vec::with_capacity(found.rows.len());
    for (row, r, load) in accepted(profile, found.rows, &mut skipped) {
        let Ok((choice, family)) = choice_of(&kernels, &r) else {
            let reason = "a kernel or format that the profile does not know";
            *skipped.entry(reason).or_insert(0) += 1;
            continue;
        };
        let shape = r.shape(family.prior.always_gated);
        if out == Some(LeaveOut::FewExperts) && (shape.experts > FEW_EXPERTS || r.ep > 1) {
            *skipped.entry("not of one rank with few experts").or_insert(0) += 1;
            continue;
        }
        let key = (r.source.clone(), r.precision, shape);
        let skip = |site: &Site| match out {
            Some(LeaveOut::Shape) => same_model(&site.at, &r),
            Some(LeaveOut::FewExperts) => site.at[2] <= FEW_EXPERTS,
            _ => false,
        };
        let times = match known.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => match kernels.experts_without(choice, shape, skip) {
                ExpertsTimes::Fused(times) => new.insert(times),
                ExpertsTimes::Grouped(_) => continue,
            },
        };
        judged.push(Judged {
            row,
            predicted: times.seconds_of(&load),
            measured: r.seconds,
            baseline: Some(baseline::experts(&profile.data_sheet, r.precision, shape, &load)),
            half_width: width_of(times.half_width(&load), &family.evidence, r.ep),
            extrapolated: r.ep > 1 || *times.support() != Support::Measured,
        });
    }
    (judged, skipped)
}

/// Rows that physics allows, with their loads; those of few experts alone where these are left out.
fn accepted(
    profile: &Profile,
    rows: Vec<(usize, ExpertsRow)>,
    skipped: &mut BTreeMap<&'static str, usize>,
) -> Vec<(usize, ExpertsRow, ExpertsLoad)> {
    // Drawing slots is expensive and the same for all sizes of an expert.
    let mut loads: BTreeMap<[u64; 5], ExpertsLoad> = BTreeMap::new();
    let mut load_of = |r: &ExpertsRow| {
        let law = match r.popularity {
            Popularity::Balanced => 0,
            Popularity::PowerLaw(exponent) => exponent.to_bits(),
        };
        *loads
            .entry([law, r.tokens.into(), r.experts.into(), r.top_k.into(), r.ep.into()])
            .or_insert_with(|| ExpertsLoad::of(&r.local_slots(), r.top_k).among(r.tokens, r.top_k))
    };
    let family = |r: &ExpertsRow| profile.experts.get(&(r.source.clone(), r.precision));
    let gated = |r: &ExpertsRow| family(r).is_some_and(|family| family.prior.always_gated);
    let loaded: Vec<floor::Loaded<'_>> =
        rows.iter().map(|(_, r)| (r, r.shape(gated(r)), load_of(r))).collect();
    let cache = profile.experts.values().next().map_or(0.0, |family| family.prior.cache_bytes);
    let refused = floor::refused(&loaded, &profile.data_sheet, cache);
    let loads: Vec<ExpertsLoad> = loaded.into_iter().map(|(_, _, load)| load).collect();
    let mut kept = Vec::with_capacity(rows.len());
    for (((row, r), load), reason) in rows.into_iter().zip(loads).zip(refused) {
        match reason {
            Some(reason) => *skipped.entry(reason).or_insert(0) += 1,
            None => kept.push((row, r, load)),
        }
    }
    kept
}

/// The kernel of a row by the door that runs use: its source, named.
fn choice_of<'p>(
    kernels: &Kernels<'p>,
    row: &ExpertsRow,
) -> Result<(ExpertsChoice<'p>, &'p Family<ExpertsPrior>), NoKernel> {
    let kernel = ExpertsKernel::Named(row.source.clone());
    let ask = ExpertsAsk {
        shape: row.shape(false),
        formats: &[row.precision],
        kernel: &kernel,
        phase: Phase::Prefill,
        slots: u64::from(row.tokens) * u64::from(row.top_k),
    };
    let choice = kernels.choose_experts(&ask)?;
    match choice {
        ExpertsChoice::Fused { family, .. } => Ok((choice, family)),
        ExpertsChoice::Grouped { .. } => unreachable!("a kernel with a name is a fused one"),
    }
}

/// Rows of several ranks are of a kind that no fit has seen.
fn width_of(own: Option<f64>, evidence: &Evidence, ranks: u32) -> Option<f64> {
    let factor = if ranks > 1 { RANKS_WIDER } else { 1.0 };
    own.or(evidence.log_error_p90).map(|width| width * factor)
}

/// So much wider are intervals of rows of several ranks.
const RANKS_WIDER: f64 = 2.0;

/// Whether a measured site is the row's model, however split: by inner size, rounded up, and by experts.
fn same_model(site: &[u32], row: &ExpertsRow) -> bool {
    let split = (0..8).any(|halvings| row.inter.div_ceil(1 << halvings) == site[1]);
    let rank = site[2] > 0 && row.experts.is_multiple_of(site[2]);
    site[0] == row.hidden && rank && site[3] == row.top_k && split
}

fn collectives(profile: &Profile, found: Rows<CollectiveRow>, out: Option<LeaveOut>) -> Outcome {
    let (mut judged, mut skipped) = (Vec::with_capacity(found.rows.len()), found.skipped);
    for (row, r) in found.rows {
        let Some(fit) = profile.collectives.get(&r.op) else {
            *skipped.entry("a collective that the profile does not know").or_insert(0) += 1;
            continue;
        };
        let mut others = None;
        if out == Some(LeaveOut::Groups) {
            let ramps =
                fit.ramps.iter().filter(|(n, _)| **n != r.gpus).map(|(n, ramp)| (*n, *ramp));
            others = Some(CollectiveFit { ramps: ramps.collect(), ..fit.clone() });
        }
        let fit = others.as_ref().unwrap_or(fit);
        let unseen = !fit.ramps.contains_key(&r.gpus);
        judged.push(Judged {
            row,
            predicted: fit.seconds(r.gpus, r.bytes as f64),
            measured: r.seconds,
            baseline: baseline::collective(profile, &r),
            half_width: fit.half_width(r.gpus),
            extrapolated: unseen,
        });
    }
    (judged, skipped)
}

fn exchanges(profile: &Profile, found: Rows<ExchangeRow>, out: Option<LeaveOut>) -> Outcome {
    let (mut judged, mut skipped) = (Vec::with_capacity(found.rows.len()), found.skipped);
    for (row, r) in found.rows {
        let Some(fit) = profile.exchanges.get(&r.name) else {
            *skipped.entry("an exchange that the profile does not know").or_insert(0) += 1;
            continue;
        };
        let s = r.shape;
        let of_model = |site: &[u32]| site[1..4] == [s.hidden, s.top_k, s.experts];
        let mut known = fit.residual.sites().iter().filter(|site| site.at[0] == s.groups);
        let several = known.any(|site| !of_model(&site.at));
        let (shapes, groups) = match out {
            Some(LeaveOut::Shape) => (several, !several),
            Some(LeaveOut::Groups) => (false, true),
            Some(LeaveOut::Gpu | LeaveOut::FewExperts) | None => (false, false),
        };
        let skip = |at: &[u32]| match at {
            [n] => groups && *n == s.groups,
            site => shapes && of_model(site),
        };
        let tells = |n: &u32| *n != s.groups && fit.library.alike(*n, s.groups);
        if groups && !fit.priors.keys().any(tells) {
            let reason = "no other number of groups to learn it from";
            *skipped.entry(reason).or_insert(0) += 1;
            continue;
        }
        let at = [s.groups, s.hidden, s.top_k, s.experts, s.sms];
        let seen = fit.residual.sites().iter().any(|site| site.at == at);
        let unseen_groups = groups || !fit.priors.contains_key(&s.groups);
        judged.push(Judged {
            row,
            predicted: fit.seconds(s, r.tokens, skip),
            measured: r.seconds,
            baseline: baseline::exchange(profile, &r),
            half_width: fit.half_width(s, skip),
            extrapolated: shapes || unseen_groups || !seen,
        });
    }
    (judged, skipped)
}
