//! Which profile predicts a file, and by what rule.
//!
//! A device that calibration knows is predicted by its profile. An *unmeasured device*, a device that it does
//! not know (or one left out on purpose), is predicted as the nearest known one, scaled by a handful
//! of the unmeasured device's own GEMM timings where its GEMM table lies in the folder
//! ([`crate::kernels::unmeasured`]): three dozen at most, whatever the table holds. No row has a say in
//! its own prediction: rows of the GEMM table itself are predicted from timings of other parts of
//! the (N, K) than their own, and rows of other tables never see their table at all.

use std::path::Path;

use super::LeaveOut;
use crate::base::hashes::scatter_part;
use crate::base::table::Table;
use crate::config::{Diagnostic, built_in_profile, built_in_profiles};
use crate::kernels::devices::DataSheet;
use crate::kernels::exchange::RANKS_OF_NODE;
use crate::kernels::measurements::GemmRow;
use crate::kernels::profile::Profile;
use crate::kernels::unmeasured::UnmeasuredDevice;

/// What predicts a file.
pub(super) struct Predictor {
    profile: Profile,
    /// For an unmeasured device's own GEMM table: the profile for each part of the (N, K).
    parts: Vec<Profile>,
    /// How rows that were not measured are predicted.
    pub(super) rule: String,
    /// Whether the device is one that calibration knows.
    pub(super) known: bool,
    /// GPUs of one node.
    pub(super) ranks: u32,
}

impl Predictor {
    /// The predictor of the file of this name in a folder.
    pub(super) fn of(dir: &Path, stem: &str, out: Option<LeaveOut>) -> Result<Self, Diagnostic> {
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
                ranks: sheet.gpus_per_node(),
            }),
            None => Self::unmeasured(dir, stem, sheet),
        }
    }

    /// The profile for all but an unmeasured device's GEMM.
    pub(super) const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The profile for a GEMM of this (N, K).
    pub(super) fn of_gemm(&self, n: u32, k: u32) -> &Profile {
        self.parts.get(part(n, k) as usize).unwrap_or(&self.profile)
    }

    fn unmeasured(
        dir: &Path,
        stem: &str,
        sheet: Option<&'static DataSheet>,
    ) -> Result<Self, Diagnostic> {
        let others = others(sheet)?;
        let timings = timings(dir, stem);
        let (profile, rule) =
            UnmeasuredDevice { sheet, gemm: &timings, copies: &[] }.profile(&others);
        let own_table = stem.starts_with("gemm_");
        let parts = (0..if own_table { PARTS } else { 0 }).map(|left_out| {
            let elsewhere: Vec<GemmRow> =
                timings.iter().filter(|row| part(row.n, row.k) != left_out).copied().collect();
            UnmeasuredDevice { sheet, gemm: &elsewhere, copies: &[] }.products(&others)
        });
        let ranks = sheet.map_or(RANKS_OF_NODE, DataSheet::gpus_per_node);
        Ok(Self { parts: parts.collect(), profile, rule, known: false, ranks })
    }
}

/// Parts that (N, K) are divided into.
const PARTS: u32 = 6;

/// The part that a shape belongs to.
const fn part(n: u32, k: u32) -> u32 {
    scatter_part(n, k, PARTS)
}

/// All built-in profiles but that of the device itself.
fn others(sheet: Option<&DataSheet>) -> Result<Vec<Profile>, Diagnostic> {
    let other = |name: &str| sheet.is_none_or(|sheet| sheet.name != name);
    built_in_profiles()
        .iter()
        .map(|p| p.name)
        .filter(|name| other(name))
        .map(built_in_profile)
        .collect()
}

/// The rows of the unmeasured device's GEMM table, if it lies in the folder; its own report says what is wrong
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
