//! Experts' kernels of an unmeasured device: every donor's own, scaled, by nearness.

use std::collections::{BTreeMap, BTreeSet};

use crate::kernels::curves::{Curves, Site};
use crate::kernels::experts::{ExpertsLoad, ExpertsPrior, ExpertsShape, OWN, is_squared_relu};
use crate::kernels::profile::{Family, Precision, Profile};
use crate::kernels::transfer::{CLOSEST, Donor, scaled_profile};
use crate::kernels::{Device, FusedTimes, LAWS};

/// Equation (1) of [`super`], as residuals of the nearest donor's constants at all shapes that any donor was measured in.
pub(super) fn mix_experts(profile: &mut Profile, found: &[Donor<'_>], sms: Option<u32>) {
    let scaled: Vec<(Profile, f64)> = found
        .iter()
        .map(|donor| {
            let weight = donor.left.max(CLOSEST).powi(-2);
            (scaled_profile(donor.profile, sms, donor.scales), weight)
        })
        .collect();
    let device = profile.data_sheet;
    for ((source, precision), family) in &mut profile.experts {
        let key = (source.clone(), *precision);
        let same = |donor: &&(Profile, f64)| donor.0.experts.contains_key(&key);
        let donors: Vec<&(Profile, f64)> = scaled.iter().filter(same).collect();
        if donors.len() > 1 && family.residual.len() == LAWS.len() {
            family.residual = mixed(&key, family, &device, &donors);
            family.prior.measured_tiles = family.prior.tiles;
        }
    }
}

/// The loads of a law at the knots, by experts and top-k: drawing slots is expensive.
type Loads = BTreeMap<(u32, u32), Vec<ExpertsLoad>>;

fn mixed(
    key: &(String, Precision),
    family: &Family<ExpertsPrior>,
    device: &Device,
    donors: &[&(Profile, f64)],
) -> Vec<Curves> {
    let families = donors.iter().map(|(donor, _)| &donor.experts[key]);
    let sites = families.flat_map(|family| family.residual.first()).flat_map(Curves::sites);
    let own = |site: &&Site| site.at.last() == Some(&OWN);
    let sites: BTreeSet<Vec<u32>> = sites.filter(own).map(|site| site.at.clone()).collect();
    let mut by_law: Vec<(Loads, Vec<Site>)> = vec![(Loads::new(), Vec::new()); LAWS.len()];
    for at in sites {
        let (own, top_k) = (shape_at(&at, family.prior.always_gated), at[3]);
        let times = times_of_donors(key, family, donors, &at);
        let laws = LAWS.iter().zip(&family.residual).zip(&mut by_law);
        for (((_, law), curves), (loads, mixed)) in laws {
            let loads = loads.entry((own.experts, top_k)).or_insert_with(|| {
                let load = |tokens: &f64| {
                    ExpertsLoad::of(&law.slots(*tokens as u32, own.experts, top_k), top_k)
                };
                curves.knots().iter().map(load).collect()
            });
            let residual = |load: &ExpertsLoad| {
                let mean: f64 = times.iter().map(|(t, w)| w * t.seconds_of(load).ln()).sum();
                mean - family.prior.seconds(device, key.1, own, load).ln()
            };
            let residual = loads.iter().map(residual).collect();
            mixed.push(Site { at: at.clone(), residual });
        }
    }
    let of_law = |((_, sites), curves): ((Loads, Vec<Site>), &Curves)| {
        Curves::new(curves.knots().to_vec(), sites, curves.kriging().clone())
    };
    by_law.into_iter().zip(&family.residual).map(of_law).collect()
}

/// What donors take at a site, under every law, with their weights.
fn times_of_donors(
    key: &(String, Precision),
    family: &Family<ExpertsPrior>,
    donors: &[&(Profile, f64)],
    at: &[u32],
) -> Vec<(FusedTimes, f64)> {
    let all: f64 = donors.iter().map(|(_, weight)| weight).sum();
    let of_donor = |(donor, weight): &&(Profile, f64)| {
        let mut known = donor.experts[key].clone();
        let shape = shape_at(at, known.prior.always_gated);
        // Its own tiles where this device would take others say nothing.
        known.prior.tiles = family.prior.tiles;
        let (peaks, all_sites) = (donor.data_sheet, |_: &Site| false);
        (FusedTimes::without(&known, peaks, key.1, shape, all_sites), weight / all)
    };
    donors.iter().map(of_donor).collect()
}

/// The shape at a site of experts' residuals: (hidden, inter, experts, top-k), inter perhaps split.
fn shape_at(at: &[u32], always_gated: bool) -> ExpertsShape {
    let &[hidden, inter, experts, top_k, _] = at else {
        panic!("{at:?} is not a shape of experts")
    };
    let squared = |split: u32| is_squared_relu(inter.saturating_mul(split), experts, top_k);
    let gated = always_gated || ![1, 2, 4, 8, 16, 32].into_iter().any(squared);
    ExpertsShape { hidden, inter, experts, top_k, gated }
}
