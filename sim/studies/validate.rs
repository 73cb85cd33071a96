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
//! plain report says how well the tables were learned, and its first line that this is no prediction. `--leave-out=groups` withholds numbers of GPUs
//! and groups, `--leave-out=gpu` all that is known of a device but a few dozen of its GEMM timings.
//! A row of a table counts once, also where it holds two timings (a dispatch and a combine).
//!
//! The baseline is what one knows without measuring: the data sheet's roofline
//! `max(operations/peak, bytes/bandwidth)` [williams09] for kernels, and `α + S/B` with the data
//! sheet's B and α = 10 us for links.

use std::collections::BTreeMap;
use std::path::Path;

use crate::base::choice::Choice;
use crate::base::table::Table;
use crate::config::Diagnostic;
use crate::kernels::exchange::Library;
use crate::kernels::profile::Residual;
use predictor::Predictor;

mod baseline;
mod judge;
mod predictor;
pub mod summary;
pub mod systems;

/// One prediction beside its measurement, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// The row of the table, from 0.
    pub row: usize,
    /// Predicted.
    pub predicted: f64,
    /// Measured.
    pub measured: f64,
    /// Predicted by the baseline; none where the profile lacks what it is reckoned from.
    pub baseline: Option<f64>,
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
    /// Of fused experts the share of each model's rows that lie in their intervals: models are what is exchangeable,
    /// their rows are not.
    pub by_model: Vec<(String, f64)>,
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

/// What is left out of what predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveOut {
    /// Each row's shape, with its whole fold or model; where a kind of exchange has one shape alone,
    /// its number of groups.
    Shape,
    /// All experts of few local experts, when a row is of few; other rows are not judged.
    FewExperts,
    /// Each row's number of GPUs or groups.
    Groups,
    /// The file's whole device.
    Gpu,
}

impl Choice for LeaveOut {
    const ALL: &'static [Self] = &[Self::Shape, Self::FewExperts, Self::Groups, Self::Gpu];

    fn word(self) -> &'static str {
        match self {
            Self::Shape => "shape",
            Self::FewExperts => "few-experts",
            Self::Groups => "groups",
            Self::Gpu => "gpu",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::Shape => {
                "Each row's shape, with its whole fold or model; where a kind of exchange has one shape alone, its number of groups"
            }
            Self::FewExperts => {
                "All that was measured of up to 16 local experts, when experts of that kind are judged; no other rows are"
            }
            Self::Groups => "Each row's number of GPUs or groups",
            Self::Gpu => "The file's whole device",
        }
    }
}

/// Predicts the rows of a table whose name says what it holds; none for a name not known.
///
/// Fused experts of several ranks (ep > 1) have a report of their own after the first: how their
/// tables were collected differs from one device to the next, and no fit has seen them.
///
/// # Errors
/// If the table cannot be read or is not of the schema its name promises.
pub fn judge(
    path: &Path,
    out: Option<LeaveOut>,
) -> Result<Option<(Vec<Report>, Table)>, Diagnostic> {
    let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let Some(kind) = Kind::of(&stem) else {
        return Ok(None);
    };
    if out == Some(LeaveOut::FewExperts) && kind != Kind::Experts {
        return Ok(None);
    }
    let table = Table::read(path)?;
    let dir = path.parent().unwrap_or_else(|| Path::new(""));
    let predictor = Predictor::of(dir, &stem, out)?;
    let (mut judged, skipped) = judge::table(kind, &predictor, &table, out)?;
    for row in judged.iter_mut().filter(|_| !predictor.known) {
        row.extrapolated = true;
    }
    let file = path.file_name().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let profile = predictor.profile().name.clone();
    let by_model = Vec::new();
    let report = Report { file, profile, rule: predictor.rule, judged, skipped, by_model };
    let mut reports = vec![report];
    if kind == Kind::Experts {
        reports = reports.into_iter().flat_map(|report| by_ranks(report, &table)).collect();
        for report in &mut reports {
            report.by_model = summary::coverage_by_model(&report.judged, &table);
        }
    }
    Ok(Some((reports, table)))
}

/// The report of one rank's rows, and that of several ranks' where there are any.
fn by_ranks(all: Report, table: &Table) -> Vec<Report> {
    let ranks = table.integers("ep").unwrap_or_default();
    let several = |j: &Judged| ranks.get(j.row).copied().flatten().is_some_and(|ep| ep > 1);
    let (apart, judged): (Vec<Judged>, Vec<Judged>) = all.judged.iter().partition(|j| several(j));
    let file = format!("{}, ep > 1", all.file);
    let second = Report { file, judged: apart, skipped: BTreeMap::new(), ..all.clone() };
    let first = Report { judged, ..all };
    if second.judged.is_empty() { vec![first] } else { vec![first, second] }
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
