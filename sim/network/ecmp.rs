//! What hashing flows onto parallel links costs, computed.
//!
//! ECMP puts each of `F` equal flows on one of `P` equal uplinks by a hash: balls in bins. The
//! fullest uplink decides, so the trunk delivers of its bandwidth
//!
//! ```text
//!   η = (F/P) / E[M],     M = the most flows on one uplink                        (1)
//!   E[M] = Σ_{m ≥ 0} (1 − Pr(M ≤ m))                                              (2)
//!   Pr(M ≤ m) = F! / P^F · [x^F] g_m(x)^P,     g_m(x) = Σ_{k ≤ m} x^k / k!         (3)
//! ```
//!
//! Up to [`EXACT_FLOWS`] flows (3) is computed unchanged. Beyond, the coefficient is taken by
//! the saddle point: with independent counts of law `λ^k / k! / g_m(λ)`, `λ` such that their mean
//! is `F/P` and `σ²` their variance, `[x^F] g_m^P = g_m(λ)^P λ^{−F} / √(2π P σ²)`, which is
//! within 2 % of exact where the two meet (tested).
//!
//! It assumes flows of equal size and a fresh hash for every pair; few large flows among many
//! small ones do worse, re-hashing by the transport does better.

use crate::base::statistics::roots::Bracket;

/// Up to this many flows the law of the fullest uplink is computed exactly.
const EXACT_FLOWS: u32 = 128;

/// The share of a trunk's bandwidth that `flows` flows hashed onto `lanes` uplinks get, η of (1).
#[must_use]
pub fn ecmp_efficiency(flows: u32, lanes: u32) -> f64 {
    if flows == 0 || lanes <= 1 {
        return 1.0;
    }
    let mean = f64::from(flows) / f64::from(lanes);
    let least = flows.div_ceil(lanes);
    // Below the even share nothing fits: those terms of (2) are one each.
    let mut expected = f64::from(least);
    for m in least..flows {
        let fits = if flows <= EXACT_FLOWS {
            fits_exactly(flows, lanes, m)
        } else {
            fits_by_saddle_point(flows, lanes, m)
        };
        expected += 1.0 - fits;
        if fits > 1.0 - 1e-9 {
            break;
        }
    }
    (mean / expected).min(1.0)
}

/// Equation (3) by repeated squaring of the polynomial, scaled so that no term overflows.
fn fits_exactly(flows: u32, lanes: u32, m: u32) -> f64 {
    let terms = flows as usize + 1;
    // With x = mean·y, g_m becomes a truncated Poisson law and (3) a conditional probability.
    let mean = f64::from(flows) / f64::from(lanes);
    let law = |upto: u32| -> Vec<f64> {
        let mut term = (-mean).exp();
        (0..terms as u32)
            .map(|k| {
                let here = if k <= upto { term } else { 0.0 };
                term *= mean / f64::from(k + 1);
                here
            })
            .collect()
    };
    let total = |upto| power(&law(upto), lanes)[flows as usize];
    (total(m) / total(flows)).min(1.0)
}

fn power(base: &[f64], mut exponent: u32) -> Vec<f64> {
    let mut square = base.to_vec();
    let mut product = vec![0.0; base.len()];
    product[0] = 1.0;
    while exponent > 0 {
        if exponent % 2 == 1 {
            product = times(&product, &square);
        }
        exponent /= 2;
        if exponent > 0 {
            square = times(&square, &square);
        }
    }
    product
}

fn times(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut product = vec![0.0; a.len()];
    for (i, &x) in a.iter().enumerate().filter(|&(_, &x)| x != 0.0) {
        for (slot, &y) in product[i..].iter_mut().zip(b) {
            *slot += x * y;
        }
    }
    product
}

/// Equation (3) by the saddle point, both coefficients treated alike so that their errors cancel.
fn fits_by_saddle_point(flows: u32, lanes: u32, m: u32) -> f64 {
    let mean = f64::from(flows) / f64::from(lanes);
    if f64::from(m) <= mean {
        return 0.0;
    }
    let log_coefficient = |upto: u32| {
        let lambda = tilt(mean, upto);
        let (log_sum, _, variance) = truncated(lambda, upto);
        f64::from(lanes) * log_sum
            - f64::from(flows) * lambda.ln()
            - 0.5 * (f64::from(lanes) * variance).ln()
    };
    // Untruncated: λ is the mean, g is e^λ and the variance the mean.
    let free = f64::from(lanes) * mean - f64::from(flows) * mean.ln() - 0.5 * f64::from(flows).ln();
    (log_coefficient(m) - free).exp().min(1.0)
}

/// The `λ` at which the truncated law has this mean, by bisection.
fn tilt(mean: f64, upto: u32) -> f64 {
    let mut high = mean * 2.0;
    while truncated(high, upto).1 < mean && high < 1e12 {
        high *= 2.0;
    }
    Bracket { low: mean, high }.halved(80, |lambda| truncated(lambda, upto).1 < mean).high
}

/// `ln g_m(λ)` with mean and variance of the law `λ^k / k! / g_m(λ)`.
fn truncated(lambda: f64, upto: u32) -> (f64, f64, f64) {
    // From the largest term down, so that nothing overflows; terms below e^-40 of it are nothing.
    let peak = (lambda.floor()).min(f64::from(upto));
    let (mut sum, mut first, mut second) = (1.0, 0.0, 0.0);
    let mut add = |offset: f64, weight: f64| {
        sum += weight;
        first += weight * offset;
        second += weight * offset * offset;
    };
    let (mut k, mut weight) = (peak, 1.0);
    while k >= 1.0 && weight > 1e-18 {
        weight *= k / lambda;
        k -= 1.0;
        add(k - peak, weight);
    }
    (k, weight) = (peak, 1.0);
    while k < f64::from(upto) && weight > 1e-18 {
        k += 1.0;
        weight *= lambda / k;
        add(k - peak, weight);
    }
    let offset = first / sum;
    let log_peak = peak * lambda.ln() - ln_factorial(peak);
    (log_peak + sum.ln(), peak + offset, (second / sum - offset * offset).max(1e-12))
}

fn ln_factorial(n: f64) -> f64 {
    statrs::function::gamma::ln_gamma(n + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_flows_on_two_uplinks_collide_half_the_time() {
        // E[M] = 1.5, so the trunk delivers 1/1.5 of its bandwidth.
        assert!((ecmp_efficiency(2, 2) - 1.0 / 1.5).abs() < 1e-12);
        assert!((ecmp_efficiency(1, 4) - 0.25).abs() < 1e-12);
        assert_eq!(ecmp_efficiency(7, 1), 1.0);
    }

    #[test]
    fn the_saddle_point_meets_the_exact_law() {
        for (flows, lanes) in [(128, 4), (128, 16), (120, 32)] {
            let exact: f64 = (1..flows).map(|m| 1.0 - fits_exactly(flows, lanes, m)).sum();
            let near: f64 = (1..flows).map(|m| 1.0 - fits_by_saddle_point(flows, lanes, m)).sum();
            assert!((exact / near - 1.0).abs() < 0.02, "{flows} on {lanes}: {exact} or {near}");
        }
    }

    #[test]
    fn many_flows_fill_uplinks_evenly() {
        let shares = [16, 128, 1024, 65_536].map(|flows| ecmp_efficiency(flows, 16));
        assert!(shares.is_sorted(), "{shares:?}");
        assert!(shares[0] < 0.4 && shares[3] > 0.95, "{shares:?}");
    }
}
