//! Residuals of measured shapes, read between and beyond them by local kriging.
//!
//! A *site* is a measured shape, such as (N, K) of a GEMM; its *curve* is the log residual
//! `y_s(j) = ln(measured / prior)` at knots `j` of a running size, such as M. At a site that was
//! measured the curve is returned as it is. Elsewhere, with `d_i` the city-block distance in base-2
//! logarithms of the coordinates, each divided by its length at scale i, and over the
//! `NEIGHBOURS` sites of largest covariance,
//!
//! ```text
//!   C(s, s') = Σ_i α_i · exp(−d_i(s, s'))      Σ_i α_i = 1                      (1)
//!   (C_ss' + ν·1) w = C_s*                                                   (2)
//!   ŷ(j) = Σ_s w_s y_s(j)                                                    (3)
//! ```
//!
//! which is simple kriging [cressie93, §3.2] with a product of exponential covariances, one a
//! coordinate, and relative noise ν: what two shapes share is what they share in each dimension, so a
//! neighbour that differs in one alone counts more than one at the same distance that differs in two
//! (against the Euclidean distance this takes a tenth to a seventh off the error of left-out
//! shapes). Near sites count, clustered sites share their say, and far from all sites ŷ → 0, so that the
//! prior speaks alone. A second, short scale carries what only near-identical shapes share, such
//! as a configuration that a library was tuned for.
//!
//! A timing that its neighbours do not expect, because a clock was throttled or the library chose
//! another kernel there alone, says little of other shapes. So (3) takes each `y_s(j)` no further than
//! `c` from what the other near sites predict of it [huber64],
//!
//! ```text
//!   ỹ_s = ȳ_s + clamp(y_s − ȳ_s, −c, c),    ȳ_s = ỹ_s − (A ỹ)_s / A_ss,    A = (C + ν·1)⁻¹   (4)
//! ```
//!
//! a few rounds from ỹ = y; ȳ_s is the value that kriging from the others gives [dubrule83]. It takes a
//! seventh to a third off the median error of left-out GEMM shapes, whose residuals lean to the slow side.
//! Lengths, shares, ν and c are the same for all devices and were chosen by leaving out whole sites.
//! What changes along a curve, such as the tile that a library chooses at a size, may be coordinates too
//! ([`Curves::read_along`]): (1) and (2) are then those of each knot. How sure a reading is, is its standard
//! deviation in units of what the prior leaves over far from all sites [cressie93, §3.2],
//!
//! ```text
//!   σ(j) = √( 1 + ν − Σ_s w_s C_s* )                                         (5)
//! ```
//!
//! Left out: any drift beyond the prior.

mod along;
pub mod curve;

pub use along::Solved;

use std::sync::Arc;

use crate::base::statistics::linear::inverse_of_definite;

/// Sites that have a say in an interpolation; more change errors in the fourth digit only.
const NEIGHBOURS: usize = 32;

/// One scale of (1): its share α and the length of each coordinate, in doublings.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    /// α.
    pub share: f64,
    /// Lengths, one a coordinate.
    pub lengths: Vec<f64>,
}

/// How much of its neighbours' residuals a shape takes over.
#[derive(Clone, Debug, PartialEq)]
pub struct Kriging {
    /// The scales of (1).
    pub scales: Vec<Scale>,
    /// The relative noise ν.
    pub noise: f64,
    /// c of (4): how far a residual may lie from what its neighbours predict before it is cut; infinite
    /// where all are trusted.
    pub clip: f64,
}

/// One measured shape and what the prior left over there.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// Coordinates, as written in tables: positive numbers.
    pub at: Vec<u32>,
    /// Log residual at each knot.
    pub residual: Vec<f64>,
}

/// Residual curves over a set of sites that share their knots.
#[derive(Clone, Debug, PartialEq)]
pub struct Curves {
    knots: Vec<f64>,
    /// Never changed: clones share them.
    sites: Arc<Vec<Site>>,
    /// Base-2 logarithms of the coordinates, one row a site.
    logs: Arc<Vec<Vec<f64>>>,
    kriging: Kriging,
}

/// A curve read somewhere, and how far that is from what was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Log residual at each knot.
    pub residual: Vec<f64>,
    /// −ln of the covariance with the nearest site: zero at a measured site, 1 about a length off.
    pub distance: f64,
}

impl Curves {
    /// Curves over `knots`, which must increase.
    ///
    /// # Panics
    /// If a site has another number of knots or coordinates, or a length is not positive.
    #[must_use]
    pub fn new(knots: Vec<f64>, sites: Vec<Site>, kriging: Kriging) -> Self {
        assert!(knots.windows(2).all(|k| k[0] < k[1]), "knots do not increase: {knots:?}");
        let scales = &kriging.scales;
        for scale in scales {
            assert!(scale.lengths.iter().all(|l| *l > 0.0), "lengths of {scale:?}");
            assert!(scale.share > 0.0, "share of {scale:?}");
        }
        for site in &sites {
            let (at, curve) = (&site.at, site.residual.len());
            assert!(curve == knots.len(), "{curve} values for {} knots at {at:?}", knots.len());
            let fits = scales.iter().all(|scale| scale.lengths.len() >= at.len());
            assert!(fits && !scales.is_empty(), "{at:?} for scales {scales:?}");
        }
        let logs = sites.iter().map(|site| logs_of(&site.at)).collect();
        Self { knots, sites: Arc::new(sites), logs: Arc::new(logs), kriging }
    }

    /// No sites: the prior speaks alone.
    #[must_use]
    pub fn none() -> Self {
        let kriging = Kriging { scales: Vec::new(), noise: 1.0, clip: f64::INFINITY };
        Self::new(Vec::new(), Vec::new(), kriging)
    }

    /// Which curves these are: equal for a clone, and for no others as long as one of them is kept.
    pub(in crate::kernels) fn identity(&self) -> usize {
        Arc::as_ptr(&self.sites) as usize
    }

    /// The running sizes at which curves are known.
    #[must_use]
    pub fn knots(&self) -> &[f64] {
        &self.knots
    }

    /// The measured shapes.
    #[must_use]
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// How unmeasured shapes are read.
    #[must_use]
    pub const fn kriging(&self) -> &Kriging {
        &self.kriging
    }

    /// The curve at `at`, by (2) and (3); sites that `skip` names have no say.
    #[must_use]
    pub fn read(&self, at: &[u32], skip: impl Fn(&Site) -> bool) -> Reading {
        let here = logs_of(at);
        let mut near: Vec<(f64, usize)> = (0..self.sites.len())
            .filter(|&s| !skip(&self.sites[s]))
            .map(|s| (self.covariance(&here, &self.logs[s]), s))
            .collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        near.truncate(NEIGHBOURS);
        match near.first() {
            None => Reading { residual: vec![0.0; self.knots.len()], distance: f64::INFINITY },
            Some(&(_, s)) if self.sites[s].at == at => {
                Reading { residual: self.sites[s].residual.clone(), distance: 0.0 }
            }
            Some(&(c, _)) => Reading { residual: self.mix(&near), distance: -c.ln() },
        }
    }

    /// From `at` to the nearest site, as [`Reading::distance`].
    #[must_use]
    pub fn distance(&self, at: &[u32]) -> f64 {
        let here = logs_of(at);
        let near = self.logs.iter().map(|there| self.covariance(&here, there)).fold(0.0, f64::max);
        if self.sites.iter().any(|site| site.at == at) { 0.0 } else { -near.ln() }
    }

    /// (3) over the near sites, given with their covariance with here.
    fn mix(&self, near: &[(f64, usize)]) -> Vec<f64> {
        let n = near.len();
        let mut covariance = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..n {
                let c = self.covariance(&self.logs[near[i].1], &self.logs[near[j].1]);
                covariance[i * n + j] = c + if i == j { self.kriging.noise } else { 0.0 };
            }
        }
        let inverse = inverse_of_definite(&mut covariance, n);
        let weight =
            |i: usize| -> f64 { near.iter().zip(&inverse[i * n..]).map(|(c, a)| c.0 * a).sum() };
        let weights: Vec<f64> = (0..n).map(weight).collect();
        let at_knot = |j: usize| -> f64 {
            let ys: Vec<f64> = near.iter().map(|(_, s)| self.sites[*s].residual[j]).collect();
            let ys = clipped(ys, &inverse, self.kriging.clip);
            weights.iter().zip(&ys).map(|(w, y)| w * y).sum()
        };
        (0..self.knots.len()).map(at_knot).collect()
    }

    /// Equation (1).
    fn covariance(&self, a: &[f64], b: &[f64]) -> f64 {
        let at_scale = |scale: &Scale| {
            let step = |((a, b), l): ((&f64, &f64), &f64)| (a - b).abs() / l;
            let distance: f64 = a.iter().zip(b).zip(&scale.lengths).map(step).sum();
            scale.share * (-distance).exp()
        };
        self.kriging.scales.iter().map(at_scale).sum()
    }
}

fn logs_of(at: &[u32]) -> Vec<f64> {
    at.iter().map(|&x| f64::from(x.max(1)).log2()).collect()
}

/// Rounds of (4); more change half of all values by less than 0.02 %, and one in a hundred by 1 %.
const ROUNDS: usize = 4;

/// The ỹ of (4); `a` is A, row by row.
fn clipped(ys: Vec<f64>, a: &[f64], clip: f64) -> Vec<f64> {
    if clip.is_infinite() {
        return ys;
    }
    let n = ys.len();
    let mut tamed = ys.clone();
    for _ in 0..ROUNDS {
        let predicted = |i: usize| {
            let row = &a[i * n..(i + 1) * n];
            let dot: f64 = row.iter().zip(&tamed).map(|(a, y)| a * y).sum();
            tamed[i] - dot / row[i]
        };
        let cut = |i: usize| {
            let predicted = predicted(i);
            predicted + (ys[i] - predicted).clamp(-clip, clip)
        };
        tamed = (0..n).map(cut).collect();
    }
    tamed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kriging(clip: f64) -> Kriging {
        let scales = vec![Scale { share: 1.0, lengths: vec![2.0, 4.0] }];
        Kriging { scales, noise: 0.1, clip }
    }

    fn plane() -> Curves {
        let site = |n: u32, k: u32| Site {
            at: vec![n, k],
            residual: vec![f64::from(n).log2() * 0.1, f64::from(k).log2() * 0.1],
        };
        let sites = [(64, 64), (64, 128), (128, 64), (256, 256), (512, 64)];
        let sites = sites.into_iter().map(|(n, k)| site(n, k)).collect();
        Curves::new(vec![1.0, 2.0], sites, kriging(f64::INFINITY))
    }

    #[test]
    fn a_measured_site_is_returned_as_measured() {
        let reading = plane().read(&[128, 64], |_| false);
        assert_eq!(reading.distance, 0.0);
        assert_eq!(reading.residual, plane().sites()[2].residual);
    }

    #[test]
    fn between_sites_the_reading_lies_near_theirs_and_far_away_it_fades() {
        let curves = plane();
        let between = curves.read(&[90, 64], |_| false);
        assert!((0.5..0.8).contains(&between.residual[0]), "{between:?}");
        let far = curves.read(&[u32::MAX, u32::MAX], |_| false);
        assert!(far.residual[0].abs() < 0.1 && far.distance > 4.0, "{far:?}");
        let none = curves.read(&[64, 64], |_| true);
        assert_eq!(none, Reading { residual: vec![0.0, 0.0], distance: f64::INFINITY });
    }

    /// Shapes on a grid, all 0 but one, which is timed twice too slow.
    #[test]
    fn one_odd_timing_hardly_moves_its_neighbours() {
        let site = |i: u32| {
            let (n, k) = (64 << (i % 4), 64 << (i / 4));
            Site { at: vec![n, k], residual: vec![if i == 5 { 0.7 } else { 0.0 }] }
        };
        let read = |clip: f64| {
            let curves = Curves::new(vec![1.0], (0..16).map(site).collect(), kriging(clip));
            (curves.read(&[160, 160], |_| false).residual[0], curves.read(&[128, 128], |_| false))
        };
        let ((trusting, odd), (wary, same)) = (read(f64::INFINITY), read(0.05));
        assert!(trusting > 0.15, "{trusting}");
        assert!((0.0..0.5 * trusting).contains(&wary), "{wary} instead of {trusting}");
        // What lies within the bound is as it was measured.
        assert!((read(10.0).0 - trusting).abs() < 1e-12, "{} instead of {trusting}", read(10.0).0);
        // Where it was measured, it is what was measured.
        assert_eq!((odd.residual[0], same.residual[0]), (0.7, 0.7));
    }

    /// What (4) takes for "predicted by the others" is what kriging without the site gives.
    #[test]
    fn predicted_values_are_those_of_leaving_one_out() {
        let curves = plane();
        let n = curves.sites.len();
        let covariance: Vec<f64> = (0..n * n)
            .map(|c| {
                curves.covariance(&curves.logs[c / n], &curves.logs[c % n])
                    + if c / n == c % n { 0.1 } else { 0.0 }
            })
            .collect();
        let a = inverse_of_definite(&mut covariance.clone(), n);
        let ys: Vec<f64> = curves.sites.iter().map(|s| s.residual[0]).collect();
        for i in 0..n {
            let dot: f64 = (0..n).map(|j| a[i * n + j] * ys[j]).sum();
            let at = curves.sites[i].at.clone();
            let without = curves.read(&at, |site| site.at == at).residual[0];
            assert!((ys[i] - dot / a[i * n + i] - without).abs() < 1e-12, "site {i}");
        }
    }
}
