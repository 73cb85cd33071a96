//! Are predictions right? Every row of measured tables, predicted by the code simulations use.
//!
//! ```text
//!   DIR/*.parquet ─ kind and device by name ─ rows ─┬─ judge ──── predicted ─┐
//!                                                   └─ baseline ─ roofline ──┴─ summary
//! ```
//!
//! A row's error is `predicted / measured − 1`. A shape that the profile has not seen is
//! *extrapolated*, and the report says by what rule. With `--leave-out` every shape is predicted
//! as if it had never been measured (its residuals are withheld, and with them those of its whole
//! fold or model; the few constants stay): that is the accuracy to expect of new shapes, where the
//! plain report says how well the tables were learned.
//!
//! The baseline is what one knows without measuring: the data sheet's roofline
//! `max(operations/peak, bytes/bandwidth)` [williams09] for kernels, and `α + S/B` with the data
//! sheet's B and α = 10 us for links.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::Mistake;
use crate::devices::DataSheet;
use crate::kernel::exchange::Library;
use crate::profile::{Profile, Residual};
use crate::table::{Table, TableError};

mod baseline;
pub mod command;
mod judge;
mod plot;
mod summary;

pub use command::{Other, OtherJudge, ValidateArgs, ValidateError, run};

/// One prediction beside its measurement, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// The row of the table, from 0.
    pub row: usize,
    /// Predicted.
    pub predicted: f64,
    /// Measured.
    pub measured: f64,
    /// Predicted by the baseline.
    pub baseline: f64,
    /// Half-width of the 90 % interval, in logarithms.
    pub half_width: Option<f64>,
    /// Whether the shape was not among those measured.
    pub extrapolated: bool,
}

impl Judged {
    /// `predicted / measured − 1`.
    #[must_use]
    pub fn error(&self) -> f64 {
        self.predicted / self.measured - 1.0
    }
}

/// What was predicted of one table, and how far off.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// File name.
    pub file: String,
    /// The profile that predicted.
    pub profile: String,
    /// How rows that were not measured are predicted.
    pub rule: String,
    /// Every row that was predicted.
    pub judged: Vec<Judged>,
    /// How many rows were not, by reason.
    pub skipped: BTreeMap<&'static str, usize>,
}

impl Report {
    /// Robust statistics of the errors; none for no rows.
    #[must_use]
    pub fn residual(&self) -> Option<Residual> {
        summary::residual(&self.judged)
    }

    /// The share of rows whose measurement lies in its 90 % interval; none without intervals.
    #[must_use]
    pub fn coverage(&self) -> Option<f64> {
        summary::coverage(&self.judged)
    }
}

/// Predicts the rows of a table whose name says what it holds; none for a name not known.
///
/// # Errors
/// If the table cannot be read or is not of the schema its name promises.
pub fn judge(path: &Path, leave_out: bool) -> Result<Option<(Report, Table)>, Mistake> {
    let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let Some(kind) = Kind::of(&stem) else {
        return Ok(None);
    };
    let (profile, rule, known) = profile_for(&stem)?;
    let refused = |e: TableError| Mistake::of(e.table.clone(), column_and_found(&e), e.help);
    let table = Table::read(path).map_err(refused)?;
    let (mut judged, skipped) = judge::table(kind, &profile, &table, leave_out).map_err(refused)?;
    for row in judged.iter_mut().filter(|_| !known) {
        row.extrapolated = true;
        row.half_width = row.half_width.map(|width| width * STRANGER);
    }
    let file = path.file_name().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let report = Report { file, profile: profile.name.clone(), rule, judged, skipped };
    Ok(Some((report, table)))
}

fn column_and_found(error: &TableError) -> String {
    let column = error.column.as_ref().map(|c| format!("column `{c}`: ")).unwrap_or_default();
    format!("{column}{}", error.found)
}

/// What a table holds, by the first word of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Gemm,
    Experts,
    Collective,
    Exchange(Library),
}

impl Kind {
    fn of(stem: &str) -> Option<Self> {
        if stem.starts_with("deepep_normal_") {
            return Some(Self::Exchange(Library::DeepEpNormal));
        }
        if stem.starts_with("deepep_ll_") {
            return Some(Self::Exchange(Library::DeepEpLowLatency));
        }
        if stem.starts_with("alltoall_nvl72_") {
            return Some(Self::Exchange(Library::NvlinkDomain));
        }
        match stem.split_once('_')?.0 {
            "gemm" => Some(Self::Gemm),
            "moe" => Some(Self::Experts),
            "nccl" => Some(Self::Collective),
            _ => None,
        }
    }
}

/// Intervals are so much wider for a device that nothing is known of.
const STRANGER: f64 = 3.0;

/// The profile that predicts a file, the rule by which it does, and whether it is of the device.
fn profile_for(stem: &str) -> Result<(Profile, String, bool), Mistake> {
    if let Some(sheet) = DataSheet::of_file(stem) {
        let profile = crate::config::built_in_profile(sheet.name)?;
        let rule = "unmeasured shapes: prior times kriged residual of measured shapes; unmeasured \
                    numbers of groups: constants by their logarithm";
        return Ok((profile, rule.to_owned(), true));
    }
    let profile = crate::config::built_in_profile("h100-sxm")?;
    let rule = "unknown device: predicted as an H100, whose data sheet and profile stand in";
    Ok((profile, rule.to_owned(), false))
}
