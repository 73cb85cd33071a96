//! Robust nonlinear least squares: Levenberg and Marquardt's method on a soft-L1 loss.
//!
//! Minimises `Σ s²·2(√(1 + (r_i/s)²) − 1)` over positive parameters, which are varied as
//! logarithms [nocedal06, §10.3]; each step solves `(JᵀWJ + λ·diag)·δ = −JᵀWr` with weights
//! `W = (1 + (r/s)²)^(−1/2)` and a Jacobian by forward differences. Residuals are log errors, so
//! s = 0.1 makes errors beyond 10 % count by their size and not by its square. To the data a weak
//! pull towards the start is added, `r = 0.03·√N·ln(p/p₀)` for each parameter: it decides only
//! what the data leave open, and keeps constants that two of them share physical.

use moesim::base::statistics::linear::solve;

/// s of the loss.
const SCALE: f64 = 0.1;
const STEPS: usize = 80;
/// Strength of the pull towards the start.
const PULL: f64 = 0.03;
/// Forward difference of a log parameter.
const NUDGE: f64 = 1e-5;

/// The parameters that minimise the loss, starting from `start`, all positive.
///
/// `residuals` gives log errors for parameters. Steps that do not help are not taken, so the
/// answer is never worse than the start.
#[must_use]
pub fn minimise(start: &[f64], residuals: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let at = |logs: &[f64]| {
        let mut all = residuals(&logs.iter().map(|l| l.exp()).collect::<Vec<_>>());
        let pull = PULL * (all.len() as f64).sqrt();
        all.extend(logs.iter().zip(start).map(|(l, p0)| pull * (l - p0.ln())));
        all
    };
    let mut logs: Vec<f64> = start.iter().map(|p| p.ln()).collect();
    let mut now = at(&logs);
    let (mut best, mut damping) = (loss(&now), 1e-2);
    for _ in 0..STEPS {
        let (normal, gradient) = normal_equations(&logs, &now, &at);
        let mut improved = false;
        while damping < 1e8 {
            let step = damped_step(&normal, &gradient, damping);
            let tried: Vec<f64> = logs
                .iter()
                .zip(&step)
                .map(|(l, d)| (l + d.clamp(-1.0, 1.0)).clamp(-35.0, 35.0))
                .collect();
            let then = at(&tried);
            let value = loss(&then);
            if value < best {
                improved = best - value > best * 1e-7;
                (logs, now, best, damping) = (tried, then, value, (damping * 0.3).max(1e-9));
                break;
            }
            damping *= 4.0;
        }
        if !improved {
            break;
        }
    }
    logs.iter().map(|l| l.exp()).collect()
}

fn loss(residuals: &[f64]) -> f64 {
    let one = |r: &f64| 2.0 * ((1.0 + (r / SCALE).powi(2)).sqrt() - 1.0);
    let sum: f64 = residuals.iter().map(one).sum();
    if sum.is_nan() { f64::INFINITY } else { sum }
}

/// JᵀWJ and JᵀWr.
fn normal_equations(
    logs: &[f64],
    now: &[f64],
    at: &impl Fn(&[f64]) -> Vec<f64>,
) -> (Vec<Vec<f64>>, Vec<f64>) {
    let columns: Vec<Vec<f64>> = (0..logs.len())
        .map(|j| {
            let mut nudged = logs.to_vec();
            nudged[j] += NUDGE;
            at(&nudged).iter().zip(now).map(|(then, now)| (then - now) / NUDGE).collect()
        })
        .collect();
    let weights: Vec<f64> = now.iter().map(|r| (1.0 + (r / SCALE).powi(2)).powf(-0.5)).collect();
    let dot = |a: &[f64], b: &[f64]| -> f64 {
        a.iter().zip(b).zip(&weights).map(|((a, b), w)| a * b * w).sum()
    };
    let normal = columns.iter().map(|a| columns.iter().map(|b| dot(a, b)).collect()).collect();
    let gradient = columns.iter().map(|a| dot(a, now)).collect();
    (normal, gradient)
}

/// The step that solves the damped normal equations.
fn damped_step(normal: &[Vec<f64>], gradient: &[f64], damping: f64) -> Vec<f64> {
    let mut a: Vec<Vec<f64>> = normal.to_vec();
    for (i, row) in a.iter_mut().enumerate() {
        row[i] += damping * row[i] + 1e-12;
    }
    solve(a, gradient.iter().map(|g| -g).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_law_with_an_outlier_is_found_again() {
        let truth = |x: f64| 3.0 + x / 200.0;
        let xs: Vec<f64> = (0..40).map(|i| f64::from(1 << (i % 14))).collect();
        let mut ys: Vec<f64> = xs.iter().map(|&x| truth(x)).collect();
        ys[7] *= 5.0;
        let found = minimise(&[5.0, 100.0], |p| {
            xs.iter().zip(&ys).map(|(x, y)| ((p[0] + x / p[1]) / y).ln()).collect()
        });
        assert!((found[0] / 3.0 - 1.0).abs() < 0.01, "{found:?}");
        assert!((found[1] / 200.0 - 1.0).abs() < 0.01, "{found:?}");
    }
}
