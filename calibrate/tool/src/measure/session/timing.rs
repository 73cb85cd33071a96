//! How long something takes, known well enough: medians with intervals.
//!
//! Sets are run in rotation, so that none finds its inputs in the cache; runs shorter than
//! [`LEAST_RUN`] are timed several at a time. Samples are taken until the 95 % interval of the median,
//! by order statistics [hollander99, §3.6],
//!
//! ```text
//!   [ x_(⌊(n − 1.96√n)/2⌋), x_(⌈1 + (n + 1.96√n)/2⌉) ]                          (1)
//! ```
//!
//! is narrower than 1 % of the median (±0.5 %), or until time is up. Outliers, by a modified z-score
//! over 3.5 [iglewicz93, §4.2], stay in the sample and are counted.

use std::time::{Duration, Instant};

use moesim::base::statistics::{Rule, quantile, quantile_of_sorted};

use crate::measure::backend::{Backend, Clock, DeviceError, Elapsed, Prepared};

/// Runs shorter than this are timed several at a time: clocks tick in up to microseconds.
pub const LEAST_RUN: Duration = Duration::from_micros(200);
/// Half the width of the interval that is narrow enough, relative to the median.
pub const CLOSE_ENOUGH: f64 = 0.005;
const LEAST_SAMPLES: usize = 9;
const MOST_SAMPLES: usize = 2000;
/// Longest list of runs in one submission.
const MOST_BATCH: usize = 512;

/// Repeated durations of one thing, in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// Which clock.
    pub clock: Clock,
    /// The median.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// 5th and 95th percentile.
    pub p05: f64,
    /// See [`Self::p05`].
    pub p95: f64,
    /// Half the 95 % interval of the median, relative to it.
    pub half_width: f64,
    /// Samples taken.
    pub samples: usize,
    /// Runs in each sample.
    pub batch: usize,
    /// Outliers among them.
    pub outliers: usize,
}

/// Times runs of `sets` in rotation for at most `limit`. `first` is what the first of them took when
/// it was checked: runs so long that warming up would take much of the time are timed at once.
///
/// # Errors
/// If the device fails.
///
/// # Panics
/// If there is no set.
pub fn time(
    device: &mut dyn Backend,
    sets: &[Prepared],
    by_host: bool,
    first: Elapsed,
    limit: Duration,
) -> Result<Timing, DeviceError> {
    assert!(!sets.is_empty(), "nothing to time");
    let start = Instant::now();
    let mut next = sets.iter().copied().cycle();
    let mut take = |count: usize| -> Vec<Prepared> { next.by_ref().take(count).collect() };
    let pick = |elapsed: Elapsed| {
        if by_host { (elapsed.host, Clock::Host) } else { elapsed.best() }
    };
    let (mut guess, mut clock) = pick(first);
    let count = sets.len() as f64;
    if guess * (count + 1.0) < limit.as_secs_f64() / 4.0 {
        // Warm-up: each set once, so that no page and no cache line is met for the first time.
        let warm = pick(device.time(&take(sets.len()))?).0 / count;
        (guess, clock) = pick(device.time(&take(1))?);
        guess = guess.min(warm);
    }
    let guess = guess.max(1e-9);
    let batch = ((LEAST_RUN.as_secs_f64() / guess).ceil() as usize).clamp(1, MOST_BATCH);
    let mut seconds = Vec::new();
    while seconds.len() < MOST_SAMPLES {
        let runs = take(batch);
        let (took, its) = pick(device.time(&runs)?);
        // A driver may have no timestamp once: never mix clocks.
        if its == clock {
            seconds.push(took / batch as f64);
        }
        let enough = seconds.len() >= LEAST_SAMPLES && half_width(&seconds) <= CLOSE_ENOUGH;
        if enough || (start.elapsed() >= limit && seconds.len() >= 3) {
            break;
        }
    }
    Ok(summary(seconds, clock, batch))
}

/// What these durations say.
///
/// # Panics
/// If there are none.
#[must_use]
pub fn summary(mut seconds: Vec<f64>, clock: Clock, batch: usize) -> Timing {
    let half_width = half_width(&seconds);
    seconds.sort_by(f64::total_cmp);
    let at = |share, rule| quantile_of_sorted(&seconds, share, rule).expect("a duration");
    let median = at(0.5, Rule::Middle);
    let deviations: Vec<f64> = seconds.iter().map(|s| (s - median).abs()).collect();
    let mad = quantile(&deviations, 0.5, Rule::Middle).expect("a duration");
    let outlier = |s: &&f64| mad > 0.0 && 0.6745 * (*s - median).abs() / mad > 3.5;
    Timing {
        clock,
        median,
        least: seconds[0],
        p05: at(0.05, Rule::Nearest),
        p95: at(0.95, Rule::Nearest),
        half_width,
        samples: seconds.len(),
        batch,
        outliers: seconds.iter().filter(outlier).count(),
    }
}

/// Half of (1) relative to the median; infinite where (1) reaches beyond the sample.
fn half_width(seconds: &[f64]) -> f64 {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let Some(median) = quantile_of_sorted(&sorted, 0.5, Rule::Middle) else { return f64::INFINITY };
    let reach = 1.96 * n.sqrt();
    let low = ((n - reach) / 2.0).floor();
    let high = (1.0 + (n + reach) / 2.0).ceil();
    if low < 1.0 || high > n {
        return f64::INFINITY;
    }
    (sorted[high as usize - 1] - sorted[low as usize - 1]) / 2.0 / median
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_median_covers_as_often_as_it_says() {
        // Medians of 41 uniform numbers, drawn by a fixed generator: 95 % of intervals hold 1/2.
        let mut state = 1_u64;
        let mut uniform = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let mut held = 0;
        for _ in 0..2000 {
            let mut xs: Vec<f64> = (0..41).map(|_| uniform()).collect();
            let half = half_width(&xs);
            xs.sort_by(f64::total_cmp);
            // Order statistics of equation (1) for n = 41: 14 and 28.
            assert!((half - (xs[27] - xs[13]) / 2.0 / xs[20]).abs() < 1e-12);
            held += u32::from(xs[13] <= 0.5 && 0.5 <= xs[27]);
        }
        // 0.95·2000 = 1900, standard error 10; (1) rounds outwards.
        assert!((1880..=1970).contains(&held), "{held}");
    }

    #[test]
    fn few_samples_have_no_interval() {
        assert_eq!(half_width(&[1.0, 1.0, 1.0, 1.0]), f64::INFINITY);
        assert_eq!(half_width(&[1.0; 9]), 0.0);
    }

    #[test]
    fn an_outlier_is_counted_and_moves_no_median() {
        let mut seconds: Vec<f64> = (0..20).map(|i| 1.0 + 0.001 * f64::from(i)).collect();
        seconds.push(50.0);
        let timing = summary(seconds, Clock::Host, 1);
        assert_eq!(timing.outliers, 1);
        assert!((timing.median - 1.010).abs() < 1e-9, "{timing:?}");
        assert_eq!(timing.least, 1.0);
    }
}
