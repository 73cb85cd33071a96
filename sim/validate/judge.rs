//! Predicts the rows of one table.

use std::collections::BTreeMap;

use super::{Judged, Kind, baseline};
use crate::kernel::curves::Site;
use crate::kernel::exchange::Library;
use crate::kernel::experts::{ExpertsLoad, ExpertsShape};
use crate::kernel::{ExpertsTimes, GemmTimes, Kernels, Trust};
use crate::measurements::{CollectiveRow, ExchangeRow, ExpertsRow, GemmRow, Rows};
use crate::profile::{Precision, Profile};
use crate::table::{Table, TableError};

/// Predictions of rows, and the reasons why others have none.
pub(super) type Outcome = (Vec<Judged>, BTreeMap<&'static str, usize>);

pub(super) fn table(
    kind: Kind,
    profile: &Profile,
    table: &Table,
    leave_out: bool,
) -> Result<Outcome, TableError> {
    match kind {
        Kind::Gemm => Ok(gemm(profile, GemmRow::of(table)?, leave_out)),
        Kind::Experts => Ok(experts(profile, ExpertsRow::of(table)?, leave_out)),
        Kind::Exchange(Library::NvlinkDomain) => {
            Ok(exchanges(profile, ExchangeRow::of_nvlink(table)?, leave_out))
        }
        Kind::Exchange(library) => {
            Ok(exchanges(profile, ExchangeRow::of_deepep(table, library)?, leave_out))
        }
        Kind::Collective => Ok(collectives(profile, CollectiveRow::of(table)?)),
    }
}

fn gemm(profile: &Profile, found: Rows<GemmRow>, leave_out: bool) -> Outcome {
    let kernels = Kernels::new(profile, profile.data_sheet);
    let mut known: BTreeMap<(Precision, u32, u32), GemmTimes> = BTreeMap::new();
    let mut judged = Vec::with_capacity(found.rows.len());
    for (row, r) in found.rows {
        let times = known.entry((r.precision, r.n, r.k)).or_insert_with(|| {
            let skip = |n, k| leave_out && fold(n, k) == fold(r.n, r.k);
            kernels.gemm_without(r.n, r.k, r.precision, skip)
        });
        judged.push(Judged {
            row,
            predicted: times.seconds(r.m),
            measured: r.seconds,
            baseline: baseline::gemm(&profile.data_sheet, &r),
            half_width: profile.gemm.get(&r.precision).and_then(|f| f.evidence.log_error_p90),
            extrapolated: times.trust() != Trust::Measured,
        });
    }
    (judged, found.skipped)
}

/// Parts of shapes that are left out together; the same as when profiles are fitted.
fn fold(n: u32, k: u32) -> u32 {
    let mixed = n.wrapping_mul(0x9E37_79B1) ^ k.wrapping_mul(0x85EB_CA77);
    (mixed ^ (mixed >> 15)).wrapping_mul(0x2C1B_3C6D) % 6
}

fn experts(profile: &Profile, found: Rows<ExpertsRow>, leave_out: bool) -> Outcome {
    let kernels = Kernels::new(profile, profile.data_sheet);
    let mut known: BTreeMap<(String, Precision, ExpertsShape), ExpertsTimes> = BTreeMap::new();
    let (mut judged, mut skipped) = (Vec::with_capacity(found.rows.len()), found.skipped);
    for (row, r) in found.rows {
        if r.ep > 1 {
            *skipped.entry("several ranks: time goes to other ranks' tokens").or_insert(0) += 1;
            continue;
        }
        let family = kernels.experts_family(r.precision, Some(&r.source));
        let shape = r.shape(family.is_some_and(|f| f.prior.always_gated));
        let key = (r.source.clone(), r.precision, shape);
        let times = known.entry(key).or_insert_with(|| {
            let skip = |site: &Site| leave_out && same_model(&site.at, &r);
            kernels.experts_without(shape, r.precision, Some(&r.source), skip)
        });
        let slots = r.local_slots();
        let load = ExpertsLoad::of(&slots, r.top_k);
        judged.push(Judged {
            row,
            predicted: times.seconds(&slots),
            measured: r.seconds,
            baseline: baseline::experts(&profile.data_sheet, r.precision, shape, &load),
            half_width: family.and_then(|f| f.evidence.log_error_p90),
            extrapolated: times.trust() != Trust::Measured,
        });
    }
    (judged, skipped)
}

/// Whether a measured site is the row's model, however split.
fn same_model(site: &[u32], row: &ExpertsRow) -> bool {
    let split = site[1] > 0 && row.inter.is_multiple_of(site[1]);
    site[0] == row.hidden && site[2] == row.experts && site[3] == row.top_k && split
}

fn collectives(profile: &Profile, found: Rows<CollectiveRow>) -> Outcome {
    let (mut judged, mut skipped) = (Vec::with_capacity(found.rows.len()), found.skipped);
    for (row, r) in found.rows {
        let Some(fit) = profile.collectives.get(&r.op) else {
            *skipped.entry("a collective that the profile does not know").or_insert(0) += 1;
            continue;
        };
        judged.push(Judged {
            row,
            predicted: fit.seconds(r.gpus, r.bytes as f64),
            measured: r.seconds,
            baseline: baseline::collective(&profile.name, &r),
            half_width: fit.evidence.log_error_p90,
            extrapolated: !fit.ramps.contains_key(&r.gpus),
        });
    }
    (judged, skipped)
}

/// Leaving out means the row's model shape where several were measured, else its number of groups.
fn exchanges(profile: &Profile, found: Rows<ExchangeRow>, leave_out: bool) -> Outcome {
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
        let skip = |at: &[u32]| match at {
            [groups] => leave_out && !several && *groups == s.groups,
            site => leave_out && several && of_model(site),
        };
        let seen = fit.priors.contains_key(&s.groups)
            && fit
                .residual
                .sites()
                .iter()
                .any(|site| site.at == [s.groups, s.hidden, s.top_k, s.experts, s.sms]);
        judged.push(Judged {
            row,
            predicted: fit.seconds(s, r.tokens, skip),
            measured: r.seconds,
            baseline: baseline::exchange(profile, &r),
            half_width: fit.evidence.log_error_p90,
            extrapolated: leave_out || !seen,
        });
    }
    (judged, skipped)
}
