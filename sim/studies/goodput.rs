//! What failures leave of a cluster's throughput: checkpoints, restarts, and work that is done again.
//!
//! Every GPU fails at random, so that `n` of them fail every `M = m/n` on average [llama3: one in 50,700 hours of a GPU].
//! After each interval of work τ a checkpoint takes `C`; a failure costs what was done since the last one, and a restart `R`
//! that may itself fail. The share of time that becomes work is, with exponential times between failures [daly06, eq. 7],
//!
//! ```text
//!   share = τ / (M · e^(R/M) · (e^((τ + C)/M) − 1))                                          (1)
//!   τ_best = √(2CM) · (1 + ⅓·√(C/2M) + ⅑·C/2M) − C   for C < 2M, else M                      (2)
//! ```
//!
//! and [`days`] draws the same process day by day, to say how days differ. A checkpoint follows a whole number of steps.
//! Left out: failures that come together, checkpoints that overlap with work, spare nodes that shorten a restart.

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp};

use crate::base::streams::Streams;

/// Hours between failures of one GPU where none are given: 419 in 54 days of 16,384 H100 [llama3, §3.3.4].
pub const GPU_MTBF_HOURS: f64 = 50_676.0;

/// How a cluster fails, and what that costs; all in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Failures {
    /// Mean time between failures of the GPUs that are used, together.
    pub mean_between_s: f64,
    /// A checkpoint.
    pub checkpoint_s: f64,
    /// From a failure to where the last checkpoint was.
    pub restart_s: f64,
}

/// A restart this many times as long as the mean time between failures practically never succeeds.
const HOPELESS: f64 = 10.0;

/// Seconds between failures below which a cluster is broken, not unreliable.
const LEAST: f64 = 10.0;

/// Seconds of a day.
const DAY: f64 = 86_400.0;

impl Failures {
    /// Equation (2), in seconds.
    #[must_use]
    pub fn best_interval_s(&self) -> f64 {
        let (c, m) = (self.checkpoint_s, self.mean_between_s);
        if c >= 2.0 * m {
            return m;
        }
        let ratio = c / (2.0 * m);
        (2.0 * c * m).sqrt() * (1.0 + ratio.sqrt() / 3.0 + ratio / 9.0) - c
    }

    /// The steps of `step_s` between two checkpoints that come nearest to (2).
    #[must_use]
    pub fn best_steps(&self, step_s: f64) -> u64 {
        (self.best_interval_s() / step_s).round().clamp(1.0, 1e15) as u64
    }

    /// Equation (1) for an interval in seconds.
    #[must_use]
    pub fn share(&self, interval_s: f64) -> f64 {
        let m = self.mean_between_s;
        let lost = (self.restart_s / m).exp() * ((interval_s + self.checkpoint_s) / m).exp_m1();
        interval_s / (m * lost)
    }

    /// Whether so little would be done that it is no use to say how much.
    #[must_use]
    pub fn is_hopeless(&self, interval_s: f64) -> bool {
        let most = HOPELESS * self.mean_between_s;
        let long = self.restart_s > most || interval_s + self.checkpoint_s > most;
        long || self.mean_between_s < LEAST
    }

    /// The share of each of so many days, one after another, that becomes work that is kept.
    ///
    /// What is saved counts on the days on which it was done.
    #[must_use]
    pub fn days(&self, interval_s: f64, days: usize, streams: Streams) -> Vec<f64> {
        let mut rng = streams.named("goodput/failures");
        let mut saved = vec![0.0; days];
        let (mut now, mut fails) = (0.0, 0.0);
        let end = days as f64 * DAY;
        self.next_failure(now, &mut fails, &mut rng);
        while now < end {
            let each = interval_s + self.checkpoint_s;
            if now + each <= fails {
                // All that end before the next failure, at least one, at once.
                let number = ((fails.min(end + each) - now) / each).floor().max(1.0);
                let until = now + number * each;
                spread(&mut saved, (now, until), interval_s / each);
                now = until;
                continue;
            }
            // What was done since the last checkpoint is lost; restarts fail as all else does.
            loop {
                now = fails;
                self.next_failure(now, &mut fails, &mut rng);
                if now + self.restart_s <= fails || now >= end {
                    break;
                }
            }
            now += self.restart_s;
        }
        saved
    }

    fn next_failure(&self, now: f64, fails: &mut f64, rng: &mut ChaCha8Rng) {
        let rate = Exp::new(1.0 / self.mean_between_s).expect("a positive mean");
        *fails = now + rate.sample(rng);
    }
}

/// Adds to each day its part of a stretch of time, in seconds, of which this share is work that is kept.
fn spread(days: &mut [f64], (from, until): (f64, f64), share: f64) {
    let first = (from / DAY) as usize;
    for (nth, day) in days.iter_mut().enumerate().skip(first) {
        let begins = nth as f64 * DAY;
        if begins >= until {
            break;
        }
        *day += share * (until.min(begins + DAY) - from.max(begins)) / DAY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::statistics::mean;

    const H100S: Failures =
        Failures { mean_between_s: 11_000.0, checkpoint_s: 60.0, restart_s: 600.0 };

    #[test]
    fn the_closed_form_is_what_days_come_to() {
        for failures in [
            H100S,
            Failures { mean_between_s: 1_000.0, ..H100S },
            Failures { restart_s: 5_000.0, ..H100S },
            Failures { checkpoint_s: 900.0, ..H100S },
        ] {
            let interval = failures.best_interval_s();
            let days = failures.days(interval, 4_000, Streams::new(7));
            let (drawn, told) = (mean(&days), failures.share(interval));
            assert!((drawn / told - 1.0).abs() < 0.01, "{failures:?}: {drawn}, {told}");
        }
    }

    #[test]
    fn without_failures_every_day_is_alike() {
        let never = Failures { mean_between_s: 1e15, ..H100S };
        let days = never.days(200_000.0, 30, Streams::new(1));
        let share = 200_000.0 / 200_060.0;
        assert!(days.iter().all(|day| (day - share).abs() < 1e-9), "{days:?}");
    }

    #[test]
    fn no_interval_beats_the_best_one_by_much() {
        for failures in [H100S, Failures { checkpoint_s: 1_200.0, ..H100S }] {
            let best = failures.share(failures.best_interval_s());
            for factor in [0.3, 0.5, 0.8, 1.25, 2.0, 4.0] {
                let other = failures.share(factor * failures.best_interval_s());
                assert!(other < best * 1.001, "{failures:?}, {factor}: {other} for {best}");
            }
        }
    }

    #[test]
    fn failures_checkpoints_and_restarts_never_help() {
        let share = |failures: Failures| failures.share(1_800.0);
        let base = share(H100S);
        assert!(base < 1.0);
        assert!(share(Failures { mean_between_s: 5_000.0, ..H100S }) < base);
        assert!(share(Failures { checkpoint_s: 90.0, ..H100S }) < base);
        assert!(share(Failures { restart_s: 900.0, ..H100S }) < base);
        let without = Failures { mean_between_s: 1e12, checkpoint_s: 0.0, restart_s: 600.0 };
        assert!((share(without) - 1.0).abs() < 1e-6);
    }
}
