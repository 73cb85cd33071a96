//! The result of `moesim goodput`: what failures leave of a training run's throughput.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shared::made_by::MadeBy;
use super::shared::setting::{Setting, write_settings};
use super::shared::table::{Column, Table, elided};
use super::shared::value::{digits, spoken};
use super::shared::wrapped::wrapped;
use crate::base::statistics::{Estimate, mean};
use crate::execution::outcome::Outcome;
use crate::studies::goodput::{Failures, GPU_MTBF_HOURS};

/// What failures leave of throughput.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GoodputResult {
    /// How it was made.
    #[serde(default)]
    pub made_by: MadeBy,
    /// The cluster.
    pub cluster: String,
    /// GPUs that are used, and may fail.
    pub gpus: u32,
    /// Mean time between failures of one GPU, in hours.
    pub gpu_mtbf_hours: f64,
    /// Mean time between failures of all that are used, in seconds.
    pub mean_between_failures_s: f64,
    /// A checkpoint, in seconds.
    pub checkpoint_s: f64,
    /// A restart, in seconds.
    pub restart_s: f64,
    /// Days that were drawn, one after another.
    pub days: usize,
    /// Vanilla and MoE++, or one of them.
    pub runs: Vec<GoodputRun>,
    /// What was taken.
    pub setting: Setting,
}

/// One workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GoodputRun {
    /// The workload.
    pub workload: String,
    /// Its τ.
    pub tau: Option<f64>,
    /// A step, mean over seeds, in milliseconds.
    pub step_ms: f64,
    /// Tokens per second without failures, mean over seeds.
    pub tokens_per_s: f64,
    /// Steps between two checkpoints.
    pub steps_between_checkpoints: u64,
    /// The same in seconds.
    pub interval_s: f64,
    /// Whether the interval is the best one.
    pub best_interval: bool,
    /// Share of time that becomes work that is kept, in closed form.
    pub share: f64,
    /// The same, mean over the days drawn, and half of its 95 % interval.
    pub drawn_share: [Option<f64>; 2],
    /// The mean of the worst tenth of the days.
    pub worst_tenth_share: f64,
    /// Tokens per second that are kept.
    pub goodput_tokens_per_s: f64,
}

impl GoodputRun {
    /// Of the outcomes of a workload under every seed, and days of failures.
    #[must_use]
    pub fn of(
        (workload, tau): (&str, Option<f64>),
        outcomes: &[Outcome],
        (failures, interval_s, best): (&Failures, f64, bool),
        days: &[f64],
    ) -> Self {
        let over = |value: fn(&Outcome) -> f64| {
            Estimate::of(&outcomes.iter().map(value).collect::<Vec<_>>()).mean
        };
        let (step_s, tokens_per_s) = (over(Outcome::counted_secs), over(Outcome::tokens_per_sec));
        let drawn = Estimate::of(days);
        let share = failures.share(interval_s);
        Self {
            workload: workload.to_owned(),
            tau,
            step_ms: 1e3 * step_s,
            tokens_per_s,
            steps_between_checkpoints: (interval_s / step_s).round() as u64,
            interval_s,
            best_interval: best,
            share,
            drawn_share: [Some(drawn.mean), drawn.half_width],
            worst_tenth_share: worst_tenth(days),
            goodput_tokens_per_s: share * tokens_per_s,
        }
    }
}

impl GoodputResult {
    /// What failures leave of each workload's throughput, in a sentence each.
    #[must_use]
    pub fn answer(&self) -> Vec<String> {
        self.runs.iter().rev().map(|run| self.answer_of(run)).collect()
    }

    fn answer_of(&self, run: &GoodputRun) -> String {
        format!(
            "{} on {}: of {} tokens/s failures leave {}, {:.1} %.",
            spoken(&run.workload, run.tau),
            self.cluster,
            digits(run.tokens_per_s),
            digits(run.goodput_tokens_per_s),
            100.0 * run.share
        )
    }

    /// The answer, then a table.
    ///
    /// # Errors
    /// If `out` cannot be written to.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Some(last) = self.runs.last() else { return Ok(()) };
        wrapped(out, "", &self.answer_of(last))?;
        // The default is said to be one.
        let published = match self.gpu_mtbf_hours == GPU_MTBF_HOURS {
            true => " as published of 16,384 H100 [llama3]",
            false => "",
        };
        let failures = format!(
            "One of {} GPUs fails every {} h, one in {} h of a GPU{published}; a checkpoint takes {} s, a restart {} s.",
            self.gpus,
            digits(self.mean_between_failures_s / 3600.0),
            digits(self.gpu_mtbf_hours),
            digits(self.checkpoint_s),
            digits(self.restart_s)
        );
        wrapped(out, "", &failures)?;
        self.write_runs(out)?;
        let best = if last.best_interval {
            ", the best interval [daly06]"
        } else {
            ", as was asked, in whole steps"
        };
        let what = format!(
            "tokens/s: those that are kept; checkpoint: after this long{best}; days drawn: mean of {} days and its 95 % \
             interval; worst: mean of the worst tenth of them",
            self.days
        );
        wrapped(out, "", &what)?;
        self.setting.write_counted(out)?;
        write_settings(out, std::slice::from_ref(&self.setting))
    }

    fn write_runs(&self, out: &mut dyn Write) -> io::Result<()> {
        let figures = [9, 11, 11, 7, 13, 7].map(Column::right);
        let mut table = Table::of(std::iter::once(Column::left(20)).chain(figures));
        table.row(["", "step ms", "tokens/s", "checkpoint", "kept %", "days drawn", "worst"]);
        for run in &self.runs {
            let percent = |share: f64| format!("{:.1}", 100.0 * share);
            let [mean, half] = run.drawn_share.map(|share| share.map(|share| 100.0 * share));
            let half = half.map_or_else(String::new, |half| format!(" ± {half:.1}"));
            table.row([
                elided(&named(run), 22),
                digits(run.step_ms),
                digits(run.goodput_tokens_per_s),
                format!("{:.1} min", run.interval_s / 60.0),
                percent(run.share),
                format!("{:.1}{half}", mean.unwrap_or_default()),
                percent(run.worst_tenth_share),
            ]);
        }
        writeln!(out)?;
        table.write(out)?;
        writeln!(out)
    }
}

/// A workload with its τ, in short.
fn named(run: &GoodputRun) -> String {
    run.tau.map_or_else(|| run.workload.clone(), |tau| format!("{} τ={tau}", run.workload))
}

/// The mean of the lowest tenth of some shares, of one at least.
fn worst_tenth(days: &[f64]) -> f64 {
    let mut sorted = days.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.truncate(days.len().div_ceil(10).max(1));
    mean(&sorted)
}
