//! Links of a known device at another peak.

use std::collections::BTreeMap;

use crate::base::units::Bandwidth;
use crate::kernels::exchange::Library;
use crate::kernels::profile::Profile;

/// Exchanges as those of the devices that they were measured on, with links of another peak.
pub(super) fn carry_exchanges(profile: &mut Profile, others: &[Profile], peak: Option<f64>) {
    // What was carried over to a profile may come from the very device that is left out.
    let own = others.iter().filter(|other| other.name == profile.name);
    let mut carried = BTreeMap::new();
    for other in own.chain(others) {
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
