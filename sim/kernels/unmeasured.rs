//! A device that calibration has not measured: its profile from a data sheet and a few dozen timings.
//!
//! ```text
//!   GEMM timings ─ transfer: nearest donor, launches, memory, arithmetic × ─┐
//!   experts      ─ every donor's own, scaled, by nearness (1) ──────────────┼─ restated as shares of the
//!   copies       ─ memory's efficiency, the links' peak (2) ────────────────┤  data sheet's peaks
//!   data sheet   ─ links of the nearest known ones of its kind, with or
//!                  without peer-to-peer, by the ratio of peaks ─────────────┘
//! ```
//!
//! ```text
//!   ln t = Σ_d w_d · ln t_d / Σ_d w_d,      w_d = 1 / max(e_d, 1 %)²            (1)
//!   B_link = median( bytes / seconds of copies between two GPUs ) / 0.9         (2)
//! ```
//!
//! with e_d the median |log error| that donor d, scaled, leaves over the GEMM timings: the weights of
//! independent estimates by their variance. Kernels that a single known device has are its architecture's own
//! and are not carried over where several devices share another. Against the nearest donor alone, with all
//! its kernels, experts of A100, B200, H100 and L40S, left out in turn, are 12, 18, 15 and 14 % off at the
//! median instead of 13, 30, 14 and 22 %, and 44, 45, 62 and 63 % at the 90th percentile instead of 47, 418,
//! 60 and 64 %. (2) takes a copy engine to reach nine tenths of a link's peak, which is assumed. Nothing here
//! was measured on the device, so intervals are as much wider as known devices, left out in turn, ask for.

mod experts;
mod links;
pub mod transfer;

use experts::mix_experts;
pub use links::keep_family_exchanges;
use links::{carry_exchanges, rescale_collectives};

use super::transfer::{
    Donor, Scales, balanced, by_nearness, rebase_to_peaks, sample_timings, scaled_profile,
};
use crate::base::statistics::{Rule, quantile};
use crate::base::units::Bandwidth;
use crate::kernels::devices::DataSheet;
use crate::kernels::evidence::TRANSFERRED;
use crate::kernels::measurements::{Between, CopyRow, GemmRow};
use crate::kernels::profile::{CollectiveFit, Evidence, Precision, Profile};

/// How much wider intervals are than the donor's own of shapes left out.
#[derive(Clone, Copy)]
struct Inflation {
    kernels: f64,
    experts: f64,
    links: f64,
}

impl Inflation {
    /// About what makes nine in ten rows of devices left out in turn lie in theirs. The mean of several donors
    /// predicts experts better; of links nothing of its own is known.
    const OTHER_ARCHITECTURE: Self = Self { kernels: 3.0, experts: 3.0, links: 5.0 };
    /// A device of the donor's own family by the data sheets, once timings bear that out.
    const SAME_ARCHITECTURE: Self = Self { kernels: 1.5, experts: 1.5, links: 1.5 };
    /// The donor's own chip with other links: kernels are the donor's, links are not.
    const SAME_CHIP: Self = Self { kernels: 1.0, experts: 1.0, links: 1.5 };
}

/// Links whose peaks differ by more than this factor are of two kinds, NVLink and PCIe.
const SAME_KIND_OF_LINK: f64 = 3.0;

/// Copies of fewer bytes are left out of (2) and of memory's rate: they start, or lie in a cache.
const LARGE_COPY: u64 = 64 << 20;
/// Share of a link's peak that a copy between two GPUs is taken to reach.
const COPY_SHARE: f64 = 0.9;

/// What is known of the device.
#[derive(Clone, Copy, Debug)]
pub struct UnmeasuredDevice<'a> {
    /// Its data sheet, if there is one.
    pub sheet: Option<&'a DataSheet>,
    /// Its GEMM timings; a few dozen of these is used.
    pub gemm: &'a [GemmRow],
    /// Its copies.
    pub copies: &'a [CopyRow],
}

impl UnmeasuredDevice<'_> {
    /// Its profile as far as known devices, `others`, predict it, and how in words.
    ///
    /// # Panics
    /// If none of the others was itself measured.
    #[must_use]
    pub fn profile(&self, others: &[Profile]) -> (Profile, String) {
        if let Some(chip) = others.iter().find(|other| self.is_chip_of(other)) {
            return self.other_links(chip, others);
        }
        let donors = measured(others);
        let found = by_nearness(&donors, self.peaks().as_ref(), &sample_timings(self.gemm));
        let (mut profile, how) = self.scaled(&donors, &found);
        let family = self.is_family(&profile);
        if !family {
            keep_shared_kernels(&mut profile, &donors);
            mix_experts(&mut profile, &found, self.sms());
        }
        let copied = self.copied(&mut profile);
        let links = self.links(&mut profile, others);
        let wider = if family && !found.is_empty() {
            Inflation::SAME_ARCHITECTURE
        } else {
            Inflation::OTHER_ARCHITECTURE
        };
        mark_transferred(&mut profile, wider);
        let mut rule = format!("unknown device: predicted as {} with {how}{copied}", profile.name);
        let products = self.products(others);
        if products.name != profile.name {
            rule.push_str(&format!(", GEMMs as {}", products.name));
            profile.gemm = products.gemm;
        }
        rule.push_str(&format!(
            "; {links}; intervals x {}, of experts x {}, of links x {}",
            wider.kernels, wider.experts, wider.links
        ));
        (profile, rule)
    }

    /// The profile of a known chip with other links, and how in words.
    fn other_links(&self, chip: &Profile, others: &[Profile]) -> (Profile, String) {
        let mut profile = chip.clone();
        for family in profile.experts.values_mut() {
            let sheet = self.sheet.map_or("", |sheet| sheet.name);
            family.prior.tiles = family.prior.tiles.on_sheet(sheet);
        }
        let copied = self.copied(&mut profile);
        let links = self.links(&mut profile, others);
        mark_transferred(&mut profile, Inflation::SAME_CHIP);
        let rule = format!(
            "unknown device: predicted as {}, the same chip by the data sheets{copied}; {links}; intervals of \
             links x {}",
            chip.name,
            Inflation::SAME_CHIP.links
        );
        (profile, rule)
    }

    /// A profile of its GEMMs alone, whatever else it holds: devices whose experts were carried over know
    /// their GEMMs all the same. Without peaks to state shares of, the donor is that of its experts.
    ///
    /// # Panics
    /// If none of the others was itself measured.
    #[must_use]
    pub fn products(&self, others: &[Profile]) -> Profile {
        let own_products = |p: &&Profile| p.gemm.values().any(|family| family.evidence.rows > 0);
        let donors = match self.sheet {
            Some(_) => others.iter().filter(own_products).cloned().collect(),
            None => measured(others),
        };
        let found = by_nearness(&donors, self.peaks().as_ref(), &sample_timings(self.gemm));
        let (mut profile, _) = self.scaled(&donors, &found);
        let sister = self.is_family(&profile) && !found.is_empty();
        mark_transferred(
            &mut profile,
            if sister { Inflation::SAME_ARCHITECTURE } else { Inflation::OTHER_ARCHITECTURE },
        );
        profile
    }

    /// Whether the data sheet names this donor as of its own family.
    fn is_family(&self, donor: &Profile) -> bool {
        self.sheet.is_some_and(|sheet| sheet.nearest == Some(donor.name.as_str()))
    }

    /// Whether it is this donor's chip by the data sheet: the same multiprocessors, arithmetic and memory.
    fn is_chip_of(&self, donor: &Profile) -> bool {
        let untimed = self.gemm.is_empty() && self.is_family(donor);
        self.sheet
            .filter(|_| untimed)
            .is_some_and(|sheet| sheet.device().is_chip_of(&donor.data_sheet))
    }

    fn sms(&self) -> Option<u32> {
        self.sheet.map(|sheet| sheet.sms)
    }

    fn peaks(&self) -> Option<super::Device> {
        self.sheet.map(DataSheet::device)
    }

    fn peer_to_peer(&self) -> Option<bool> {
        self.sheet.map(|sheet| sheet.peer_to_peer)
    }

    /// The nearest donor at its factors, as shares of the data sheet's peaks, and how in words.
    fn scaled(&self, donors: &[Profile], found: &[Donor<'_>]) -> (Profile, String) {
        let (donor, scales, how) = match found.first() {
            Some(&Donor { profile, scales, left }) => {
                let Scales { launch, memory, compute } = scales;
                let how = format!(
                    "launches x {launch:.2}, memory x {memory:.2}, arithmetic x {compute:.2} by {} GEMM \
                     timings of its own (median error left {:.0} %)",
                    sample_timings(self.gemm).len(),
                    left * 100.0
                );
                (profile, scales, how)
            }
            None => self.unscaled(donors),
        };
        let mut profile = scaled_profile(donor, self.sms(), scales);
        if let Some(sheet) = self.sheet {
            rebase_to_peaks(&mut profile, sheet.device());
            if found.is_empty() {
                let of_each = |device: super::Device| {
                    device.peak_bf16.flops_per_sec() / f64::from(device.sms)
                };
                balanced(&mut profile, of_each(sheet.device()) / of_each(donor.data_sheet));
            }
            for family in profile.experts.values_mut() {
                family.prior.cache_bytes = sheet.cache_mb * 1e6;
                family.prior.tiles = family.prior.tiles.on_sheet(sheet.name);
            }
        }
        (profile, how)
    }

    /// Without any GEMM timing: the data sheet's ratios if there is one, else an H100.
    fn unscaled<'d>(&self, donors: &'d [Profile]) -> (&'d Profile, Scales, String) {
        let nearest = self.sheet.and_then(|sheet| sheet.nearest);
        let next = nearest.and_then(DataSheet::named).and_then(|sheet| sheet.nearest);
        let wanted = [nearest, next, Some("h100-sxm")].into_iter().flatten();
        let find = |name: &str| donors.iter().find(|donor| donor.name == name);
        let donor = wanted.filter_map(find).next().unwrap_or(&donors[0]);
        let Some(sheet) = self.sheet else {
            return (donor, Scales::NONE, "nothing of its own known".to_owned());
        };
        let scales = Scales::of_peaks(&sheet.device(), &donor.data_sheet);
        (donor, scales, "its data sheet's peaks alone".to_owned())
    }

    /// Large copies within the device say what kernels that only move memory reach: a byte is read and
    /// written. What was done, in words.
    fn copied(&self, profile: &mut Profile) -> String {
        let launch = profile.memory.launch.secs();
        let rate = |copy: &CopyRow| 2.0 * copy.bytes as f64 / (copy.seconds - launch).max(1e-9);
        let Some(rate) = self.median_of(Between::Memory, rate) else { return String::new() };
        profile.memory.efficiency = rate / profile.data_sheet.memory_bandwidth.bytes_per_sec();
        format!(", {:.0} GB/s by its own copies", rate / 1e9)
    }

    fn median_of(&self, between: Between, rate: impl Fn(&CopyRow) -> f64) -> Option<f64> {
        let large = |copy: &&CopyRow| copy.between == between && copy.bytes >= LARGE_COPY;
        let rates: Vec<f64> = self.copies.iter().filter(large).map(rate).collect();
        quantile(&rates, 0.5, Rule::Lower)
    }

    /// Links of the known device of its own family, else of that whose data-sheet link is nearest, at the ratio
    /// of the peaks; and exchanges that the donor was not measured in, each at its own device's ratio.
    fn links(&self, profile: &mut Profile, others: &[Profile]) -> String {
        let copied = self.median_of(Between::Gpus, |copy| copy.bytes as f64 / copy.seconds);
        let printed = self.sheet.map(|sheet| sheet.scale_up_gb_per_s * 1e9);
        let peak = copied.map(|rate| rate / COPY_SHARE).or(printed);
        carry_exchanges(profile, others, peak);
        let Some(peak) = peak else { return format!("links of {}", profile.name) };
        let apart = |p: &&Profile| {
            (p.scale_up.map_or(f64::NAN, Bandwidth::bytes_per_sec) / peak).ln().abs()
        };
        // GPUs that reach each other directly tell nothing of those that share the host, nor these of them.
        let strange = |p: &&Profile| {
            let shares = |fit: &CollectiveFit| Some(fit.peer_to_peer) != self.peer_to_peer();
            self.peer_to_peer().is_some() && p.collectives.values().any(shares)
        };
        let measured =
            || others.iter().filter(|p| p.collectives.values().any(|fit| fit.evidence.rows > 0));
        let family = measured().find(|p| self.is_family(p) && apart(p) < SAME_KIND_OF_LINK.ln());
        let nearer = |a: &&Profile, b: &&Profile| {
            strange(a).cmp(&strange(b)).then(apart(a).total_cmp(&apart(b)))
        };
        if let Some(nearest) = family.or_else(|| measured().min_by(nearer)) {
            profile.collectives.clone_from(&nearest.collectives);
            profile.pair_bandwidth = nearest.pair_bandwidth;
            profile.scale_up = nearest.scale_up;
            rescale_collectives(profile, Bandwidth::from_bytes_per_sec(peak));
            let by = if copied.is_some() { "its own copies" } else { "the data sheets" };
            return format!("links of {} at the ratio of {by}", nearest.name);
        }
        format!("links of {}", profile.name)
    }
}

/// A profile that itself was carried over is no donor.
fn measured(others: &[Profile]) -> Vec<Profile> {
    let own = |p: &&Profile| p.experts.values().any(|family| family.evidence.rows > 0);
    others.iter().filter(own).cloned().collect()
}

/// A kernel that only one known device has is its architecture's own; one that several have may be
/// anywhere.
fn keep_shared_kernels(profile: &mut Profile, donors: &[Profile]) {
    let shared = |key: &(String, Precision)| {
        donors.iter().filter(|donor| donor.experts.contains_key(key)).count() > 1
    };
    if profile.experts.keys().any(shared) {
        profile.experts.retain(|key, _| shared(key));
    }
}

/// Evidence of what was carried over and not measured: intervals this many times as wide.
fn mark_transferred(profile: &mut Profile, inflation: Inflation) {
    let by = |evidence: &mut Evidence, factor: f64| {
        if evidence.transferred_from().is_none() {
            evidence.fitted_on.push_str(TRANSFERRED);
        }
        evidence.rows = 0;
        (evidence.prior, evidence.held_out) = (None, None);
        evidence.log_error_p90 = evidence.log_error_p90.map(|width| width * factor);
        evidence.log_errors = evidence.log_errors.as_ref().map(|law| law.widened(factor));
    };
    let Inflation { kernels, experts, links } = inflation;
    profile.gemm.values_mut().for_each(|family| by(&mut family.evidence, kernels));
    profile.experts.values_mut().for_each(|family| {
        // Distances are to shapes measured elsewhere: they say how far off a shape is, not a device.
        if experts > 1.0 {
            family.prior.interval = None;
        }
        by(&mut family.evidence, experts);
    });
    by(&mut profile.memory.evidence, kernels);
    let wider = |evidence: &mut Evidence| by(evidence, links);
    for fit in profile.collectives.values_mut() {
        wider(&mut fit.evidence);
        fit.unseen_gpus.as_mut().map(wider);
    }
    for fit in profile.exchanges.values_mut() {
        wider(&mut fit.evidence);
        fit.one_node.as_mut().map(wider);
        fit.unseen_groups.as_mut().map(wider);
    }
}
