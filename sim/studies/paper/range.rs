//! What overheads that fit the published rows about as well would give: the range of a prediction.

use crate::base::threads::in_parallel;
use crate::config::Scenario;
use crate::execution::Scope;
use crate::execution::outcome::TooLong;
use crate::studies::paper::parts::Parts;
use crate::studies::study::Row;
use crate::workload::Workload;

/// From the least to the most over structures and micro-batches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Allowed {
    /// Expert forward time, in milliseconds.
    pub time_ms: [f64; 2],
    /// `t_vanilla / t − 1`, in percent; none for vanilla.
    pub increase_percent: Option<[f64; 2]>,
    /// Whether no fitted row has this model's hidden size.
    pub extrapolated: bool,
}

/// What the scenario's overheads allow each row, each case's vanilla before its MoE++ rows; none where they have no
/// alternatives, or more than experts is counted.
///
/// # Errors
/// If a run exceeds representable time.
pub fn allowed(
    scenario: &Scenario,
    rows: &[Row],
    threads: usize,
) -> Result<Vec<Option<Allowed>>, TooLong> {
    let fitted = &scenario.fitted_overheads;
    if scenario.counted != Scope::Experts || fitted.alternatives.is_empty() {
        return Ok(vec![None; rows.len()]);
    }
    // One draw of calibration error would move all of the range; and parts are learnt from few micro-batches as it is.
    let certain = Scenario { calibration_uncertainty: false, precision: None, ..scenario.clone() };
    let mut tokens: Vec<u32> = fitted.alternatives.iter().map(|(tokens, _)| *tokens).collect();
    tokens.sort_unstable();
    tokens.dedup();
    let jobs = rows.len() * tokens.len();
    let parts = in_parallel(jobs, threads, |job| {
        let workload = &rows[job / tokens.len()].workload;
        Parts::of(&certain, workload, Some(tokens[job % tokens.len()]))
    });
    let parts: Vec<Option<Parts>> = parts.into_iter().collect::<Result<_, _>>()?;
    let time_under = |row: usize, (at, overheads): &(u32, _)| {
        let nth = tokens.binary_search(at).ok()?;
        parts[row * tokens.len() + nth].map(|parts| parts.time_ms(overheads))
    };
    let mut vanilla = 0;
    let ranges = rows.iter().enumerate().map(|(row, of)| {
        if !is_moepp(&of.workload) {
            vanilla = row;
        }
        let (mut time, mut increase) = (Spread::of(of.time_ms.mean), Spread::NONE);
        if let Some(own) = of.increase_percent.map(|increase| increase.mean) {
            increase.take(own);
        }
        for alternative in &fitted.alternatives {
            let Some(ms) = time_under(row, alternative) else { continue };
            time.take(ms);
            if let (true, Some(of_vanilla)) = (row != vanilla, time_under(vanilla, alternative)) {
                increase.take(100.0 * (of_vanilla / ms - 1.0));
            }
        }
        Some(Allowed {
            time_ms: time.0?,
            increase_percent: increase.0,
            extrapolated: !fitted.hidden.contains(&of.workload.model.hidden),
        })
    });
    Ok(ranges.collect())
}

fn is_moepp(workload: &Workload) -> bool {
    workload.model.experts.zero_computation.total() > 0
}

/// The least and the most of what was taken.
struct Spread(Option<[f64; 2]>);

impl Spread {
    const NONE: Self = Self(None);

    const fn of(value: f64) -> Self {
        Self(Some([value, value]))
    }

    fn take(&mut self, value: f64) {
        let [low, high] = self.0.unwrap_or([value, value]);
        self.0 = Some([low.min(value), high.max(value)]);
    }
}
