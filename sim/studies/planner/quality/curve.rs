//! A monotone curve through what a user measured.
//!
//! Points at one τ are averaged by their weights. The means `yⱼ` of weight `wⱼ = Σ 1/σ²` are replaced by the rising
//! sequence closest to them,
//!
//! ```text
//!   min Σ wⱼ·(yⱼ − fⱼ)²  over  f₁ ≤ f₂ ≤ …                                         (2)
//! ```
//!
//! [barlow72, §1.2], straight in `ln τ` between them and flat beyond. `σ` is the noise that each point states; where
//! none does, one for all, from points at the same τ and from what the curve leaves,
//!
//! ```text
//!   σ² = ( Σ within a τ (qᵢ − yⱼ)² + Σ nⱼ·(yⱼ − fⱼ)² ) / (points − levels of f)        (3)
//! ```
//!
//! and unknown where that leaves no degree of freedom: points that rise say nothing of their noise. The curve falls
//! instead if what falls leaves less and what rises is beyond the stated noise; of unknown noise, if what falls leaves
//! less than [`CLEARLY`] of what rises leaves. A curve is doubted where stated noise
//! explains its residuals with less than [`UNLIKELY`] (χ²), or, of unknown noise, where it explains less than half of
//! the variance.

use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::{Doubt, Measured, NoiseFrom};
use crate::base::order::ascending;
use crate::base::statistics::rising;

/// Residuals less probable than this are more than noise.
const UNLIKELY: f64 = 0.01;

/// Of what a rising curve leaves: a falling one that leaves less is clearly better.
const CLEARLY: f64 = 0.5;

/// The curve.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Curve {
    knots: Vec<Knot>,
    /// Whether quality rises with τ.
    pub(super) rises: bool,
    /// The noise of a point, the mean of stated ones; none where nothing tells.
    pub(super) noise: Option<f64>,
    /// What tells it.
    pub(super) from: NoiseFrom,
    /// What speaks against the curve.
    pub(super) doubts: Vec<Doubt>,
}

/// All that was measured at one τ.
#[derive(Clone, Debug, PartialEq)]
struct Knot {
    tau: f64,
    ln_tau: f64,
    /// The weighted mean of the points.
    measured: f64,
    /// The curve.
    fitted: f64,
    /// Standard error of the curve there, if noise is known.
    error: Option<f64>,
    /// Sum of weights: one for each point where noise is not stated.
    weight: f64,
}

impl Curve {
    /// The curve through points at some τ, equations (2) and (3).
    pub(super) fn fit(points: &[Measured]) -> Self {
        let (mut knots, within) = knots(points);
        let stated = points.iter().all(|point| point.noise.is_some());
        let values = |sign: f64| -> Vec<(f64, f64)> {
            knots.iter().map(|knot| (sign * knot.measured, knot.weight)).collect()
        };
        let [up, down] = [1.0, -1.0].map(|sign| {
            let fitted: Vec<f64> = rising(&values(sign)).iter().map(|y| sign * y).collect();
            (left(&knots, &fitted), fitted)
        });
        let free = |fitted: &[f64]| knots.len() - levels(fitted);
        let falls = if stated {
            down.0 < up.0 && tail(up.0, free(&up.1)) < UNLIKELY
        } else {
            down.0 < CLEARLY * up.0
        };
        let (left, fitted) = if falls { down } else { up };
        let repeats = points.len() - knots.len();
        let free_of_all = points.len() - levels(&fitted);
        let spread = ((within + left) / free_of_all.max(1) as f64).sqrt();
        let (noise, from) = match (stated, free_of_all) {
            (true, _) => (mean_noise(points), NoiseFrom::Stated),
            (false, 0) => (None, NoiseFrom::Nothing),
            (false, _) if repeats > 0 => (Some(spread), NoiseFrom::Repeats),
            (false, _) => (Some(spread), NoiseFrom::Departures),
        };
        let mut doubts = Vec::new();
        if knots.len() == 1 {
            doubts.push(Doubt::OneTau(knots[0].tau));
        }
        if falls {
            doubts.push(Doubt::Falls);
        }
        let explained = 1.0 - left / left_of_mean(&knots);
        if stated && tail(left, free(&fitted)) < UNLIKELY {
            doubts.push(Doubt::BeyondNoise { times: (left / free(&fitted) as f64).sqrt() });
        } else if !stated && explained < 0.5 {
            doubts.push(Doubt::ExplainsLittle { share: explained });
        }
        let unit = if stated { Some(1.0) } else { noise };
        errors(&mut knots, &fitted, unit);
        Self { knots, rises: !falls, noise, from, doubts }
    }

    /// The least and the greatest τ that was measured.
    pub(super) fn span(&self) -> (f64, f64) {
        let ends = [self.knots.first(), self.knots.last()];
        let [low, high] = ends.map(|knot| knot.map_or(f64::NAN, |knot| knot.ln_tau.exp()));
        (low, high)
    }

    /// The curve at a τ, with its standard error: that of the worse known neighbour.
    pub(super) fn at(&self, ln_tau: f64) -> (f64, Option<f64>) {
        let (low, high, share) = self.around(ln_tau);
        let error = low.error.zip(high.error).map(|(a, b)| a.max(b));
        (between(low.fitted, high.fitted, share), error)
    }

    /// What was measured at a τ, or lies between its neighbours, the curve apart.
    pub(super) fn measured(&self, ln_tau: f64) -> f64 {
        let (low, high, share) = self.around(ln_tau);
        between(low.measured, high.measured, share)
    }

    /// The τ that were measured, rising.
    pub(super) fn taus(&self) -> Vec<f64> {
        self.knots.iter().map(|knot| knot.tau).collect()
    }

    /// Whether something was measured at this τ.
    pub(super) fn has(&self, ln_tau: f64) -> bool {
        self.knots.iter().any(|knot| same(knot.ln_tau, ln_tau))
    }

    /// The knots on either side and how far from the lower one, as a share of what lies between them.
    fn around(&self, ln_tau: f64) -> (&Knot, &Knot, f64) {
        let last = self.knots.len() - 1;
        let above =
            self.knots.partition_point(|knot| knot.ln_tau < ln_tau && !same(knot.ln_tau, ln_tau));
        let (low, high) = (above.saturating_sub(1).min(last), above.min(last));
        let (low, high) = (&self.knots[low], &self.knots[high]);
        if high.ln_tau <= low.ln_tau || same(high.ln_tau, ln_tau) || ln_tau < low.ln_tau {
            let end = if ln_tau < low.ln_tau { low } else { high };
            return (end, end, 0.0);
        }
        (low, high, (ln_tau - low.ln_tau) / (high.ln_tau - low.ln_tau))
    }
}

fn between(low: f64, high: f64, share: f64) -> f64 {
    low + (high - low) * share
}

/// Whether two `ln τ` are one, rounding apart.
fn same(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

/// Points by τ, rising, and the squares within them.
fn knots(points: &[Measured]) -> (Vec<Knot>, f64) {
    let mut sorted: Vec<&Measured> = points.iter().collect();
    ascending(&mut sorted, |one| one.tau);
    let mut within = 0.0;
    let one = |group: &[&Measured]| {
        let weights = || group.iter().map(|point| point.noise.map_or(1.0, |noise| noise.powi(-2)));
        let weight: f64 = weights().sum();
        let sum: f64 = group.iter().zip(weights()).map(|(point, w)| point.quality * w).sum();
        let (tau, measured) = (group[0].tau, sum / weight);
        within += group.iter().map(|point| (point.quality - measured).powi(2)).sum::<f64>();
        Knot { tau, ln_tau: tau.ln(), measured, fitted: measured, error: None, weight }
    };
    (sorted.chunk_by(|a, b| same(a.tau.ln(), b.tau.ln())).map(one).collect(), within)
}

/// How many levels a sequence has.
fn levels(fitted: &[f64]) -> usize {
    fitted.chunk_by(|a, b| a == b).count()
}

/// Weighted squares of what a fit leaves.
fn left(knots: &[Knot], fitted: &[f64]) -> f64 {
    knots.iter().zip(fitted).map(|(knot, fit)| knot.weight * (knot.measured - fit).powi(2)).sum()
}

/// The same of the mean of all; not zero.
fn left_of_mean(knots: &[Knot]) -> f64 {
    let weight: f64 = knots.iter().map(|knot| knot.weight).sum();
    let mean = knots.iter().map(|knot| knot.measured * knot.weight).sum::<f64>() / weight;
    left(knots, &vec![mean; knots.len()]).max(f64::MIN_POSITIVE)
}

/// With what probability noise alone leaves as much.
fn tail(left: f64, free: usize) -> f64 {
    ChiSquared::new(free as f64).map_or(1.0, |law| 1.0 - law.cdf(left))
}

/// The noise of a typical point that states it.
fn mean_noise(points: &[Measured]) -> Option<f64> {
    let noises: Option<Vec<f64>> = points.iter().map(|point| point.noise).collect();
    noises.map(|noises| crate::base::statistics::mean(&noises))
}

/// The curve into the knots, with its standard errors: `unit/√(Σ w)` of each level.
fn errors(knots: &mut [Knot], fitted: &[f64], unit: Option<f64>) {
    for knot in knots.iter_mut().zip(fitted) {
        knot.0.fitted = *knot.1;
    }
    for level in knots.chunk_by_mut(|a, b| a.fitted == b.fitted) {
        let weight: f64 = level.iter().map(|knot| knot.weight).sum();
        level.iter_mut().for_each(|knot| knot.error = unit.map(|unit| unit / weight.sqrt()));
    }
}
