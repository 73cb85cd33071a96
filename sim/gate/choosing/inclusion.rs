//! From weights to the probability that an expert is among a token's K, and back.
//!
//! Choosing the K largest of z_i + Gumbel(1) is choosing K of N without replacement with weights
//! w_i = e^{z_i} [yellott77], and that is the same as K first arrivals when expert i arrives at an
//! exponential time of rate w_i [efraimidis06]. Replacing the random time of the K-th arrival by the
//! time t at which K are expected gives
//!
//! ```text
//!   π_i = 1 − e^{−w_i t},      Σ_i π_i = K                                                    (1)
//! ```
//!
//! Exact for equal weights. One choice has π_i = w_i / Σw in place of (1), exactly. For N ≥ 8 and K ≥ 2 the relative error of π_i stays below 3 % at
//! log-normal weights of spread 1.

use super::exponentials::absences;
use crate::base::statistics::roots::{halley_step, newton};

/// The time t at which `expected` of the experts with these rates are expected to have arrived.
///
/// Infinite where `expected` is the number of experts or more.
pub(in crate::gate) fn arrival_time(rates: &[f64], expected: f64) -> f64 {
    let able = rates.iter().filter(|&&rate| rate > 0.0).count() as f64;
    if expected >= able {
        return f64::INFINITY;
    }
    // The sum is concave and increasing in t.
    let total: f64 = rates.iter().sum();
    newton(expected / total, 1e-12, |time| {
        let (mut arrived, mut slope) = (0.0, 0.0);
        for rate in rates {
            let absent = (-rate * time).exp();
            arrived += 1.0 - absent;
            slope += rate * absent;
        }
        (expected - arrived, slope)
    })
}

/// The inclusion probabilities (1) of experts with these rates, summing to `expected`.
///
/// Halley's method from the time at which equal rates would have arrived; unequal ones take longer.
/// It is stopped at a step of 10⁻⁴, whose square is corrected for: an error below 10⁻⁷ is left.
pub(in crate::gate) fn from_rates(rates: &[f64], expected: f64, out: &mut Vec<f64>) {
    out.clear();
    let number = rates.len() as f64;
    if expected >= number {
        out.resize(rates.len(), 1.0);
        return;
    }
    let total: f64 = rates.iter().sum();
    if expected == 1.0 {
        out.extend(rates.iter().map(|rate| rate / total));
        return;
    }
    out.resize(rates.len(), 0.0);
    let mut time = -number * (-expected / number).ln_1p() / total;
    loop {
        let (mut absent, mut slope, mut bend) = (0.0, 0.0, 0.0);
        absences(rates, time, out);
        for (gone, rate) in out.iter().zip(rates) {
            absent += gone;
            slope += rate * gone;
            bend += rate * rate * gone;
        }
        // Nothing more arrives where the slope is gone; that happens only where none is short.
        let step = halley_step(expected - (number - absent), slope, bend);
        if step.abs() <= 1e-4 * time {
            for (p, rate) in out.iter_mut().zip(rates) {
                let x = rate * step;
                *p = 1.0 - *p * (1.0 - x * (1.0 - x * (0.5 - x / 6.0)));
            }
            return;
        }
        time += step;
    }
}

/// Scales `shares` to probabilities that sum to `expected`, none above one.
///
/// What experts at one cannot take goes to the others in proportion.
pub(in crate::gate) fn capped(shares: &[f64], expected: f64, out: &mut Vec<f64>) {
    let scale = expected / shares.iter().sum::<f64>();
    out.clear();
    out.extend(shares.iter().map(|share| share * scale));
    let mut full = vec![];
    // Each round fills at least one more expert or ends.
    while let Some(over) = (0..out.len()).find(|i| !full.contains(i) && out[*i] > 1.0) {
        full.push(over);
        let open = |i: usize| !full.contains(&i);
        let free = expected - full.len() as f64;
        let weight: f64 = (0..shares.len()).filter(|&i| open(i)).map(|i| shares[i]).sum();
        let scale = if weight > 0.0 { (free / weight).max(0.0) } else { 0.0 };
        for i in 0..shares.len() {
            out[i] = if open(i) { shares[i] * scale } else { 1.0 };
        }
    }
}

/// The weights, summing to one, whose inclusion probabilities (1) are `inclusion`.
pub(in crate::gate) fn weights_for(inclusion: &[f64]) -> Vec<f64> {
    let slots: f64 = inclusion.iter().sum();
    if (slots - 1.0).abs() < 1e-9 {
        return inclusion.iter().map(|p| p / slots).collect();
    }
    let rates: Vec<f64> = inclusion.iter().map(|p| -(1.0 - p.min(MOST_CERTAIN)).ln()).collect();
    let total: f64 = rates.iter().sum();
    rates.iter().map(|rate| rate / total).collect()
}

/// An expert that every token must choose has an infinite weight; this stands for it.
const MOST_CERTAIN: f64 = 1.0 - 1e-12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inclusions_sum_to_what_is_expected_and_follow_one_time() {
        for spread in [0.0, 0.5, 1.5, 3.0] {
            for expected in [0.3, 1.3, 2.0, 8.0, 15.5] {
                let rates: Vec<f64> =
                    (0..16).map(|i| (spread * f64::from(i).sin()).exp()).collect();
                let mut pi = vec![];
                from_rates(&rates, expected, &mut pi);
                let sum: f64 = pi.iter().sum();
                assert!((sum - expected).abs() < 1e-7 * expected, "{sum}, not {expected}");
                let time = arrival_time(&rates, expected);
                for (p, rate) in pi.iter().zip(&rates) {
                    assert!((p - (1.0 - (-rate * time).exp())).abs() < 1e-7, "{spread} {expected}");
                }
            }
        }
    }
}
