//! Links of a known device at another peak.

use std::collections::BTreeMap;

use crate::base::units::Bandwidth;
use crate::kernels::devices::DataSheet;
use crate::kernels::exchange::Library;
use crate::kernels::profile::Profile;

/// Exchanges as those of the devices that they were measured on, with links of another peak: first of the donor
/// itself and of what it had them from, then of any other.
///
/// A chip keeps what its donor takes, wherever the donor has it from: two chips that differ in links alone are
/// carried by the same figures.
pub(super) fn carry_exchanges(profile: &mut Profile, others: &[Profile], peak: Option<f64>) {
    let family = family_of(&profile.name);
    // What was carried over to a profile may come from the very device that is left out: its measurements count.
    let near = family.iter().filter_map(|name| others.iter().find(|other| other.name == **name));
    let mut carried = BTreeMap::new();
    for other in near.chain(others) {
        for (name, fit) in other.exchanges.iter().filter(|(_, fit)| fit.evidence.rows > 0) {
            let ratio = |from: Bandwidth| peak.map_or(1.0, |to| to / from.bytes_per_sec());
            let ratio = other.scale_up.map_or(1.0, ratio);
            carried.entry(name.clone()).or_insert_with(|| {
                let mut fit = fit.clone();
                let domain = fit.library == Library::NvlinkDomain;
                for (groups, prior) in &mut fit.priors {
                    if domain || *groups == 1 {
                        prior.bandwidth *= ratio;
                    }
                }
                fit
            });
        }
    }
    profile.exchanges = carried;
}

/// Drops exchanges that no GPU of the family of `nearest` was measured with: what a library does on another
/// architecture says neither that it runs on this one nor how fast.
///
/// So GPUs of one architecture have the same libraries, measured or carried over, and `auto` chooses alike
/// for them.
pub fn keep_family_exchanges(profile: &mut Profile, nearest: Option<&str>, others: &[Profile]) {
    let family = nearest.map_or_else(Vec::new, family_of);
    let measured = |name: &String| {
        let of_family = others.iter().filter(|other| family.contains(&other.name.as_str()));
        of_family.filter_map(|other| other.exchanges.get(name)).any(|fit| fit.evidence.rows > 0)
    };
    profile.exchanges.retain(|name, _| measured(name));
}

/// The device of this name, the nearest of its family by the data sheets, the nearest of that, and so on.
fn family_of(name: &str) -> Vec<&str> {
    let mut family = vec![name];
    let next = |name: &str| DataSheet::of_any(name).and_then(|sheet| sheet.nearest);
    while let Some(nearest) = family.last().and_then(|last| next(last)) {
        if family.contains(&nearest) {
            break;
        }
        family.push(nearest);
    }
    family
}

/// Collectives as those of a device with another peak.
pub(super) fn rescale_collectives(profile: &mut Profile, peak: Bandwidth) {
    let Some(donor) = profile.scale_up else { return };
    let ratio = peak.bytes_per_sec() / donor.bytes_per_sec();
    for fit in profile.collectives.values_mut() {
        for ramp in fit.ramps.values_mut() {
            ramp.bandwidth = ramp.bandwidth.scaled(ratio);
        }
    }
    profile.pair_bandwidth = profile.pair_bandwidth.map(|pair| pair.scaled(ratio));
    profile.scale_up = Some(peak);
}
