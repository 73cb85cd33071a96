//! Which profile predicts a file, and by what rule.
//!
//! A device that calibration knows is predicted by its profile. A *stranger*, a device that it does
//! not know (or one left out on purpose), is predicted as the nearest known one, scaled by a handful
//! of the stranger's own GEMM timings where its GEMM table lies in the folder
//! ([`crate::kernel::transfer`]): three dozen at most, whatever the table holds. No row has a say in
//! its own prediction: rows of the GEMM table itself are predicted from timings of other parts of
//! the (N, K) than their own, and rows of other tables never see their table at all.

use std::path::Path;

use super::LeaveOut;
use super::judge::{PARTS, part};
use crate::config::{Mistake, built_in_profile, built_in_profiles};
use crate::devices::DataSheet;
use crate::kernel::transfer::{Scales, carried, handful, nearest, relink, widen};
use crate::measurements::GemmRow;
use crate::profile::Profile;
use crate::table::Table;

/// Intervals of a stranger are so much wider than the donor's own of shapes left out: about what makes
/// nine in ten rows of devices left out in turn lie in theirs.
const STRANGER: f64 = 3.0;
/// The same for its links, of which nothing of its own is known.
const STRANGERS_LINKS: f64 = 5.0;
/// The same for a device of the donor's own family by the data sheets.
const SISTER: f64 = 1.5;

/// What predicts a file.
pub(super) struct Predictor {
    profile: Profile,
    /// For a stranger's own GEMM table: the profile for each part of the (N, K).
    parts: Vec<Profile>,
    /// How rows that were not measured are predicted.
    pub(super) rule: String,
    /// Whether the device is one that calibration knows.
    pub(super) known: bool,
}

impl Predictor {
    /// The predictor of the file of this name in a folder.
    pub(super) fn of(dir: &Path, stem: &str, out: Option<LeaveOut>) -> Result<Self, Mistake> {
        let sheet = DataSheet::of_file(stem);
        match sheet.filter(|sheet| sheet.has_profile() && out != Some(LeaveOut::Gpu)) {
            Some(sheet) => Ok(Self {
                profile: built_in_profile(sheet.name)?,
                parts: Vec::new(),
                rule:
                    "unmeasured shapes: prior times kriged residual of measured shapes; unmeasured \
                       numbers of groups: between those of the nearest ones"
                        .to_owned(),
                known: true,
            }),
            None => Self::stranger(dir, stem, sheet),
        }
    }

    /// The profile for all but a stranger's GEMM.
    pub(super) const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The profile for a GEMM of this (N, K).
    pub(super) fn of_gemm(&self, n: u32, k: u32) -> &Profile {
        self.parts.get(part(n, k) as usize).unwrap_or(&self.profile)
    }

    fn stranger(
        dir: &Path,
        stem: &str,
        sheet: Option<&'static DataSheet>,
    ) -> Result<Self, Mistake> {
        let others = others(sheet)?;
        let timings = timings(dir, stem);
        let build = |timings: &[GemmRow]| profile_of(&others, sheet, timings);
        let (profile, rule) = build(&handful(&timings));
        let own_table = stem.starts_with("gemm_");
        let parts = (0..if own_table { PARTS } else { 0 }).map(|left_out| {
            let elsewhere: Vec<GemmRow> =
                timings.iter().filter(|row| part(row.n, row.k) != left_out).copied().collect();
            build(&handful(&elsewhere)).0
        });
        Ok(Self { parts: parts.collect(), profile, rule, known: false })
    }
}

/// All built-in profiles but that of the device itself.
fn others(sheet: Option<&DataSheet>) -> Result<Vec<Profile>, Mistake> {
    let other = |name: &str| sheet.is_none_or(|sheet| sheet.name != name);
    built_in_profiles()
        .iter()
        .map(|p| p.name)
        .filter(|name| other(name))
        .map(built_in_profile)
        .collect()
}

/// The rows of the stranger's GEMM table, if it lies in the folder; its own report says what is wrong
/// with it if it cannot be read.
fn timings(dir: &Path, stem: &str) -> Vec<GemmRow> {
    let table = Table::read(&dir.join(format!("gemm_{}.parquet", device_of(stem))));
    let rows = table.ok().and_then(|table| GemmRow::of(&table).ok());
    rows.map(|rows| rows.rows.into_iter().map(|(_, row)| row).collect()).unwrap_or_default()
}

/// The device that a file's name ends in.
pub(super) fn device_of(stem: &str) -> &str {
    const KINDS: [&str; 8] = [
        "gemm_",
        "moe_",
        "nccl_",
        "deepep_normal_1node_",
        "deepep_normal_multinode_",
        "deepep_ll_1node_",
        "deepep_ll_multinode_",
        "alltoall_nvl72_",
    ];
    KINDS.iter().find_map(|kind| stem.strip_prefix(kind)).unwrap_or(stem)
}

/// The stranger's profile and how it came about.
fn profile_of(
    others: &[Profile],
    sheet: Option<&'static DataSheet>,
    timings: &[GemmRow],
) -> (Profile, String) {
    // A profile that itself was carried over is no donor.
    let own = |p: &&Profile| p.experts.values().any(|family| family.evidence.rows > 0);
    let donors: Vec<Profile> = others.iter().filter(own).cloned().collect();
    let sms = sheet.map(|sheet| sheet.sms);
    let (donor, scales, how) = match nearest(&donors, sms, timings) {
        Some((donor, scales, left)) => {
            let Scales { launch, memory, compute } = scales;
            let how = format!(
                "launches x {launch:.2}, memory x {memory:.2}, arithmetic x {compute:.2} by {} GEMM \
                 timings of its own (median error left {:.0} %)",
                timings.len(),
                left * 100.0
            );
            (donor, scales, how)
        }
        None => unscaled(&donors, sheet),
    };
    let mut profile = carried(donor, sms, scales);
    let links = links(&mut profile, others, sheet);
    let sister = sheet.is_some_and(|sheet| sheet.nearest == Some(donor.name.as_str()));
    let (kernels, exchanges) = if sister { (SISTER, SISTER) } else { (STRANGER, STRANGERS_LINKS) };
    widen(&mut profile, kernels, exchanges);
    let rule = format!(
        "unknown device: predicted as {} with {how}; {links}; intervals x {kernels}, of links x \
         {exchanges}",
        donor.name
    );
    (profile, rule)
}

/// Without any timing: the data sheet's ratios if there is one, else an H100.
fn unscaled<'d>(donors: &'d [Profile], sheet: Option<&DataSheet>) -> (&'d Profile, Scales, String) {
    let wanted = sheet.and_then(|sheet| sheet.nearest).unwrap_or("h100-sxm");
    let donor = donors.iter().find(|donor| donor.name == wanted).unwrap_or(&donors[0]);
    let Some(sheet) = sheet else {
        return (donor, Scales::NONE, "nothing of its own known".to_owned());
    };
    let (own, other) = (sheet.device(), donor.data_sheet);
    let scales = Scales {
        launch: 1.0,
        memory: own.memory_bandwidth.bytes_per_sec() / other.memory_bandwidth.bytes_per_sec(),
        compute: own.peak_bf16.flops_per_sec() / other.peak_bf16.flops_per_sec(),
    };
    (donor, scales, "its data sheet's peaks alone".to_owned())
}

/// Links of the known device whose data-sheet link is nearest, at the ratio of the data sheets, and
/// exchanges that the donor was not measured in.
fn links(profile: &mut Profile, others: &[Profile], sheet: Option<&DataSheet>) -> String {
    // What was carried over to a profile may come from the very device that is left out.
    profile.exchanges.retain(|_, fit| fit.evidence.rows > 0);
    for other in others {
        for (name, fit) in other.exchanges.iter().filter(|(_, fit)| fit.evidence.rows > 0) {
            profile.exchanges.entry(name.clone()).or_insert_with(|| fit.clone());
        }
    }
    let Some(sheet) = sheet else { return format!("links of {}", profile.name) };
    let apart = |p: &&Profile| {
        let peak = p.scale_up.map_or(f64::NAN, |peak| peak.bytes_per_sec() / 1e9);
        (peak / sheet.scale_up_gb_per_s).ln().abs()
    };
    let measured =
        others.iter().filter(|p| p.collectives.values().any(|fit| fit.evidence.rows > 0));
    let Some(nearest) = measured.min_by(|a, b| apart(a).total_cmp(&apart(b))) else {
        return format!("links of {}", profile.name);
    };
    profile.collectives.clone_from(&nearest.collectives);
    profile.pair_bandwidth = nearest.pair_bandwidth;
    profile.scale_up = nearest.scale_up;
    relink(profile, Some(sheet));
    format!("links of {} at the ratio of the data sheets", nearest.name)
}
