//! How much of the runs was simulated where a precision was asked for, and what that reached.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::wrapped::wrapped;
use crate::base::statistics::COVERAGE;
use crate::studies::study::Reached;

/// How much of the runs of a workload was simulated, and how precise the mean of their time is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sampled {
    /// The precision that was asked for: half the width of the interval, in percent of the mean time over seeds.
    pub asked_percent: f64,
    /// The precision that was reached; zero where all was simulated.
    pub reached_percent: f64,
    /// Half the width of the interval of the gain, in percent as the gain is; none for vanilla.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain_reached_percent: Option<f64>,
    /// Units of the runs that were simulated.
    pub simulated: u64,
    /// Units that the runs have.
    pub of: u64,
    /// What a unit is: a whole micro-batch, a layer of a micro-batch, or a run where all are whole.
    pub unit: String,
    /// How the whole follows from the sample.
    pub estimator: String,
}

/// How the whole follows from a sample, in words.
const ESTIMATOR: &str = "units drawn at random without replacement, the first stands for itself; Student's interval of a finite \
                         population, looks at it corrected for";
/// The same of runs that are whole.
const WHOLE: &str = "none: all was simulated";

impl From<Reached> for Sampled {
    fn from(reached: Reached) -> Self {
        let whole = reached.simulated == reached.units;
        let unit = match (whole, reached.of_layers) {
            (true, _) => "run",
            (false, true) => "layer of a micro-batch",
            (false, false) => "micro-batch",
        };
        Self {
            asked_percent: reached.asked_percent,
            reached_percent: reached.time_percent,
            gain_reached_percent: reached.gain_percent,
            simulated: reached.simulated,
            of: reached.units,
            unit: unit.to_owned(),
            estimator: if whole { WHOLE } else { ESTIMATOR }.to_owned(),
        }
    }
}

/// What was simulated of all rows together, and the widest interval that one of them reached; nothing where no precision
/// was asked for.
pub(in crate::output) fn write_sampled_sum<'a>(
    out: &mut dyn Write,
    rows: impl Iterator<Item = (String, Option<&'a Sampled>)>,
) -> io::Result<()> {
    let rows: Vec<(String, &Sampled)> =
        rows.filter_map(|(row, sampled)| Some((row, sampled?))).collect();
    let widest = rows.iter().max_by(|a, b| a.1.reached_percent.total_cmp(&b.1.reached_percent));
    let Some((name, Sampled { asked_percent: asked, reached_percent, .. })) = widest else {
        return Ok(());
    };
    let sampled = rows.iter().filter(|(_, of)| of.simulated < of.of);
    let counts = sampled.fold([0; 3], |[rows, simulated, of], (_, one)| {
        [rows + 1, simulated + one.simulated, of + one.of]
    });
    let said = match counts {
        [0, ..] => {
            format!("precision asked: ±{asked} %; no run was sampled, all of each was simulated")
        }
        [some, simulated, of] => format!(
            "precision asked: ±{asked} % of the mean over seeds, {}% interval; of {} candidates {some} were sampled, \
             {simulated} of {of} units simulated; the widest interval is ±{reached_percent:.2} % ({name})",
            COVERAGE * 100.0,
            rows.len()
        ),
    };
    wrapped(out, "", &said)
}

/// What was simulated of each row and what it reached; nothing where no precision was asked for.
pub(in crate::output) fn write_sampled<'a>(
    out: &mut dyn Write,
    rows: impl Iterator<Item = (&'a str, &'a Sampled)>,
) -> io::Result<()> {
    let (mut last, mut all_whole) = (None, true);
    for (row, sampled) in rows {
        let Sampled { simulated, of, unit, reached_percent: reached, .. } = sampled;
        let gain = sampled.gain_reached_percent;
        let gain = gain.filter(|gain| *gain > 0.0 || simulated < of);
        let gain = gain.map_or_else(String::new, |gain| format!(", gain ±{gain:.2} points"));
        let said = match simulated == of {
            true => format!("{row}: simulated whole{gain}"),
            false => {
                format!("{row}: {simulated} of {of} ({unit}), time ±{reached:.2} %{gain}")
            }
        };
        wrapped(out, "", &said)?;
        all_whole &= simulated == of;
        last = Some(sampled);
    }
    let Some(last) = last else { return Ok(()) };
    let asked = last.asked_percent;
    if all_whole {
        wrapped(
            out,
            "",
            &format!("precision asked: ±{asked} %; no run was sampled, all of each was simulated"),
        )?;
        return writeln!(out);
    }
    wrapped(
        out,
        "",
        &format!(
            "precision asked: ±{asked} % of the mean over seeds, {}% interval; {ESTIMATOR}. Exact: --precision exact.",
            COVERAGE * 100.0
        ),
    )?;
    writeln!(out)
}
